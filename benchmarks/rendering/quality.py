"""Tables about quality: tuning, losses, wrong labels."""

from rendering.markdown import Measured, interval, percent, table, wrapped


def quality(measured: Measured) -> list[str]:
    parts = [about(measured[name]) for name, about in _QUALITY.items() if measured.get(name)]
    return [line for part in parts for line in ("", *part)][1:]


def _banking(whole: Measured) -> list[str]:
    base = whole["baselines"]
    return [
        wrapped(
            f"BANKING77, all training texts: {interval(whole['after'])} accuracy on the test set, from the raw file to "
            f"the saved model in {whole['seconds']:.0f} s. The ten nearest neighbours of the untouched encoder: "
            f"{percent(base['nearest neighbours'])} %; logistic regression over its vectors: "
            f"{percent(base['logistic regression'])} %."
        )
    ]


def _few_shot(few: Measured) -> list[str]:
    names = list(next(iter(few.values())))
    rows = ([shots, *(percent(row[name]) for name in names)] for shots, row in few.items())
    return [
        "BANKING77 with few examples of each intent, mean and standard deviation over draws of the examples:",
        "",
        *table(["examples", *names], rows),
    ]


def _stsb(pairs: Measured) -> list[str]:
    return [
        f"STS-B, Spearman on the test set: {interval(pairs['before'])} untouched, {interval(pairs['after'])} tuned."
    ]


def _omniglot(images: Measured) -> list[str]:
    rows = ((name, percent(value)) for name, value in images.items() if name != "seconds")
    return [
        "Omniglot, recall@1 on characters of alphabets that training never saw:",
        "",
        *table(["", "recall@1"], rows),
    ]


_QUALITY = {"banking77": _banking, "few_shot": _few_shot, "stsb": _stsb, "omniglot": _omniglot}


def loss_quality(measured: Measured) -> list[str]:
    rows = (
        (row["loss"], percent(row["recall@1"]), percent(row["r_precision"]), row.get("learning_rate", ""))
        for row in measured["results"]
    )
    return table(["loss", "recall@1", "R-precision", "learning rate"], rows)


def label_errors(measured: Measured) -> list[str]:
    chosen, default = measured["chosen"], measured["default"]
    choices = ", ".join(f"{percent(found)} % with k={k}" for k, found in measured["found_with_other_seeds"].items())
    return [
        wrapped(
            f"{100 * measured['swapped']:.0f} % of the {measured['objects']:,} training labels of BANKING77 are "
            f"swapped at random, {measured['seeds']} times, and frozen all-MiniLM-L6-v2 gives the embeddings. Among "
            f"the first {100 * measured['looked_at']:.0f} % of the objects, by suspicion, are "
            f"**{_range(default['found'])} of the swapped ones with the default k={default['k']}**, and "
            f"{_range(chosen['found'])} with k={chosen['k']}, which was chosen with other draws of swapped labels "
            f"({choices}). The suggested group is the true one for {_range(default['restored'])} of those found. Of as "
            f"many leading suspects as labels were swapped, {_range(default['precision'])} are swapped ones."
        )
    ]


def _range(value: dict[str, float]) -> str:
    return f"{percent(value['mean'])} % ({percent(value['lowest'])} to {percent(value['highest'])})"
