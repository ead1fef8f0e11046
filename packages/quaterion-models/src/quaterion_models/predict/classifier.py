"""The group of new objects: by labelled examples, by trained class weights, or by both."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from quaterion_models.class_weights import ClassWeights
from quaterion_models.heads.encoder_head import positive_size
from quaterion_models.predict.classifier_arguments import (
    Method,
    checked_method,
    checked_threshold,
    numbered,
    places_among,
    places_of,
)
from quaterion_models.predict.group_evidence import LabelledExamples, LabelWeights, labelled_examples
from quaterion_models.predict.knn import DEFAULT_NEIGHBOURS, DEFAULT_TEMPERATURE, check_temperature
from quaterion_models.predict.prediction import Prediction

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel

_BLOCK_PROBABILITIES = 2**22


class Classifier:
    """Tells the group of objects by what is near their embeddings.

    Args:
        model: The model that embeds objects, of a two-sided one its side of queries.
        labels: The label of each group, G of them, each once.
        examples: Embeddings of labelled examples, `[N, D]`; not needed for the method `"weights"`, which takes from
            them only the similarity that the threshold is compared with.
        groups: Place in `labels` of each example's label, int64 `[N]`.
        k: How many of the nearest examples vote.
        temperature: Difference of similarity that divides an example's vote by e; see `knn_vote`.
        method: `"knn"`; `"weights"` for the softmax of similarities to the model's class weights; or `"both"`, the mean
            of the two. Groups that have no class weights, because they were added later, keep the probability that
            their examples give them, and the class weights share out the rest.
        weights_temperature: What the similarities to class weights are divided by.
        threshold: Objects whose nearest similarity is below it are "none of these"; None for none.

    Raises:
        ValueError: If shapes or values do not fit, or the method needs examples or class weights that are not there.

    Example:
        >>> from quaterion_models import SimilarityModel
        >>> from quaterion_models.encoders import VectorEncoder
        >>> from quaterion_models.heads import EmptyHead
        >>> model = SimilarityModel(VectorEncoder(2), EmptyHead(2))
        >>> objects = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]
        >>> classifier = Classifier.from_examples(model, objects, ["cat", "cat", "dog"], threshold=0.5)
        >>> [one.label for one in classifier.classify([[0.2, 0.9], [-1.0, -1.0]])]
        ['dog', None]
    """

    def __init__(
        self,
        model: SimilarityModel,
        labels: Sequence[Any],
        *,
        examples: Tensor | None = None,
        groups: Tensor | None = None,
        k: int = DEFAULT_NEIGHBOURS,
        temperature: float = DEFAULT_TEMPERATURE,
        method: Method = "knn",
        weights_temperature: float = DEFAULT_TEMPERATURE,
        threshold: float | None = None,
    ) -> None:
        self.model = model
        self.labels = list(labels)
        self._places = places_of(self.labels)
        self.k = positive_size(k, "k")
        check_temperature(temperature, "temperature")
        check_temperature(weights_temperature, "weights_temperature")
        self.temperature, self.weights_temperature = float(temperature), float(weights_temperature)
        self.method: Method = checked_method(method)
        self.threshold = checked_threshold(threshold)
        self._examples = labelled_examples(examples, groups, len(self.labels), method)
        self._weights = None if method == "knn" else LabelWeights(model, self.labels, method)

    @classmethod
    def from_examples(
        cls,
        model: SimilarityModel,
        objects: Any,
        labels: Sequence[Any],
        *,
        batch_size: int = 32,
        show_progress: bool = False,
        **options: Any,
    ) -> Self:
        """Embeds labelled examples and makes a classifier of them.

        Args:
            model: The model.
            objects: The examples, as for `SimilarityModel.encode`.
            labels: The label of each.
            batch_size: As for `encode`.
            show_progress: As for `encode`.
            **options: `k`, `temperature`, `method`, `weights_temperature` and `threshold`, as for the class.

        Returns:
            The classifier, with the labels in the order in which they first occur; those that only the model's class
            weights know follow.

        Raises:
            ValueError: If there are not as many labels as objects, or see the class.
        """
        embeddings = model.encode(objects, batch_size, to_numpy=False, show_progress=show_progress)
        return cls.from_embeddings(model, embeddings, labels, **options)

    @classmethod
    def from_embeddings(cls, model: SimilarityModel, embeddings: Tensor, labels: Sequence[Any], **options: Any) -> Self:
        """Makes a classifier of labelled examples that are embedded already.

        Args:
            model: The model.
            embeddings: What its `encode` gives for the examples, `[N, D]`.
            labels: The label of each.
            **options: As for `from_examples`.

        Returns:
            The classifier.

        Raises:
            ValueError: As for `from_examples`.
        """
        weights = model.class_weights.labels if model.class_weights is not None else []
        known = [one for one in weights if one is not None] if options.get("method", "knn") != "knn" else []
        distinct, groups = numbered(len(embeddings), labels, after=known)
        return cls(model, distinct, examples=embeddings, groups=groups, **options)

    @property
    def examples(self) -> Tensor | None:
        """Embeddings of the examples, scaled to length 1, float32 `[N, D]`; None where there are none."""
        return None if self._examples is None else self._examples.embeddings

    @property
    def groups(self) -> Tensor | None:
        """Place in `labels` of each example's label, int64 `[N]`."""
        return None if self._examples is None else self._examples.groups

    @property
    def class_weights(self) -> ClassWeights | None:
        """The model's class weights, where the method uses them."""
        return self.model.class_weights if self.method != "knn" else None

    def replace(self, **changes: Any) -> Self:
        """Makes a classifier that differs in some arguments.

        Args:
            **changes: Arguments of the class, such as `threshold=0.6`.

        Returns:
            The new classifier; it shares the model.

        Raises:
            ValueError: See the class.
        """
        own = {"model": self.model, "labels": self.labels, "examples": self.examples, "groups": self.groups}
        return type(self)(**{**own, **self.settings(), **changes})

    def classify(self, objects: Any, batch_size: int = 32, *, show_progress: bool = False) -> list[Prediction]:
        """Tells the group of objects.

        Args:
            objects: One object or many, as for `SimilarityModel.encode`.
            batch_size: As for `encode`.
            show_progress: As for `encode`.

        Returns:
            A prediction for each.
        """
        embeddings = self.model.encode(objects, batch_size, to_numpy=False, show_progress=show_progress)
        return self.classify_embeddings(embeddings)

    def classify_embeddings(self, embeddings: Tensor) -> list[Prediction]:
        """Tells the group of objects that are embedded already.

        Args:
            embeddings: What the model's `encode` gives, `[Q, D]`.

        Returns:
            A prediction for each.

        Raises:
            ValueError: If the embeddings are of another size.
        """
        predictions: list[Prediction] = []
        size = max(1, _BLOCK_PROBABILITIES // len(self.labels))
        for some in (embeddings[start : start + size] for start in range(0, len(embeddings), size)):
            confidence, place = self.probabilities(some).max(dim=1)
            similarities = self.nearest_similarities(some)
            for best, p, s in zip(place.tolist(), confidence.tolist(), similarities.tolist(), strict=True):
                unknown = self.threshold is not None and s < self.threshold
                predictions.append(Prediction(None if unknown else self.labels[best], p, s))
        return predictions

    @torch.no_grad()
    def probabilities(self, embeddings: Tensor) -> Tensor:
        """Computes the probability of each group, were the objects of one of them.

        Args:
            embeddings: What the model's `encode` gives, `[Q, D]`.

        Returns:
            float32 `[Q, G]` on the CPU, in the order of `labels`.

        Raises:
            ValueError: If the embeddings are of another size.
        """
        if self.method == "weights":
            return self._weighted().probabilities(embeddings, self.weights_temperature)
        votes = self._labelled().probabilities(embeddings, self.k, self.temperature)
        if self._weights is None:
            return votes
        weights, known = self._weights.probabilities(embeddings, self.weights_temperature), self._weights.known
        share = votes[:, known].sum(dim=1, keepdim=True)  # all of it, unless groups without class weights were added
        return torch.where(known, (votes + share * weights) / 2, votes)

    def nearest_examples(self, embeddings: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Finds the nearest examples.

        Args:
            embeddings: What the model's `encode` gives, `[Q, D]`.
            k: How many; all where there are fewer.

        Returns:
            Their similarities, float32 `[Q, k]`, the highest first, and their groups, int64 `[Q, k]`.

        Raises:
            ValueError: If the embeddings are of another size, or there are no examples.
        """
        return self._labelled().nearest(embeddings, k)

    @torch.no_grad()
    def nearest_similarities(self, embeddings: Tensor) -> Tensor:
        """Computes what is compared with the threshold.

        Args:
            embeddings: What the model's `encode` gives, `[Q, D]`.

        Returns:
            Similarities to the nearest example, or class weight where there are no examples, float32 `[Q]`.
        """
        return self._nearest().similarities(embeddings)

    @torch.no_grad()
    def similarities_without_own(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        """Computes the same as `nearest_similarities` with all examples and weights of the own group hidden.

        Args:
            embeddings: What the model's `encode` gives, `[Q, D]`.
            groups: Place in `labels` of each object's own label, int64 `[Q]`.

        Returns:
            float32 `[Q]`.
        """
        return self._nearest().similarities_without(embeddings, groups)

    @torch.no_grad()
    def weight_similarities(self, embeddings: Tensor) -> Tensor:
        """Computes similarities to the class weights.

        Args:
            embeddings: What the model's `encode` gives, `[Q, D]`.

        Returns:
            float32 `[Q, G]` on the CPU, in the order of `labels`; -inf for groups that have none.

        Raises:
            ValueError: If the method uses no class weights.
        """
        return self._weighted().each(embeddings)

    def label_places(self, labels: Sequence[Any]) -> Tensor:
        """Finds labels among those of the classifier.

        Args:
            labels: Labels.

        Returns:
            Their places in `labels`, int64 `[N]`.

        Raises:
            ValueError: If one is not there.
        """
        return places_among(labels, self._places)

    def add_examples(
        self, objects: Any, labels: Sequence[Any], *, batch_size: int = 32, show_progress: bool = False
    ) -> Self:
        """Makes a classifier that knows further examples, of known groups or of new ones, without any training.

        The model and its class weights stay as they are: new groups have none, and are told by their examples alone.
        `k`, temperatures and threshold stay too; calibrate them again after adding much.

        Args:
            objects: The examples, as for `SimilarityModel.encode`.
            labels: The label of each.
            batch_size: As for `encode`.
            show_progress: As for `encode`.

        Returns:
            The new classifier; it shares the model.

        Raises:
            ValueError: If there are not as many labels as objects, or the method is `"weights"`.
        """
        embeddings = self.model.encode(objects, batch_size, to_numpy=False, show_progress=show_progress)
        return self.add_embeddings(embeddings, labels)

    def add_embeddings(self, embeddings: Tensor, labels: Sequence[Any]) -> Self:
        """Does what `add_examples` does, with examples that are embedded already.

        Args:
            embeddings: What the model's `encode` gives for the examples, `[N, D]`.
            labels: The label of each.

        Returns:
            The new classifier; it shares the model.

        Raises:
            ValueError: As for `add_examples`.
        """
        if self._examples is None or self.method == "weights":
            raise ValueError(
                'a classifier of the method "weights" cannot learn from examples, because class weights come from '
                'training alone. Make one with method="both" or "knn"'
            )
        distinct, added = numbered(len(embeddings), labels, before=self.labels)
        examples = torch.cat([self._examples.embeddings, embeddings.float().cpu()])
        return self.replace(labels=distinct, examples=examples, groups=torch.cat([self._examples.groups, added]))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the classifier into the folder of its model, beside the model's own files.

        Args:
            path: The folder that `model.save` wrote.

        Raises:
            ModelFolderError: If it is no model's folder, or the labels cannot be written.
        """
        from quaterion_models.predict.classifier_folder import save_classifier

        save_classifier(self, path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        model: SimilarityModel | None = None,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Reads a classifier, and its model, from the model's folder; runs nothing that the folder names.

        Args:
            path: The folder.
            model: The folder's model, where it is loaded already; it stays where it is.
            device: Where to put the model.

        Returns:
            The classifier.

        Raises:
            ModelFolderError: If a file is missing, damaged or hostile, of a newer format, or belongs to another model.
        """
        from quaterion_models.predict.classifier_folder import load_classifier

        return load_classifier(cls, path, model=model, device=device)

    def settings(self) -> Mapping[str, Any]:
        """Returns the arguments beside model, labels and examples."""
        names = ("k", "temperature", "method", "weights_temperature", "threshold")
        return {name: getattr(self, name) for name in names}

    def _labelled(self) -> LabelledExamples:
        if self._examples is None:
            raise ValueError("this classifier has no examples: it tells groups by class weights alone")
        return self._examples

    def _weighted(self) -> LabelWeights:
        if self._weights is None:
            raise ValueError(f"method={self.method!r} uses no class weights")
        return self._weights

    def _nearest(self) -> LabelledExamples | LabelWeights:
        return self._weighted() if self._examples is None else self._examples
