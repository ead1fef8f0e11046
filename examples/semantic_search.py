"""Semantic search: find functions by what they do; trained, measured, indexed, exported and served.

The data lies on every machine: what Python's standard library documents. A query is the description of a function, a
class or a method, and what is searched are the names and signatures of all of them:

    python examples/semantic_search.py --out search --json semantic_search.json

Needs: pip install "quaterion[sentence-transformers,onnx]" "quaterion-runtime[serve]"
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from quaterion import Quaterion, TrainableModel
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.demo import Entry, read_standard_library, split_entries
from quaterion.eval import Evaluation, Evaluator, PairSampler, compare, embedded_model, without_head
from quaterion.eval.pair import RetrievalRecall, RetrievalReciprocalRank
from quaterion.indexing import Destination, build_index, read_corpus
from quaterion.loss import MultipleNegativesRankingLoss
from quaterion.train.cache import CacheConfig
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.export import export_onnx
from quaterion_models.heads import SkipConnectionHead, SwitchHead
from quaterion_models.search import VectorIndex, open_index

QUESTIONS = ("wait until all threads are done", "measure how long code takes", "find files by a pattern")

METHODS = {
    "words": "BM25",
    "encoder": "untouched encoder",
    "words, encoder": "BM25 and untouched encoder",
    "head": "trained heads",
    "words, head": "BM25 and trained heads",
}
WEIGHTS = (0.001, 0.003, 0.01, 0.03)


class Words:
    """Search by the words that query and document share, the rare ones above all: BM25 (Robertson et al., 1994).

    Its score is a dot product: of how often each word stands in the query, and of what it weighs in the document. So it
    is evaluated as a model is.
    """

    def __init__(self, documents: Sequence[str], k1: float, b: float) -> None:
        self.k1, self.b = k1, b
        self.columns = {word: column for column, word in enumerate(sorted({w for d in documents for w in stems(d)}))}
        counts = self.encode_query(documents)
        holding = (counts > 0).sum(dim=0)
        self.rarity = torch.log1p((len(documents) - holding + 0.5) / (holding + 0.5))
        self.mean_length = counts.sum(dim=1).mean()

    def encode_query(self, inputs: Sequence[str], **_: Any) -> Tensor:
        counts = torch.zeros(len(inputs), len(self.columns))
        for row, text in enumerate(inputs):
            for word, count in Counter(stems(text)).items():
                if word in self.columns:
                    counts[row, self.columns[word]] = count
        return counts

    def encode_document(self, inputs: Sequence[str], **_: Any) -> Tensor:
        counts = self.encode_query(inputs)
        lengths = counts.sum(dim=1, keepdim=True) / self.mean_length
        return self.rarity * counts * (self.k1 + 1) / (counts + self.k1 * (1 - self.b + self.b * lengths))


def stems(text: str) -> list[str]:
    """Words without their endings: `parseFiles` and `parsing a file` have two in common."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", text)
    return [re.sub(r"(?<=...)(ing|ed|es|e|s)$", "", word.lower()) for word in words]


class Both:
    """Adds the scores of `Words` to the cosines of a model: a dot product, too."""

    def __init__(self, words: Words, model: Any, weight: float) -> None:
        self.words, self.model, self.weight = words, model, weight

    def encode_query(self, inputs: Sequence[str], **_: Any) -> Tensor:
        counts, vectors = self.words.encode_query(inputs), self.model.encode_query(inputs, to_numpy=False)
        return torch.cat([self.weight * counts, F.normalize(vectors)], dim=1)

    def encode_document(self, inputs: Sequence[str], **_: Any) -> Tensor:
        weights, vectors = self.words.encode_document(inputs), self.model.encode_document(inputs, to_numpy=False)
        return torch.cat([weights, F.normalize(vectors)], dim=1)


class Search(TrainableModel):
    lr = 0.01
    lr_schedule = "cosine"

    def __init__(self, encoder: str, cache: Path) -> None:
        self.encoder, self.cache = encoder, cache
        super().__init__()

    def configure_encoders(self):
        return SentenceTransformerEncoder(self.encoder)

    def configure_head(self, input_embedding_size):
        sides = {side: SkipConnectionHead(input_embedding_size, skip_dropout=0.1) for side in ("query", "document")}
        return SwitchHead(sides, input_embedding_size)

    def configure_loss(self):
        return MultipleNegativesRankingLoss()

    def configure_caches(self):
        return CacheConfig(save_dir=self.cache)


class Data(NamedTuple):
    """Pairs of a description and an entry, by what they are for; and the texts of all entries, which are searched."""

    train: list[SimilarityPairSample]
    validation: list[SimilarityPairSample]
    test: list[SimilarityPairSample]
    documents: list[str]


def divide(entries: Sequence[Entry], seed: int) -> Data:
    parts = split_entries(entries, seed=seed)
    pairs = [SimilarityPairSample(entry.description, entry.text) for entry in entries]
    train, validation, test = ([pairs[i] for i in part] for part in (parts.train, parts.validation, parts.test))
    return Data(train, validation, test, [entry.text for entry in entries])


def train(data: Data, arguments: argparse.Namespace, seed: int) -> Search:
    torch.manual_seed(seed)
    model = Search(arguments.encoder, arguments.cache)
    trainer = pl.Trainer(
        max_epochs=arguments.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    Quaterion.fit(model, trainer, PairsSimilarityDataLoader(data.train, batch_size=256, shuffle=True))
    return model


def score(model: Any, pairs: Sequence[SimilarityPairSample], documents: Sequence[str]) -> Evaluation:
    """Searches for the entry of each description among all entries."""
    distance = "dot_product" if isinstance(model, Words | Both) else "cosine"
    metrics = {
        "mrr": RetrievalReciprocalRank(distance),
        "recall@1": RetrievalRecall(1, distance),
        "recall@10": RetrievalRecall(10, distance),
    }
    sampler = PairSampler(distinguish=True, documents=documents, log_progress=False)
    return Evaluator(metrics, sampler).score(pairs, model)


def measure(data: Data, model: SimilarityModel, cache: Path) -> dict[str, Evaluation]:
    """Searches with each method; what there is to choose is chosen by the descriptions for validation."""
    pairs = [*data.train, *data.validation, *data.test]
    trained, untouched = (embedded_model(one, pairs, cache=cache) for one in (model, without_head(model)))

    def best(candidates: Iterator[Any]) -> Any:
        return max(candidates, key=lambda one: score(one, data.validation, data.documents).values["mrr"])

    words = best(Words(data.documents, k1, b=0.75) for k1 in (0.6, 1.2, 2.0))
    methods = {
        "words": words,
        "encoder": untouched,
        "words, encoder": best(Both(words, untouched, weight) for weight in WEIGHTS),
        "head": trained,
        "words, head": best(Both(words, trained, weight) for weight in WEIGHTS),
    }
    return {name: score(method, data.test, data.documents) for name, method in methods.items()}


def build(model: SimilarityModel, entries: Sequence[Entry], folder: Path) -> None:
    """Saves the model, the index of all entries, and the model as it is served."""
    model.save(folder / "model")
    rows = [{"name": entry.name, "text": entry.text, "description": entry.description} for entry in entries]
    build_index(model, read_corpus(rows, text="text", id="name"), Destination(str(folder / "index")), rebuild=True)
    export_onnx(model, folder / "exported")


@contextmanager
def served(exported: Path) -> Iterator[str]:
    """Serves an exported model as long as the block runs; gives the address."""
    command = [sys.executable, "-m", "quaterion_runtime", "serve", str(exported), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        try:
            yield service.stdout.readline().split()[-1]  # Serving exported on http://127.0.0.1:PORT
        finally:
            service.terminate()


def ask(address: str, index: VectorIndex, question: str) -> list[str]:
    """Names of the five best entries: the service gives the question's vector, the index what lies next to it."""
    body = json.dumps({"model": "exported", "input": question, "input_type": "query"}).encode()
    request = Request(f"{address}/v1/embeddings", body, {"Content-Type": "application/json"})
    with urlopen(request) as reply:
        vector = json.load(reply)["data"][0]["embedding"]
    return [hit.id for hit in index.search([vector], k=5)[0]]


def use(folder: Path, questions: Sequence[str]) -> list[list[str]]:
    """Answers to questions by service and index."""
    index = open_index(folder / "index")
    with served(folder / "exported") as address:
        return [ask(address, index, question) for question in questions]


def nearest(model: SimilarityModel, entries: Sequence[Entry], questions: Sequence[str], cache: Path) -> list[list[str]]:
    """Names of the five entries that a model finds for each question, from cached vectors of the entries."""
    pairs = [SimilarityPairSample(entry.description, entry.text) for entry in entries]
    embedded = embedded_model(model, pairs, cache=cache)
    documents = embedded.encode_document([entry.text for entry in entries], to_numpy=False)
    queries = model.encode_query(list(questions), to_numpy=False)
    best = (F.normalize(queries) @ F.normalize(documents).T).topk(5).indices
    return [[entries[number].name for number in row] for row in best.tolist()]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    entries = read_standard_library()[:: arguments.every]
    found = []
    for seed in range(arguments.seeds):
        data = divide(entries, seed)
        model = train(data, arguments, seed).model
        found.append(measure(data, model, arguments.cache))
    build(model, entries, arguments.out)
    asked = [*QUESTIONS, *(pair.obj_a for pair in data.test[:100])]
    answers = use(arguments.out, asked)
    trained, untouched = (nearest(one, entries, asked, arguments.cache) for one in (model, without_head(model)))
    return {
        "entries": len(entries),
        "pairs": {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        "epochs": arguments.epochs,
        "methods": METHODS,
        "rows": [
            {"method": name, "seed": seed, **{metric: float(value) for metric, value in scores.values.items()}}
            for seed, of_seed in enumerate(found)
            for name, scores in of_seed.items()
        ],
        "gains": {name: compare(scores, found[-1]["head"]).to_dict()["metrics"] for name, scores in found[-1].items()},
        "answers": [
            {"question": question, "before": before, "after": after}
            for question, before, after in zip(QUESTIONS, untouched, answers, strict=False)
        ],
        "service": {
            "questions": len(asked),
            "as the model": sum(names == direct for names, direct in zip(answers, trained, strict=True)),
        },
    }


def table(figures: dict[str, Any]) -> str:
    """Means and standard deviations over splits and trainings, as Markdown."""
    lines = ["| | MRR | recall@1 | recall@10 |", "|---|---|---|---|"]
    for method, name in figures["methods"].items():
        rows = [row for row in figures["rows"] if row["method"] == method]
        cells = [spread([row[metric] for row in rows]) for metric in ("mrr", "recall@1", "recall@10")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| what the trained heads gain over | MRR | won, lost, tied |", "|---|---|---|"]
    for method, name in figures["methods"].items():
        if method != "head":
            row = figures["gains"][method][0]
            gain = "{value:+.3f} [{low:+.3f}, {high:+.3f}]".format(**row["difference"])
            lines.append(f"| {name} | {gain} | {row['won']}, {row['lost']}, {row['tied']} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3f} ± {stdev(values) if len(values) > 1 else 0.0:.3f}"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2", help="name or folder")
    parser.add_argument("--out", type=Path, default=Path("search"), help="folder for model, index and exported model")
    parser.add_argument("--cache", type=Path, help="folder that keeps the encoder's vectors between runs")
    parser.add_argument("--every", type=int, default=8, help="take each N-th entry; 1 for all of them")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=1, help="splits and trainings")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args(words)
    arguments.cache = arguments.cache or arguments.out / "cache"
    figures = run(arguments)
    print(table(figures))
    for answer in figures["answers"]:
        print(f"\n{answer['question']}", *answer["after"], sep="\n    ")
    if arguments.json is not None:
        machine = {"cores": os.cpu_count(), "processor": platform.machine(), "torch": torch.__version__}
        machine["python"] = platform.python_version()
        arguments.json.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
