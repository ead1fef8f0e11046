"""Recipe files and programs are found, and find their data, from every folder."""

from pathlib import Path

import pytest
import torch
import yaml

from quaterion.tuning import Part, Recipe
from quaterion.tuning.result.provenance import Provenance
from quaterion.tuning.training.encoders import EncoderChoice
from quaterion_models.encoders import CallableEncoder, SentenceTransformerEncoder, VectorEncoder

RECIPE = Recipe(losses=(Part("SoftmaxLoss"),))
READING = {"group": "intent", "validation": None, "test": "test.csv", "score_range": (0, 5), "seed": 0}


def test_paths_are_found_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    provenance = Provenance("data.csv", READING, {}, Path("cache"))
    (tmp_path / "folder").mkdir()
    choice = EncoderChoice("vectors", {"default": VectorEncoder(3)}, ("folder", "name/on-the-hub"))
    content = yaml.safe_load(provenance.recipe_file(RECIPE, choice))
    assert content["encoder"] == [str(tmp_path / "folder"), "name/on-the-hub"]
    assert content["data"] == str(tmp_path / "data.csv")
    assert content["reading"] == {
        "group": "intent",
        "test": str(tmp_path / "test.csv"),
        "score_range": [0, 5],
        "seed": 0,
    }
    program = provenance.program(RECIPE, choice, pairs=False).text
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
    text = provenance.recipe_file(RECIPE, choice)
    assert "quaterion tune DATA --encoder ENCODER --recipe recipe.yaml --out FOLDER" in text


def program_of(data, encoders, **reading):
    choice = EncoderChoice("some", encoders, None)
    return Provenance(data, {**READING, "test": None, **reading}, {}, None).program(RECIPE, choice, pairs=False)


def test_what_was_given_as_an_object_is_an_argument_of_the_program():
    built, own = VectorEncoder(3, normalize=True), CallableEncoder(len, embedding_size=1, version="1")
    assert program_of("data.csv", {"default": built}).parameters == []
    assert "VectorEncoder(embedding_size=3, normalize=True)" in program_of("data.csv", {"default": built}).text
    mixed = program_of("data.csv", {"vectors": built, "own": own}, test=[{"text": "a"}])
    assert mixed.parameters == ["test", "encoders"]
    assert "{'vectors': VectorEncoder(embedding_size=3, normalize=True), 'own': encoders['own']}" in mixed.text
    assert "test=test" in mixed.text
    assert "train(test, encoders)" in mixed.notes()[0]
    compile(mixed.text, "train.py", "exec")


def test_a_class_of_the_users_own_is_an_argument_whatever_its_name():
    own = type("SentenceTransformerEncoder", (VectorEncoder,), {})(3)
    assert program_of([{"text": "a"}], {"default": own}).parameters == ["data", "encoders"]


def test_the_program_of_an_untouched_encoder_takes_it_as_an_argument_too():
    own = CallableEncoder(lengths, embedding_size=1, version="1")
    choice = EncoderChoice("own", {"default": own}, None)
    program = Provenance("data.csv", READING, {}, None).program(Recipe(), choice, pairs=False)
    names: dict = {}
    exec(program.text.replace('model.save("model")', ""), names)  # noqa: S102
    assert names["train"]({"default": own}).encode(["three"]).tolist() == [[5.0]]


def lengths(texts):
    return torch.tensor([[float(len(text))] for text in texts])


@pytest.mark.parametrize(("settings", "written"), [({}, ""), ({"normalize": True, "max_length": 16}, "normalize=True")])
def test_settings_of_an_encoder_are_in_the_program(minilm_folder, settings, written):
    encoder = SentenceTransformerEncoder(str(minilm_folder), **settings)
    choice = EncoderChoice("minilm", {"default": encoder}, (str(minilm_folder),))
    program = Provenance("data.csv", READING, {}, None).program(RECIPE, choice, pairs=False).text
    line = next(line.strip() for line in program.splitlines() if line.strip().startswith("return {'default'"))
    assert written in line
    built = eval(line.removeprefix("return "), {"SentenceTransformerEncoder": SentenceTransformerEncoder})  # noqa: S307
    assert built["default"].fingerprint() == encoder.fingerprint()
