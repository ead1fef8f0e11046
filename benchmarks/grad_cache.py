"""Memory of one training step over a large batch, with the encoder taking it in chunks and whole.

All-MiniLM-L6-v2 is trained with MultipleNegativesRankingLoss through `Quaterion.fit` for one step on pairs of texts of
BANKING77 with the same intent. Each figure is the largest resident set of a fresh process, and the seconds of its step:
for all pairs in chunks, and for fewer of them in chunks and whole, which shows what chunks save. The process without
a step is measured too.

    python benchmarks/grad_cache.py --data-dir DATASETS --json grad_cache.json
    python benchmarks/grad_cache.py --data-dir DATASETS --pairs 256 --few 64      # a small run
"""

import argparse
import csv
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MOST_GIB = 6.0
BAR_PAIRS = 4096


def read_pairs(folder: Path, count: int) -> list[tuple[str, str]]:
    """Pairs of texts with one intent, each text in one pair, the intents in turns."""
    intents: dict[str, list[str]] = {}
    with (folder / "banking77" / "train.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            intents.setdefault(row["category"], []).append(row["text"])
    by_intent = [list(zip(texts[::2], texts[1::2], strict=False)) for texts in intents.values()]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*by_intent))
    pairs = [pair for pair in turns if pair is not None]
    if len(pairs) < count:
        raise SystemExit(f"--pairs {count}: BANKING77 has {len(pairs)} such pairs; take at most so many.")
    return pairs[:count]


def child(data: Path, count: int, chunk: int | None) -> dict[str, float]:
    import pytorch_lightning as pl
    import torch

    from quaterion import Quaterion
    from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
    from quaterion.loss import MultipleNegativesRankingLoss, SimilarityLoss
    from quaterion.train import TrainableModel
    from quaterion.utils.minilm import find_minilm
    from quaterion_models.encoders import SentenceTransformerEncoder
    from quaterion_models.heads import EmptyHead, EncoderHead
    from search import peak_gib

    class Model(TrainableModel):
        chunk_size = chunk
        lr = 2e-5

        def configure_encoders(self) -> SentenceTransformerEncoder:
            return SentenceTransformerEncoder(find_minilm(), trainable=True)

        def configure_head(self, input_embedding_size: int) -> EncoderHead:
            return EmptyHead(input_embedding_size)

        def configure_loss(self) -> SimilarityLoss:
            return MultipleNegativesRankingLoss()

    torch.manual_seed(0)
    model = Model()
    if not count:
        return {"peak_gib": peak_gib(), "seconds": 0.0}
    pairs = [SimilarityPairSample(first, second) for first, second in read_pairs(data, count)]
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    start = time.perf_counter()
    Quaterion.fit(model, trainer, PairsSimilarityDataLoader(pairs, batch_size=count))
    assert trainer.global_step == 1
    loss = float(trainer.callback_metrics["train_loss"])
    return {"peak_gib": peak_gib(), "seconds": time.perf_counter() - start, "loss": loss}


def measure(data: Path, count: int, chunk: int | None) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).resolve()), "--child", str(data), str(count), str(chunk or 0)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    row = {"pairs": count, "chunk": chunk, **json.loads(done.stdout.splitlines()[-1])}
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        data, count, chunk = sys.argv[2:]
        print(json.dumps(child(Path(data), int(count), int(chunk) or None)))
        return
    from harness import machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds banking77/train.csv")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--pairs", type=int, default=BAR_PAIRS, help=f"pairs of the large batch (default {BAR_PAIRS:,})"
    )
    parser.add_argument(
        "--few", type=int, default=256, help="pairs of the batch that is also taken whole (default 256)"
    )
    parser.add_argument("--chunk", type=int, default=64, help="texts of a chunk (default 64)")
    arguments = parser.parse_args()
    plan = [(0, None), (arguments.few, None), (arguments.few, arguments.chunk), (arguments.pairs, arguments.chunk)]
    steps = [measure(arguments.data_dir, count, chunk) for count, chunk in plan]
    result = {"machine": machine(), "most_gib": MOST_GIB, "steps": steps}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    largest = steps[-1]["peak_gib"]
    if largest > MOST_GIB:
        raise SystemExit(f"{arguments.pairs:,} pairs took {largest:.2f} GiB, more than the {MOST_GIB:g} they may.")


if __name__ == "__main__":
    main()
