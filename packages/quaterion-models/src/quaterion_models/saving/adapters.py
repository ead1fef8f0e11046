"""Low-rank adapters (LoRA) as files, in the format of the library peft."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from quaterion_models.encoders.lora import EXTRA, adapted_layers, adapted_part
from quaterion_models.extras import require
from quaterion_models.saving.files import ModelFolderError, state_shapes, write_tensors

_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."  # of every name in a file of peft


def write_adapters(model: nn.Module, settings: Mapping[str, Any], folder: Path) -> None:
    """Writes the adapters as peft does, so that `PeftModel.from_pretrained` reads them too.

    Args:
        model: A model with adapters.
        settings: What `lora_settings` returned for them.
        folder: Where to; made where it does not exist.
    """
    peft = require("peft", extra=EXTRA)
    backbone = adapted_part(model)
    folder.mkdir(parents=True, exist_ok=True)
    # The exact places: a name that all adapted layers end with may fit others elsewhere, such as a pooler.
    places = [name for name, _ in adapted_layers(backbone)]
    options = {name: value for name, value in settings.items() if name != "layers_to_transform"}
    peft.LoraConfig(**options | {"target_modules": places, "inference_mode": True}).save_pretrained(str(folder))
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in _state(backbone).items()}
    write_tensors(state, folder / _WEIGHTS)


def check_adapters(settings: Mapping[str, Any], folder: Path) -> None:
    """Checks that adapters are of the rank that is declared, before memory is taken for them.

    Args:
        settings: What was saved as the encoder's `lora`.
        folder: What :func:`write_adapters` wrote.

    Raises:
        ModelFolderError: If the file is missing or damaged, or holds adapters of another rank.
    """
    path = folder / _WEIGHTS
    ranks = {shape[0] for name, shape in state_shapes(path).items() if ".lora_A." in name and shape}
    if ranks != {settings.get("r")}:
        raise ModelFolderError(
            f"{path} holds adapters of the ranks {sorted(ranks)}, but the settings say {settings.get('r')!r:.100}. "
            "The folder is damaged: save the model again"
        )


def read_adapters(model: nn.Module, folder: Path) -> None:
    """Reads adapters that :func:`write_adapters` wrote into a model that has some of the same settings.

    Args:
        model: The model.
        folder: Their folder.

    Raises:
        ModelFolderError: If they are those of another model.
    """
    from safetensors.torch import load_file

    peft = require("peft", extra=EXTRA)
    backbone, path = adapted_part(model), folder / _WEIGHTS
    expected = {name: tuple(tensor.shape) for name, tensor in _state(backbone).items()}
    found = state_shapes(path)
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise ModelFolderError(
            f"{path} does not fit the model beside it: {len(wrong)} tensors are missing, too many or of another shape "
            f"({', '.join(wrong[:3]):.200}). Save the model again"
        )
    state = {name.removeprefix(_PREFIX): tensor for name, tensor in load_file(path).items()}
    peft.set_peft_model_state_dict(backbone, state)


def _state(backbone: nn.Module) -> dict[str, Tensor]:
    peft = require("peft", extra=EXTRA)
    state = peft.get_peft_model_state_dict(backbone, save_embedding_layers=False)
    return {f"{_PREFIX}{name}": tensor for name, tensor in state.items()}
