"""A matcher in its model's folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quaterion_models import SimilarityModel
from quaterion_models.predict import Matcher, MatcherCalibration, has_matcher
from quaterion_models.saving.files import ModelFolderError

Make = Callable[..., SimilarityModel]


@pytest.fixture
def folder(vector_model: Make, tmp_path: Path) -> Path:
    model = vector_model()
    model.save(tmp_path / "model")
    Matcher(model, 0.75, calibration=MatcherCalibration(0.75, 0.9, 0.8, 0.847, 100)).save(tmp_path / "model")
    return tmp_path / "model"


def change(folder: Path, **entries: Any) -> None:
    file = folder / "matcher.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


def test_comes_back_as_it_was_and_the_model_still_loads(folder: Path) -> None:
    loaded = Matcher.load(folder)
    assert (loaded.threshold, loaded.calibration) == (0.75, MatcherCalibration(0.75, 0.9, 0.8, 0.847, 100))
    model = SimilarityModel.load(folder)
    assert Matcher.load(folder, model=model).model is model
    assert has_matcher(folder)
    assert not has_matcher(folder.parent)


def test_it_can_be_replaced_and_leaves_nothing_beside_it(folder: Path) -> None:
    Matcher(SimilarityModel.load(folder), 0.5).save(folder)
    assert (Matcher.load(folder).threshold, Matcher.load(folder).calibration) == (0.5, None)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("README.md", "config.json", "encoders", "head.safetensors", "matcher.json")
    ]


def test_of_another_model_it_is_refused(folder: Path, vector_model: Make) -> None:
    vector_model(seed=1).save(folder)
    with pytest.raises(ModelFolderError, match="was made with another model .* Remove it and make the matcher again"):
        Matcher.load(folder)


def test_a_link_is_neither_read_nor_written_through(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    (folder / "matcher.json").rename(outside)
    (folder / "matcher.json").symlink_to(outside)
    before = outside.read_text()
    with pytest.raises(ModelFolderError, match="leads out of the model folder"):
        Matcher.load(folder)
    Matcher(SimilarityModel.load(folder), 0.5).save(folder)
    assert (outside.read_text(), Matcher.load(folder).threshold) == (before, 0.5)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"format_version": 9}, "has format_version 9"),
        ({"threshold": "0.5"}, "'threshold' must be int or float"),
        ({"threshold": True}, "'threshold' must be int or float"),
        ({"calibration": [1]}, "'calibration' must be a dict or null"),
        ({"calibration": {"threshold": 0.5}}, "'precision' must be int or float"),
    ],
)
def test_a_damaged_file_is_refused(folder: Path, entries: dict[str, Any], message: str) -> None:
    change(folder, **entries)
    with pytest.raises(ModelFolderError, match=message):
        Matcher.load(folder)


def test_without_one_the_error_says_so(vector_model: Make, tmp_path: Path) -> None:
    vector_model().save(tmp_path / "model")
    with pytest.raises(ModelFolderError, match="has no matcher: matcher.json is missing"):
        Matcher.load(tmp_path / "model")
    with pytest.raises(ModelFolderError, match="is no model's folder"):
        Matcher(vector_model(), 0.5).save(tmp_path / "nothing")
