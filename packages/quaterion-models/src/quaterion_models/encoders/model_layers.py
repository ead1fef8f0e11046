"""Where the layers of a pre-trained model lie, whatever its architecture calls them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn


def transformers_models(module: nn.Module) -> Iterator[nn.Module]:
    """Finds the models of the library transformers in a module: not those within others.

    Args:
        module: Any module.

    Yields:
        The outermost ones, in the order of registration; the module itself where it is one.
    """
    if hasattr(module, "base_model_prefix") and hasattr(module, "config"):
        yield module
        return
    for child in module.children():
        yield from transformers_models(child)


def layer_depths(module: nn.Module) -> dict[str, int]:
    """Tells for each parameter how far below the top of its model it lies.

    The layers are the list of modules that is as long as the model's `num_hidden_layers`. What is registered before
    them, which are the embeddings, lies one below the first layer; what is registered behind them, such as a last norm,
    counts as the top layer, and so does what stands outside the models of transformers.

    Args:
        module: An encoder, or a part of one, with models of the library transformers in it.

    Returns:
        Name of each parameter to its distance from the top: 0 for the top layer, L for the embeddings of L layers.

    Raises:
        ValueError: If there is no such model, or one has no list of its layers.
    """
    depths = {name: 0 for name, _ in module.named_parameters()}
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    models = [model for model in transformers_models(module) if any(True for _ in model.parameters())]
    if not models:
        raise ValueError(f"{type(module).__name__} holds no model of the library transformers, whose layers are known")
    for model in models:
        place, layers = _layers(model)
        before = True
        for name, parameter in model.named_parameters():
            inside = name.startswith(f"{place}.")
            before = before and not inside
            if inside:
                number = int(name.removeprefix(f"{place}.").partition(".")[0])
                depths[names[id(parameter)]] = len(layers) - 1 - number
            elif before:
                depths[names[id(parameter)]] = len(layers)
    return depths


def _layers(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The list of a model's layers and its name, such as `"encoder.layer"`."""
    config: Any = model.config
    count = getattr(config.get_text_config(), "num_hidden_layers", getattr(config, "num_hidden_layers", None))
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return name, module
    raise ValueError(
        f"the layers of {type(model).__name__} cannot be found: it has no list of {count} modules "
        "(num_hidden_layers), as most models of transformers have"
    )


def enable_checkpointing(model: nn.Module) -> None:
    """Lets a model compute its layers again in the backward pass, in place of keeping what they computed.

    Args:
        model: A pre-trained model.

    Raises:
        ValueError: If it cannot.
    """
    models: list[Any] = list(transformers_models(model))
    for one in models:
        if not one.supports_gradient_checkpointing:
            break
        # Not reentrant: also right where nothing that goes in has a gradient, as with adapters.
        enable = (
            getattr(one, "activation_checkpointing_enable", None) or one.gradient_checkpointing_enable
        )  # its old name
        enable({"use_reentrant": False})
    else:
        if models:
            return
    raise ValueError(
        f"gradient_checkpointing: {type(models[0] if models else model).__name__} cannot compute its layers again. "
        "Leave it out, and take smaller batches or chunks (TrainableModel.chunk_size)"
    )
