"""What tells the groups of a classifier: labelled examples, and the class weights of training.

Both answer the same questions about embeddings: how probable each group is, how similar the nearest of them is, and how
similar the nearest one of another group is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from quaterion_models.class_weights import ClassWeights
from quaterion_models.predict.knn import knn_vote
from quaterion_models.predict.vector_search import VectorSearch

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel


class LabelledExamples:
    """Embeddings whose groups are known.

    Args:
        embeddings: `[N, D]`, of any length, on any device.
        groups: Their groups, int64 `[N]`, in [0, num_groups).
        num_groups: Number of groups, G.

    Attributes:
        groups: The groups, on the CPU.

    Raises:
        ValueError: If shapes or values do not fit.

    Example:
        >>> examples = LabelledExamples(torch.eye(3), torch.tensor([0, 1, 1]), num_groups=2)
        >>> examples.similarities(torch.tensor([[3.0, 4.0, 0.0]])).round(decimals=3)
        tensor([0.8000])
    """

    def __init__(self, embeddings: Tensor, groups: Tensor, num_groups: int) -> None:
        self._search, self.groups = VectorSearch(embeddings), groups.detach().cpu()
        self._num_groups = num_groups
        if self.groups.dtype != torch.int64 or self.groups.shape != (len(self._search),):
            raise ValueError(
                f"expected the group of each of {len(self._search)} examples, int64 [{len(self._search)}], got "
                f"{groups.dtype} {list(groups.shape)}"
            )
        if int(groups.min()) < 0 or int(groups.max()) >= num_groups:
            raise ValueError(
                f"groups must be places among the {num_groups} labels, from 0 to {num_groups - 1}, got "
                f"{int(groups.min())} to {int(groups.max())}"
            )

    @property
    def embeddings(self) -> Tensor:
        """The embeddings, scaled to length 1, float32 `[N, D]` on the CPU, not to be written into."""
        return self._search.vectors

    def nearest(self, embeddings: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Finds the nearest examples.

        Args:
            embeddings: `[Q, D]`.
            k: How many; all where there are fewer.

        Returns:
            Their similarities, float32 `[Q, k]`, the highest first, and their groups, int64 `[Q, k]`.

        Raises:
            ValueError: If the embeddings are of another size.
        """
        found = self._search.find(embeddings, k)
        return found.similarities, self.groups[found.rows]

    def probabilities(self, embeddings: Tensor, k: int, temperature: float) -> Tensor:
        """Lets the nearest examples vote; see `knn_vote`.

        Args:
            embeddings: `[Q, D]`.
            k: How many vote.
            temperature: Difference of similarity that divides a vote by e.

        Returns:
            float32 `[Q, G]`.
        """
        return knn_vote(*self.nearest(embeddings, k), self._num_groups, temperature)

    def similarities(self, embeddings: Tensor) -> Tensor:
        """Computes the similarity to the nearest example.

        Args:
            embeddings: `[Q, D]`.

        Returns:
            float32 `[Q]`.
        """
        return self.nearest(embeddings, 1)[0].squeeze(1)

    def similarities_without(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        """Computes the similarity to the nearest example of another group.

        Args:
            embeddings: `[Q, D]`.
            groups: The group to leave out for each, int64 `[Q]`.

        Returns:
            float32 `[Q]`; -inf where there is no other group.
        """
        return self._search.best_of_others(embeddings, groups, self.groups)


def labelled_examples(
    embeddings: Tensor | None, groups: Tensor | None, num_groups: int, method: str
) -> LabelledExamples | None:
    """The labelled examples of a classifier, which one by class weights alone need not have.

    Args:
        embeddings: `[N, D]`, or None.
        groups: Their groups, int64 `[N]`, or None.
        num_groups: Number of groups.
        method: What they are for.

    Returns:
        The examples; None where there are none.

    Raises:
        ValueError: If shapes or values do not fit, or the method needs examples and they are not there.
    """
    if embeddings is None and groups is None and method == "weights":
        return None
    if embeddings is None or groups is None:
        raise ValueError(f"method={method!r} needs labelled examples: give examples= and groups=")
    return LabelledExamples(embeddings, groups, num_groups)


class LabelWeights:
    """The class weights of a model, in the order of labels.

    Args:
        model: The model; its class weights are those that it has when they are used.
        labels: The label of each group, G of them.
        method: What they are for, `"weights"` or `"both"`.

    Attributes:
        known: Which labels have class weights, bool `[G]`.

    Raises:
        ValueError: If there are none, or too few for the method.
    """

    def __init__(self, model: SimilarityModel, labels: Sequence[Any], method: str) -> None:
        self._model = model
        # Column of the class weights for each label; -1 for a label that they do not know.
        self._columns = _columns(model.class_weights, labels, method)
        self.known = self._columns >= 0

    def each(self, embeddings: Tensor) -> Tensor:
        """Computes the similarity to the class weight of each group.

        Args:
            embeddings: `[Q, D]`.

        Returns:
            float32 `[Q, G]` on the CPU; -inf for groups that have none.

        Raises:
            ValueError: If the model has lost its class weights.
        """
        weights = self._model.class_weights
        if weights is None:
            raise ValueError("the model's class weights were taken away since this classifier was made")
        scores: Tensor = weights(embeddings.to(weights.weights)).float().cpu()
        return scores[:, self._columns.clamp(min=0)].masked_fill(~self.known, -torch.inf)

    def probabilities(self, embeddings: Tensor, temperature: float) -> Tensor:
        """Computes the softmax of the similarities.

        Args:
            embeddings: `[Q, D]`.
            temperature: What similarities are divided by.

        Returns:
            float32 `[Q, G]`; 0 for groups that have no class weight.
        """
        return (self.each(embeddings) / temperature).softmax(dim=1)

    def similarities(self, embeddings: Tensor) -> Tensor:
        """Computes the similarity to the nearest class weight.

        Args:
            embeddings: `[Q, D]`.

        Returns:
            float32 `[Q]`.
        """
        return self.each(embeddings).amax(dim=1)

    def similarities_without(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        """Computes the similarity to the nearest class weight of another group.

        Args:
            embeddings: `[Q, D]`.
            groups: The group to leave out for each, int64 `[Q]`.

        Returns:
            float32 `[Q]`; -inf where there is no other group.
        """
        return self.each(embeddings).scatter(1, groups[:, None], -torch.inf).amax(dim=1)


def _columns(weights: ClassWeights | None, labels: Sequence[Any], method: str) -> Tensor:
    if weights is None:
        raise ValueError(
            f"method={method!r} needs class weights, and the model has none: train it with a loss that has "
            'class weights, such as SoftmaxLoss or ArcFaceLoss, or choose method="knn"'
        )
    columns = {label: place for place, label in enumerate(weights.labels) if label is not None}
    found = torch.tensor([columns.get(label, -1) for label in labels], dtype=torch.int64)
    missing = [label for label, column in zip(labels, found.tolist(), strict=True) if column < 0]
    if len(missing) == len(found) or (missing and method == "weights"):
        raise ValueError(
            f"the model has no class weights for {len(missing)} of {len(found)} labels, {missing[0]!r} among them: "
            'leave those out, or choose method="knn", which tells them by examples'
        )
    return found
