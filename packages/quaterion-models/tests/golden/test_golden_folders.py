"""Model folders of format 1 are read for ever, and what is saved today has their form."""

import importlib.util
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from quaterion_models import SimilarityModel
from quaterion_models.encoders import CallableEncoder

HERE = Path(__file__).parent
FOLDERS = sorted(folder for folder in (HERE / "format_1").iterdir())


def _golden_classes():
    spec = importlib.util.spec_from_file_location("golden_classes_of_a_test", HERE / "golden_classes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


golden_classes = _golden_classes()
CLASSES = golden_classes.CLASSES
GIVEN = golden_classes.given(CallableEncoder)
NEEDS = {
    "sentence_transformer": ["sentence_transformers"],
    "transformers_encoder": ["transformers"],
    "transformers_encoder_trained": ["transformers"],
    "image_encoder": ["transformers", "PIL"],
    "clip_encoder": ["transformers", "PIL"],
}


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def golden(request):
    for library in NEEDS.get(request.param.name, []):
        pytest.importorskip(library)
    return request.param


def load(folder, name):
    given = {"default": GIVEN[name]} if name in GIVEN else None
    with warnings.catch_warnings():
        # A model loads a library's deprecated parts, not this one's.
        warnings.simplefilter("ignore", DeprecationWarning)
        return SimilarityModel.load(folder, classes=CLASSES, encoders=given)


def files(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def tensors(path):
    with safe_open(path, framework="pt") as file:
        return {
            name: (file.get_slice(name).get_dtype(), file.get_slice(name).get_shape(), file.get_tensor(name).tolist())
            for name in file.keys()  # noqa: SIM118
        }


def test_no_golden_folder_is_lost():
    # They may be added to, never taken away.
    assert {folder.name for folder in FOLDERS} >= {
        *("empty_head", "gated_head", "skip_connection_head", "stacked_projection_head", "widening_head"),
        *("softmax_embeddings_head", "sequential_head", "switch_head", "nested_switch_head", "two_sided", "no_head"),
        *("half_precision", "own_classes", "odd_encoder_keys", "class_weights", "fields"),
        *("sentence_transformer", "transformers_encoder", "transformers_encoder_trained", "image_encoder"),
        *("clip_encoder", "fasttext_encoder", "callable_encoder"),
    }


def test_the_vectors_are_those_of_the_day_it_was_saved(golden):
    expected = json.loads((golden / "expected.json").read_text())
    model = load(golden / "model", golden.name)
    inputs = golden_classes.as_objects(expected["inputs"])
    assert repr(model.labels) == expected["labels"]
    # Half precision keeps 8 bits of each number.
    tolerance = 1e-2 if golden.name == "half_precision" else 1e-5
    if model.head is not None:
        for side in ("encode_query", "encode_document"):
            found = getattr(model, side)(inputs)
            np.testing.assert_allclose(found, np.array(expected[side]), rtol=tolerance, atol=tolerance)
    found = [(repr(one.label), one.similarity) for one in model.classify(inputs)] if "classify" in expected else []
    for (label, similarity), (known_label, known_similarity) in zip(found, expected.get("classify", []), strict=True):
        assert label == known_label
        assert similarity == pytest.approx(known_similarity, abs=tolerance)


def test_what_is_saved_today_has_the_same_files_entries_and_tensors(golden, tmp_path):
    load(golden / "model", golden.name).save(tmp_path / "model")
    then, now = files(golden / "model"), files(tmp_path / "model")
    assert now.keys() == then.keys()
    for name, path in now.items():
        if name.endswith(".safetensors"):
            assert tensors(path) == tensors(then[name]), name
        elif name.endswith(".json"):
            # Users' classes are named by the module that this test gave them.
            text = re.sub('"golden_classes([:.])', rf'"{CLASSES[0].__module__}\1', then[name].read_text())
            assert json.loads(path.read_text()) == json.loads(text), name


def test_what_is_saved_today_gives_the_same_vectors_when_it_is_loaded(golden, tmp_path):
    model = load(golden / "model", golden.name)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model", golden.name)
    if model.head is not None:
        inputs = golden_classes.as_objects(json.loads((golden / "expected.json").read_text())["inputs"])
        assert np.array_equal(again.encode_query(inputs), model.encode_query(inputs))
        assert np.array_equal(again.encode_document(inputs), model.encode_document(inputs))


def test_loading_says_nothing(capfd):
    pytest.importorskip("transformers")
    load(HERE / "format_1" / "transformers_encoder_trained" / "model", "transformers_encoder_trained")
    assert "".join(capfd.readouterr()) == ""
