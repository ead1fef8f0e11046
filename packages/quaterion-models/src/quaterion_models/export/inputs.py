"""How the objects of each kind of encoder come into a graph: what a program without torch does with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quaterion_models.encoders.callable_encoder import CallableEncoder
from quaterion_models.encoders.clip_towers import ClipImageEncoder, ClipTextEncoder
from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.field_encoder import FieldEncoder, pick
from quaterion_models.encoders.image_encoder import ImageEncoder
from quaterion_models.encoders.pretrained_encoder import PretrainedEncoder
from quaterion_models.encoders.sentence_transformer_encoder import SentenceTransformerEncoder
from quaterion_models.encoders.switch_encoder import SwitchEncoder
from quaterion_models.encoders.timm_encoder import TimmEncoder
from quaterion_models.encoders.transformers_encoder import TransformersEncoder
from quaterion_models.encoders.vector_encoder import VectorEncoder
from quaterion_models.export.pixels import describe_processor
from quaterion_models.export.tokens import describe_tokenizer, padded_length

__all__ = ["EncoderInput", "describe_input"]

Kind = Literal["text", "pixels", "vector", "array"]


@dataclass(frozen=True)
class EncoderInput:
    """What one encoder takes in a graph.

    Attributes:
        kind: What its objects are to the program that runs the graph.
        described: The entries of `runtime.json` that tell how they are prepared.
        tensors: Role to what the encoder's forward calls that tensor; `""` where it takes a single tensor.
        example: A tensor for each role, for a batch of three.
        dynamic: Axes of each tensor, beside the first, whose size may be any.
        field: What is picked from a record first.
        tokenizer: Content of the tokenizer's file, of texts.
        padding: Length and token that the graph pads every text with, of models that were trained so.
        as_given: Turns an object into what the program that runs the graph is given for it; None where that is the
            object itself.
    """

    kind: Kind
    described: dict[str, Any]
    tensors: dict[str, str]
    example: dict[str, Tensor]
    dynamic: dict[str, tuple[int, ...]]
    field: str | int | None = None
    tokenizer: str | None = None
    padding: tuple[int, int] | None = None
    as_given: Callable[[Any], Any] | None = None


class EncoderGraph(nn.Module):
    """An encoder that takes its tensors one by one.

    Args:
        encoder: The encoder.
        described: What it takes.
    """

    def __init__(self, encoder: Encoder, described: EncoderInput) -> None:
        super().__init__()
        inner = encoder.encoder if isinstance(encoder, FieldEncoder) else encoder
        self.encoder = inner
        self.tensors = list(described.tensors.values())
        self.padding = described.padding
        if isinstance(inner, PretrainedEncoder):
            self.weights = inner.loaded()  # which a frozen encoder keeps apart from its parameters

    def forward(self, *tensors: Tensor) -> Tensor:
        """Encodes a batch.

        Args:
            *tensors: The tensors, in their order.

        Returns:
            `[B, embedding_size]`.
        """
        if self.padding is not None:
            length, token = self.padding
            tensors = tuple(
                F.pad(one, (0, length - one.shape[1]), value=token if name == "input_ids" else 0)
                for name, one in zip(self.tensors, tensors, strict=True)
            )
        batch: Any = tensors[0] if self.tensors == [""] else dict(zip(self.tensors, tensors, strict=True))
        vectors: Tensor = self.encoder(batch)
        return vectors.float()


@singledispatch
def describe_input(encoder: Encoder, objects: Sequence[Any]) -> EncoderInput:
    """Tells how an encoder's objects come into a graph; of the user's own encoders what their collate function gives.

    A library of encoders registers its own with `describe_input.register(TheEncoder)`.

    Args:
        encoder: The encoder.
        objects: Objects of the model, to learn from; may be empty for encoders that are known.

    Returns:
        The description.

    Raises:
        ValueError: If it cannot be exported; the message says why.
    """
    name = type(encoder).__name__
    if not objects:
        raise ValueError(
            f"what {name} takes is not known without an example: pass check_objects, some objects of your data"
        )
    if encoder.get_side_fn() is not None:
        raise ValueError(
            f"{name} prepares queries and documents with code of its own (get_side_fn), which an exported model cannot "
            "run. Prepare the objects before they are encoded"
        )
    collate: Callable[[list[Any]], Any] = encoder.get_collate_fn()
    batch = collate(list(objects[:3]) if len(objects) >= 3 else [objects[0]] * 3)
    if not isinstance(batch, Tensor) or batch.dim() < 2 or len(batch) != 3:
        got = f"a tensor {list(batch.shape)}" if isinstance(batch, Tensor) else type(batch).__name__
        raise ValueError(
            f"the collate function of {name} returned {got} for 3 objects, and an exported model takes a tensor "
            "[3, ...]. Return one tensor, or export with an encoder of this library"
        )
    kinds = {torch.float32: "float32", torch.float64: "float64", torch.int64: "int64", torch.int32: "int32"}
    if batch.dtype not in kinds:
        raise ValueError(
            f"the collate function of {name} returned a tensor of {batch.dtype}, an exported model takes one of "
            f"{list(kinds.values())}. Convert it there"
        )
    return EncoderInput(
        kind="array",
        described={"shape": list(batch.shape[1:]), "dtype": kinds[batch.dtype]},
        tensors={"array": ""},
        example={"array": batch},
        dynamic={"array": ()},
        as_given=lambda obj: collate([obj])[0].numpy(),
    )


@describe_input.register
def _(encoder: VectorEncoder, _objects: Sequence[Any]) -> EncoderInput:
    collate: Callable[[list[Any]], Any] = encoder.get_collate_fn()
    size = encoder.embedding_size
    example = torch.randn(3, size, generator=torch.Generator().manual_seed(0))
    try:
        collate([example[0].numpy()])
        as_given = None
    except (TypeError, ValueError):  # it looks vectors up by ids: the program that has them gives them to the graph
        as_given = lambda obj: collate([obj])[0].numpy()  # noqa: E731
    return EncoderInput(
        kind="vector",
        described={"size": size},
        tensors={"array": ""},
        example={"array": example},
        dynamic={"array": ()},
        as_given=as_given,
    )


@describe_input.register
def _(encoder: CallableEncoder, _objects: Sequence[Any]) -> EncoderInput:
    raise ValueError(
        f"{encoder.identity['name']} is a function, of which only its program knows the code. Export a model with "
        f"VectorEncoder({encoder.embedding_size}) in its place and the same head, and give it the function's vectors"
    )


@describe_input.register
def _(encoder: SwitchEncoder, _objects: Sequence[Any]) -> EncoderInput:
    raise ValueError(
        f"a {type(encoder).__name__} can be exported where it is the model's only encoder, and not as one of several, "
        "a field's encoder or an option"
    )


@describe_input.register
def _(encoder: FieldEncoder, objects: Sequence[Any]) -> EncoderInput:
    if isinstance(encoder.encoder, FieldEncoder):
        raise ValueError(  # noqa: TRY004 - a ValueError like all that cannot be exported
            "a field of a field cannot be exported: give FieldEncoder a record that has it at once"
        )
    inner = describe_input(encoder.encoder, [pick(obj, encoder.field) for obj in objects])
    return replace(inner, field=encoder.field)


@describe_input.register(SentenceTransformerEncoder)
@describe_input.register(TransformersEncoder)
@describe_input.register(ClipTextEncoder)
def _(
    encoder: SentenceTransformerEncoder | TransformersEncoder | ClipTextEncoder, _objects: Sequence[Any]
) -> EncoderInput:
    described, content = describe_tokenizer(encoder)
    # One that is shorter than any other, so that there is an attention mask, however few tokens the model takes.
    batch: Any = encoder.get_collate_fn()(["", "another text, which is longer than the others", "a third"])
    known = {"input_ids", "attention_mask", "token_type_ids"}
    tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
    if not {"input_ids"} <= tensors.keys() <= known:
        raise ValueError(
            f"the tokenizer of {encoder.folder} gives {sorted(tensors)}, and an exported model takes no more than "
            f"{sorted(known)}"
        )
    length = padded_length(encoder)
    if length is not None:  # the padding of the example is the graph's to add
        used = int(tensors["input_ids"].ne(described["pad_id"]).sum(1).max())
        tensors = {name: value[:, :used] for name, value in tensors.items()}
    return EncoderInput(
        kind="text",
        described=described,
        tensors={name: name for name in tensors},
        example=dict(tensors),
        dynamic=dict.fromkeys(tensors, (1,)),
        tokenizer=content,
        padding=None if length is None else (length, described["pad_id"]),
    )


@describe_input.register(ImageEncoder)
@describe_input.register(ClipImageEncoder)
def _(encoder: ImageEncoder | ClipImageEncoder, _objects: Sequence[Any]) -> EncoderInput:
    collate: Any = encoder.get_collate_fn()
    described = describe_processor(collate.tool(), str(encoder.folder))
    pictures = [np.full((40, 50, 3), shade, dtype=np.uint8) for shade in (0, 120, 250)]
    batch = collate(pictures)
    if set(batch) != {"pixel_values"}:
        raise ValueError(
            f"the image processor of {encoder.folder} gives {sorted(batch)}, and an exported model takes "
            "pixel_values only"
        )
    return EncoderInput(
        kind="pixels",
        described=described,
        tensors={"pixels": "pixel_values"},
        example={"pixels": batch["pixel_values"]},
        dynamic={"pixels": ()},
    )


@describe_input.register
def _(_encoder: TimmEncoder, _objects: Sequence[Any]) -> EncoderInput:
    raise ValueError(
        "the transforms of timm are code, which an exported model cannot run. Export a model with an encoder of your "
        "own that takes their pixels, or use ImageEncoder"
    )
