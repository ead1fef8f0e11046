import json

import pytest

from quaterion_models.encoders import CallableEncoder
from quaterion_models.saving.files import ModelFolderError


def ones(objects):
    return [[1.0] for _ in objects]


class Ones(CallableEncoder):
    def __init__(self):
        super().__init__(ones, 1, version="1", name="ones")


def test_nothing_of_the_function_is_written(tmp_path):
    CallableEncoder(ones, 1, version="1", name="n").save(tmp_path)
    content = json.loads((tmp_path / "encoder.json").read_text())
    assert content["identity"] == {"name": "n", "version": "1", "embedding_size": 1}
    assert content["args"] == {"embedding_size": 1, "version": "1", "name": "n"}
    assert content["unrecorded"] == {"function": "builtins.function"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.pop("identity"), "'identity' must be dict"),
        (lambda c: c["identity"].update(version="2"), r"was trained with \{.*'version': '2'.* has \{.*'version': '1'"),
        (lambda c: c["identity"].update(embedding_size=2), "was trained with"),
        (lambda c: c["identity"].update(more=2), "was trained with"),
        (lambda c: c.update(unrecorded=[]), "'unrecorded' must be dict"),
        (lambda c: c.update(format_version=2), "format_version 2"),
    ],
)
def test_damaged_configurations_are_named(tmp_path, edit, message):
    Ones().save(tmp_path)
    config = tmp_path / "encoder.json"
    content = json.loads(config.read_text())
    edit(content)
    config.write_text(json.dumps(content))
    with pytest.raises(ModelFolderError, match=message):
        Ones.load(tmp_path)
