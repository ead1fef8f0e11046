"""Which parameters the default optimizer trains, at which learning rate."""

from typing import Any

from torch import nn

from quaterion.utils.numbers import is_number
from quaterion_models import SimilarityModel
from quaterion_models.encoders.model_layers import layer_depths

__all__ = ["parameter_groups"]


def parameter_groups(
    module: nn.Module,
    model: SimilarityModel,
    *,
    lr: float,
    weight_decay: float,
    encoder_lr: float | None,
    layer_lr_decay: float,
) -> list[dict[str, Any]]:
    """Groups for a torch optimizer that hold each trainable parameter once.

    Head and loss are one group. Trained encoders have one for each learning rate; their biases and norms, which are
    vectors, get no weight decay.

    Args:
        module: The model with its loss: everything that may be trained.
        model: Its encoders and head.
        lr: Learning rate of head and loss.
        weight_decay: Weight decay.
        encoder_lr: Learning rate of the encoders' top layers; None for `lr`.
        layer_lr_decay: What the rate is multiplied by with each layer further down.

    Returns:
        Groups, each with `params`, `lr` and `weight_decay`.

    Raises:
        ValueError: A rate or a decay is no number or out of range, or an encoder's layers are not known.
    """
    for name, value in (("lr", lr), ("weight_decay", weight_decay)):
        if not is_number(value) or not value >= 0:
            raise ValueError(f"{name}={value!r}; expected a number of 0 or more.")
    if encoder_lr is not None and (not is_number(encoder_lr) or not encoder_lr > 0):
        raise ValueError(f"encoder_lr={encoder_lr!r}; expected a learning rate above 0, or None for that of the head.")
    if not is_number(layer_lr_decay) or not 0 < layer_lr_decay <= 1:
        raise ValueError(
            f"layer_lr_decay={layer_lr_decay!r}; expected a factor above 0 and up to 1, which is no decay."
        )
    top = lr if encoder_lr is None else encoder_lr
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    seen: set[int] = set()
    for name, encoder in model.encoders.items():
        trained = {key: one for key, one in encoder.named_parameters() if one.requires_grad and id(one) not in seen}
        seen |= {id(one) for one in trained.values()}
        depths = _depths(name, encoder, layer_lr_decay) if trained else {}
        for key, one in trained.items():
            settings = (top * layer_lr_decay ** depths[key], weight_decay if one.ndim > 1 else 0.0)
            found.setdefault(settings, []).append(one)
    rest = [one for one in module.parameters() if one.requires_grad and id(one) not in seen]
    groups = [{"params": rest, "lr": lr, "weight_decay": weight_decay}] if rest else []
    return groups + [{"params": held, "lr": rate, "weight_decay": wd} for (rate, wd), held in found.items()]


def _depths(name: str, encoder: nn.Module, decay: float) -> dict[str, int]:
    if decay == 1:
        return dict.fromkeys((key for key, _ in encoder.named_parameters()), 0)
    try:
        return layer_depths(encoder)
    except ValueError as error:
        raise ValueError(
            f"layer_lr_decay={decay!r} does not fit the encoder {name!r}: {error}. Set layer_lr_decay = 1.0, or write "
            "configure_optimizers yourself."
        ) from error
