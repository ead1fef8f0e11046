"""A transformer in two parts: what comes before one of its layers, and that layer with all behind it.

Both parts are run by the model's own forward, so that masks, position biases and rotary embeddings are what the library
makes of them. A call gets a copy of the modules above the layers (not of the layers, and not of any weight) in which
some layers are passed by; the model itself never changes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from quaterion_models.encoders.model_layers import layer_lists


class _Reached(Exception):  # noqa: N818 - not an error: the states have reached the layer
    def __init__(self, states: Any) -> None:
        super().__init__("the states have reached the layer")
        self.states = states


class LayerSplit:
    """Where a transformer is divided.

    Args:
        model: The model, or a module that holds it.
        upper: Number of layers in the upper part, at least 1.

    Attributes:
        lower: Number of layers in the lower part.

    Raises:
        ValueError: If the layers cannot be found, or are fewer.
    """

    def __init__(self, model: nn.Module, upper: int) -> None:
        self._path = _layers_of(model)
        count = len(self._layers(model))
        if upper > count:
            raise ValueError(
                f"trainable_layers is {upper}, but the {_name(model)} has {count} layers. Expected a number from 0 to "
                f"{count}, or trainable=True to train the embeddings too"
            )
        self.lower = count - upper
        self._outputs: int | None = None

    def learn_outputs(self, model: nn.Module, run: Callable[[nn.Module], object]) -> None:
        """Notes what a layer returns, so that one that is passed by can return the like.

        Args:
            model: The model.
            run: Runs a model on any batch.
        """
        found: list[Any] = []
        handle = self._layers(model)[self.lower].register_forward_hook(lambda *call: found.append(call[2]))
        try:
            run(model)
        finally:
            handle.remove()
        self._outputs = len(found[0]) if found and isinstance(found[0], tuple) else None

    def below(self, model: nn.Module, run: Callable[[nn.Module], object]) -> Tensor:
        """Runs the lower part.

        Args:
            model: The model.
            run: Runs a model on a batch.

        Returns:
            What the first layer of the upper part would take, `[B, T, H]`.

        Raises:
            ValueError: If the layer is never reached, or not with one tensor of states.
        """

        def stop(*args: Any, **kwargs: Any) -> None:
            raise _Reached(args[0] if args else kwargs.get("hidden_states"))

        layers = list(self._layers(model))
        layers[self.lower] = _replaced(layers[self.lower], stop)
        try:
            run(self._with_layers(model, layers))
        except _Reached as reached:
            if isinstance(reached.states, Tensor) and reached.states.dim() == 3:
                return reached.states
        raise ValueError(
            cannot_divide(model, "its layers do not take the states of the tokens, [batch, tokens, width]")
        )

    def above(self, model: nn.Module, states: Tensor) -> nn.Module:
        """Returns the model with the lower part passed by.

        Args:
            model: The model.
            states: What the first layer of the upper part is to take, `[B, T, H]`.

        Returns:
            A model that computes from any `input_ids` `[B, T]` what the upper part makes of the states.
        """
        layers = list(self._layers(model))
        entry = layers[self.lower]

        def passed(*args: Any, **kwargs: Any) -> Any:
            hidden = args[0] if args else kwargs["hidden_states"]
            return hidden if self._outputs is None else (hidden, *[None] * (self._outputs - 1))

        def entered(*args: Any, **kwargs: Any) -> Any:
            if args:
                return entry.forward(states, *args[1:], **kwargs)
            return entry.forward(**{**kwargs, "hidden_states": states})

        layers[: self.lower] = [_replaced(layer, passed) for layer in layers[: self.lower]]
        layers[self.lower] = _replaced(entry, entered)
        return self._with_layers(model, layers)

    def layers(self, model: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
        """Returns the layers of the lower and of the upper part."""
        layers = list(self._layers(model))
        return layers[: self.lower], layers[self.lower :]

    def _layers(self, model: nn.Module) -> nn.ModuleList:
        layers = model.get_submodule(self._path)
        assert isinstance(layers, nn.ModuleList)  # noqa: S101 - found as one; this tells the type checker
        return layers

    def _with_layers(self, model: nn.Module, layers: list[nn.Module]) -> nn.Module:
        whole = part = _shallow(model)
        *above, last = self._path.split(".")
        for name in above:
            inner = _shallow(part.get_submodule(name))
            part.add_module(name, inner)
            part = inner
        part.add_module(last, nn.ModuleList(layers))
        return whole


def _layers_of(model: nn.Module) -> str:
    """Finds the list of a model's layers: the outermost one with as many modules as the configuration says."""
    lists, count = layer_lists(model)
    if len(lists) != 1:
        wanted = "one list of layers (nn.ModuleList) as long as num_hidden_layers"
        found = f"found {lists or 'none'} of length {count}" if count else "its configuration has no such number"
        raise ValueError(cannot_divide(model, f"looked for {wanted}: {found}"))
    return lists[0]


def _name(model: nn.Module) -> str:
    """The class that the user knows the model by: that of transformers, inside sentence-transformers too."""
    return next((type(part).__name__ for part in model.modules() if hasattr(part, "config")), type(model).__name__)


def _shallow(module: nn.Module) -> nn.Module:
    alike = copy.copy(module)
    vars(alike)["_modules"] = dict(vars(module)["_modules"])
    return alike


def _replaced(layer: nn.Module, forward: Callable[..., Any]) -> nn.Module:
    """A layer with another forward; its attributes are there, because some models ask a layer for its kind."""
    alike = copy.copy(layer)
    alike.forward = forward
    return alike


def cannot_divide(model: nn.Module, reason: str) -> str:
    """Words the message about a model that has no two parts.

    Args:
        model: The model.
        reason: Why.
    """
    return (
        f"trainable_layers does not work for a {_name(model)}: {reason}. Train all of it with trainable=True, or leave "
        "it frozen"
    )


def part_with(module: nn.Module, wanted: set[int]) -> nn.Module:
    """Builds a module that holds only some parameters of another, under the names that they have there.

    Args:
        module: The module.
        wanted: The `id` of each parameter.

    Returns:
        The module itself where all its parameters are wanted, else a plain module with what has some of them.
    """
    own = list(module.parameters())
    if own and all(id(parameter) in wanted for parameter in own):
        return module
    part = nn.Module()
    for name, child in module.named_children():
        if any(id(parameter) in wanted for parameter in child.parameters()):
            part.add_module(name, part_with(child, wanted))
    for name, parameter in module.named_parameters(recurse=False):
        if id(parameter) in wanted:
            part.register_parameter(name, parameter)
    return part


def used_by(result: Tensor, parameters: list[nn.Parameter]) -> set[int]:
    """Tells which parameters a result was computed with.

    Args:
        result: Any tensor.
        parameters: All that may have been used.

    Returns:
        The `id` of each one that was.
    """
    if not result.requires_grad:
        return set()
    gradients = torch.autograd.grad(result.float().sum(), parameters, allow_unused=True)
    return {id(one) for one, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
