import json

import pytest
import torch
from torch import nn

from quaterion_models.encoders import Encoder
from quaterion_models.saving.encoder_folder import load_any_encoder, load_encoder_state
from quaterion_models.saving.files import ModelFolderError
from quaterion_models.saving.registry import type_name


class Small(Encoder):
    trainable = False

    def __init__(self, size=2):
        super().__init__()
        if size < 0:
            raise RuntimeError("negative")
        self.layer = nn.Linear(2, size)

    @property
    def embedding_size(self):
        return self.layer.out_features

    def forward(self, batch):
        return self.layer(batch)


class OwnWay(Small):
    """Saves itself as programs written for the older interface do."""

    def save(self, path):
        assert isinstance(path, str)
        with open(f"{path}/size.txt", "w") as file:  # noqa: PTH123
            file.write(str(self.embedding_size))

    @classmethod
    def load(cls, path):
        assert isinstance(path, str)
        with open(f"{path}/size.txt") as file:  # noqa: PTH123
            return cls(int(file.read()))


class Broken(OwnWay):
    @classmethod
    def load(cls, path):
        return None


def load(encoder, path):
    return load_any_encoder(type_name(type(encoder)), path, (), where="config.json")


def test_the_class_decides_how_its_folder_is_read(tmp_path):
    for number, encoder in enumerate((Small(3), OwnWay(4))):
        folder = tmp_path / str(number)
        folder.mkdir()
        encoder.save(str(folder))
        loaded = load(encoder, folder)
        assert type(loaded) is type(encoder)
        assert loaded.embedding_size == encoder.embedding_size


def test_a_load_that_returns_nothing_is_named(tmp_path):
    with pytest.raises(ModelFolderError, match=r"Broken\.load returned NoneType, expected an Encoder"):
        load(Broken(), tmp_path)


def test_the_state_of_a_built_encoder_is_read_where_there_is_one(tmp_path):
    one, other = Small(), Small()
    one.save(tmp_path)
    load_encoder_state(other, tmp_path)
    assert torch.equal(other.layer.weight, one.layer.weight)
    (tmp_path / "own").mkdir()
    load_encoder_state(OwnWay(), tmp_path / "own")  # nothing to read
    with pytest.raises(ModelFolderError, match=r"state\.safetensors is missing"):
        load_encoder_state(Small(), tmp_path / "own")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"args": {"size": 3}}, r"has shape \[2, 2\], .* has \[3, 2\]"),
        ({"args": {"size": -1}}, "cannot be built from its saved arguments: RuntimeError: negative"),
        ({"args": {"other": 1}}, "cannot be built .* unexpected keyword argument 'other'"),
        ({"args": {"size": {"$x": 1}}}, "cannot be built .* not a known value"),
        ({"args": []}, "'args' must be dict"),
        ({"unrecorded": {"size": "x.Y"}}, "could not be saved: {'size': 'x.Y'}"),
        ({"format_version": 5}, "format_version 5"),
    ],
)
def test_damaged_configurations_are_named(tmp_path, edit, message):
    Small().save(tmp_path)
    config = json.loads((tmp_path / "encoder.json").read_text())
    (tmp_path / "encoder.json").write_text(json.dumps(config | edit))
    with pytest.raises(ModelFolderError, match=message):
        Small.load(tmp_path)


@pytest.mark.parametrize("name", ["encoder.json", "state.safetensors"])
def test_missing_files_are_named(tmp_path, name):
    Small().save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelFolderError, match=f"{name} is missing"):
        Small.load(tmp_path)
