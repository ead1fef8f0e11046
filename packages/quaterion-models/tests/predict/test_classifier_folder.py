"""A classifier in its model's folder: what comes back, and that files of a stranger do no harm."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from quaterion_models import SimilarityModel
from quaterion_models.predict import Classifier, has_classifier
from quaterion_models.saving.files import ModelFolderError

Make = Callable[..., SimilarityModel]


@pytest.fixture
def classifier(vector_model: Make) -> Classifier:
    objects = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)).tolist()
    return Classifier.from_examples(
        vector_model(3, classes=["a", 5, None]),
        objects,
        ["a", 5, "c"] * 4,
        k=3,
        temperature=0.2,
        weights_temperature=0.4,
        method="both",
        threshold=-0.25,
    )


@pytest.fixture
def folder(classifier: Classifier, tmp_path: Path) -> Path:
    classifier.model.save(tmp_path / "model")
    classifier.save(tmp_path / "model")
    return tmp_path / "model"


def change(folder: Path, **entries: Any) -> None:
    file = folder / "classifier" / "classifier.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


def change_state(folder: Path, **tensors: torch.Tensor) -> None:
    file = folder / "classifier" / "classifier.safetensors"
    save_file({**load_file(file), **tensors}, file)


def test_comes_back_as_it_was(classifier: Classifier, folder: Path) -> None:
    loaded = Classifier.load(folder)
    assert (loaded.labels, loaded.settings()) == (classifier.labels, classifier.settings())
    assert torch.equal(loaded.groups, classifier.groups)  # type: ignore[arg-type]
    queries = torch.randn(20, 3, generator=torch.Generator().manual_seed(1)).tolist()
    for before, after in zip(classifier.classify(queries), loaded.classify(queries), strict=True):
        assert after.label == before.label
        assert after[1:] == pytest.approx(before[1:], abs=1e-6)


def test_without_examples_nothing_but_the_description_is_written(classifier: Classifier, folder: Path) -> None:
    alone = Classifier(classifier.model, ["a", 5], method="weights")
    alone.save(folder)  # in place of the other
    assert [path.name for path in (folder / "classifier").iterdir()] == ["classifier.json"]
    loaded = Classifier.load(folder, model=classifier.model)
    assert (loaded.examples, loaded.labels, loaded.model) == (None, ["a", 5], classifier.model)


def test_the_model_is_read_and_saved_as_before(classifier: Classifier, folder: Path) -> None:
    files = {path.name for path in folder.iterdir()}
    assert files == {"config.json", "head.safetensors", "classes.safetensors", "encoders", "README.md", "classifier"}
    model = SimilarityModel.load(folder)
    model.save(folder)  # the same model: the classifier stays, and is its own
    assert Classifier.load(folder).labels == classifier.labels


def test_of_another_model_it_is_refused(folder: Path, vector_model: Make) -> None:
    vector_model(3, classes=["a", 5, None], seed=1).save(folder)
    with pytest.raises(
        ModelFolderError, match="was made with another model than the one .* Remove it and make the classifier again"
    ):
        Classifier.load(folder)


def test_whether_there_is_one_can_be_asked(folder: Path, tmp_path: Path) -> None:
    assert has_classifier(folder)
    assert not has_classifier(tmp_path)
    assert not has_classifier("sentence-transformers/all-MiniLM-L6-v2")


def test_a_crash_while_saving_leaves_the_old_one(
    classifier: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("quaterion_models.predict.classifier_folder.write_json", fail)
        with pytest.raises(OSError, match="no space left"):
            classifier.replace(k=1).save(folder)
    assert Classifier.load(folder).k == 3
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["config.json", "head.safetensors", "classes.safetensors", "encoders", "README.md", "classifier"]
    )


def test_a_folder_without_a_model_is_refused(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="is no model's folder: save the model there first"):
        classifier.save(tmp_path / "nothing")
    with pytest.raises(ModelFolderError, match="is no model's folder"):
        Classifier.load(tmp_path)


def test_a_model_without_a_classifier_says_so(classifier: Classifier, tmp_path: Path) -> None:
    classifier.model.save(tmp_path / "model")
    with pytest.raises(ModelFolderError, match=r"has no classifier: classifier/classifier.json is missing"):
        Classifier.load(tmp_path / "model")


def test_labels_that_json_cannot_hold_are_refused(classifier: Classifier, folder: Path) -> None:
    other = Classifier(classifier.model, [object()], examples=torch.ones(1, 3), groups=torch.tensor([0]))
    with pytest.raises(ModelFolderError, match="labels must be plain values"):
        other.save(folder)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"format_version": 2}, "has format_version 2, this library reads up to 1"),
        ({"format_version": None}, 'must have a "format_version"'),
        ({"model": 3}, "'model' must be str"),
        ({"k": "3"}, "'k' must be int"),
        ({"k": 0}, "k must be an integer of at least 1"),
        ({"temperature": None}, "'temperature' must be int or float"),
        ({"temperature": 0}, "temperature must be a number above 0"),
        ({"method": "eval"}, 'method must be "knn"'),
        ({"threshold": "x"}, "'threshold' must be int or float"),
        ({"labels": {"a": 1}}, "'labels' must be list"),
        ({"labels": ["a", "a", "b"]}, "each once"),
        ({"labels": ["a", 5]}, "groups must be places among the 2 labels"),
        ({"labels": [{"$class": "os.system"}, 5, "c"]}, "not a known value"),
        ({"has_examples": False}, "needs labelled examples"),
        ({"has_examples": "yes"}, "'has_examples' must be bool"),
    ],
)
def test_a_damaged_description_is_refused(folder: Path, entries: dict[str, Any], message: str) -> None:
    change(folder, **entries)
    with pytest.raises(ModelFolderError, match=message):
        Classifier.load(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"k": 1, "k": 2}', '{"k": NaN}', "[" * 100_000])
def test_what_is_no_strict_json_is_refused(folder: Path, text: str) -> None:
    (folder / "classifier" / "classifier.json").write_text(text)
    with pytest.raises(ModelFolderError, match="is damaged|must hold a JSON object"):
        Classifier.load(folder)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"groups": torch.zeros(3, dtype=torch.int64)}, r"expected the group of each of 12 examples"),
        ({"groups": torch.full((12,), 9)}, "groups must be places among the 3 labels"),
        ({"groups": torch.zeros(12)}, "tensor 'groups' is of type F32"),
        ({"examples": torch.full((12, 3), torch.nan)}, "row 0 has a number that is not finite"),
        ({"examples": torch.zeros(12)}, r"expected embeddings \[N, D\]"),
        ({"more": torch.zeros(1)}, "has a tensor 'more'"),
    ],
)
def test_a_damaged_state_is_refused(folder: Path, tensors: dict[str, torch.Tensor], message: str) -> None:
    change_state(folder, **tensors)
    with pytest.raises(ModelFolderError, match=message):
        Classifier.load(folder)


def test_a_truncated_or_missing_state_is_refused(folder: Path) -> None:
    state = folder / "classifier" / "classifier.safetensors"
    state.write_bytes(state.read_bytes()[:-8])
    with pytest.raises(ModelFolderError, match="is damaged"):
        Classifier.load(folder)
    state.unlink()
    with pytest.raises(ModelFolderError, match="is missing"):
        Classifier.load(folder)


@pytest.mark.parametrize("name", ["classifier/classifier.json", "classifier/classifier.safetensors", "classifier"])
def test_links_out_of_the_folder_are_not_followed(
    classifier: Classifier, folder: Path, tmp_path: Path, name: str
) -> None:
    shutil.move(folder / name, tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelFolderError, match="leads out of the model folder"):
        Classifier.load(folder)
    if name == "classifier":
        with pytest.raises(ModelFolderError, match="leads out of the model folder"):
            classifier.save(folder)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(folder: Path) -> None:
    (folder / "classifier" / "classifier.json").unlink()
    os.mkfifo(folder / "classifier" / "classifier.json")
    with pytest.raises(ModelFolderError, match="is neither a file nor a folder"):
        Classifier.load(folder)
