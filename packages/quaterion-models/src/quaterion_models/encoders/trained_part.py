"""What of a pre-trained model is trained: nothing, all of it, its last layers, or adapters beside its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from quaterion_models.encoders.lora import add_adapters
from quaterion_models.encoders.model_layers import enable_checkpointing
from quaterion_models.encoders.partly_trained import PartlyTrained

if TYPE_CHECKING:
    from quaterion_models.encoders.lora import LoraOptions


def check_trained_part(
    trainable: bool, layers: Any, lora: LoraOptions | None, gradient_checkpointing: bool
) -> tuple[bool, int | None]:
    """Checks and joins the arguments that say what of a model is trained.

    Args:
        trainable: Whether the model is trained.
        layers: How many of its last layers; None where that is not said.
        lora: Which adapters are trained in the place of the weights, if any.
        gradient_checkpointing: Whether layers are computed again in the backward pass.

    Returns:
        Whether anything is trained, and how many layers; None for all, or none, of the model.

    Raises:
        ValueError: If they contradict each other, or the number is none.

    Example:
        >>> check_trained_part(False, 2, None, False)
        (True, 2)
    """
    if layers is not None:
        if not isinstance(layers, int) or isinstance(layers, bool) or layers < 0:
            raise ValueError(f"trainable_layers must be None or an integer of at least 0, got {layers!r}")
        if trainable and layers == 0:
            raise ValueError(
                "trainable=True and trainable_layers=0 contradict each other. Leave trainable out, or give the number "
                "of layers to train"
            )
    if layers and lora is not None:
        raise ValueError(
            f"trainable_layers={layers} trains layers themselves, and lora trains adapters in place of them. Pass one "
            "of the two"
        )
    trained = bool(trainable or layers or lora is not None)
    if gradient_checkpointing and not trained:
        raise ValueError(
            "gradient_checkpointing=True is for a model that is trained: a frozen one has no backward pass. Leave it "
            "out, or pass trainable=True or lora=True"
        )
    return trained, layers or None


def trained_model(
    model: nn.Module, embed: Callable[[Any, Any], Tensor], settings: Mapping[str, Any], gradient_checkpointing: bool
) -> tuple[nn.Module, PartlyTrained | None]:
    """Makes of a model what is trained of it.

    Args:
        model: The model, which is changed.
        embed: Computes vectors with it from a batch.
        settings: Those of its encoder: `trainable_layers`, how many of its last layers are trained; `lora`, the
            adapters that are trained in the place of its weights. Without either all of it is trained.
        gradient_checkpointing: Whether layers are computed again in the backward pass.

    Returns:
        What is trained, a model as well; and the divided model, where only its last layers are.

    Raises:
        ValueError: If adapters, layers or checkpointing do not fit the model.
        ImportError: If the extra for adapters is not installed.
    """
    layers = settings.get("trainable_layers")
    if "lora" in settings:
        add_adapters(model, settings["lora"])
    if gradient_checkpointing:
        enable_checkpointing(model)
    if layers is None:
        return model, None
    partly = PartlyTrained(model, layers)
    return partly.divide(embed), partly
