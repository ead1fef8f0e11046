"""From a model to its graphs: which there are, and tracing them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.switch_encoder import SwitchEncoder
from quaterion_models.export.fusion import fuse_attention
from quaterion_models.export.inputs import EncoderGraph, EncoderInput, describe_input
from quaterion_models.export.quiet import silence
from quaterion_models.extras import require
from quaterion_models.heads.encoder_head import EncoderHead
from quaterion_models.heads.switch_head import DOCUMENT, QUERY, SwitchHead
from quaterion_models.model import SimilarityModel

OPSET = 20
_LARGEST = 2**31 - 2**20  # bytes that one ONNX file can hold
_ACCEPTED = {"text": "text", "pixels": "image", "vector": "vector"}


@dataclass(frozen=True)
class GraphPlan:
    """One graph of an exported model.

    Attributes:
        name: Its name; of a model with a `SwitchEncoder` that of the option.
        accepts: Of several graphs, the kind of objects that this one takes.
        encoders: Encoders by name.
        inputs: What each takes, in the same order.
        heads: Output of the graph to the head that gives it.
        outputs: Side to output.
    """

    name: str
    accepts: str | None
    encoders: dict[str, Encoder]
    inputs: dict[str, EncoderInput]
    heads: dict[str, EncoderHead]
    outputs: dict[str, str]

    def tensor_names(self, encoder: str) -> dict[str, str]:
        """Names the graph's inputs of one encoder, by their roles."""
        number = list(self.inputs).index(encoder)
        end = f"_{number}" if len(self.inputs) > 1 else ""
        return {role: f"{role}{end}" for role in self.inputs[encoder].tensors}


def plan_graphs(model: SimilarityModel, objects: Sequence[Any]) -> list[GraphPlan]:
    """Finds out which graphs a model is exported as.

    Args:
        model: The model.
        objects: Objects to learn from; may be empty.

    Returns:
        One graph; of a model with a `SwitchEncoder` one for each option.

    Raises:
        ValueError: If it cannot be exported; the message says why.
    """
    head = model.required_head()
    encoders = model.encoders
    switch = next(iter(encoders.values()))
    if len(encoders) > 1 or not isinstance(switch, SwitchEncoder):
        return [_plan("default", encoders, head, objects)]
    plans = []
    for name, option in switch.options.items():
        own = [obj for obj in objects if switch.encoder_selection(obj) == name]
        chosen = _head_of(head, name)
        plan = _plan(name, {name: option}, chosen, own)
        described = plan.inputs[name]
        # Of arrays those with one axis are vectors to the program that runs the graphs, others images.
        image = described.kind == "array" and len(described.described["shape"]) > 1
        accepts = "image" if image else _ACCEPTED.get(described.kind, "vector")
        plans.append(replace(plan, accepts=accepts))
    kinds = [plan.accepts for plan in plans]
    if len(set(kinds)) != len(kinds):
        raise ValueError(
            f"options of {type(switch).__name__} take the same kind of objects "
            f"({dict(zip(switch.options, kinds, strict=True))}), and an exported model chooses by the kind alone: "
            "text, image or vector"
        )
    return plans


def trace(plan: GraphPlan, *, normalize: bool, dimensions: int | None) -> Any:
    """Traces a graph, without changing the encoders' weights.

    Args:
        plan: The graph; its encoders and heads are on the CPU, in float32, and in eval mode.
        normalize: Whether to scale embeddings to length 1.
        dimensions: Components to keep; None for all.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        ValueError: If something in it has no form in ONNX, with the operator's name; or it is too large.
        ImportError: If the extra is not installed.
    """
    require("onnx", extra="onnx")
    require("onnxscript", extra="onnx")
    module = _Joined(plan, normalize=normalize, dimensions=dimensions).eval()
    names, tensors, axes = [], [], []
    for encoder, described in plan.inputs.items():
        for role, name in plan.tensor_names(encoder).items():
            names.append(name)
            tensors.append(described.example[role])
            length = "length" if name == role else f"length{name[len(role) :]}"
            axes.append({0: "batch", **dict.fromkeys(described.dynamic[role], length)})
    try:
        with silence(), torch.no_grad():
            _use_plain_attention(module)
            program: Any = torch.onnx.export(
                module,
                tuple(tensors),
                input_names=names,
                output_names=list(plan.heads),
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=(tuple(axes),),
                verbose=False,
            )
            model = program.model_proto
    except Exception as error:
        encoders = ", ".join(f"{name!r} ({type(one).__name__})" for name, one in plan.encoders.items())
        kinds = ", ".join(sorted({type(head).__name__ for head in plan.heads.values()}))
        raise ValueError(f"the graph of {encoders} with {kinds} cannot be exported: {_reason(error)}") from error
    if model.ByteSize() > _LARGEST:
        raise ValueError(
            f"the graph has {model.ByteSize() / 2**30:.1f} GiB, and an ONNX file holds 2. Export a smaller model"
        )
    _remove_traces(model)
    fuse_attention(model)
    return model


class _Joined(nn.Module):
    """Encoders, whose vectors are joined, and heads over them."""

    def __init__(self, plan: GraphPlan, *, normalize: bool, dimensions: int | None) -> None:
        super().__init__()
        self.parts = nn.ModuleList(EncoderGraph(encoder, plan.inputs[name]) for name, encoder in plan.encoders.items())
        self.heads = nn.ModuleList(plan.heads.values())
        self.normalize, self.dimensions = normalize, dimensions

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        vectors, start = [], 0
        for part in self.parts:
            count = len(part.tensors)  # type: ignore[arg-type]
            vectors.append(part(*tensors[start : start + count]))
            start += count
        joined = vectors[0] if len(vectors) == 1 else torch.cat(vectors, dim=1)
        return tuple(self._finish(head(joined)) for head in self.heads)

    def _finish(self, embeddings: Tensor) -> Tensor:
        embeddings = embeddings[:, : self.dimensions].float()
        return F.normalize(embeddings, dim=1) if self.normalize else embeddings


def _plan(name: str, encoders: dict[str, Encoder], head: EncoderHead, objects: Sequence[Any]) -> GraphPlan:
    inputs = {}
    for key, encoder in encoders.items():
        try:
            inputs[key] = describe_input(encoder, objects)
        except ValueError as error:
            raise ValueError(f"encoder {key!r} cannot be exported: {error}") from error
    if isinstance(head, SwitchHead) and head.two_sided:
        heads = {f"output_{side}": _plain(head.options[side]) for side in (QUERY, DOCUMENT)}
        return GraphPlan(name, None, encoders, inputs, heads, {side: f"output_{side}" for side in (QUERY, DOCUMENT)})
    # Not "embedding": values within the graph are called after the operators that give them.
    heads = {"output_embedding": _plain(head)}
    return GraphPlan(name, None, encoders, inputs, heads, dict.fromkeys((QUERY, DOCUMENT), "output_embedding"))


def _head_of(head: EncoderHead, option: str) -> EncoderHead:
    """The head that follows an option of a `SwitchEncoder`."""
    if isinstance(head, SwitchHead) and not head.two_sided:
        if option not in head.options:
            raise ValueError(f"the SwitchHead has no option {option!r} for the encoder's, only {list(head.options)}")
        return head.options[option]
    return head


def _plain(head: EncoderHead) -> EncoderHead:
    if isinstance(head, SwitchHead):
        raise ValueError(  # noqa: TRY004 - its options are wrong, not its type
            f"a SwitchHead with the options {list(head.options)} chooses by what extract_meta says of an object, which "
            'an exported model cannot run: only one with "query" and "document", or with those of a SwitchEncoder, can '
            "be exported"
        )
    return head


def _use_plain_attention(module: nn.Module) -> None:
    """Sets models of transformers to attention without fused operators: its nodes are those that are fused here."""
    for part in module.modules():
        setter = getattr(part, "set_attn_implementation", None)
        if callable(setter):
            setter("eager")


def _reason(error: BaseException) -> str:
    """What is wrong, from the exporter's chain of errors, whose messages are pages long."""
    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in chain:
        chain.append(one)
        one = one.__cause__ or one.__context__
    for each in chain:
        found = re.search(r"No ONNX function found for <OpOverload\(op='([^']+)'", str(each))
        if found:
            return (
                f"the operator {found[1]} has no form in ONNX. Compute the same with other operators in forward, or "
                "keep the model in torch"
            )
    for each in chain:
        if "data-dependent" in str(each):
            return (
                "its forward decides by the values of a tensor (an if, a while, .item(), a boolean index), which a "
                "graph cannot. Use torch.where and masks instead"
            )
    last = str(chain[-1]).strip().splitlines() or [""]
    return f"{type(chain[-1]).__name__}: {last[0][:300]}"


def _remove_traces(model: Any) -> None:
    """Removes what the exporter notes about source code: paths of this machine among it."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        if hasattr(value, "metadata_props"):
            del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
