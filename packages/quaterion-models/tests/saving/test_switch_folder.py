import json

import pytest
from torch import nn

from quaterion_models.encoders import Encoder, SwitchEncoder
from quaterion_models.saving.files import ModelFolderError


class Part(Encoder):
    trainable = False
    embedding_size = 2

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, batch):
        return self.layer(batch)


class Either(SwitchEncoder):
    @classmethod
    def encoder_selection(cls, record):
        return record


class Made(Either):
    def __init__(self):
        super().__init__({"a": Part()})


@pytest.fixture
def folder(tmp_path):
    Either({"a": Part(), "../b": Either({"c": Part()})}).save(tmp_path / "encoder")
    return tmp_path / "encoder"


def change(folder, edit):
    config = json.loads((folder / "encoder.json").read_text())
    edit(config)
    (folder / "encoder.json").write_text(json.dumps(config))


def test_options_lie_in_folders_of_their_own_whatever_their_names(folder):
    assert sorted(entry.name for entry in (folder / "options").iterdir()) == ["%2E%2E%2Fb", "a"]
    loaded = Either.load(folder)
    assert list(loaded.options) == ["a", "../b"]
    assert list(loaded.options["../b"].options) == ["c"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(options=[]), "must list 1 to 256 options"),
        (lambda c: c.update(options=[3]), "each described by a dict"),
        (lambda c: c.update(options=c["options"] * 1000), "must list 1 to 256 options"),
        (lambda c: c["options"].append(c["options"][0]), "lists an option twice"),
        (lambda c: c["options"][0].update(key="new"), "new is missing"),
        (lambda c: c["options"][0].update(type="os:system"), "not a class of kind Encoder"),
        (lambda c: c.pop("options"), "'options' must be list"),
    ],
)
def test_damaged_configurations_are_named(folder, edit, message):
    change(folder, edit)
    with pytest.raises(ModelFolderError, match=message):
        Either.load(folder)


def test_a_class_that_makes_other_options_is_named(tmp_path):
    Made().save(tmp_path)
    change(tmp_path, lambda c: c["options"][0].update(key="x"))
    (tmp_path / "options" / "a").rename(tmp_path / "options" / "x")
    with pytest.raises(ModelFolderError, match=r"has the options \['x'\], Made makes \['a'\]"):
        Made.load(tmp_path)
