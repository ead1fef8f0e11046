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
    yield from _models_in(module)


def _models_in(model: nn.Module) -> Iterator[nn.Module]:
    """The models of transformers within one."""
    for child in model.children():
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
    models = list(_models(module))
    if not models:
        raise ValueError(f"{type(module).__name__} holds no model of the library transformers, whose layers are known")
    for model in models:
        place, count = named_layers(model)
        before = True
        for name, parameter in model.named_parameters():
            inside = name.startswith(f"{place}.")
            before = before and not inside
            if id(parameter) not in names:  # frozen below a trained part
                continue
            if inside:
                number = int(name.removeprefix(f"{place}.").partition(".")[0])
                depths[names[id(parameter)]] = count - 1 - number
            elif before:
                depths[names[id(parameter)]] = count
    return depths


def text_config(model: nn.Module) -> Any:
    """Returns the configuration of a model of transformers, of its text part where it has several; None without one.

    Args:
        model: The model, or a module that holds one.
    """
    config: Any = next((part.config for part in model.modules() if hasattr(part, "config")), None)
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def layer_lists(model: nn.Module) -> tuple[list[str], int | None]:
    """Finds what may be the list of a model's layers.

    Args:
        model: A model of the library transformers, or a module that holds one.

    Returns:
        Names of the outermost lists of as many modules as the configuration says, and that number; None where it says
        none. Of a model of texts and images with one tower left, those of that tower.
    """
    count: int | None = getattr(text_config(model), "num_hidden_layers", None)
    if not (lists := _lists_of(model, count)):
        for name, part in model.named_modules():  # the image tower has a configuration of its own
            depth = (
                getattr(text_config(part), "num_hidden_layers", None) if hasattr(part, "base_model_prefix") else None
            )
            if depth is not None and (lists := [f"{name}.{one}" for one in _lists_of(part, depth)]):
                count = depth
                break
    outermost = min((name.count(".") for name in lists), default=0)
    return [name for name in lists if name.count(".") == outermost], count


def _lists_of(model: nn.Module, count: int | None) -> list[str]:
    lists = ((name, part) for name, part in model.named_modules() if isinstance(part, nn.ModuleList))
    return [name for name, part in lists if name and len(part) == count]


def named_layers(model: nn.Module) -> tuple[str, int]:
    """Finds the list of a model's layers.

    Args:
        model: A model of the library transformers.

    Returns:
        Its name, such as `"encoder.layer"`, and the number of layers.

    Raises:
        ValueError: If there is no such list, or more than one.
    """
    lists, count = layer_lists(model)
    if count is None or len(lists) != 1:
        raise ValueError(
            f"the layers of {type(model).__name__} cannot be found: it has no list of {count} modules "
            "(num_hidden_layers), as most models of transformers have"
        )
    return lists[0], count


def _models(module: nn.Module) -> Iterator[nn.Module]:
    """The models of transformers with parameters in a module; of partly trained encoders the whole one."""
    divided = (getattr(part, "divided_model", None) for part in module.modules())
    for one in (module, *(whole for whole in divided if isinstance(whole, nn.Module))):
        yield from (model for model in transformers_models(one) if any(True for _ in model.parameters()))


def enable_checkpointing(model: nn.Module) -> None:
    """Lets a model compute its layers again in the backward pass, in place of keeping what they computed.

    Args:
        model: A pre-trained model.

    Raises:
        ValueError: If it cannot.
    """
    of_timm: Any = getattr(model, "set_grad_checkpointing", None)
    if of_timm is not None:
        try:
            of_timm(True)  # asserts that it can
        except AssertionError:
            raise _cannot_compute_again(model) from None
        return
    models: list[Any] = list(transformers_models(model))
    # Of a model of texts and images a tower alone is left, and the whole would ask for the embeddings of the other one.
    towers: list[Any] = [part for one in models if hasattr(one, "get_image_features") for part in _models_in(one)]
    models = towers or models
    for one in models:
        if not one.supports_gradient_checkpointing:
            break
        # Not reentrant: also right where nothing that goes in has a gradient, as with adapters.
        old_name = "gradient_checkpointing_enable"
        enable = getattr(one, "activation_checkpointing_enable", None) or getattr(one, old_name)
        enable({"use_reentrant": False})
        # What it does for checkpoints of the other kind would take gradients through all that is frozen.
        one.disable_input_require_grads()
    else:
        if models:
            return
    raise _cannot_compute_again(models[0] if models else model)


def _cannot_compute_again(model: nn.Module) -> ValueError:
    return ValueError(
        f"gradient_checkpointing: {type(model).__name__} cannot compute its layers again. Leave it out, and take "
        "smaller batches or chunks (TrainableModel.chunk_size)"
    )
