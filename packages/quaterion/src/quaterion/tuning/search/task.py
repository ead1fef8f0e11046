"""What a search is about: the form of the data, what is maximised, and how parts are held out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quaterion.tuning.data.measurable import can_be_measured
from quaterion.tuning.data.tuning_data import TuningData
from quaterion.tuning.search.scoring import METRICS
from quaterion.tuning.splits.contents import content_of
from quaterion.tuning.splits.folds import make_folds
from quaterion.tuning.training.fold import Fold
from quaterion.tuning.training.recipe import Recipe
from quaterion.tuning.training.vectors import SampleVectors

__all__ = ["TuningTask"]

SEARCHED = 4000
"""Samples that folds are made of: with more trainings get slow, with fewer scores are a matter of luck."""


@dataclass(frozen=True)
class TuningTask:
    """The task that a data set poses.

    Args:
        data: The data.
        unseen_groups: Whether whole groups are held out.
        seed: Seed of the folds.

    Attributes:
        kind: "groups", "pairs", "scored pairs", or "match pairs" where all scores are 0 or 1.
        metric: What is maximised.
    """

    data: TuningData
    unseen_groups: bool
    seed: int

    @property
    def kind(self) -> str:
        """Which recipes and which metric suit the data."""
        if self.data.form != "scored pairs":
            return self.data.form
        return "match pairs" if all(sample.score in (0, 1) for sample in self.data.train) else "scored pairs"

    @property
    def metric(self) -> str:
        """What is maximised."""
        return METRICS[self.kind]

    @property
    def classifies(self) -> bool:
        """Whether a classifier comes with the model."""
        return self.kind == "groups" and not self.unseen_groups

    @property
    def matches(self) -> bool:
        """Whether a matcher comes with the model."""
        return self.kind == "match pairs"

    def everything(self) -> list[Any]:
        """All samples but those of the test."""
        return [*self.data.train, *(self.data.validation or ())]

    def to_learn_from(self, recipe: Recipe) -> list[Any]:
        """What the final training learns from, and what votes.

        Args:
            recipe: The recipe.
        """
        return [*self.everything(), *(self.data.group_names if recipe.group_names else ())]

    @property
    def has_names_only(self) -> bool:
        """Whether no group has two objects, so that a name is all that is left of one whose object is held out."""
        if self.data.form != "groups" or self.unseen_groups or self.data.validation is not None:
            return False
        objects = {(sample.group, content_of(sample.obj)) for sample in self.data.train}
        return len(objects) == len({sample.group for sample in self.data.train}) and bool(self.data.group_names)

    def _names(self, vectors: SampleVectors) -> list[Any]:
        return self.data.group_names if vectors.takes_texts and not self.unseen_groups else []

    def search_folds(self, vectors: SampleVectors) -> list[Fold]:
        """Parts to train and to score on while searching; none where there is nothing to hold out.

        Args:
            vectors: What encodes them.
        """
        if self.data.validation is not None:
            known = {sample.group for sample in self.data.train} if self.data.form == "groups" else set()
            names = [name for name in self._names(vectors) if name.group in known]
            return [Fold(vectors, self.data.train, self.data.validation, names)]
        count = len(self.data.train)
        if count >= SEARCHED:
            return self._folds(vectors, self.data.train, 1, seed=self.seed, share=0.2)
        return self._folds(vectors, self.data.train, min(5, max(2, round(SEARCHED / count))), seed=self.seed)

    def check_folds(self, vectors: SampleVectors) -> list[Fold]:
        """Other parts, on which the best recipe is compared with the untouched encoder; together they are everything.

        Args:
            vectors: What encodes them.
        """
        samples = self.everything()
        return self._folds(vectors, samples, 3 if len(samples) >= SEARCHED / 2 else 5, seed=self.seed + 1)

    def _folds(
        self, vectors: SampleVectors, samples: Sequence[Any], count: int, *, seed: int, share: float | None = None
    ) -> list[Fold]:
        names = self._names(vectors)
        parts = make_folds(
            samples,
            self.data.form,
            count,
            unseen_groups=self.unseen_groups,
            seed=seed,
            share=share,
            kept=names if self.has_names_only else (),
        )
        folds = [
            Fold(vectors, [samples[i] for i in kept], [samples[i] for i in held_out], names) for kept, held_out in parts
        ]
        return [fold for fold in folds if can_be_measured(fold.held_out, self.data.form, self.unseen_groups)]
