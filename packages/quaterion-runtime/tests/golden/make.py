"""Wrote the folders beside it, once: they stay as they are for ever, so that what was exported can always be read.

Needs onnx and tokenizers. For a new format add a new folder; never write one of these again.
"""

import json
import sys
from hashlib import blake2b
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "kitten", "sleeps", "query", "passage", ":"]
SIZE = 4


def tokenizer(path: Path) -> None:
    numbers = {word: number for number, word in enumerate(WORDS)}
    one = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))  # noqa: S106
    one.normalizer = normalizers.Lowercase()
    one.pre_tokenizer = pre_tokenizers.Whitespace()
    one.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    one.save(str(path))


def table() -> np.ndarray:
    return np.sin(np.arange(len(WORDS) * SIZE, dtype=np.float32)).reshape(-1, SIZE)


def tensor(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def mean_of_tokens() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Embeddings of tokens, averaged over those that the mask names: `mean` [B, 4]."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
        helper.make_node("Mul", ["tokens", "mask3"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "one"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "one"], ["count"], keepdims=1),
        helper.make_node("Div", ["total", "count"], ["mean"]),
    ]
    constants = [tensor("table", table()), tensor("last", np.array([-1])), tensor("one", np.array([1]))]
    return nodes, constants


def write(path: Path, nodes: list, constants: list, inputs: dict, outputs: list[str], size: int) -> str:
    graph = helper.make_graph(
        nodes,
        "golden",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return blake2b(path.read_bytes(), digest_size=16).hexdigest()


TOKENS = {name: (TensorProto.INT64, ["batch", "length"]) for name in ("input_ids", "attention_mask")}


def text_input(**changes: object) -> dict:
    return {
        "encoder": "default",
        "field": None,
        "kind": "text",
        "tokenizer": "tokenizer-0.json",
        "max_length": 6,
        "pad_id": 0,
        "pad_type_id": 0,
        "padding_side": "right",
        "prompts": {"query": "", "document": ""},
        "tensors": {"input_ids": "input_ids", "attention_mask": "attention_mask"},
        **changes,
    }


def config(folder: Path, graphs: list[dict], size: int, **changes: object) -> None:
    content = {
        "format_version": 1,
        "kind": "quaterion-runtime",
        "embedding_size": size,
        "dimensions": None,
        "normalized": False,
        "similarity": "cosine",
        "precision": "float32",
        "sides": None,
        "graphs": graphs,
        **changes,
    }
    (folder / "runtime.json").write_text(json.dumps(content, indent=2) + "\n")


def graph(file: str, digest: str, inputs: list[dict], outputs: tuple[str, str], **changes: object) -> dict:
    named = {"query": outputs[0], "document": outputs[1]}
    described = {"name": "default", "file": file, "digest": digest, "accepts": None, "inputs": inputs, "outputs": named}
    return described | changes


def new(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    return folder


def text(root: Path) -> None:
    """The mean of the tokens' vectors, scaled to length 1; may be cut to 2 components."""
    folder = new(root, "text")
    tokenizer(folder / "tokenizer-0.json")
    nodes, constants = mean_of_tokens()
    nodes.append(helper.make_node("LpNormalization", ["mean"], ["embedding"], axis=1, p=2))
    digest = write(folder / "model.onnx", nodes, constants, TOKENS, ["embedding"], SIZE)
    graphs = [graph("model.onnx", digest, [text_input()], ("embedding", "embedding"))]
    config(folder, graphs, SIZE, normalized=True, dimensions=[4, 2])


def two_sided(root: Path) -> None:
    """Prompts for each side, and documents have twice the mean."""
    folder = new(root, "two_sided")
    tokenizer(folder / "tokenizer-0.json")
    nodes, constants = mean_of_tokens()
    nodes += [
        helper.make_node("Identity", ["mean"], ["query"]),
        helper.make_node("Mul", ["mean", "two"], ["document"]),
    ]
    constants.append(tensor("two", np.array([2.0], dtype=np.float32)))
    digest = write(folder / "model.onnx", nodes, constants, TOKENS, ["query", "document"], SIZE)
    prompted = text_input(prompts={"query": "query: ", "document": "passage: "}, padding_side="left")
    config(folder, [graph("model.onnx", digest, [prompted], ("query", "document"))], SIZE, sides=["query", "document"])


def joined(root: Path) -> None:
    """The mean of a title's tokens, joined with two numbers."""
    folder = new(root, "joined")
    tokenizer(folder / "tokenizer-0.json")
    nodes, constants = mean_of_tokens()
    nodes.append(helper.make_node("Concat", ["mean", "numbers"], ["embedding"], axis=1))
    inputs = {**TOKENS, "numbers": (TensorProto.FLOAT, ["batch", 2])}
    digest = write(folder / "model.onnx", nodes, constants, inputs, ["embedding"], SIZE + 2)
    numbers = {"encoder": "numbers", "field": "numbers", "kind": "vector", "size": 2, "tensors": {"array": "numbers"}}
    described = [text_input(encoder="title", field="title"), numbers]
    config(folder, [graph("model.onnx", digest, described, ("embedding", "embedding"))], SIZE + 2)


def switched(root: Path) -> None:
    """The mean of a text's tokens; of an image the mean of each channel and of all."""
    folder = new(root, "switched")
    tokenizer(folder / "tokenizer-0.json")
    nodes, constants = mean_of_tokens()
    nodes.append(helper.make_node("Identity", ["mean"], ["embedding"]))
    text_digest = write(folder / "text.onnx", nodes, constants, TOKENS, ["embedding"], SIZE)
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["channels"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["channels"], ["all"], axes=[1], keepdims=1),
        helper.make_node("Concat", ["channels", "all"], ["embedding"], axis=1),
    ]
    pixels = {"pixels": (TensorProto.FLOAT, ["batch", 3, 4, 4])}
    image_digest = write(folder / "image.onnx", nodes, [], pixels, ["embedding"], SIZE)
    described = {
        "encoder": "image",
        "field": None,
        "kind": "pixels",
        "resize": {"shortest_edge": 6},
        "crop": {"height": 4, "width": 4},
        "resample": "nearest",
        "rescale": 1 / 255,
        "mean": [0.5, 0.25, 0.0],
        "std": [0.5, 1.0, 1.0],
        "tensors": {"pixels": "pixels"},
    }
    outputs = ("embedding", "embedding")
    graphs = [
        graph("text.onnx", text_digest, [text_input()], outputs, name="text", accepts="text"),
        graph("image.onnx", image_digest, [described], outputs, name="image", accepts="image"),
    ]
    config(folder, graphs, SIZE)


if __name__ == "__main__":
    root = Path(sys.argv[1])
    for make in (text, two_sided, joined, switched):
        make(root)
