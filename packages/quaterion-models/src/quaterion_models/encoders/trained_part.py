"""What of a pre-trained model is trained: nothing, all of it, its last layers, or adapters beside its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
