"""Low-rank adapters (LoRA) as files, in the format of the library peft."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from quaterion_models.encoders.lora import EXTRA, adapted_layers, adapted_part
from quaterion_models.extras import require
from quaterion_models.saving.files import ModelFolderError, state_shapes, write_tensors

_WEIGHTS = "adapter_model.safetensors"
_FIRST = re.compile(r"\.lora_(embedding_)?A(\.|$)")  # the first matrix of an adapter, which has a row for each rank
_PREFIX = "base_model.model."  # of every name in a file of peft


def write_adapters(models: Sequence[nn.Module], settings: Mapping[str, Any], folder: Path) -> None:
    """Writes the adapters as peft does, so that `PeftModel.from_pretrained` reads them too.

    Args:
        models: A model with adapters, or the parts of one that have no name in common.
        settings: What `lora_settings` returned for them.
        folder: Where to; made where it does not exist.
    """
    peft = require("peft", extra=EXTRA)
    folder.mkdir(parents=True, exist_ok=True)
    # The exact places: a name that all adapted layers end with may fit others elsewhere, such as a pooler.
    places = [name for model in models for name, _ in adapted_layers(adapted_part(model))]
    options = {name: value for name, value in settings.items() if name != "layers_to_transform"}
    peft.LoraConfig(**options | {"target_modules": places, "inference_mode": True}).save_pretrained(str(folder))
    state = {name: one.detach().cpu().contiguous() for model in models for name, one in _state(model).items()}
    write_tensors(state, folder / _WEIGHTS)


def check_adapters(settings: Mapping[str, Any], folder: Path) -> None:
    """Checks that adapters are of the rank that is declared, before memory is taken for them.

    Args:
        settings: What was saved as the encoder's `lora`.
        folder: What `write_adapters` wrote.

    Raises:
        ModelFolderError: If the file is missing or damaged, or holds adapters of another rank.
    """
    path = folder / _WEIGHTS
    ranks = {shape[0] for name, shape in state_shapes(path).items() if _FIRST.search(name) and shape}
    if ranks != {settings.get("r")}:
        raise ModelFolderError(
            f"{path} holds adapters of the ranks {sorted(ranks)}, but the settings say {settings.get('r')!r:.100}. "
            "The folder is damaged: save the model again"
        )


def read_adapters(models: Sequence[nn.Module], folder: Path) -> None:
    """Reads adapters that `write_adapters` wrote into models that have some of the same settings.

    Args:
        models: A model, or the parts of one.
        folder: Their folder.

    Raises:
        ModelFolderError: If they are those of another model.
    """
    from safetensors.torch import load_file

    peft, path = require("peft", extra=EXTRA), folder / _WEIGHTS
    parts = [{name: tuple(tensor.shape) for name, tensor in _state(model).items()} for model in models]
    expected = {name: shape for part in parts for name, shape in part.items()}
    found = state_shapes(path)
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise ModelFolderError(
            f"{path} does not fit the model beside it: {len(wrong)} tensors are missing, too many or of another shape "
            f"({', '.join(wrong[:3]):.200}). Save the model again"
        )
    state = load_file(path)
    for model, part in zip(models, parts, strict=True):
        peft.set_peft_model_state_dict(adapted_part(model), {name.removeprefix(_PREFIX): state[name] for name in part})


def _state(model: nn.Module) -> dict[str, Tensor]:
    peft = require("peft", extra=EXTRA)
    state = peft.get_peft_model_state_dict(adapted_part(model), save_embedding_layers=False)
    return {f"{_PREFIX}{name}": tensor for name, tensor in state.items()}
