"""A transformer of which only the top layers are trained: its frozen trunk, and what is trained above it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from quaterion_models.content_key import content_key
from quaterion_models.encoders.layer_split import LayerSplit, part_with, used_by
from quaterion_models.encoders.token_states import RaggedStates, TokenStates

_TOKENS = 6  # of the batch that the division is tried on
_TOLERANCE = 1e-3


class Trunk(Protocol):
    """The frozen lower part of a partly trained encoder, whose output can be cached."""

    @property
    def width(self) -> int:
        """Length of a token's state."""
        ...

    def fingerprint(self) -> str:
        """Digests all that the states depend on, and nothing that is trained."""
        ...

    def __call__(self, batch: Any) -> RaggedStates:
        """Computes the states of a batch's tokens.

        Args:
            batch: What the encoder's collate function returned for B objects.

        Returns:
            The states, which the encoder's `forward` takes, padded, in the place of the batch.
        """
        ...


Embed = Callable[[nn.Module, dict[str, Tensor]], Tensor]


class PartlyTrained:
    """A model whose embeddings and lower layers are frozen.

    Frozen is what the states between the two parts are computed with, so that they never change: of parameters that
    both parts use (the position bias of MPNet) too. The frozen part is no submodule of the encoder: it stays in eval
    mode, and out of checkpoints.

    Args:
        model: The model, or a module that holds it, in eval mode.
        layers: How many of its last layers are trained, at least 1.

    Attributes:
        model: The whole model.
        trained: Holds what is trained, under its names in the model; set by :meth:`divide`.

    Raises:
        ValueError: If the model has fewer layers, or its layers cannot be found.
    """

    def __init__(self, model: nn.Module, layers: int) -> None:
        self.model = model
        self.split = LayerSplit(model, layers)
        self.width = 0
        self.trained = model
        self._digest: tuple[torch.dtype, bytes] | None = None

    def divide(self, embed: Embed) -> nn.Module:
        """Freezes the lower part, after a small batch has shown that both parts together are the whole.

        Args:
            embed: Computes vectors from a model and a batch.

        Returns:
            :attr:`trained`.

        Raises:
            ValueError: If they are not, or nothing is left to train.
        """
        ids = torch.arange(_TOKENS).repeat(2, 1)
        mask = torch.ones_like(ids)
        mask[1, _TOKENS // 2 :] = 0
        batch = {"input_ids": ids, "attention_mask": mask}
        parameters = list(self.model.parameters())
        for parameter in parameters:
            parameter.requires_grad_(parameter.is_floating_point())
        kept: list[Tensor] = []
        self.split.learn_outputs(self.model, lambda model: kept.append(embed(model, batch).detach()))
        with torch.enable_grad():
            states = self.split.below(self.model, lambda model: embed(model, batch))
            vectors = embed(self.split.above(self.model, states.detach()), batch)
            below, above = used_by(states, parameters), used_by(vectors, parameters)
        lower, upper = self.split.layers(self.model)
        below |= {id(parameter) for layer in lower for parameter in layer.parameters()}
        in_layers = {id(parameter) for layer in upper for parameter in layer.parameters()}
        whole = kept[0].float()
        differs = (vectors.detach().float() - whole).abs().max() > _TOLERANCE * whole.abs().max()
        if bool(differs) or in_layers & below:
            why = "share weights" if in_layers & below else "take more than the states of the layer below"
            raise ValueError(
                f"trainable_layers={len(upper)} does not work for this {type(upper[0]).__name__} model: its upper "
                f"layers {why}. Train all of it with trainable=True, or leave it frozen"
            )
        wanted = (above | in_layers) - below
        for parameter in parameters:
            parameter.requires_grad_(id(parameter) in wanted)
        self.width = states.shape[2]
        self.trained = part_with(self.model, wanted)
        self._place = self._of_trained()
        return self.trained

    def placed(self) -> nn.Module:
        """Returns the whole model, its frozen part where, and in the precision that, the trained one is."""
        if self.trained is not self.model and self._place != (wanted := self._of_trained()):
            self.model.to(*wanted)
            self._place = wanted
        return self.model

    def states(self, embed: Embed, batch: Any) -> RaggedStates:
        """Runs the frozen part.

        Args:
            embed: Computes vectors from a model and a batch.
            batch: What the encoder's collate function returned for B objects.

        Returns:
            The states of the tokens that are not padding.
        """
        states = self.split.below(self.placed(), lambda model: embed(model, batch))
        mask = batch.get("attention_mask")
        if mask is None:
            mask = torch.ones(states.shape[:2], dtype=torch.int64, device=states.device)
        return RaggedStates(states[mask.bool()], mask.sum(1))

    def enter(self, batch: TokenStates) -> tuple[nn.Module, dict[str, Tensor]]:
        """Returns a model that goes on from states, and a batch that fits it.

        Args:
            batch: The states, where the encoder is.
        """
        model = self.placed()
        states = batch.states.to(self._place[1])
        # Only the shape of the numbers counts: what becomes of them is replaced by the states.
        return self.split.above(model, states), {
            "input_ids": torch.zeros_like(batch.mask),
            "attention_mask": batch.mask,
        }

    def digest(self) -> bytes:
        """Digests the frozen weights as they are now, once in each precision."""
        model, dtype = self.placed(), self._place[1]
        if self._digest is None or self._digest[0] != dtype:
            trained = self.trained.state_dict()
            frozen = {name: one.detach() for name, one in model.state_dict().items() if name not in trained}
            self._digest = (dtype, content_key(frozen))
        return self._digest[1]

    def _of_trained(self) -> tuple[torch.device, torch.dtype]:
        first = next(self.trained.parameters())
        return first.device, first.dtype


def check_trainable_layers(trainable: bool, layers: Any) -> tuple[bool, int | None]:
    """Checks and joins the two arguments that say what of a model is trained.

    Args:
        trainable: Whether the model is trained.
        layers: How many of its last layers; None where that is not said.

    Returns:
        Whether anything is trained, and how many layers; None for all, or none, of the model.

    Raises:
        ValueError: If they contradict each other, or the number is none.
    """
    if layers is None:
        return trainable, None
    if not isinstance(layers, int) or isinstance(layers, bool) or layers < 0:
        raise ValueError(f"trainable_layers must be None or an integer of at least 0, got {layers!r}")
    if trainable and layers == 0:
        raise ValueError(
            "trainable=True and trainable_layers=0 contradict each other. Leave trainable out, or give the number of "
            "layers to train"
        )
    return layers > 0, layers or None
