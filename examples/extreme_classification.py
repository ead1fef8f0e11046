"""Extreme classification: many fine classes, and new classes that are added without any training.

The data is BANKING77: customers' questions to a bank, 77 intents. Some intents are kept away from training. Then a few
examples of each are added to the classifier, and both kinds are told apart on the test set:

    python examples/extreme_classification.py --data-dir banking77 --json extreme_classification.json

The folder after --data-dir has train.csv and test.csv with the columns text and category.
Needs: pip install "quaterion[sentence-transformers]" scikit-learn
"""

import argparse
import json
import os
import platform
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from sklearn.linear_model import LogisticRegression

from quaterion import Quaterion, TrainableModel
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.dataset.files import read_samples
from quaterion.eval import EmbeddedModel, embedded_model, without_head
from quaterion.loss import CombinedLoss, SoftmaxLoss, SupConLoss
from quaterion.train.cache import CacheConfig
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead
from quaterion_models.predict import Classifier

Samples = Sequence[SimilarityGroupSample]

METHODS = {
    "untouched": "untouched encoder, classes added",
    "head": "trained head, classes added",
    "head again": "head trained again with everything",
    "regression again": "logistic regression trained again with everything",
}


class Intents(TrainableModel):
    lr = 0.01
    lr_schedule = "cosine"

    def __init__(self, encoder: str, num_intents: int, cache: Path) -> None:
        self.encoder, self.num_intents, self.cache = encoder, num_intents, cache
        super().__init__()

    def configure_encoders(self):
        return SentenceTransformerEncoder(self.encoder)

    def configure_head(self, input_embedding_size):
        return SkipConnectionHead(input_embedding_size, skip_dropout=0.3)

    def configure_loss(self):
        classes = SoftmaxLoss(self.model.head.output_size, self.num_intents)
        return CombinedLoss({"classes": (classes, 1.0), "groups": (SupConLoss(), 1.0)})

    def configure_caches(self):
        return CacheConfig(save_dir=self.cache)


def train(samples: Samples, arguments: argparse.Namespace, seed: int) -> Intents:
    torch.manual_seed(seed)
    model = Intents(arguments.encoder, len({sample.group for sample in samples}), arguments.cache)
    trainer = pl.Trainer(
        max_epochs=arguments.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    Quaterion.fit(model, trainer, GroupSimilarityDataLoader(samples, batch_size=256, shuffle=True))
    return model


def labels(samples: Samples) -> list[str]:
    return [sample.group for sample in samples]


def texts(samples: Samples) -> list[str]:
    return [sample.obj for sample in samples]


class Answer(NamedTuple):
    """What a classifier tells of the test questions, and the seconds that it took to teach it the new classes."""

    labels: list[str]
    seconds: float


def add_classes(embedded: EmbeddedModel, known: Samples, added: Samples, test: Samples) -> Answer:
    """The class of the nearest examples, after examples of new classes were added; nothing is trained."""
    model = embedded.model
    classifier = Classifier.from_embeddings(model, embedded.encode(texts(known), to_numpy=False), labels(known))
    started = time.perf_counter()
    classifier = classifier.add_embeddings(embedded.encode(texts(added), to_numpy=False), labels(added))
    seconds = time.perf_counter() - started
    predictions = classifier.classify_embeddings(embedded.encode(texts(test), to_numpy=False))
    return Answer([prediction.label for prediction in predictions], seconds)


def regression(embedded: EmbeddedModel, training: Samples, test: Samples) -> Answer:
    """Logistic regression, trained again with everything."""
    started = time.perf_counter()
    fitted = LogisticRegression(C=10, max_iter=1000, class_weight="balanced")
    fitted.fit(embedded.encode(texts(training)), labels(training))
    seconds = time.perf_counter() - started
    return Answer(fitted.predict(embedded.encode(texts(test))).tolist(), seconds)


def one_draw(training: Samples, test: Samples, arguments: argparse.Namespace, seed: int) -> Iterator[dict[str, Any]]:
    """Keeps some intents away from training, then adds a few examples of them."""
    rng = random.Random(seed)
    intents = sorted({sample.group for sample in training})
    new = set(rng.sample(intents, arguments.new))
    known = [sample for sample in training if sample.group not in new]
    pool = [sample for sample in training if sample.group in new]
    rng.shuffle(pool)
    head = train(known, arguments, seed).model

    def embedded(model: SimilarityModel) -> EmbeddedModel:
        return embedded_model(model, [*training, *test], cache=arguments.cache)

    trained, untouched = embedded(head), embedded(without_head(head))
    for shots in arguments.shots:
        added = first_of_each(pool, shots)
        started = time.perf_counter()
        again = embedded(train([*known, *added], arguments, seed).model)
        seconds = time.perf_counter() - started
        answers = {
            "untouched": add_classes(untouched, known, added, test),
            "head": add_classes(trained, known, added, test),
            "head again": add_classes(again, known, added, test)._replace(seconds=seconds),
            "regression again": regression(untouched, [*known, *added], test),
        }
        for method, answer in answers.items():
            accuracy = measure(answer, test, new)
            yield {"seed": seed, "shots": shots, "method": method, **accuracy, "seconds": answer.seconds}


def measure(answer: Answer, test: Samples, new: set[str]) -> dict[str, float]:
    """Accuracy on the test questions of old classes, of new ones, and of all; all classes are told apart in each."""
    right = np.array([label == sample.group for label, sample in zip(answer.labels, test, strict=True)])
    is_new = np.array([sample.group in new for sample in test])
    return {"old": right[~is_new].mean(), "new": right[is_new].mean(), "all": right.mean()}


def first_of_each(samples: Samples, count: int | None) -> Samples:
    """The first samples of each group; all for None."""
    taken: dict[str, int] = defaultdict(int)
    found = []
    for sample in samples:
        taken[sample.group] += 1
        if count is None or taken[sample.group] <= count:
            found.append(sample)
    return found


def read(arguments: argparse.Namespace, file: str) -> Samples:
    samples = read_samples(arguments.data_dir / file, text="text", group="category")
    intents = sorted({sample.group for sample in samples})[: arguments.intents]
    return first_of_each([sample for sample in samples if sample.group in intents], arguments.per_intent)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    training, test = read(arguments, "train.csv"), read(arguments, "test.csv")
    rows = []
    for seed in range(arguments.seeds):
        for row in one_draw(training, test, arguments, seed):
            rows.append(row)
            print(json.dumps(row), flush=True)
    return {"methods": METHODS, "rows": rows}


def table(figures: dict[str, Any], shots: int) -> str:
    """Means and standard deviations over the draws of new intents, as Markdown."""
    lines = ["| | old classes | new classes | all | seconds |", "|---|---|---|---|---|"]
    for method, name in figures["methods"].items():
        rows = [row for row in figures["rows"] if (row["method"], row["shots"]) == (method, shots)]
        cells = [spread([row[kind] for row in rows]) for kind in ("old", "new", "all")]
        lines.append(f"| {name} | {' | '.join(cells)} | {mean(row['seconds'] for row in rows):.2f} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    deviation = stdev(values) if len(values) > 1 else 0.0
    return f"{mean(values):.1%} ± {100 * deviation:.1f}"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with train.csv and test.csv")
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2", help="name or folder")
    parser.add_argument("--cache", type=Path, help="folder that keeps the encoder's vectors between runs")
    parser.add_argument("--new", type=int, default=17, help="how many intents are new")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 2, 5, 10, 20], help="examples of each new intent")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5, help="draws of new intents")
    parser.add_argument("--intents", type=int, help="take that many intents only, for a quick run")
    parser.add_argument("--per-intent", type=int, help="take that many questions of each only, for a quick run")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        arguments.cache = arguments.cache or Path(folder)
        figures = run(arguments)
    for shots in arguments.shots:
        print(f"\n{shots} examples of each new class:\n\n{table(figures, shots)}")
    if arguments.json is not None:
        machine = {"cores": os.cpu_count(), "processor": platform.machine(), "torch": torch.__version__}
        arguments.json.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
