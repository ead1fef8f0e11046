"""What `quaterion.tune` reaches over frozen all-MiniLM-L6-v2, beside simple baselines over the same vectors.

- banking77: accuracy on the test set, and the seconds from the raw file to the saved model.
- few_shot: the same with 1 to 16 examples of each intent, mean and standard deviation over draws of the examples.
- stsb: Spearman on the test set.
- omniglot: recall@1 on characters of alphabets that training never saw: a small convolutional encoder, trained, and
  frozen random features, with and without a head.

The test sets are looked at once for each figure, and choose nothing. Baselines are the untouched encoder (vote of the
ten nearest) and logistic regression over its vectors (scikit-learn, C=10), also with the names of the intents as
further examples, which `tune` uses where they help; for scored pairs the untouched encoder.

    python benchmarks/quality.py --data-dir FOLDER --json quality.json
"""

import argparse
import csv
import json
import statistics
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from harness import machine
from quaterion import Quaterion, TrainableModel, tune
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.eval.group import RetrievalPrecision
from quaterion.loss import SupConLoss
from quaterion.tuning.data.group_names import readable_name
from quaterion.utils.minilm import find_minilm
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder, SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead, EncoderHead, SkipConnectionHead
from quaterion_runtime import top_k

SHOTS = (1, 2, 4, 8, 10, 16)
SEEDS = 5
NEIGHBOURS, TEMPERATURE = 10, 0.05
IMAGE = 28
Rows = list[dict[str, str]]


def banking77(data: Path, cache: Path, arguments: argparse.Namespace) -> dict[str, Any]:  # noqa: ARG001 - from nothing
    """The whole training set, from the raw file, with nothing encoded before."""
    train, test = data / "banking77" / "train.csv", data / "banking77" / "test.csv"
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        result = tune(train, test=test, text="text", group="category", budget=arguments.budget, out=out)
        seconds = time.perf_counter() - started
    return {"seconds": seconds, **figures(result), "baselines": baselines(rows(train), rows(test))}


def few_shot(data: Path, cache: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """A few examples of each intent."""
    train, test = rows(data / "banking77" / "train.csv"), rows(data / "banking77" / "test.csv")
    found: dict[str, Any] = {}
    for shots in arguments.shots or SHOTS:
        runs: dict[str, list[float]] = defaultdict(list)
        for seed in range(arguments.seeds):
            some = draw(train, shots, seed)
            result = tune(
                some, test=test, text="text", group="category", budget=arguments.few_shot_budget, cache=cache, seed=seed
            )
            runs["tune"].append(result.test.after.value)
            for name, value in baselines(some, test).items():
                runs[name].append(value)
            print(
                shots,
                seed,
                {name: round(values[-1], 4) for name, values in runs.items()},
                result.recipe.describe(),
                flush=True,
            )
        found[str(shots)] = {name: summary(values) for name, values in runs.items()}
    return found


def stsb(data: Path, cache: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Scored pairs; the files have no header."""
    folder = data / "stsb"
    result = tune(
        folder / "stsb-en-train.csv",
        validation=folder / "stsb-en-dev.csv",
        test=folder / "stsb-en-test.csv",
        anchor=1,
        positive=2,
        score=3,
        score_range=(0, 5),
        budget=arguments.budget,
        cache=cache,
    )
    return figures(result)


def omniglot(data: Path, cache: Path, arguments: argparse.Namespace) -> dict[str, Any]:  # noqa: ARG001 - images are small
    """Characters of other alphabets than those trained on."""
    train, test = (images(data / "omniglot" / f"images_background_small{number}.zip") for number in (1, 2))
    untouched = SimilarityModel(ConvolutionalEncoder(trainable=False), EmptyHead(64)).eval()
    frozen = tune(
        train,
        group="group",
        text="text",
        encoder=ConvolutionalEncoder(trainable=False),
        budget="20s",
        unseen_groups=True,
    )
    torch.manual_seed(0)
    trained = Characters()
    started = time.perf_counter()
    trainer = pl.Trainer(
        max_epochs=arguments.image_epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    samples = [SimilarityGroupSample(row["text"], row["group"]) for row in train]
    Quaterion.fit(trained, trainer, GroupSimilarityDataLoader(samples, batch_size=256, shuffle=True))
    seconds = time.perf_counter() - started
    return {
        "pixels": recall(lambda objects: torch.stack([one.flatten() for one in objects]), test),
        "random features": recall(lambda objects: untouched.encode(objects, to_numpy=False), test),
        "random features and a head": recall(lambda objects: frozen.model.encode(objects, to_numpy=False), test),
        "trained encoder": recall(lambda objects: trained.model.eval().encode(objects, to_numpy=False), test),
        "seconds": seconds,
    }


def figures(result: Any) -> dict[str, Any]:
    measured = result.test.to_dict()
    return {
        **measured,
        "improved": result.improved,
        "recipe": result.recipe.describe(),
        "candidates": len(result.trials),
    }


def baselines(train: Rows, test: Rows) -> dict[str, float]:
    examples, queries = (vectors(part) for part in (train, test))
    labels, wanted = (np.array([row["category"] for row in part]) for part in (train, test))
    found, similarity = top_k(queries, examples, min(NEIGHBOURS, len(examples)))
    names, numbers = np.unique(labels, return_inverse=True)
    votes = np.zeros((len(queries), len(names)))
    np.add.at(votes, (np.arange(len(queries))[:, None], numbers[found]), np.exp((similarity - 1) / TEMPERATURE))
    named = vectors([{"text": readable_name(str(name))} for name in names])

    def regression(texts: Any, groups: Any) -> float:
        fitted = LogisticRegression(C=10, max_iter=1000).fit(texts, groups)
        return float((fitted.predict(queries) == wanted).mean())

    return {
        "nearest neighbours": float((names[votes.argmax(axis=1)] == wanted).mean()),
        "logistic regression": regression(examples, labels),
        "the same with names": regression(np.concatenate([examples, named]), np.concatenate([labels, names])),
    }


_ENCODED: dict[str, Any] = {}


def vectors(part: Rows) -> Any:
    """Vectors of length 1; each text is encoded once in a run."""
    missing = [row["text"] for row in part if row["text"] not in _ENCODED]
    if missing:
        encoder = SentenceTransformerEncoder(find_minilm())
        model = SimilarityModel(encoder, EmptyHead(encoder.embedding_size)).eval()
        _ENCODED.update(zip(missing, model.encode(missing, normalize=True), strict=True))
    return np.stack([_ENCODED[row["text"]] for row in part])


def rows(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def draw(train: Rows, shots: int, seed: int) -> Rows:
    """As many examples of each intent, drawn at random."""
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).tolist()
    taken: dict[str, int] = defaultdict(int)
    some = []
    for place in order:
        intent = train[place]["category"]
        if taken[intent] < shots:
            taken[intent] += 1
            some.append(train[place])
    return some


def summary(values: Sequence[float]) -> dict[str, float]:
    return {"mean": statistics.mean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}


def images(archive: Path) -> list[dict[str, Any]]:
    """Drawings of 28 x 28 in which ink is 1, with alphabet and character."""
    found = []
    with zipfile.ZipFile(archive) as file:
        for name in sorted(one for one in file.namelist() if one.endswith(".png")):
            with file.open(name) as stream, Image.open(stream) as image:
                pixels = np.asarray(image.convert("L").resize((IMAGE, IMAGE), Image.Resampling.BOX), dtype=np.float32)
            found.append({"text": torch.from_numpy(1 - pixels / 255), "group": name.rpartition("/")[0]})
    return found


def recall(embed: Callable[[list[Any]], Tensor], test: Sequence[dict[str, Any]]) -> float:
    metric = RetrievalPrecision(k=1)
    groups = {group: number for number, group in enumerate(sorted({row["group"] for row in test}))}
    embeddings = embed([row["text"] for row in test])
    return float(metric.compute(embeddings, torch.tensor([groups[row["group"]] for row in test])))


class ConvolutionalEncoder(Encoder):
    """Four convolutions, 64 numbers; the weights are those of a seed."""

    def __init__(self, trainable: bool) -> None:
        super().__init__()
        self._trainable = trainable
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers: list[nn.Module] = []
            for channels in (1, 64, 64, 64):
                layers += [nn.Conv2d(channels, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)]
            self.layers = nn.Sequential(*layers, nn.Flatten())

    @property
    def trainable(self) -> bool:
        return self._trainable

    @property
    def embedding_size(self) -> int:
        return 64

    def get_collate_fn(self) -> Callable[[Sequence[Tensor]], Tensor]:
        return torch.stack

    def forward(self, batch: Tensor) -> Tensor:
        return self.layers(batch.unsqueeze(1))


class Characters(TrainableModel):
    lr = 0.002
    lr_schedule = "cosine"

    def configure_encoders(self) -> Encoder:
        return ConvolutionalEncoder(trainable=True)

    def configure_head(self, input_embedding_size: int) -> EncoderHead:
        return SkipConnectionHead(input_embedding_size)

    def configure_loss(self) -> SupConLoss:
        return SupConLoss()


PARTS = {"banking77": banking77, "few_shot": few_shot, "stsb": stsb, "omniglot": omniglot}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with the public data sets")
    parser.add_argument("--json", type=Path, help="write the figures to this file, after each part")
    parser.add_argument("--only", nargs="*", choices=list(PARTS), help="these parts only; others in the file stay")
    parser.add_argument("--budget", default="40s", help="time of a search")
    parser.add_argument("--few-shot-budget", default="20s", help="time of a search with few examples")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="draws of few examples")
    parser.add_argument("--shots", type=int, nargs="*", help="numbers of examples of each intent")
    parser.add_argument("--image-epochs", type=int, default=30, help="epochs of the convolutional encoder")
    arguments = parser.parse_args()
    content: dict[str, Any] = {}
    if arguments.json is not None and arguments.json.is_file():
        content = json.loads(arguments.json.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as cache:
        for name in arguments.only or PARTS:
            content[name] = PARTS[name](arguments.data_dir, Path(cache), arguments)
            print(name, json.dumps(content[name], indent=2), flush=True)
            if arguments.json is not None:
                text = json.dumps({**content, "machine": machine()}, indent=2)
                arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
