"""Which metrics suit which data, by the names that the command line has for them."""

from collections.abc import Callable, Sequence
from typing import Any

from quaterion.dataset.files import Samples
from quaterion.eval import Evaluator, GroupSampler, PairSampler, group, pair, scored

__all__ = ["choose_metrics"]

DEFAULTS = {
    "groups": ["recall", "mrr", "r_precision", "map@r"],
    "pairs": ["recall", "mrr"],
    "scored pairs": ["spearman", "pearson"],
}
BINARY = ["average_precision", "best_f1", "roc_auc"]
WITH_K = {"recall": "RetrievalRecall", "precision": "RetrievalPrecision", "ndcg": "NDCG"}
WITHOUT_K = {
    "mrr": "RetrievalReciprocalRank",
    "r_precision": "RetrievalRPrecision",
    "map@r": "MeanAveragePrecisionAtR",
}
SCORED: dict[str, Callable[[], Any]] = {
    "spearman": scored.SpearmanCorrelation,
    "pearson": scored.PearsonCorrelation,
    "average_precision": scored.AveragePrecision,
    "best_f1": scored.BestF1,
    "roc_auc": scored.RocAuc,
}
ENCODE_BATCH = 4096
"""Objects that are embedded at once, from vectors that their encoder gave before."""


def choose_metrics(
    samples: Samples, *, names: Sequence[str], ks: Sequence[int], sample: int | None = None, seed: int = 0
) -> Evaluator:
    """Sets up what measures a model on samples.

    Args:
        samples: The samples.
        names: Names of metrics; none for those that suit the data.
        ks: What recall, precision and ndcg look at, each.
        sample: Number of queries; None for all.
        seed: Seed of their draw.

    Returns:
        An evaluator whose metrics go by names such as `recall@10`.

    Raises:
        ValueError: A metric is not known or not for such data, or scored pairs are to be sampled.

    Example:
        >>> from quaterion.dataset.files import read_samples
        >>> samples = read_samples([{"question": "capital of France", "answer": "Paris"}])
        >>> list(choose_metrics(samples, names=[], ks=[1, 10]).metrics)
        ['recall@1', 'recall@10', 'mrr']
    """
    size = -1 if sample is None else sample
    if samples.kind == "scored pairs":
        if sample is not None:
            raise ValueError("--sample draws texts to search with, and scored pairs are not searched. Leave it out.")
        binary = {one.score for one in samples} <= {0.0, 1.0}
        wanted = _checked(names or (BINARY if binary else DEFAULTS["scored pairs"]), {*SCORED}, samples.kind)
        sampler = PairSampler(distinguish=True, encode_batch_size=ENCODE_BATCH, log_progress=False)
        return Evaluator({name: SCORED[name]() for name in wanted}, sampler)
    wanted = _checked(names or DEFAULTS[samples.kind], {*WITH_K, *WITHOUT_K}, samples.kind)
    module: Any = group if samples.kind == "groups" else pair
    metrics: dict[str, Any] = {}
    for name in wanted:
        if name in WITH_K:
            metrics |= {f"{name}@{k}": getattr(module, WITH_K[name])(k=k) for k in dict.fromkeys(ks)}
        else:
            metrics[name] = getattr(module, WITHOUT_K[name])()
    if samples.kind == "groups":
        return Evaluator(metrics, GroupSampler(size, ENCODE_BATCH, log_progress=False, seed=seed))
    return Evaluator(metrics, PairSampler(size, True, ENCODE_BATCH, log_progress=False, seed=seed))


def _checked(names: Sequence[str], known: set[str], kind: str) -> list[str]:
    wanted = [name.lower().replace("-", "_") for name in names]
    for name in wanted:
        if name not in known:
            fitting = ", ".join(one for one in [*WITH_K, *WITHOUT_K, *SCORED] if one in known)
            raise ValueError(f"There is no metric {name!r} of {kind}. Expected --metric with one of {fitting}.")
    return list(dict.fromkeys(wanted))
