import inspect
import json
import sys

import pytest
import torch
from torch import nn

from quaterion_models.encoders import FieldEncoder, VectorEncoder
from quaterion_models.saving.files import ModelFolderError


@pytest.fixture
def folder(tmp_path):
    FieldEncoder("a", FieldEncoder(1, VectorEncoder(2))).save(tmp_path / "field")
    return tmp_path / "field"


def test_the_inner_encoder_lies_in_a_folder_of_its_own(folder):
    assert sorted(entry.name for entry in folder.iterdir()) == ["encoder", "encoder.json", "state.safetensors"]
    loaded = FieldEncoder.load(folder)
    assert (loaded.field, loaded.encoder.field, loaded.encoder.encoder.embedding_size) == ("a", 1, 2)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["args"].update(field=None), "cannot be built from its saved arguments: TypeError: field must be"),
        (lambda c: c["args"].update(other=1), "cannot be built from its saved arguments"),
        (lambda c: c.update(encoder="os:system"), "not a class of kind Encoder"),
        (lambda c: c.update(encoder="GatedHead/1"), "not a class of kind Encoder"),
        (lambda c: c.update(encoder="unknown:Thing"), "has not imported"),
        (lambda c: c.update(encoder=3), "'encoder' must be str"),
        (lambda c: c.pop("unrecorded"), "'unrecorded' must be dict"),
        (lambda c: c.update(format_version=2), "format_version 2"),
    ],
)
def test_damaged_configurations_are_named(folder, edit, message):
    config = folder / "encoder.json"
    content = json.loads(config.read_text())
    edit(content)
    config.write_text(json.dumps(content))
    with pytest.raises(ModelFolderError, match=message):
        FieldEncoder.load(folder)


def test_a_missing_inner_folder_is_named(folder):
    (folder / "encoder").rename(folder / "other")
    with pytest.raises(ModelFolderError, match="encoder is missing"):
        FieldEncoder.load(folder)


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    (folder / "encoder").rename(tmp_path / "outside")
    (folder / "encoder").symlink_to(tmp_path / "outside", target_is_directory=True)
    with pytest.raises(ModelFolderError, match="link"):
        FieldEncoder.load(folder)


def test_encoders_nested_too_deeply_are_refused(tmp_path):
    here = tmp_path
    content = {"format_version": 1, "type": "FieldEncoder/1", "args": {"field": 0}, "unrecorded": {"encoder": "x"}}
    for _ in range(30):
        (here / "encoder").mkdir()
        (here / "encoder.json").write_text(json.dumps({**content, "encoder": "FieldEncoder/1"}))
        here = here / "encoder"
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 60)
    try:
        with pytest.raises(ModelFolderError, match="encoders lie too deeply within encoders"):
            FieldEncoder.load(tmp_path)
    finally:
        sys.setrecursionlimit(limit)


def test_a_built_encoder_with_other_parts_is_refused(tmp_path):
    class Scaled(FieldEncoder):
        def __init__(self, field, encoder):
            super().__init__(field, encoder)
            self.scale = nn.Parameter(torch.ones(2))

    FieldEncoder("a", VectorEncoder(2)).save(tmp_path)
    from quaterion_models.saving.encoder_folder import load_encoder_state

    with pytest.raises(ModelFolderError, match="has no tensor 'scale'"):
        load_encoder_state(Scaled("a", VectorEncoder(2)), tmp_path)
