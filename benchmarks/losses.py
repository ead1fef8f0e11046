"""Speed and memory of the losses.

Speed: each hard-mined loss (forward and backward) against the same loss over the full masked matrix, interleaved, with
values and gradients compared. Memory: the largest resident set of a fresh process that runs one loss, forward and
backward, on one large batch.

    python benchmarks/losses.py --json losses.json
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from harness import machine, status
from quaterion import loss as losses
from quaterion.batch import GroupTargets, PairTargets

GROUP_SIZE = 4
NUM_GROUPS = 1000
SHORTEST_RUN = 0.3
"""Seconds of steps behind each of the figures that the median is taken of."""


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    if arguments.one is not None:
        print(json.dumps(run_one(arguments.one, arguments.memory_batch, arguments.dim)))
        return
    result: dict[str, object] = {"machine": machine(), "dim": arguments.dim}
    if not arguments.skip_speed:
        result["speed"] = [
            measure_speed(name, size, arguments.dim, arguments.repeats)
            for size in arguments.sizes
            for name in (*MINED, "ContrastiveLoss")
        ]
    if not arguments.skip_memory:
        names = arguments.losses or list(all_losses(arguments.dim))
        result["memory"] = [measure_memory(name, arguments) for name in names]
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    parser.add_argument("--dim", type=int, default=384, help="components of an embedding (default 384)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 4096], help="batch sizes of the speed runs")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved speed runs, of which the median counts")
    parser.add_argument("--memory-batch", type=int, default=16384, help="batch size of the memory runs")
    parser.add_argument("--losses", nargs="+", help="only these losses in the memory runs")
    parser.add_argument("--skip-speed", action="store_true")
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


# --- speed


def masked_matrix(embeddings: Tensor, groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Farthest positive and nearest negative distance of every object, with autograd through the whole matrix."""
    rows = F.normalize(embeddings)
    distances = 1 - rows @ rows.T
    same = groups.unsqueeze(0) == groups.unsqueeze(1)
    positive = same & ~torch.eye(len(groups), dtype=torch.bool)
    farthest = distances.masked_fill(~positive, -torch.inf).max(dim=1).values
    nearest = distances.masked_fill(same, torch.inf).min(dim=1).values
    return farthest, nearest, distances


def full_triplet(embeddings: Tensor, groups: Tensor) -> Tensor:
    farthest, nearest, _ = masked_matrix(embeddings, groups)
    return F.relu(farthest - nearest + 0.5).mean()


def full_online_contrastive(embeddings: Tensor, groups: Tensor) -> Tensor:
    farthest, nearest, _ = masked_matrix(embeddings, groups)
    return 0.5 * (farthest.square().mean() + F.relu(0.5 - nearest).square().mean())


def full_contrastive(embeddings: Tensor, subgroups: Tensor) -> Tensor:
    _, nearest, distances = masked_matrix(embeddings, subgroups)
    half = len(embeddings) // 2
    of_pairs = 0.5 * distances.diagonal(half).square()
    return of_pairs.mean() + (0.5 * F.relu(0.5 - nearest).square()).mean()


MINED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "TripletLoss": full_triplet,
    "OnlineContrastiveLoss": full_online_contrastive,
}


def measure_speed(name: str, size: int, dim: int, repeats: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(size, dim, generator=generator)
    if name == "ContrastiveLoss":
        targets: GroupTargets | PairTargets = pair_targets(size // 2)
        subgroups = torch.arange(size // 2).repeat(2)
        baseline = lambda x: full_contrastive(x, subgroups)  # noqa: E731
    else:
        groups = torch.arange(size) % (size // GROUP_SIZE)
        targets = GroupTargets(groups)
        baseline = lambda x: MINED[name](x, groups)  # noqa: E731
    loss = getattr(losses, name)()
    contenders = {"mined": lambda x: loss.compute(x, targets), "full matrix": baseline}

    outcomes = {kind: step(function, embeddings) for kind, function in contenders.items()}  # also warms up
    torch.testing.assert_close(outcomes["mined"][0], outcomes["full matrix"][0])
    similarity = F.cosine_similarity(outcomes["mined"][1].flatten(), outcomes["full matrix"][1].flatten(), dim=0)
    if similarity < 1 - 1e-5:
        raise RuntimeError(f"{name} at {size}: gradients differ, cosine {similarity.item()}")
    times: dict[str, list[float]] = {kind: [] for kind in contenders}
    for _ in range(repeats):
        for kind, function in contenders.items():
            start, steps = time.perf_counter(), 0
            while time.perf_counter() - start < SHORTEST_RUN:
                step(function, embeddings)
                steps += 1
            times[kind].append((time.perf_counter() - start) / steps)
    medians = {kind: statistics.median(values) for kind, values in times.items()}
    ratio = medians["full matrix"] / medians["mined"]
    print(
        f"{name:24} B={size:6}  mined {1000 * medians['mined']:8.1f} ms   full matrix "
        f"{1000 * medians['full matrix']:8.1f} ms   {ratio:.2f}x",
        flush=True,
    )
    seconds = {f"{kind.replace(' ', '_')}_seconds": value for kind, value in medians.items()}
    return {"loss": name, "batch": size, **seconds, "ratio": ratio}


def step(function: Callable[[Tensor], Tensor], embeddings: Tensor) -> tuple[Tensor, Tensor]:
    rows = embeddings.detach().requires_grad_()
    value = function(rows)
    value.backward()
    assert rows.grad is not None
    return value.detach(), rows.grad


# --- memory


def pair_targets(pairs: int) -> PairTargets:
    first = torch.arange(pairs)
    return PairTargets(
        torch.stack([first, first + pairs], dim=1),
        torch.ones(pairs),
        first.repeat(2),
        torch.arange(2 * pairs),
        torch.zeros(0, 2, dtype=torch.int64),
    )


def all_losses(dim: int) -> dict[str, Callable[[int], losses.SimilarityLoss]]:
    """Every loss by name; each is built for a batch size, which only tables of teacher vectors need."""

    def table(batch: int) -> losses.VectorTable:
        return losses.VectorTable(torch.arange(batch), torch.randn(batch, dim))

    ranking = losses.MultipleNegativesRankingLoss
    return {
        "TripletLoss hard": lambda _: losses.TripletLoss(),
        "TripletLoss semi_hard": lambda _: losses.TripletLoss(mining="semi_hard"),
        "TripletLoss all": lambda _: losses.TripletLoss(mining="all"),
        "TripletLoss all euclidean": lambda _: losses.TripletLoss(1.0, "euclidean", "all"),
        "OnlineContrastiveLoss hard": lambda _: losses.OnlineContrastiveLoss(),
        "OnlineContrastiveLoss all": lambda _: losses.OnlineContrastiveLoss(mining="all"),
        "OnlineContrastiveLoss all euclidean": lambda _: losses.OnlineContrastiveLoss(1.0, "euclidean", "all"),
        "CircleLoss": lambda _: losses.CircleLoss(),
        "FastAPLoss": lambda _: losses.FastAPLoss(),
        "MultiSimilarityLoss": lambda _: losses.MultiSimilarityLoss(),
        "SupConLoss": lambda _: losses.SupConLoss(),
        "SoftmaxLoss": lambda _: losses.SoftmaxLoss(dim, NUM_GROUPS),
        "ArcFaceLoss": lambda _: losses.ArcFaceLoss(dim, NUM_GROUPS),
        "ArcFaceLoss 3 sub-centres": lambda _: losses.ArcFaceLoss(dim, NUM_GROUPS, sub_centers=3),
        "CosFaceLoss": lambda _: losses.CosFaceLoss(dim, NUM_GROUPS),
        "ProxyAnchorLoss": lambda _: losses.ProxyAnchorLoss(dim, NUM_GROUPS),
        "CenterLoss": lambda _: losses.CenterLoss(dim, NUM_GROUPS),
        "ContrastiveLoss": lambda _: losses.ContrastiveLoss(),
        "MultipleNegativesRankingLoss": lambda _: ranking(),
        "MultipleNegativesRankingLoss symmetric": lambda _: ranking(symmetric=True),
        "CosineSimilarityLoss": lambda _: losses.CosineSimilarityLoss(),
        "CoSENTLoss": lambda _: losses.CoSENTLoss(),
        "GuidedNegatives": lambda batch: losses.GuidedNegatives(ranking(symmetric=True), table(2 * batch)),
        "MatryoshkaLoss(TripletLoss)": lambda _: losses.MatryoshkaLoss(losses.TripletLoss(), [dim, dim // 2, dim // 4]),
        "CombinedLoss(SupConLoss, CenterLoss)": lambda _: losses.CombinedLoss(
            {"sup_con": (losses.SupConLoss(), 1.0), "center": (losses.CenterLoss(dim, NUM_GROUPS), 0.1)}
        ),
        "DistillationLoss": lambda batch: losses.DistillationLoss(table(2 * batch)),
    }


def run_one(name: str, batch: int, dim: int) -> dict[str, float]:
    """Run one loss in this process, a batch of rows for groups and of pairs (twice the rows) for pairs."""
    torch.manual_seed(0)
    loss = all_losses(dim)[name](batch)
    if loss.target_type is GroupTargets:
        rows = batch
        targets: GroupTargets | PairTargets = GroupTargets(torch.arange(batch) % NUM_GROUPS)
    else:
        rows = 2 * batch
        targets = pair_targets(batch)._replace(scores=scores(loss, batch))
    embeddings = torch.randn(rows, dim, requires_grad=True)
    before = status("VmHWM") / 1024
    start = time.perf_counter()
    value = loss.compute(embeddings, targets)
    value.backward()
    seconds = time.perf_counter() - start
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()
    return {"rows": rows, "before_gib": before, "peak_gib": status("VmHWM") / 1024, "seconds": seconds}


def scores(loss: losses.SimilarityLoss, pairs: int) -> Tensor:
    graded = isinstance(loss, losses.CoSENTLoss | losses.CosineSimilarityLoss)
    return torch.rand(pairs) if graded else torch.ones(pairs)


def measure_memory(name: str, arguments: argparse.Namespace) -> dict[str, object]:
    command = [sys.executable, str(Path(__file__).resolve()), "--one", name]
    for option in ("threads", "dim", "memory_batch"):
        command += [f"--{option.replace('_', '-')}", str(getattr(arguments, option))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{name:40} failed: {done.stderr.strip().splitlines()[-1:]}", flush=True)
        return {"loss": name, "failed": done.stderr}
    figures: dict[str, float] = json.loads(done.stdout)
    print(
        f"{name:40} {figures['rows']:6.0f} rows   peak {figures['peak_gib']:5.2f} GiB   {figures['seconds']:6.1f} s",
        flush=True,
    )
    return {"loss": name, **figures}


if __name__ == "__main__":
    main()
