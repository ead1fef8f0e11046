"""Matching: names of one source that mean what other names mean in another.

The data are names of organisations in two releases of DBpedia, some years apart, from the benchmark that the package
autofj brings along; nothing of the package is imported, and nothing else of it is needed:

    pip install "quaterion[sentence-transformers]" scikit-learn
    pip install --no-deps autofj==0.0.6
    python examples/matching.py --json matching.json
"""

import argparse
import csv
import importlib.util
import json
import os
import platform
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer

from quaterion import Quaterion, TrainableModel
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityGroupSample, SimilarityPairSample
from quaterion.eval import embedded_model, without_head
from quaterion.loss import MultipleNegativesRankingLoss
from quaterion.train.cache import CacheConfig
from quaterion_models import SimilarityModel
from quaterion_models.encoders import CallableEncoder, SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead
from quaterion_models.predict import Matcher, calibrate_matcher

KINDS = ("GovernmentAgency", "Hospital", "Museum", "PoliticalParty", "SportsLeague")

METHODS = {
    "n-grams": "TF-IDF of character n-grams",
    "meaning": "untouched encoder",
    "both": "encoder and n-grams, joined",
    "head": "the same with a trained head",
}


class Split(NamedTuple):
    """Names of the newer source, divided, and those of the older one that they are looked up in."""

    train: list[str]
    validation: list[str]
    test: list[str]
    catalogue: list[str]


def read(folder: Path, kinds: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """All names of the older source, and for each name of the newer one the older name of the same thing."""
    catalogue: dict[str, None] = {}
    older: dict[str, str] = {}
    for kind in kinds:
        with (folder / kind / "left.csv").open(newline="", encoding="utf-8") as file:
            catalogue |= dict.fromkeys(row["title"] for row in csv.DictReader(file))
        with (folder / kind / "gt.csv").open(newline="", encoding="utf-8") as file:
            older |= {row["title_r"]: row["title_l"] for row in csv.DictReader(file)}
    return list(catalogue), older


def split(catalogue: list[str], older: dict[str, str], seed: int) -> Split:
    """Divides by older names, so that no two parts share one.

    A third of those that validation and test look for is taken out of the catalogue: not everything has a match.
    """
    names = sorted(set(older.values()))
    random.Random(seed).shuffle(names)
    start, middle = len(names) * 6 // 10, len(names) * 8 // 10
    missing = {*names[start:middle:3], *names[middle::3]}
    parts = [set(names[:start]), set(names[start:middle]), set(names[middle:])]
    newer = [[new for new, old in older.items() if old in part] for part in parts]
    return Split(*newer, [name for name in catalogue if name not in missing])


def n_grams(names: list[str]) -> np.ndarray:
    """Which two to four letters stand next to each other in a name, hashed to 1,024 numbers."""
    hashed = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=1024)
    return hashed.transform(names).toarray()


class Spelling(CallableEncoder):
    def __init__(self) -> None:
        super().__init__(n_grams, 1024, version="1")


class Names(TrainableModel):
    lr = 0.01
    lr_schedule = "cosine"

    def __init__(self, encoder: str, cache: Path) -> None:
        self.encoder, self.cache = encoder, cache
        super().__init__()

    def configure_encoders(self):
        return {"meaning": SentenceTransformerEncoder(self.encoder), "spelling": Spelling()}

    def configure_head(self, input_embedding_size):
        return SkipConnectionHead(input_embedding_size, skip_dropout=0.3)

    def configure_loss(self):
        return MultipleNegativesRankingLoss(symmetric=True)

    def configure_caches(self):
        return CacheConfig(save_dir=self.cache)


def train(pairs: list[SimilarityPairSample], arguments: argparse.Namespace, seed: int) -> Names:
    torch.manual_seed(seed)
    model = Names(arguments.encoder, arguments.cache)
    trainer = pl.Trainer(
        max_epochs=arguments.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    Quaterion.fit(model, trainer, PairsSimilarityDataLoader(pairs, batch_size=256, shuffle=True))
    return model


class Found(NamedTuple):
    """What is most similar to a name in the catalogue."""

    candidate: str
    similarity: float


def search(model: SimilarityModel, names: list[str], catalogue: list[str], cache: Path) -> list[Found]:
    samples = [SimilarityGroupSample(name, name) for name in [*names, *catalogue]]
    embedded = embedded_model(model, samples, cache=cache)
    vectors, searched = (embedded.encode(some, to_numpy=False) for some in (names, catalogue))
    matches = Matcher(model, threshold=-1.0).match_embeddings(vectors, searched, top=1)
    return [Found(catalogue[match.right_index], match.similarity) for match in matches]


def search_n_grams(names: list[str], catalogue: list[str]) -> list[Found]:
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True).fit(catalogue)
    similarities = vectorizer.transform(names) @ vectorizer.transform(catalogue).T
    places = np.asarray(similarities.argmax(axis=1)).ravel()
    best = similarities.max(axis=1).toarray().ravel()
    return [Found(catalogue[place], float(similarity)) for place, similarity in zip(places, best, strict=True)]


class Judged(NamedTuple):
    """What was found, the most similar first."""

    similarities: np.ndarray
    right: np.ndarray
    """Whether it is the match."""
    precision: np.ndarray
    """When this and all before are taken for matches: how many of them are."""
    recall: np.ndarray
    """And how many of the matches that are there that is."""


def judge(names: list[str], found: list[Found], older: dict[str, str], catalogue: list[str]) -> Judged:
    similarities = np.array([one.similarity for one in found])
    right = np.array([one.candidate == older[name] for one, name in zip(found, names, strict=True)])
    order = np.argsort(-similarities, kind="stable")
    known = set(catalogue)
    there = sum(older[name] in known for name in names)
    hits = right[order].cumsum()
    return Judged(similarities[order], right[order], hits / np.arange(1, len(hits) + 1), hits / there)


def measure(validation: Judged, test: Judged, precision: float) -> dict[str, float]:
    """What the threshold does on the test names that has this precision on those for validation."""
    threshold = calibrate_matcher(validation.similarities, validation.right, precision=precision).threshold
    last = max(0, int((test.similarities >= threshold).sum()) - 1)
    return {
        "average precision": float((np.diff(test.recall, prepend=0) * test.precision).sum()),
        "precision": float(test.precision[last]),
        "recall": float(test.recall[last]),
        "threshold": threshold,
    }


def one_draw(catalogue: list[str], older: dict[str, str], arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """What each method finds for the names for validation and for those for the test."""
    parts = split(catalogue, older, seed)
    pairs = [SimilarityPairSample(name, older[name], subgroup=older[name]) for name in parts.train]
    head = train(pairs, arguments, seed).model
    meaning = without_head(SimilarityModel(head.encoders["meaning"], head=None))
    names = [*parts.validation, *parts.test]
    models = {"meaning": meaning, "both": without_head(head), "head": head}
    found = {"n-grams": search_n_grams(names, parts.catalogue)}
    found |= {method: search(model, names, parts.catalogue, arguments.cache) for method, model in models.items()}
    middle = len(parts.validation)
    return {
        method: (
            judge(parts.validation, results[:middle], older, parts.catalogue),
            judge(parts.test, results[middle:], older, parts.catalogue),
        )
        for method, results in found.items()
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    catalogue, older = read(arguments.data_dir, arguments.kinds)
    rows: list[dict[str, Any]] = []
    curves: dict[str, Any] = {}
    for seed in range(arguments.seeds):
        for method, (validation, test) in one_draw(catalogue, older, arguments, seed).items():
            rows.append({"seed": seed, "method": method, **measure(validation, test, arguments.precision)})
            print(json.dumps(rows[-1]), flush=True)
            if seed == 0:
                curves[method] = {
                    "precision": test.precision.round(4).tolist(),
                    "recall": test.recall.round(4).tolist(),
                    "at": [rows[-1]["precision"], rows[-1]["recall"]],
                }
    return {"methods": METHODS, "rows": rows, "curves": curves}


def table(figures: dict[str, Any]) -> str:
    """Means and standard deviations over the draws, as Markdown."""
    columns = ("average precision", "precision", "recall")
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for method, name in figures["methods"].items():
        rows = [row for row in figures["rows"] if row["method"] == method]
        lines.append(f"| {name} | {' | '.join(spread([row[column] for row in rows]) for column in columns)} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    deviation = stdev(values) if len(values) > 1 else 0.0
    return f"{100 * mean(values):.1f} ± {100 * deviation:.1f} %"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder of the benchmark; by default that of the package autofj")
    parser.add_argument("--kinds", nargs="+", default=KINDS, help="which parts of the benchmark")
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2", help="name or folder")
    parser.add_argument("--cache", type=Path, help="folder that keeps the encoders' vectors between runs")
    parser.add_argument("--precision", type=float, default=0.95, help="what the threshold is calibrated for")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3, help="draws of what is trained on, validated and tested")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args(words)
    if arguments.data_dir is None:
        package = importlib.util.find_spec("autofj")
        if package is None or package.origin is None:
            parser.error("the data is not here: pip install --no-deps autofj==0.0.6, or name its folder by --data-dir")
        arguments.data_dir = Path(package.origin).parent / "benchmark"
    with tempfile.TemporaryDirectory() as folder:
        arguments.cache = arguments.cache or Path(folder)
        figures = run(arguments)
    print(table(figures))
    if arguments.json is not None:
        machine = {"cores": os.cpu_count(), "processor": platform.machine(), "torch": torch.__version__}
        arguments.json.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
