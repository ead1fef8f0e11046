"""A transformer of which only the top layers are trained: its frozen trunk, and what is trained above it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from quaterion_models.content_key import content_key
from quaterion_models.encoders.layer_split import LayerSplit, cannot_divide, part_with, used_by
from quaterion_models.encoders.model_layers import text_config
from quaterion_models.encoders.token_states import RaggedStates, TokenStates

_TOKENS, _FEWER = 6, 3  # of the two rows of the batch that the division is tried on
_TOLERANCE, _ROUNDINGS = 1e-3, 8  # what rounding may change: relative to the largest value, and in steps of it


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
        trained: Holds what is trained, under its names in the model; set by `divide`.

    Raises:
        ValueError: If the model has fewer layers, or its layers cannot be found.
    """

    def __init__(self, model: nn.Module, layers: int) -> None:
        self.model = model
        self.split = LayerSplit(model, layers)
        self.width = 0
        self.trained = model
        self._place = self._of_trained()
        self._digest: tuple[list[tuple[str, int]], bytes] | None = None

    def divide(self, embed: Embed) -> nn.Module:
        """Freezes the lower part, after a small batch has shown that both parts together are the whole.

        Args:
            embed: Computes vectors from a model and a batch.

        Returns:
            `trained`.

        Raises:
            ValueError: If they are not.
        """
        parameters = list(self.model.parameters())
        for parameter in parameters:
            parameter.requires_grad_(parameter.is_floating_point())
        batch = _small_batch(self.model)
        kept: list[Tensor] = []
        self.split.learn_outputs(self.model, lambda model: kept.append(embed(model, batch).detach()))
        try:
            with torch.enable_grad():
                below, vectors = self._tried(embed, batch, kept[0])
        except ValueError:
            raise
        except Exception as error:  # layers that take or give something else fail in ways of their own
            reason = f"its layers cannot be run without those below ({type(error).__name__}: {error})"
            raise ValueError(cannot_divide(self.model, reason)) from error
        lower, upper = self.split.layers(self.model)
        frozen = used_by(below, parameters) | {id(one) for layer in lower for one in layer.parameters()}
        in_layers = {id(one) for layer in upper for one in layer.parameters()}
        if in_layers & frozen:
            raise ValueError(cannot_divide(self.model, "its upper layers share weights with what lies below"))
        wanted = (used_by(vectors, parameters) | in_layers) - frozen
        for parameter in parameters:
            parameter.requires_grad_(id(parameter) in wanted)
        self.width = below.shape[2]
        self.trained = part_with(self.model, wanted)
        self._place = self._of_trained()
        return self.trained

    def _tried(self, embed: Embed, batch: dict[str, Tensor], whole: Tensor) -> tuple[Tensor, Tensor]:
        """Runs both parts as training will; returns what came from the lower and the upper one."""
        below = self.split.below(self.model, lambda model: embed(model, batch))
        ragged = _without_padding(below, batch["attention_mask"])
        vectors = embed(*self.enter(RaggedStates(ragged.values.detach(), ragged.counts).padded()))
        alone = {name: part[1:, :_FEWER] for name, part in batch.items()}
        shorter = self.split.below(self.model, lambda model: embed(model, alone))
        if _differ(shorter[0], below[1, :_FEWER]):
            raise ValueError(cannot_divide(self.model, "the state of a token depends on the padding of its batch"))
        if _differ(vectors, whole):
            reason = "its upper layers take more than the states of the layer below"
            raise ValueError(cannot_divide(self.model, reason))
        return below, vectors

    def placed(self) -> nn.Module:
        """Returns the whole model, its frozen part where, and in the precision that, the trained one is."""
        if self.trained is not self.model and self._place != (wanted := self._of_trained()):
            if self._place[1] != wanted[1]:
                self._digest = None
            _move(self.model, *wanted)
            self._place = wanted
        return self.model

    def states(self, embed: Embed, batch: Any) -> RaggedStates:
        """Runs the frozen part.

        Args:
            embed: Computes vectors from a model and a batch.
            batch: What the encoder's collate function returned for B objects.

        Returns:
            The states of the tokens that are not padding.

        Raises:
            ValueError: If an object has no tokens.
        """
        states = self.split.below(self.placed(), lambda model: embed(model, batch))
        ragged = _without_padding(states, batch.get("attention_mask"))
        if not bool(ragged.counts.all()):
            raise ValueError(
                f"object {int(ragged.counts.argmin())} of a batch of {len(ragged.counts)} is a text without any token, "
                "so it has no states for the upper layers. Leave empty texts out of the data"
            )
        return ragged

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
        """Digests the frozen weights as they are now; again only after a cast or a change in place."""
        model, trained = self.placed(), self.trained.state_dict()
        frozen = {name: one for name, one in model.state_dict(keep_vars=True).items() if name not in trained}
        # A change in place is counted, whoever made it; a move to another device changes neither name nor count.
        versions = [(name, one._version) for name, one in frozen.items()]  # noqa: SLF001 - torch has no other
        if self._digest is None or self._digest[0] != versions:
            self._digest = (versions, content_key({name: one.detach() for name, one in frozen.items()}))
        return self._digest[1]

    def _of_trained(self) -> tuple[torch.device, torch.dtype]:
        first = next(self.trained.parameters())
        return first.device, first.dtype


def _small_batch(model: nn.Module) -> dict[str, Tensor]:
    """Two rows of tokens, the second one with padding."""
    padding = getattr(text_config(model), "pad_token_id", None)
    ids = torch.arange(_TOKENS).repeat(2, 1)
    ids[1, _FEWER:] = padding if isinstance(padding, int) else 0
    mask = torch.ones_like(ids)
    mask[1, _FEWER:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def _without_padding(states: Tensor, mask: Tensor | None) -> RaggedStates:
    if mask is None:
        mask = torch.ones(states.shape[:2], dtype=torch.int64, device=states.device)
    return RaggedStates(states[mask.bool()], mask.sum(1))


def _differ(found: Tensor, expected: Tensor) -> bool:
    found, expected, eps = found.detach().float(), expected.detach().float(), torch.finfo(found.dtype).eps
    alike = (found - expected).abs().max() <= max(_TOLERANCE, _ROUNDINGS * eps) * expected.abs().max()
    return not bool(alike)  # of NaN too


def _move(model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Moves and casts a model, but for what is no weight: frequencies of positions, say, are kept in float32."""
    weights = model.state_dict().keys()
    kept = [(name, buffer) for name, buffer in model.named_buffers() if name not in weights]
    model.to(device, dtype)
    for name, buffer in kept:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, buffer.to(device))
