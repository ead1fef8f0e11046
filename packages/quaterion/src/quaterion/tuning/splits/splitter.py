"""What all ways of splitting samples have in common."""

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from quaterion.tuning.splits.contents import IntArray

__all__ = ["BoolArray", "Splitter"]

BoolArray = npt.NDArray[np.bool_]


class Splitter(ABC):
    """Deals samples, or their objects, to folds, so that no object is on both sides."""

    @abstractmethod
    def hold_out(self, count: int) -> IntArray | None:
        """Chooses what is held out.

        Args:
            count: Wanted number of samples.

        Returns:
            0 where a sample or object is held out, -1 where it is kept; None where this takes more groups.
        """

    @abstractmethod
    def deal(self, num_folds: int) -> IntArray | None:
        """Deals samples or objects to folds.

        Args:
            num_folds: Wanted number of folds.

        Returns:
            The fold of each, -1 where it is never held out; None where there are too few for two folds.
        """

    @abstractmethod
    def parts(self, fold: IntArray, number: int) -> tuple[BoolArray, BoolArray]:
        """Which samples are kept and which are held out.

        Args:
            fold: What `hold_out` or `deal` gave.
            number: The fold that is held out.

        Returns:
            Both `[N]`; samples may be on neither side.
        """
