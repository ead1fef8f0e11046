"""Which objects of one list, or of two, are so similar that they match."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import torch
from torch import Tensor

from quaterion_models.heads.encoder_head import positive_size
from quaterion_models.predict.matcher_calibration import MatcherCalibration
from quaterion_models.predict.vector_search import VectorSearch

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel

OneToOne = Literal["greedy", "mutual"]
"""How each object gets one match at the most."""

DEFAULT_TOP = 10
_BLOCK = 1024


class Match(NamedTuple):
    """Two objects that match.

    Attributes:
        left_index: Where the one stands in the left list.
        right_index: Where the other stands in the right list, or in the left one where there is no right one.
        similarity: Their cosine.
    """

    left_index: int
    right_index: int
    similarity: float


class Matcher:
    """Finds pairs whose similarity is not below a threshold.

    Args:
        model: The model that embeds the objects: of a two-sided one the left list is the queries, the right one the
            documents.
        threshold: Least similarity of a match.
        calibration: What is known of matches above this threshold.

    Raises:
        ValueError: If the threshold is no number.

    Example:
        >>> from quaterion_models import SimilarityModel
        >>> from quaterion_models.encoders import VectorEncoder
        >>> from quaterion_models.heads import EmptyHead
        >>> matcher = Matcher(SimilarityModel(VectorEncoder(2), EmptyHead(2)), threshold=0.9)
        >>> left, right = [[1.0, 0.0], [1.0, 1.0]], [[2.0, 2.1], [0.0, 1.0], [3.0, 0.1]]
        >>> [(one.left_index, one.right_index) for one in matcher.match(left, right)]
        [(0, 2), (1, 0)]
        >>> [(one.left_index, one.right_index) for one in matcher.match([*left, *right])]
        [(0, 4), (1, 2)]
    """

    def __init__(
        self, model: SimilarityModel, threshold: float, *, calibration: MatcherCalibration | None = None
    ) -> None:
        if not isinstance(threshold, int | float) or isinstance(threshold, bool) or not math.isfinite(threshold):
            raise ValueError(f"threshold must be a similarity, such as 0.8, got {threshold!r}")
        self.model, self.threshold, self.calibration = model, float(threshold), calibration

    def match(
        self,
        left: Any,
        right: Any = None,
        *,
        top: int = DEFAULT_TOP,
        one_to_one: OneToOne | None = None,
        batch_size: int = 32,
        show_progress: bool = False,
    ) -> Iterator[Match]:
        """Finds matches between two lists, or within one.

        Args:
            left: Objects, as for `SimilarityModel.encode`.
            right: Objects; None to compare the left ones with each other.
            top: See `match_embeddings`.
            one_to_one: See `match_embeddings`.
            batch_size: As for `encode`.
            show_progress: As for `encode`.

        Returns:
            The matches, as `match_embeddings` orders them.

        Raises:
            ValueError: See `match_embeddings`.
        """
        _check_options(top, one_to_one)

        def embedded(encode: Any, objects: Any) -> Tensor:
            vectors: Tensor = encode(objects, batch_size, to_numpy=False, show_progress=show_progress)
            return vectors

        ours = embedded(self.model.encode_query if right is not None else self.model.encode, left)
        theirs = None if right is None else embedded(self.model.encode_document, right)
        return self.match_embeddings(ours, theirs, top=top, one_to_one=one_to_one)

    def match_embeddings(
        self,
        left: Tensor,
        right: Tensor | VectorSearch | None = None,
        *,
        top: int = DEFAULT_TOP,
        one_to_one: OneToOne | None = None,
    ) -> Iterator[Match]:
        """Finds matches among embeddings.

        Args:
            left: `[L, D]`.
            right: `[R, D]`, or a search over them; None to compare the left ones with each other. Then every pair is
                found once, from the first of its objects that has the other among its nearest.
            top: How many of its nearest objects can match an object: what bounds the result.
            one_to_one: `"greedy"` goes through all pairs from the most similar on and takes those of which neither
                object has been taken; `"mutual"` takes the pairs of which each is the nearest of the other, of equally
                near ones the first. None for all pairs.

        Returns:
            The matches, computed as they are asked for: by left object, the most similar ones first. `"greedy"` needs
            all pairs in memory first.

        Raises:
            ValueError: If there is nothing to compare, shapes do not fit, or an option is none of its values.
        """
        _check_options(top, one_to_one)
        search = right if isinstance(right, VectorSearch) else VectorSearch(left if right is None else right)
        within = right is None
        if one_to_one == "mutual":
            return self._mutual(left, search, within=within)
        pairs = self._pairs(left, search, top, within=within)
        return _greedy(pairs, within=within) if one_to_one == "greedy" else pairs

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes threshold and calibration into the folder of the model, as `matcher.json`.

        Args:
            path: The folder that `model.save` wrote.

        Raises:
            ModelFolderError: If it is no model's folder.
        """
        from quaterion_models.predict.matcher_file import save_matcher

        save_matcher(self, Path(path))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        model: SimilarityModel | None = None,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Reads a matcher, and its model, from the model's folder.

        Args:
            path: The folder.
            model: The folder's model, where it is loaded already; it stays where it is.
            device: Where to put the model.

        Returns:
            The matcher.

        Raises:
            ModelFolderError: If a file is missing, damaged or hostile, of a newer format, or belongs to another model.
        """
        from quaterion_models.predict.matcher_file import load_matcher

        return load_matcher(cls, Path(path), model=model, device=device)

    def _pairs(self, left: Tensor, search: VectorSearch, top: int, *, within: bool) -> Iterator[Match]:
        # Within a list: the neighbours of each object before, which have told of a pair already if it is among them.
        told: list[set[int]] = []
        for row, similarities, rows in _neighbours(left, search, top, within=within):
            for similarity, other in zip(similarities, rows, strict=True):
                if similarity >= self.threshold and not (within and other < row and row in told[other]):
                    yield Match(row, other, similarity)
            if within:
                told.append(set(rows))

    def _mutual(self, left: Tensor, search: VectorSearch, *, within: bool) -> Iterator[Match]:
        nearest = {row: (s[0], rows[0]) for row, s, rows in _neighbours(left, search, 1, within=within) if rows}
        if within:
            back = {row: other for row, (_, other) in nearest.items()}
        else:
            reverse = VectorSearch(left)
            back = {row: rows[0] for row, _, rows in _neighbours(search.vectors, reverse, 1, within=False)}
        for row, (similarity, other) in nearest.items():
            if similarity >= self.threshold and back[other] == row and not (within and other < row):
                yield Match(row, other, similarity)


def _neighbours(
    left: Tensor, search: VectorSearch, top: int, *, within: bool
) -> Iterator[tuple[int, list[float], list[int]]]:
    """Every left object with the similarities and rows of its nearest objects, itself left out."""
    for start in range(0, len(left), _BLOCK):
        found = search.find(left[start : start + _BLOCK], top + within)
        for row, (similarities, rows) in enumerate(zip(*map(Tensor.tolist, found), strict=True), start=start):
            if within:  # where many objects are equal, it may not be among its own nearest
                place = rows.index(row) if row in rows else len(rows) - 1
                del similarities[place], rows[place]
            yield row, similarities, rows


def _greedy(pairs: Iterator[Match], *, within: bool) -> Iterator[Match]:
    taken_left: set[int] = set()
    taken_right = taken_left if within else set()
    kept = []
    for one in sorted(pairs, key=lambda pair: (-pair.similarity, pair.left_index, pair.right_index)):
        if one.left_index not in taken_left and one.right_index not in taken_right:
            taken_left.add(one.left_index)
            taken_right.add(one.right_index)
            kept.append(one)
    yield from sorted(kept)


def _check_options(top: int, one_to_one: str | None) -> None:
    positive_size(top, "top")
    if one_to_one not in (None, "greedy", "mutual"):
        raise ValueError(f'one_to_one must be "greedy", "mutual" or None, got {one_to_one!r}')
