"""Which loss for which data: every loss trained on BANKING77 over the cached vectors of frozen MiniLM.

All losses train the same head (SkipConnectionHead) for the same number of epochs with AdamW. Only the learning rate
differs: it is chosen for each loss on a fifth of the training set, never on the test set. Then the head is trained on
the whole training set with each seed, and every test query is searched among the other test queries.

    python benchmarks/loss_quality.py --data-dir DATASETS --json loss_quality.json
"""

import argparse
import csv
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness import machine
from quaterion.dataset import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    SimilarityPairSample,
    group_ids,
)
from quaterion.eval.group import RetrievalPrecision, RetrievalRPrecision
from quaterion.loss import (
    ArcFaceLoss,
    CenterLoss,
    CircleLoss,
    CombinedLoss,
    ContrastiveLoss,
    CoSENTLoss,
    CosFaceLoss,
    CosineSimilarityLoss,
    FastAPLoss,
    MultipleNegativesRankingLoss,
    MultiSimilarityLoss,
    OnlineContrastiveLoss,
    PairwiseLoss,
    ProxyAnchorLoss,
    SimilarityLoss,
    SoftmaxLoss,
    SupConLoss,
    TripletLoss,
)
from quaterion.train import TrainableModel, prepare_batches
from quaterion.train.cache import CacheConfig
from quaterion.utils.minilm import find_minilm
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EncoderHead, SkipConnectionHead

SIZE, GROUPS = 384, 77
RATES = (0.003, 0.01, 0.03, 0.1)
LOSSES: dict[str, Callable[[], SimilarityLoss]] = {
    "TripletLoss hard": lambda: TripletLoss(mining="hard"),
    "TripletLoss semi_hard": lambda: TripletLoss(mining="semi_hard"),
    "TripletLoss all": lambda: TripletLoss(mining="all"),
    "OnlineContrastiveLoss": OnlineContrastiveLoss,
    "CircleLoss": CircleLoss,
    "FastAPLoss": FastAPLoss,
    "MultiSimilarityLoss": MultiSimilarityLoss,
    "SupConLoss": SupConLoss,
    "SoftmaxLoss": lambda: SoftmaxLoss(SIZE, GROUPS),
    "ArcFaceLoss": lambda: ArcFaceLoss(SIZE, GROUPS),
    "CosFaceLoss": lambda: CosFaceLoss(SIZE, GROUPS),
    "ProxyAnchorLoss": lambda: ProxyAnchorLoss(SIZE, GROUPS),
    "SoftmaxLoss + CenterLoss": lambda: CombinedLoss(
        {"softmax": (SoftmaxLoss(SIZE, GROUPS), 1.0), "center": (CenterLoss(SIZE, GROUPS), 1.0)}
    ),
    "MultipleNegativesRankingLoss": MultipleNegativesRankingLoss,
    "ContrastiveLoss": ContrastiveLoss,
    "CosineSimilarityLoss": CosineSimilarityLoss,
    "CoSENTLoss": CoSENTLoss,
}
Rows = list[tuple[str, str]]


class Model(TrainableModel):
    """Frozen MiniLM and one head; the vectors come from a folder."""

    def __init__(self, loss: SimilarityLoss, cache: Path) -> None:
        self._given, self._cache = loss, cache
        super().__init__()

    def configure_encoders(self) -> SentenceTransformerEncoder:
        return SentenceTransformerEncoder(find_minilm())

    def configure_head(self, input_embedding_size: int) -> EncoderHead:
        return SkipConnectionHead(input_embedding_size, skip_dropout=0.1)

    def configure_loss(self) -> SimilarityLoss:
        return self._given

    def configure_caches(self) -> CacheConfig:
        return CacheConfig(save_dir=self._cache)


def main() -> None:
    arguments = parse_arguments()
    folder = arguments.data_dir / "banking77"
    train, test = read(folder / "train.csv"), read(folder / "test.csv")
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(train), generator=generator).tolist()
    held_out = set(order[: len(order) // 5])
    tune = [row for i, row in enumerate(train) if i not in held_out]
    validation = [train[i] for i in sorted(held_out)]
    names = arguments.losses or list(LOSSES)
    about = {"machine": machine(), "epochs": arguments.epochs, "seeds": arguments.seeds, "rates": list(RATES)}
    results = [{"loss": "none (untouched encoder)", **scores(embeddings_of(None, test, arguments.cache), test)}]
    results += [row for row in measured_before(arguments.json, about) if row["loss"] in names]
    done = {row["loss"] for row in results}
    for name in [name for name in names if name not in done]:
        started = time.perf_counter()
        by_rate: dict[float, float] = {}
        rates = list(RATES)
        for rate in rates:  # grows while the largest is the best
            model = trained(name, tune, rate, 0, arguments)
            by_rate[rate] = scores(embeddings_of(model, validation, arguments.cache), validation)["recall@1"]
            if rate == rates[-1] == best(by_rate) and rate < 1:
                rates.append(round(rate * 3, 3))
        rate = best(by_rate)
        runs = []
        for seed in range(arguments.seeds):
            model = trained(name, train, rate, seed, arguments)
            runs.append(scores(embeddings_of(model, test, arguments.cache), test))
        results.append(
            {
                "loss": name,
                "learning_rate": rate,
                "validation_recall@1": by_rate,
                **{metric: summary([run[metric] for run in runs]) for metric in runs[0]},
                "seconds": round(time.perf_counter() - started, 1),
            }
        )
        print(json.dumps(results[-1]), flush=True)
        if arguments.json is not None:  # after each loss, since all of them take a while
            in_order = sorted(results, key=lambda row: list(LOSSES).index(row["loss"]) if row["loss"] in LOSSES else -1)
            arguments.json.write_text(json.dumps({**about, "results": in_order}, indent=2) + "\n")


def best(by_rate: dict[float, float]) -> float:
    return max(by_rate, key=lambda one: by_rate[one])


def measured_before(json_file: Path | None, about: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of an interrupted run with the same settings, which need not be measured again."""
    if json_file is None or not json_file.exists():
        return []
    earlier = json.loads(json_file.read_text())
    same = {key: earlier.get(key) for key in about} == about
    return earlier["results"][1:] if same else []


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds banking77/train.csv, test.csv")
    parser.add_argument("--cache", type=Path, default=Path("loss-quality-cache"), help="folder for the vectors")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of every run (default 10)")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of the final runs (default 5)")
    parser.add_argument("--losses", nargs="+", help="only these losses")
    return parser.parse_args()


def read(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as stream:
        return [(row["text"], row["category"]) for row in csv.DictReader(stream)]


def loader_for(loss: SimilarityLoss, rows: Rows, seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    if not isinstance(loss, PairwiseLoss):
        data = [SimilarityGroupSample(text, intent) for text, intent in rows]
        return GroupSimilarityDataLoader(data, groups_per_batch=64, samples_per_group=8, generator=generator)
    # Each text with another one of its intent; where a loss learns from scores, and as often with one of another.
    pick = torch.randperm(len(rows), generator=generator).tolist()
    by_intent: dict[str, list[str]] = {}
    for i in pick:
        by_intent.setdefault(rows[i][1], []).append(rows[i][0])
    pairs = [
        SimilarityPairSample(text, texts[(i + 1) % len(texts)], subgroup=intent)
        for intent, texts in by_intent.items()
        for i, text in enumerate(texts)
    ]
    if isinstance(loss, MultipleNegativesRankingLoss):
        return PairsSimilarityDataLoader(pairs, batch_size=512, shuffle=True, generator=generator)
    for i in pick:
        j = next(k for k in (*pick[i % 997 :], *pick) if rows[k][1] != rows[i][1])
        pairs.append(SimilarityPairSample(rows[i][0], rows[j][0], score=0.0))
    return PairsSimilarityDataLoader(pairs, batch_size=512, shuffle=True, generator=generator)


def trained(name: str, rows: Rows, rate: float, seed: int, arguments: argparse.Namespace) -> Model:
    torch.manual_seed(seed)
    model = Model(LOSSES[name](), arguments.cache)
    model.lr = rate
    batches = prepare_batches(model, loader_for(model.loss, rows, seed))
    optimizer = model.configure_optimizers()
    model.train()
    for _ in range(arguments.epochs):
        for batch in batches:
            loss = model.compute_loss(model.embed(batch.features), batch.targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def embeddings_of(model: Model | None, rows: Rows, cache: Path) -> Tensor:
    """Embeddings of texts in order, the untouched encoder's without a model; from the same cache as training."""
    own = model or Model(SupConLoss(), cache)
    loader = GroupSimilarityDataLoader([SimilarityGroupSample(*row) for row in rows], batch_size=len(rows))
    (batch,) = prepare_batches(Model(SupConLoss(), cache), loader)
    with torch.no_grad():
        return batch.features.cached["default"] if model is None else own.embed(batch.features)


def scores(embeddings: Tensor, rows: Rows) -> dict[str, float]:
    groups = group_ids([intent for _, intent in rows])
    return {
        "recall@1": float(RetrievalPrecision(k=1).compute(embeddings, groups)),
        "r_precision": float(RetrievalRPrecision().compute(embeddings, groups)),
    }


def summary(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.mean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}


if __name__ == "__main__":
    main()
