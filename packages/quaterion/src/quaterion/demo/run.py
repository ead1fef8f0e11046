"""The demo from beginning to end: read, encode, measure, train, measure again, save, answer."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.demo.corpus import Entry, Split, count_modules, read_standard_library, split_entries
from quaterion.demo.finished import is_finished, write_finished
from quaterion.demo.model import SearchModel
from quaterion.demo.model_card import demo_card
from quaterion.demo.search import Answer, SideBySide, answer_questions, embed_batches, score_search
from quaterion.demo.training import train_best_epoch
from quaterion.functional.bootstrap import Interval
from quaterion.train.fit import prepare_batches
from quaterion.utils.minilm import find_minilm
from quaterion.utils.progress import progress_bar
from quaterion_models import SimilarityModel

__all__ = ["DemoOptions", "DemoResult", "run_demo"]

QUESTIONS = ("wait until all threads are done", "measure how long code takes", "find files by a pattern")


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Settings of the demo.

    Args:
        out: Folder for the model, and for the cache where that has none of its own.
        cache: Folder of the cached vectors; None for one in `out`.
        questions: What to search for in the end.
        epochs: How often training goes through the data.
        batch_size: Pairs in a batch: each description chooses among as many entries.
        seed: Seed of the split, of the heads and of the order of batches.
        limit: Use this many entries only, spread over the library; None for all.
        reuse: Leave out training where `out` holds the finished model of these settings and this data.
        quiet: Show no progress bars.
    """

    out: Path = Path("quaterion-demo")
    cache: Path | None = None
    questions: Sequence[str] = QUESTIONS
    epochs: int = 60
    batch_size: int = 256
    seed: int = 0
    limit: int | None = None
    reuse: bool = False
    quiet: bool = False

    @property
    def training_settings(self) -> dict[str, object]:
        """What the trained model depends on, besides the data."""
        made_by = version("quaterion")
        return {"epochs": self.epochs, "batch_size": self.batch_size, "seed": self.seed, "quaterion": made_by}

    def bar(self, description: str, total: int) -> AbstractContextManager[Callable[[int], object]]:
        """Opens a progress bar, or nothing where these options are quiet."""
        return nullcontext(lambda _: None) if self.quiet else progress_bar(description, total)


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo found.

    Args:
        entries: All entries.
        split: Which of them trained and tested.
        before: Scores of the encoder as it was, with their intervals.
        after: Scores of the trained model.
        answers: Answers to the questions.
        search: Both searches, for further questions.
        model_folder: Where the model is.
        reused: Whether the model was there already.
        seconds: What each step took.
    """

    entries: list[Entry]
    split: Split
    before: dict[str, Interval]
    after: dict[str, Interval]
    answers: list[Answer]
    search: SideBySide
    model_folder: Path
    reused: bool
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """Scores and times as JSON."""
        scores = {
            name: {metric: interval._asdict() for metric, interval in found.items()}
            for name, found in (("before", self.before), ("after", self.after))
        }
        return json.dumps({**scores, "seconds": self.seconds}, indent=2) + "\n"


def run_demo(options: DemoOptions) -> DemoResult:
    """Fine-tunes a search in Python's standard library; see the package's docstring.

    Args:
        options: Settings.

    Returns:
        Scores before and after, answers, and where the model is.

    Raises:
        ValueError: The data or the weights are not as expected.
        OSError: A folder cannot be written.
        KeyboardInterrupt: The user stopped it; what is saved already is whole.
    """
    clock = _Clock()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        with clock.measure("read"):
            entries = _read(options)
            split = split_entries(entries, seed=options.seed)
        with clock.measure("encode"):
            model = SearchModel(find_minilm(), options.cache or options.out / "cache")
            device = "cuda" if torch.cuda.is_available() else "cpu"
            everything = _loader(entries, range(len(entries)), batch_size=1024)
            batches = list(prepare_batches(model, everything, device=device, show_progress=not options.quiet))
            vectors_before = embed_batches(model, batches, trained=False)
        before = score_search(vectors_before, split.test)
        folder = options.out / "model"
        reused = options.reuse and is_finished(options.out, entries, options.training_settings)
        with clock.measure("train"):
            if reused:
                head = SimilarityModel.load(folder).required_head()
                model.model.required_head().load_state_dict(head.state_dict())
            else:
                _train(model, entries, split, options)
        vectors_after = embed_batches(model, batches, trained=True)
        after = score_search(vectors_after, split.test)
        with clock.measure("save"):
            if not reused:
                model.model.save(folder, card=demo_card(len(entries), split, before, after))
                write_finished(options.out, entries, options.training_settings)
        with clock.measure("answer"):
            search = SideBySide(model.model, vectors_before, vectors_after)
            answers = answer_questions(search, options.questions, entries)
    return DemoResult(
        entries=entries,
        split=split,
        before=before,
        after=after,
        answers=answers,
        search=search,
        model_folder=folder,
        reused=reused,
        seconds=clock.seconds(),
    )


def _read(options: DemoOptions) -> list[Entry]:
    with options.bar("Reading the standard library", count_modules()) as advance:
        entries = read_standard_library(lambda: advance(1))
    if options.limit is None:
        return entries
    return entries[:: max(1, len(entries) // options.limit)][: options.limit]


def _loader(entries: Sequence[Entry], numbers: Sequence[int], **options: Any) -> PairsSimilarityDataLoader:
    pairs = [SimilarityPairSample(obj_a=entries[i].description, obj_b=entries[i].text) for i in numbers]
    return PairsSimilarityDataLoader(pairs, **options)


def _train(model: SearchModel, entries: Sequence[Entry], split: Split, options: DemoOptions) -> None:
    train_best_epoch(
        model,
        _loader(entries, split.train, batch_size=options.batch_size, shuffle=True),
        # One batch: every description of the validation part chooses among all of its entries.
        _loader(entries, split.validation, batch_size=len(split.validation)),
        epochs=options.epochs,
        bar=options.bar,
    )


class _Clock:
    """Times the steps of the demo."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._steps: dict[str, float] = {}

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self._steps[step] = time.perf_counter() - begin

    def seconds(self) -> dict[str, float]:
        """Seconds of each step, and from the beginning until now."""
        steps = self._steps | {"total": time.perf_counter() - self._start}
        return {step: round(seconds, 2) for step, seconds in steps.items()}
