"""Recipe files and programs are found, and find their data, from every folder."""

from pathlib import Path

import pytest
import yaml

from quaterion.tuning import Part, Recipe
from quaterion.tuning.encoders import EncoderChoice
from quaterion.tuning.provenance import Provenance
from quaterion_models.encoders import SentenceTransformerEncoder, VectorEncoder

RECIPE = Recipe(losses=(Part("SoftmaxLoss"),))
READING = {"group": "intent", "validation": None, "test": "test.csv", "score_range": (0, 5), "seed": 0}


def test_paths_are_found_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    provenance = Provenance("data.csv", READING, {}, Path("cache"))
    choice = EncoderChoice("vectors", {"default": VectorEncoder(3)}, ("some/folder",))
    content = yaml.safe_load(provenance.recipe_file(RECIPE, choice))
    assert content["data"] == str(tmp_path / "data.csv")
    assert content["reading"] == {
        "group": "intent",
        "test": str(tmp_path / "test.csv"),
        "score_range": [0, 5],
        "seed": 0,
    }
    program = provenance.program(RECIPE, choice, pairs=False)
    assert (
        f"read_tuning_data({str(tmp_path / 'data.csv')!r}, group='intent', test={str(tmp_path / 'test.csv')!r}"
        in program
    )
    assert f"CacheConfig(save_dir={str(tmp_path / 'cache')!r})" in program


def test_data_in_memory_lie_nowhere():
    choice = EncoderChoice("vectors", {"default": VectorEncoder(3)}, None)
    provenance = Provenance([{"text": "a"}], {**READING, "test": None}, {}, None)
    content = yaml.safe_load(provenance.recipe_file(RECIPE, choice))
    assert (content["data"], content["reading"], content["encoder"]) == (None, {}, None)


@pytest.mark.parametrize(("settings", "written"), [({}, ""), ({"normalize": True, "max_length": 16}, "normalize=True")])
def test_settings_of_an_encoder_are_in_the_program(minilm_folder, settings, written):
    encoder = SentenceTransformerEncoder(str(minilm_folder), **settings)
    choice = EncoderChoice("minilm", {"default": encoder}, (str(minilm_folder),))
    program = Provenance("data.csv", READING, {}, None).program(RECIPE, choice, pairs=False)
    line = next(line.strip() for line in program.splitlines() if line.strip().startswith("return {'default'"))
    assert written in line
    built = eval(line.removeprefix("return "), {"SentenceTransformerEncoder": SentenceTransformerEncoder})  # noqa: S307
    assert built["default"].fingerprint() == encoder.fingerprint()
