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
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

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
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead
from quaterion_models.predict import Classifier

Samples = Sequence[SimilarityGroupSample]

METHODS = {
    "untouched examples": "untouched encoder, nearest examples",
    "untouched means": "untouched encoder, nearest class mean",
    "head examples": "trained head, nearest examples",
    "head means": "trained head, nearest class mean",
    "regression": "logistic regression, trained again with everything",
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


def nearest_examples(embedded: EmbeddedModel, known: Samples, added: Samples, test: Samples) -> list[str]:
    """The class of the three nearest examples, after those of new classes were added."""
    vectors, names = embedded.encode(texts(known), to_numpy=False), labels(known)
    classifier = Classifier.from_embeddings(embedded.model, vectors, names, k=3)
    classifier = classifier.add_embeddings(embedded.encode(texts(added), to_numpy=False), labels(added))
    return told(classifier, embedded, test)


def nearest_means(embedded: EmbeddedModel, known: Samples, added: Samples, test: Samples) -> list[str]:
    """The class of the nearest mean of a class, after the means of new classes were added."""
    means, names = class_means(embedded.encode(texts(known), to_numpy=False), labels(known))
    classifier = Classifier.from_embeddings(embedded.model, means, names, k=1)
    means, names = class_means(embedded.encode(texts(added), to_numpy=False), labels(added))
    return told(classifier.add_embeddings(means, names), embedded, test)


def class_means(vectors: torch.Tensor, names: list[str]) -> tuple[torch.Tensor, list[str]]:
    """One example for each class: the mean of its vectors, each of length 1."""
    classes, numbers = np.unique(names, return_inverse=True)
    vectors = torch.nn.functional.normalize(vectors, dim=1)
    return torch.stack([vectors[numbers == number].mean(dim=0) for number in range(len(classes))]), classes.tolist()


def told(classifier: Classifier, embedded: EmbeddedModel, test: Samples) -> list[str]:
    predictions = classifier.classify_embeddings(embedded.encode(texts(test), to_numpy=False))
    return [prediction.label for prediction in predictions]


def regression(embedded: EmbeddedModel, known: Samples, added: Samples, test: Samples) -> list[str]:
    """Logistic regression, trained again with everything; classes with few examples count as much as others."""
    training = [*known, *added]
    fitted = LogisticRegression(C=10, max_iter=1000, class_weight="balanced")
    fitted.fit(embedded.encode(texts(training)), labels(training))
    return fitted.predict(embedded.encode(texts(test))).tolist()


def one_draw(training: Samples, test: Samples, arguments: argparse.Namespace, seed: int) -> Iterator[dict[str, Any]]:
    """Keeps some intents away from training, then adds a few examples of them."""
    rng = random.Random(seed)
    new = set(rng.sample(sorted({sample.group for sample in training}), arguments.new))
    known = [sample for sample in training if sample.group not in new]
    pool = [sample for sample in training if sample.group in new]
    rng.shuffle(pool)
    model = train(known, arguments, seed).model
    head, untouched = (
        embedded_model(one, [*training, *test], cache=arguments.cache) for one in (model, without_head(model))
    )
    for shots in arguments.shots:
        added = first_of_each(pool, shots)
        answers = {
            "untouched examples": nearest_examples(untouched, known, added, test),
            "untouched means": nearest_means(untouched, known, added, test),
            "head examples": nearest_examples(head, known, added, test),
            "head means": nearest_means(head, known, added, test),
            "regression": regression(untouched, known, added, test),
        }
        for method, answer in answers.items():
            yield {"seed": seed, "shots": shots, "method": method, **measure(answer, test, new)}


def measure(answer: list[str], test: Samples, new: set[str]) -> dict[str, float]:
    """Accuracy on the test questions of old classes, of new ones, and of all; all classes are told apart in each."""
    right = np.array([label == sample.group for label, sample in zip(answer, test, strict=True)])
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
    lines = ["| | old classes | new classes | all |", "|---|---|---|---|"]
    for method, name in figures["methods"].items():
        rows = [row for row in figures["rows"] if (row["method"], row["shots"]) == (method, shots)]
        cells = [spread([row[kind] for row in rows]) for kind in ("old", "new", "all")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    deviation = stdev(values) if len(values) > 1 else 0.0
    return f"{100 * mean(values):.1f} ± {100 * deviation:.1f} %"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with train.csv and test.csv")
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2", help="name or folder")
    parser.add_argument("--cache", type=Path, help="folder that keeps the encoder's vectors between runs")
    parser.add_argument("--new", type=int, default=17, help="how many intents are new")
    parser.add_argument("--shots", type=int, nargs="+", default=[2, 5, 20], help="examples of each new intent")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3, help="draws of new intents")
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
