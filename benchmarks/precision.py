"""Accuracy with half precision: BANKING77 over frozen MiniLM, trained by one recipe in each precision.

The recipe is fixed, with the settings of float32: a SkipConnectionHead and SoftmaxLoss over cached vectors through
`Quaterion.fit`. The accuracy is that of the nearest class weight on the test set; a difference is the mean over seeds
of a precision's accuracy less that of float32 with the same seed, in points. Vectors that are cached in bf16-mixed
are those that an encoder without a cache computes in such a training.

    python benchmarks/precision.py --data-dir DATASETS --json precision.json
    python benchmarks/precision.py --data-dir DATASETS --epochs 2 --seeds 1      # a small run
"""

import argparse
import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from harness import machine
from loss_quality import GROUPS, SIZE, Rows, read
from quaterion import Quaterion
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.functional.class_weights import class_scores
from quaterion.loss import SoftmaxLoss
from quaterion.train import TrainableModel, prepare_batches
from quaterion.train.cache import CacheConfig
from quaterion.utils.minilm import find_minilm
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EncoderHead, SkipConnectionHead

MOST_POINTS = 0.3


@dataclass(frozen=True)
class Way:
    """In what precision the head is trained, vectors are kept, and the encoder runs."""

    training: Literal["32-true", "bf16-mixed", "bf16-true"] = "32-true"
    kept: Literal["float32", "float16"] = "float32"
    encoder: Literal["32-true", "bf16-mixed"] = "32-true"


REFERENCE = "float32"
WAYS = {
    REFERENCE: Way(),
    "float16 cache": Way(kept="float16"),
    "bf16-mixed": Way("bf16-mixed"),
    "bf16-mixed, float16 cache": Way("bf16-mixed", "float16"),
    "bf16-mixed, encoder too": Way("bf16-mixed", encoder="bf16-mixed"),
    "bf16-true": Way("bf16-true"),
    "bf16-true, float16 cache": Way("bf16-true", "float16"),
}


class Model(TrainableModel):
    """Frozen MiniLM and one head, with a weight for each intent."""

    lr = 3e-3
    lr_schedule = "cosine"

    def __init__(self, way: Way, cache: Path) -> None:
        self._way, self._cache = way, cache
        super().__init__()

    def configure_encoders(self) -> SentenceTransformerEncoder:
        return SentenceTransformerEncoder(find_minilm())

    def configure_head(self, input_embedding_size: int) -> EncoderHead:
        return SkipConnectionHead(input_embedding_size, skip_dropout=0.1)

    def configure_loss(self) -> SoftmaxLoss:
        return SoftmaxLoss(SIZE, GROUPS)

    def configure_caches(self) -> CacheConfig:
        # Both precisions are kept on disk, so that each is encoded once for all runs.
        folder = self._cache / f"{self._way.encoder}-{self._way.kept}"
        return CacheConfig(save_dir=folder, dtype=self._way.kept, precision=self._way.encoder)


def accuracy(way: Way, train: Rows, test: Rows, seed: int, arguments: argparse.Namespace) -> float:
    torch.manual_seed(seed)
    model = Model(way, arguments.cache)
    # Before training, which casts the encoder too in bf16-true: then its vectors would be others.
    (batch,) = prepare_batches(model, loader(test, batch_size=len(test)))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=arguments.epochs,
        precision=way.training,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    Quaterion.fit(model, trainer, loader(train, batch_size=256, shuffle=True))
    model.eval()
    dtype = next(model.model.required_head().parameters()).dtype
    cached = {name: vectors.to(dtype) for name, vectors in batch.features.cached.items()}
    with torch.no_grad():
        embeddings = model.embed(batch.features._replace(cached=cached))
        (weight,) = model.loss.parameters()
        found = class_scores(embeddings, weight).argmax(dim=1)
    return float((found == model.loss_targets(batch.targets).groups).float().mean())


def loader(rows: Rows, **options: Any) -> GroupSimilarityDataLoader:
    return GroupSimilarityDataLoader([SimilarityGroupSample(*row) for row in rows], **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds banking77/train.csv, test.csv")
    parser.add_argument("--cache", type=Path, default=Path("precision-cache"), help="folder for the vectors")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of every run (default 20)")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each precision (default 5)")
    parser.add_argument("--only", nargs="+", choices=list(WAYS), help="only these beside float32")
    arguments = parser.parse_args()
    folder = arguments.data_dir / "banking77"
    train, test = read(folder / "train.csv"), read(folder / "test.csv")
    names = [name for name in WAYS if name == REFERENCE or arguments.only is None or name in arguments.only]
    runs: dict[str, list[float]] = {}
    rows = []
    for name in names:
        runs[name] = [accuracy(WAYS[name], train, test, seed, arguments) for seed in range(arguments.seeds)]
        points = [100 * (own - base) for own, base in zip(runs[name], runs[REFERENCE], strict=True)]
        rows.append({"precision": name, "accuracy": statistics.mean(runs[name]), "points": statistics.mean(points)})
        print(json.dumps(rows[-1]), flush=True)
    about = {"epochs": arguments.epochs, "seeds": arguments.seeds, "most_points": MOST_POINTS}
    if arguments.json is not None:
        content = {"machine": machine(), **about, "results": rows}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    far = [str(row["precision"]) for row in rows if row["points"] < -MOST_POINTS]
    if far:
        raise SystemExit(f"More than {MOST_POINTS} points below float32: {'; '.join(far)}.")


if __name__ == "__main__":
    main()
