"""Anomaly detection: questions that belong to none of the known intents, by a calibrated similarity.

The data is BANKING77: customers' questions to a bank, 77 intents. Some intents are hidden altogether: no question of
theirs is trained on, kept as an example or used to calibrate. In the test set they are to be found:

    python examples/anomaly_detection.py --data-dir banking77 --json anomaly_detection.json

The folder after --data-dir has train.csv and test.csv with the columns text and category. --elsewhere names a CSV file
without a header whose first column are texts about other things, such as stsb-en-test.csv of the STS benchmark.
Needs: pip install "quaterion[sentence-transformers]" scikit-learn
"""

import argparse
import csv
import json
import os
import platform
import random
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from quaterion import Quaterion, TrainableModel
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.dataset.files import read_samples
from quaterion.eval import embedded_model, without_head
from quaterion.loss import SupConLoss
from quaterion.train.cache import CacheConfig
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead
from quaterion_models.predict import Classifier, calibrate_threshold

Samples = Sequence[SimilarityGroupSample]
Arrays = Mapping[str, np.ndarray]

METHODS = {
    "head": "trained head, nearest example",
    "untouched": "untouched encoder, nearest example",
    "mahalanobis": "untouched encoder, Mahalanobis distance to the nearest intent",
    "regression": "logistic regression, highest probability",
}


class Scores(NamedTuple):
    """How close the questions of each part of the data are to what is known, and from where on that is enough."""

    similarities: Arrays
    threshold: float
    right: np.ndarray
    """Whether a test question of a known intent is taken for one of its own intent."""


class Intents(TrainableModel):
    lr = 0.01
    lr_schedule = "cosine"

    def __init__(self, encoder: str, cache: Path) -> None:
        self.encoder, self.cache = encoder, cache
        super().__init__()

    def configure_encoders(self):
        return SentenceTransformerEncoder(self.encoder)

    def configure_head(self, input_embedding_size):
        return SkipConnectionHead(input_embedding_size, skip_dropout=0.3)

    def configure_loss(self):
        return SupConLoss()

    def configure_caches(self):
        return CacheConfig(save_dir=self.cache)


def train(samples: Samples, arguments: argparse.Namespace, seed: int) -> Intents:
    torch.manual_seed(seed)
    model = Intents(arguments.encoder, arguments.cache)
    trainer = pl.Trainer(
        max_epochs=arguments.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    Quaterion.fit(model, trainer, GroupSimilarityDataLoader(samples, batch_size=256, shuffle=True))
    return model


def divide(training: Samples, test: Samples, hidden: int, seed: int) -> dict[str, Samples]:
    """Hides intents, and keeps a fifth of the other training questions to calibrate on."""
    rng = random.Random(seed)
    hidden_intents = set(rng.sample(sorted({sample.group for sample in training}), hidden))
    left = [sample for sample in training if sample.group not in hidden_intents]
    rng.shuffle(left)
    fifth = len(left) // 5
    return {
        "examples": left[fifth:],
        "validation": left[:fifth],
        "known": [sample for sample in test if sample.group not in hidden_intents],
        "hidden": [sample for sample in test if sample.group in hidden_intents],
    }


def labels(samples: Samples) -> list[str]:
    return [sample.group for sample in samples]


def embeddings(model: SimilarityModel, parts: Mapping[str, Samples], cache: Path) -> dict[str, torch.Tensor]:
    """Vectors of all questions; the encoder runs for those that are not in the cache yet, and no other."""
    embedded = embedded_model(model, [sample for part in parts.values() for sample in part], cache=cache)
    return {name: embedded.encode([sample.obj for sample in part], to_numpy=False) for name, part in parts.items()}


def asked(vectors: Mapping[str, Any]) -> dict[str, Any]:
    """All parts but the examples."""
    return {name: part for name, part in vectors.items() if name != "examples"}


def nearest_example(model: SimilarityModel, parts: Mapping[str, Samples], arguments: argparse.Namespace) -> Scores:
    """How similar each question is to the nearest example, and the threshold that keeps enough of the known ones."""
    vectors = embeddings(model, parts, arguments.cache)
    classifier = Classifier.from_embeddings(model, vectors["examples"], labels(parts["examples"]))
    found = calibrate_threshold(classifier, vectors["validation"], labels(parts["validation"]), keep=arguments.keep)
    similarities = {name: classifier.nearest_similarities(part).numpy() for name, part in asked(vectors).items()}
    # With a threshold the label of what is none of the known intents is None.
    predictions = classifier.replace(threshold=found.threshold).classify_embeddings(vectors["known"])
    right = [one.label == label for one, label in zip(predictions, labels(parts["known"]), strict=True)]
    return Scores(similarities, found.threshold, np.array(right))


def mahalanobis(vectors: Arrays, parts: Mapping[str, Samples], keep: float) -> Scores:
    """Minus the Mahalanobis distance to the nearest intent's mean, with one covariance for all intents."""
    intents, numbers = np.unique(labels(parts["examples"]), return_inverse=True)
    means = np.stack([vectors["examples"][numbers == number].mean(axis=0) for number in range(len(intents))])
    shared = LedoitWolf(assume_centered=True).fit(vectors["examples"] - means[numbers])
    root = np.linalg.cholesky(shared.precision_)
    scores = {name: -cdist(part @ root, means @ root) for name, part in asked(vectors).items()}
    return keeping(scores, intents, parts, keep)


def regression(vectors: Arrays, parts: Mapping[str, Samples], keep: float) -> Scores:
    """The highest probability that logistic regression gives to a known intent."""
    fitted = LogisticRegression(C=10, max_iter=1000).fit(vectors["examples"], labels(parts["examples"]))
    scores = {name: fitted.predict_proba(part) for name, part in asked(vectors).items()}
    return keeping(scores, fitted.classes_, parts, keep)


def keeping(scores: Arrays, intents: np.ndarray, parts: Mapping[str, Samples], keep: float) -> Scores:
    """The best of each question's scores for the intents, and the threshold that keeps enough of the known ones."""
    best = {name: part.max(axis=1) for name, part in scores.items()}
    threshold = float(np.quantile(best["validation"], 1 - keep, method="lower"))
    own = intents[scores["known"].argmax(axis=1)] == labels(parts["known"])
    return Scores(best, threshold, own & (best["known"] >= threshold))


def measure(scores: Scores, outside: str) -> dict[str, float]:
    """How well questions from outside are told from the test questions of known intents."""
    known, others = scores.similarities["known"], scores.similarities[outside]
    is_known = np.repeat([1, 0], [len(known), len(others)])
    return {
        "auroc": float(roc_auc_score(is_known, np.concatenate([known, others]))),
        "detected": float((others < scores.threshold).mean()),
        "false_alarms": float((known < scores.threshold).mean()),
        "answered": float(scores.right.mean()),
    }


def one_draw(parts: Mapping[str, Samples], arguments: argparse.Namespace, seed: int) -> dict[str, Scores]:
    model = train(parts["examples"], arguments, seed).model
    untouched = without_head(model)
    vectors = {name: part.numpy() for name, part in embeddings(untouched, parts, arguments.cache).items()}
    return {
        "head": nearest_example(model, parts, arguments),
        "untouched": nearest_example(untouched, parts, arguments),
        "mahalanobis": mahalanobis(vectors, parts, arguments.keep),
        "regression": regression(vectors, parts, arguments.keep),
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    training, test = read(arguments, "train.csv"), read(arguments, "test.csv")
    elsewhere = {}
    if arguments.elsewhere is not None:
        with arguments.elsewhere.open(newline="", encoding="utf-8") as file:
            found = dict.fromkeys(row[0] for row in csv.reader(file))
        elsewhere["elsewhere"] = [SimilarityGroupSample(text, "elsewhere") for text in found]
    rows: list[dict[str, Any]] = []
    histograms: dict[str, Any] = {}
    for seed in range(arguments.seeds):
        parts = divide(training, test, arguments.hidden, seed) | elsewhere
        for method, scores in one_draw(parts, arguments, seed).items():
            for outside in ("hidden", *elsewhere):
                rows.append({"seed": seed, "method": method, "outside": outside, **measure(scores, outside)})
                print(json.dumps(rows[-1]), flush=True)
            if seed == 0 and method in ("untouched", "head"):
                histograms[METHODS[method]] = histogram(scores)
    return {"methods": METHODS, "rows": rows, "histograms": histograms}


def read(arguments: argparse.Namespace, file: str) -> Samples:
    samples = read_samples(arguments.data_dir / file, text="text", group="category")
    intents = sorted({sample.group for sample in samples})[: arguments.intents]
    taken = Counter[str]()
    found = []
    for sample in samples:
        taken[sample.group] += 1
        if sample.group in intents and (arguments.per_intent is None or taken[sample.group] <= arguments.per_intent):
            found.append(sample)
    return found


def histogram(scores: Scores) -> dict[str, Any]:
    edges = np.histogram_bin_edges(np.concatenate([scores.similarities[name] for name in ("known", "hidden")]), bins=40)
    counts = {name: np.histogram(scores.similarities[name], edges)[0].tolist() for name in ("known", "hidden")}
    return {"edges": edges.round(4).tolist(), **counts, "threshold": scores.threshold}


def table(figures: dict[str, Any]) -> str:
    """Means and standard deviations over the draws of hidden intents, as Markdown."""
    columns = {
        "AUROC": ("hidden", "auroc"),
        "hidden intents found": ("hidden", "detected"),
        "false alarms": ("hidden", "false_alarms"),
        "known ones answered rightly": ("hidden", "answered"),
        "texts from elsewhere found": ("elsewhere", "detected"),
    }
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for method, name in figures["methods"].items():
        cells = []
        for outside, figure in columns.values():
            values = [row[figure] for row in figures["rows"] if (row["method"], row["outside"]) == (method, outside)]
            cells.append(spread(values, percent=figure != "auroc"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: Sequence[float], *, percent: bool) -> str:
    if not values:
        return ""
    deviation = stdev(values) if len(values) > 1 else 0.0
    return f"{100 * mean(values):.1f} ± {100 * deviation:.1f} %" if percent else f"{mean(values):.3f} ± {deviation:.3f}"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with train.csv and test.csv")
    parser.add_argument("--elsewhere", type=Path, help="CSV file with texts about other things")
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2", help="name or folder")
    parser.add_argument("--cache", type=Path, help="folder that keeps the encoder's vectors between runs")
    parser.add_argument("--hidden", type=int, default=17, help="how many intents are hidden")
    parser.add_argument("--keep", type=float, default=0.95, help="share of known questions that the threshold keeps")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3, help="draws of hidden intents")
    parser.add_argument("--intents", type=int, help="take that many intents only, for a quick run")
    parser.add_argument("--per-intent", type=int, help="take that many questions of each only, for a quick run")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        arguments.cache = arguments.cache or Path(folder)
        figures = run(arguments)
    print(table(figures))
    if arguments.json is not None:
        machine = {"cores": os.cpu_count(), "processor": platform.machine(), "torch": torch.__version__}
        arguments.json.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
