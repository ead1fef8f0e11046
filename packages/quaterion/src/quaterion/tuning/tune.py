"""From labelled examples to the best head, by itself."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from quaterion.cache.prepare import Progress
from quaterion.dataset.files.columns import ColumnName
from quaterion.tuning.budget import seconds_of
from quaterion.tuning.data.sources import is_folder
from quaterion.tuning.data.tuning_data import read_tuning_data
from quaterion.tuning.result.finishing import finish
from quaterion.tuning.result.provenance import Provenance
from quaterion.tuning.result.result_folder import check_out
from quaterion.tuning.result.tune_result import TuneResult
from quaterion.tuning.search.search_run import SearchRun, Tell
from quaterion.tuning.search.task import TuningTask
from quaterion.tuning.training.encoders import DEFAULT_ENCODER, encoder_choices
from quaterion.tuning.training.recipe import Recipe
from quaterion.utils.numbers import is_whole_number

__all__ = ["tune"]


def tune(
    data: Any,
    *,
    encoder: Any = DEFAULT_ENCODER,
    text: ColumnName | None = None,
    group: ColumnName | None = None,
    anchor: ColumnName | None = None,
    positive: ColumnName | None = None,
    negatives: ColumnName | Sequence[ColumnName] | None = None,
    score: ColumnName | None = None,
    score_range: tuple[float, float] | None = None,
    validation: Any = None,
    test: Any = None,
    split: str | None = None,
    test_size: float = 0.2,
    unseen_groups: bool = False,
    skip_bad_rows: bool = False,
    budget: str | float = "30s",
    trials: int = 24,
    recipe: Recipe | None = None,
    unfreeze: int = 0,
    out: str | Path | None = None,
    cache: str | Path | None = None,
    device: str | torch.device | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    on_trial: Tell = len,
) -> TuneResult:
    """Searches the best head for labelled data over frozen encoders, trains it, and measures what it brings.

    Objects are encoded once. Recipes (head, loss, optimizer) are tried on parts of the training data that are held
    out: many for a few epochs, the better ones for more. The best is compared with the untouched encoder on other
    parts. If it does not beat it beyond noise, the untouched encoder is the result. Otherwise it is trained on all the
    data but the test set, which is looked at once, in the end.

    Args:
        data: A file (CSV, TSV, JSON lines, Parquet), a frame of pandas or polars, a data set of Hugging Face, a list of
            dictionaries, or a folder of images by class.
        encoder: Name or folder of a pre-trained model, an `Encoder`, or a list: each is tried, and all joined.
        text: Column of objects that belong to groups.
        group: Column of their groups.
        anchor: Column of the first object of pairs.
        positive: Column of the second object.
        negatives: Columns of objects that are not similar to the anchor.
        score: Column of the pairs' scores.
        score_range: Lowest and highest score that the data could have.
        validation: Data to choose recipes on, like `data`; None to hold out parts of the training data.
        test: Data for the final measurement, like `data`; None to hold out `test_size` of it.
        split: Column that says of each row whether it is for train, validation or test.
        test_size: Share or number of samples for the final measurement, 0 for none.
        unseen_groups: Hold out whole groups: what counts is how well groups are told apart that training never saw.
        skip_bad_rows: Leave out rows that cannot be read.
        budget: Time for the search, such as "60s" or "10m"; encoding and the final training come on top.
        trials: Recipes to try, for each encoder.
        recipe: Train this recipe and search nothing.
        unfreeze: Top layers of each encoder that are trained along with the best head, over cached states of the layers
            below. It costs minutes, which come on top of the budget, and is the result where it is better still.
        out: Folder for the result; None to keep it in memory. What a stopped search goes on from lies beside it.
        cache: Folder that keeps the encoders' vectors; None for one beside `out`, or for memory.
        device: Where to encode and train; None for a GPU where there is one.
        seed: Seed of all that is drawn.
        progress: Opens progress bars; None for none.
        on_trial: Called with all trials after each one.

    Returns:
        The model, the leaderboard, the recipe, and what was measured.

    Raises:
        ValueError: The data or an argument cannot be used; the message says what to do.
        TypeError: An argument is of the wrong kind.
        OSError: A file cannot be read or written.
        KeyboardInterrupt: It was stopped before there was anything to return.

    Example:
        ```python
        result = quaterion.tune("tickets.csv", text="query", group="intent", budget="60s", out="support-model")
        print(result)
        result.classifier.classify(["my card does not work"])
        ```
    """
    started = time.monotonic()
    seconds, target = seconds_of(budget), None if out is None else Path(out)
    _check_search(trials, unfreeze, recipe)
    if target is not None:
        check_out(target)
    reading = {
        "text": text,
        "group": group,
        "anchor": anchor,
        "positive": positive,
        "negatives": negatives,
        "score": score,
        "score_range": score_range,
        "validation": validation,
        "test": test,
        "split": split,
        "test_size": test_size,
        "unseen_groups": unseen_groups,
        "skip_bad_rows": skip_bad_rows,
        "seed": seed,
    }
    task = TuningTask(read_tuning_data(data, **reading), unseen_groups, seed)
    choices = encoder_choices(encoder, images=is_folder(data))
    beside = None if target is None else Path(f"{target}.tuning")
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
        cache = cache or beside / "cache"
    run = SearchRun(
        task,
        choices,
        cache=None if cache is None else Path(cache),
        journal=None if beside is None else beside / "trials.jsonl",
        device=torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")),
        progress=progress,
        on_trial=on_trial,
        unfreeze=unfreeze,
    )
    outcome = run.search(seconds, trials) if recipe is None else run.take(recipe)
    search = {"budget": budget, "trials": trials, "unfreeze": unfreeze, "seed": seed}
    return finish(task, outcome, Provenance(data, reading, search, run.cache), out=target, started=started)


def _check_search(trials: int, unfreeze: int, recipe: Recipe | None) -> None:
    if trials < 1:
        raise ValueError(f"trials={trials}; expected 1 or more.")
    if not is_whole_number(unfreeze) or unfreeze < 0:
        raise ValueError(f"unfreeze={unfreeze!r}; expected a number of layers, 0 or more.")
    if unfreeze and recipe is not None:
        raise ValueError(
            f"recipe and unfreeze={unfreeze} are both given. A recipe says itself which layers are trained: set its "
            "trainable_layers, and leave out unfreeze (--unfreeze)."
        )
