import json
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from quaterion_models import SimilarityModel
from quaterion_models.class_weights import ClassWeights
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EmptyHead, EncoderHead, GatedHead, SkipConnectionHead, SwitchHead
from quaterion_models.saving.files import ModelFolderError
from quaterion_models.saving.model_folder import is_model_folder

SIZE = 4
X = torch.randn(5, 3)


class Small(Encoder):
    trainable = False

    def __init__(self, size=SIZE):
        super().__init__()
        self.layer = nn.Linear(3, size)

    @property
    def embedding_size(self):
        return self.layer.out_features

    def forward(self, batch):
        return self.layer(batch)


class Wrapping(Small):
    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.layer = backbone


class Unsavable(Small):
    def save(self, path):
        raise OSError("disk full")


class WrappingHead(EncoderHead):
    output_size = SIZE

    def __init__(self, inner: nn.Module):
        super().__init__(SIZE)
        self.inner = inner

    def transform(self, input_vectors):
        return self.inner(input_vectors)


def make(head=None, **encoders):
    return SimilarityModel(encoders or {"default": Small()}, head or GatedHead(SIZE * max(len(encoders), 1)))


@pytest.fixture
def folder(tmp_path):
    make().save(tmp_path / "model")
    return tmp_path / "model"


def entries(folder):
    return [path.name for path in folder.iterdir()]


def change(folder, edit):
    config = json.loads((folder / "config.json").read_text())
    edit(config)
    (folder / "config.json").write_text(json.dumps(config))


def same(one, other):
    return np.array_equal(one.encode(X), other.encode(X))


def test_the_layout_is_as_documented(tmp_path):
    make(**{"default": Small(), "a/b": Small()}).save(tmp_path / "model")
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == [
        "model/README.md",
        "model/config.json",
        "model/encoders/a%2Fb/encoder.json",
        "model/encoders/a%2Fb/state.safetensors",
        "model/encoders/default/encoder.json",
        "model/encoders/default/state.safetensors",
        "model/head.safetensors",
    ]
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["format_version"] == 1
    assert [entry["key"] for entry in config["encoders"]] == ["default", "a/b"]
    assert config["encoders"][0]["args"] == {"size": SIZE}
    assert config["head"] == {"type": "GatedHead/1", "args": {"input_embedding_size": 2 * SIZE, "dropout": 0.0}}
    assert is_model_folder(tmp_path / "model")
    assert not is_model_folder(tmp_path)


def test_saving_twice_and_over_another_model_works(tmp_path):
    one, other = make(), make(SkipConnectionHead(SIZE))
    for model in (one, one, other):
        model.save(tmp_path / "model")
        assert same(SimilarityModel.load(tmp_path / "model"), model)
    loaded = SimilarityModel.load(tmp_path / "model")
    loaded.save(tmp_path / "model")
    assert same(SimilarityModel.load(tmp_path / "model"), other)
    assert entries(tmp_path) == ["model"]


def test_a_loaded_model_is_in_eval_mode_and_keeps_dtypes(tmp_path):
    make().to(torch.float64).save(tmp_path / "model")
    loaded = SimilarityModel.load(str(tmp_path / "model"), device="cpu")
    assert not loaded.training
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float64}


def test_a_subclass_loads_as_itself(folder):
    class Mine(SimilarityModel):
        pass

    assert type(Mine.load(folder)) is Mine


def test_a_model_without_head_comes_back_without(tmp_path):
    SimilarityModel(Small(), None).save(tmp_path / "model")
    assert SimilarityModel.load(tmp_path / "model").head is None
    assert not (tmp_path / "model" / "head.safetensors").exists()


@pytest.mark.parametrize("labels", [None, ["cat", "dog"], {"cat": 0, 3: 1, (1, 2): 2}])
def test_labels_come_back(tmp_path, labels):
    model = make()
    model.labels = labels
    model.save(tmp_path / "model")
    assert SimilarityModel.load(tmp_path / "model").labels == labels


def test_labels_that_cannot_be_written_are_named_before_anything_is_touched(folder):
    model = make()
    model.labels = [object()]
    with pytest.raises(ModelFolderError, match=r"model\.labels must be a list or dict of plain values"):
        model.save(folder)
    SimilarityModel.load(folder)


def test_the_card_may_be_given(tmp_path):
    make().save(tmp_path / "model", card="# Mine\nä")
    assert (tmp_path / "model" / "README.md").read_text(encoding="utf-8") == "# Mine\nä"


def test_a_two_sided_model_stays_two_sided(tmp_path):
    model = make(SwitchHead({"query": EmptyHead(SIZE), "document": GatedHead(SIZE)}, SIZE))
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model")
    assert loaded.two_sided
    assert np.array_equal(loaded.encode_document(X), model.encode_document(X))


def test_parts_whose_arguments_cannot_be_saved_are_given_when_loading(tmp_path):
    model = SimilarityModel(Wrapping(nn.Linear(3, SIZE)), WrappingHead(nn.Linear(SIZE, SIZE)))
    model.save(tmp_path / "model")
    with pytest.raises(ModelFolderError, match=r"arguments of Wrapping could not be saved: {'backbone'.*encoders="):
        SimilarityModel.load(tmp_path / "model")
    encoders = {"default": Wrapping(nn.Linear(3, SIZE))}
    with pytest.raises(ModelFolderError, match=r"could not be saved: {'inner'.*pass it as head="):
        SimilarityModel.load(tmp_path / "model", encoders=encoders)
    head = WrappingHead(nn.Linear(SIZE, SIZE))
    assert same(SimilarityModel.load(tmp_path / "model", encoders=encoders, head=head), model)


def test_an_encoder_given_under_an_unknown_name_is_named(folder):
    with pytest.raises(ModelFolderError, match=r"encoders= names \['x'\], but .* has the encoders \['default'\]"):
        SimilarityModel.load(folder, encoders={"x": Small()})


def test_a_save_that_fails_leaves_the_old_model_whole(folder):
    before = SimilarityModel.load(folder)
    with pytest.raises(OSError, match="disk full"):
        make(default=Unsavable()).save(folder)
    assert same(SimilarityModel.load(folder), before)
    assert entries(folder.parent) == ["model"]


def test_files_can_be_read_by_whoever_can_read_new_files(folder):
    (folder.parent / "plain").touch()
    expected = stat.S_IMODE((folder.parent / "plain").stat().st_mode)
    for path in folder.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelFolderError, match="holds files but no saved model"):
        make().save(tmp_path)
    assert entries(tmp_path) == ["config.json"]


def test_what_is_no_folder_is_named(tmp_path):
    with pytest.raises(ModelFolderError, match=r"nothing is no folder: expected one that SimilarityModel\.save wrote"):
        SimilarityModel.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(format_version=2), "format_version 2, this library reads up to 1. Install a newer one"),
        (lambda c: c.pop("format_version"), 'must have a "format_version"'),
        (lambda c: c.pop("encoders"), "'encoders' must be list"),
        (lambda c: c.update(encoders=[]), "must list 1 to 256 encoders, it lists 0"),
        (lambda c: c.update(encoders=c["encoders"] * 10**5), "must list 1 to 256 encoders, it lists 100000"),
        (lambda c: c.update(encoders=c["encoders"] * 2), "lists an encoder twice"),
        (lambda c: c.update(encoders=["x"]), "each encoder must be described by a dict"),
        (lambda c: c["encoders"][0].update(key=3), "'key' must be str"),
        (lambda c: c["encoders"][0].update(key="../default"), "%2E%2E%2Fdefault is missing"),
        (lambda c: c["encoders"][0].update(key="/etc"), "%2Fetc is missing"),
        (lambda c: c["encoders"][0].update(type=None), "'type' must be str"),
        (lambda c: c["encoders"][0].update(type="os:system"), "is not a class of kind Encoder that can be built"),
        (lambda c: c["encoders"][0].update(type="GatedHead/1"), "is not a class of kind Encoder that can be built"),
        (lambda c: c["encoders"][0].update(type="antigravity:Encoder"), "which this process has not imported"),
        (lambda c: c["encoders"][0].update(embedding_size=9), "was saved with embedding_size 9, it is 4 now"),
        (lambda c: c.update(head=3), "'head' must be dict or NoneType"),
        (lambda c: c["head"].update(type="subprocess:Popen"), "is not a class of kind EncoderHead"),
        (
            lambda c: c["head"]["args"].update(input_embedding_size=10**15),
            r"has shape \[4\], .* has \[1000000000000000\]",
        ),
        (lambda c: c.update(labels={"$path": 3}), "labels: not a known value"),
    ],
)
def test_hostile_configurations_are_refused_without_importing(folder, edit, message):
    change(folder, edit)
    with pytest.raises(ModelFolderError, match=message):
        SimilarityModel.load(folder)
    assert "antigravity" not in sys.modules


FILES = ["config.json", "head.safetensors", "encoders/default/encoder.json", "encoders/default/state.safetensors"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "other content", "folder"])
def test_every_missing_or_damaged_file_is_named(folder, name, damage):
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes({"empty": b"", "truncated": content[:-3], "other content": b"\x80\x04cos\nsystem\n"}[damage])
    with pytest.raises(ModelFolderError, match=path.name):
        SimilarityModel.load(folder)


@pytest.mark.parametrize("name", [*FILES, "encoders/default", "encoders"])
def test_a_link_out_of_the_folder_is_not_followed(folder, name):
    path = folder / name
    outside = folder.parent / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(ModelFolderError, match="is a link that leads out of the model folder"):
        SimilarityModel.load(folder)


def test_a_link_to_the_whole_folder_is_the_users_own_and_works(folder):
    (folder.parent / "link").symlink_to(folder)
    assert same(SimilarityModel.load(folder.parent / "link"), SimilarityModel.load(folder))


def test_the_encoders_class_must_be_imported_or_given(folder):
    name = f"{Small.__module__}:Small"
    change(folder, lambda c: c["encoders"][0].update(type="gone.module:Small"))
    with pytest.raises(ModelFolderError, match=r"'gone\.module:Small', which this process has not imported"):
        SimilarityModel.load(folder)
    SimilarityModel.load(folder, classes=[Small])
    change(folder, lambda c: c["encoders"][0].update(type=name))
    SimilarityModel.load(folder)


class Replacing(Small):
    """Saves another model over the folder it is loaded from, as another process might at that moment."""

    times = 0
    other = None
    path = None

    @classmethod
    def load(cls, path):
        if cls.times:
            cls.times -= 1
            cls.other.save(cls.path)
        return super().load(path)


@pytest.mark.parametrize("times", [1, 3])
def test_a_model_that_is_replaced_while_it_is_read_is_not_mixed_with_the_new_one(tmp_path, times):
    one, other = (SimilarityModel(Replacing(), SkipConnectionHead(SIZE)) for _ in range(2))
    one.save(tmp_path / "model")
    Replacing.times, Replacing.other, Replacing.path = times, other, tmp_path / "model"
    assert same(SimilarityModel.load(tmp_path / "model"), other)
    assert Replacing.times == 0


def test_a_model_that_is_replaced_without_end_is_told(tmp_path):
    model = SimilarityModel(Replacing(), SkipConnectionHead(SIZE))
    model.save(tmp_path / "model")
    Replacing.times, Replacing.other, Replacing.path = 100, model, tmp_path / "model"
    with pytest.raises(ModelFolderError, match="was replaced by another save 10 times while it was read"):
        SimilarityModel.load(tmp_path / "model")
    Replacing.times = 0


def test_nothing_in_the_files_says_where_the_model_was(tmp_path):
    # A model saved on a GPU loads without one: what is written are numbers, types and shapes alone.
    make().save(tmp_path / "model")
    for path in (tmp_path / "model").rglob("*.safetensors"):
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert header.pop("__metadata__", {}) == {"format": "pt"}
        assert {key for entry in header.values() for key in entry} == {"dtype", "shape", "data_offsets"}
    for path in (tmp_path / "model").rglob("*"):
        if path.is_file():
            assert not any(word in path.read_bytes() for word in (b"cuda", b"mps", b"device"))
    loaded = SimilarityModel.load(tmp_path / "model")
    assert {tensor.device.type for tensor in loaded.state_dict().values()} == {"cpu"}


def test_loading_is_the_same_whatever_device_is_the_default_and_draws_no_random_numbers(folder):
    model = make()
    model.class_weights = ClassWeights(["a"], torch.ones(1, SIZE))
    model.save(folder)
    expected = SimilarityModel.load(folder)
    before = torch.get_rng_state()
    with torch.device("meta"):
        loaded = SimilarityModel.load(folder)
    assert torch.equal(torch.get_rng_state(), before)
    assert {tensor.device.type for tensor in loaded.state_dict().values()} == {"cpu"}
    assert same(loaded, expected)
    assert {tensor.device.type for tensor in SimilarityModel.load(folder, device="meta").state_dict().values()} == {
        "meta"
    }


class Deep(Small):
    def save(self, path):
        super().save(path)
        Path(path).joinpath(*["d"] * 40).mkdir(parents=True)


class Linking(Small):
    def save(self, path):
        super().save(path)
        (Path(path) / "data").symlink_to("/etc")


@pytest.mark.parametrize(("cls", "message"), [(Deep, "more than 32 deep"), (Linking, "is a link that leads out")])
def test_what_would_not_be_read_again_is_not_saved(folder, cls, message):
    before = SimilarityModel.load(folder)
    with pytest.raises(ModelFolderError, match=message):
        make(default=cls()).save(folder)
    assert same(SimilarityModel.load(folder), before)
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]
