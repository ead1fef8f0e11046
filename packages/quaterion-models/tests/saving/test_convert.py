"""Folders of Quaterion 0.1, made here by hand in the form that its users have."""

import json
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EncoderHead, GatedHead
from quaterion_models.saving.convert import convert_model
from quaterion_models.saving.files import ModelFolderError

TEXTS = ["a", "search", "the audio is out of sync"]


class OldEncoder(Encoder):
    """Written for 0.1: it saves and loads itself."""

    trainable = False

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    @property
    def embedding_size(self):
        return 4

    def get_collate_fn(self):
        return lambda texts: torch.tensor([[len(t), t.count("a"), t.count("s"), 1.0] for t in texts])

    def forward(self, batch):
        return batch * self.factor

    def save(self, output_path):
        (Path(output_path) / "factor.txt").write_text(str(self.factor))

    @classmethod
    def load(cls, input_path):
        return cls(float((Path(input_path) / "factor.txt").read_text()))


class Unloadable(OldEncoder):
    @classmethod
    def load(cls, input_path):
        raise KeyError("vocabulary")


class Defaulting(OldEncoder):
    load = Encoder.load


class OldHead(EncoderHead):
    """A head of a program's own."""

    def __init__(self, input_embedding_size, size=2, **kwargs):
        super().__init__(input_embedding_size, **kwargs)
        self.layer = nn.Linear(input_embedding_size, size)

    @property
    def output_size(self):
        return self.layer.out_features

    def transform(self, input_vectors):
        return self.layer(input_vectors)


def own(cls):
    return {"module": cls.__module__, "class": cls.__name__}


def head_class(name):
    snake = "".join("_" + one.lower() if one.isupper() else one for one in name).lstrip("_")
    return {"module": f"quaterion_models.heads.{snake}", "class": name}


@pytest.fixture
def old(tmp_path):
    """Writes an old folder."""

    def write(head, arguments, weights, *, encoders=None, file="weights.bin"):
        folder = tmp_path / "old"
        encoders = {"default": own(OldEncoder)} if encoders is None else encoders
        for key in encoders:
            (folder / "encoders" / key).mkdir(parents=True)
            OldEncoder(2.0).save(folder / "encoders" / key)
        (folder / "config.json").write_text(json.dumps({"encoders": encoders, "head": head}))
        (folder / "head").mkdir()
        (folder / "head" / "config.json").write_text(json.dumps(arguments))
        if weights is not None:
            torch.save(weights, folder / "head" / file)
        return folder

    return write


@pytest.fixture
def gated(old):
    return old(head_class("GatedHead"), {"input_embedding_size": 4, "dropout": 0.1}, {"gates": torch.ones(4)})


X = OldEncoder(2.0)(OldEncoder().get_collate_fn()(TEXTS))
W, V = torch.randn(6, 4), torch.randn(4, 6)
A, B, C = torch.randn(4, 4), torch.randn(4, 4), torch.randn(6, 4)
b4, c4, d6, g, h = torch.randn(4), torch.randn(4), torch.randn(6), torch.randn(4), torch.randn(4)


def skip(x, weight, bias, gate):
    return x + torch.sigmoid(gate) * (x @ weight.T + bias)


# Names of the weights as they might be; what they mean is computed by hand.
HEADS = {
    "EmptyHead": ({"input_embedding_size": 4}, {}, X),
    "GatedHead": ({"input_embedding_size": 4, "dropout": 0.1}, {"gate": g}, X * torch.tanh(g)),
    "SkipConnectionHead": (
        {"input_embedding_size": 4, "dropout": 0.0, "skip_dropout": 0.3, "n_layers": 2},
        {"gates.0": g, "gates.1": h, "fc.0.weight": A, "fc.0.bias": b4, "fc.1.weight": B, "fc.1.bias": c4},
        skip(skip(X, A, b4, g), B, c4, h),
    ),
    "StackedProjectionHead": (
        {"input_embedding_size": 4, "output_sizes": [6, 4], "activation_fn": "tanh"},
        {"stack.0.weight": W, "stack.0.bias": d6, "stack.2.weight": V, "stack.2.bias": b4},
        torch.tanh(X @ W.T + d6) @ V.T + b4,
    ),
    "WideningHead": (
        {"input_embedding_size": 4, "expansion_factor": 1.5, "activation_fn": "relu"},
        {"fc1.weight": W, "fc1.bias": d6, "fc2.weight": V, "fc2.bias": b4},
        torch.relu(X @ W.T + d6) @ V.T + b4,
    ),
    "SoftmaxEmbeddingsHead": (
        {"output_groups": 2, "output_size_per_group": 3, "input_embedding_size": 4},
        {"projectors.weight": C, "projectors.bias": d6},
        (X @ C.T + d6).unflatten(1, (2, 3)).softmax(dim=2).flatten(1),
    ),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("file", ["weights.bin", "head.pt", "state.pth"])
def test_built_in_heads_are_converted_whatever_their_weights_are_called(old, tmp_path, name, file):
    arguments, weights, expected = HEADS[name]
    folder = old(head_class(name), arguments, weights, file=file)
    conversion = convert_model(folder, tmp_path / "new")
    assert conversion.complete, conversion
    assert [(part.name, part.problem) for part in conversion.parts] == [("encoder 'default'", ""), ("head", "")]
    model = SimilarityModel.load(tmp_path / "new")
    assert type(model.head).__name__ == name
    np.testing.assert_allclose(model.encode(TEXTS), expected.numpy(), rtol=1e-5, atol=1e-5)


def test_a_head_of_ones_own_keeps_its_names(old, tmp_path):
    head = OldHead(4, 3, dropout=0.2)
    arguments = {"input_embedding_size": 4, "size": 3, "dropout": 0.2}
    folder = old(own(OldHead), arguments, head.state_dict())
    assert convert_model(folder, tmp_path / "new", classes=[OldEncoder, OldHead]).complete
    loaded = SimilarityModel.load(tmp_path / "new").head
    assert torch.equal(loaded.layer.weight, head.layer.weight)
    assert loaded.dropout.p == 0.2


@pytest.mark.parametrize(
    "form",
    [
        lambda c: f"{c['module']}.{c['class']}",
        lambda c: f"{c['module']}:{c['class']}",
        lambda c: {"__module__": c["module"], "__class__": c["class"]},
        lambda c: {"module_name": c["module"], "name": c["class"]},
    ],
)
def test_classes_may_be_named_in_several_ways(old, tmp_path, form):
    folder = old(
        form(head_class("EmptyHead")), {"input_embedding_size": 4}, None, encoders={"default": form(own(OldEncoder))}
    )
    assert convert_model(folder, tmp_path / "new").complete


def test_several_encoders_keep_their_order(old, tmp_path):
    encoders = {"z": own(OldEncoder), "a": own(OldEncoder), "with space": own(OldEncoder)}
    folder = old(head_class("EmptyHead"), {"input_embedding_size": 12}, {}, encoders=encoders)
    assert convert_model(folder, tmp_path / "new").complete
    assert list(SimilarityModel.load(tmp_path / "new").encoders) == ["z", "a", "with space"]


def test_the_old_folder_stays_as_it_is(gated, tmp_path):
    before = {path: path.read_bytes() for path in gated.rglob("*") if path.is_file()}
    convert_model(gated, tmp_path / "new")
    assert {path: path.read_bytes() for path in gated.rglob("*") if path.is_file()} == before
    with pytest.raises(ModelFolderError, match="holds files but no saved model, so it is not replaced"):
        convert_model(gated, gated)


def test_loading_an_old_folder_says_what_to_do(gated):
    with pytest.raises(ModelFolderError, match=r"saved by Quaterion 0\.1\. Convert it once: quaterion convert-model"):
        SimilarityModel.load(gated)


# ---- what cannot be converted is named


def problem(conversion, name):
    assert not conversion.complete
    return next(part.problem for part in conversion.parts if part.name == name)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (
            {"module": "gone.away", "class": "OldEncoder"},
            r"'gone\.away:OldEncoder', which this process has not imported",
        ),
        ({"module": "antigravity", "class": "OldEncoder"}, "which this process has not imported"),
        ({"module": "os", "class": "system"}, "is not a class of kind Encoder"),
        (
            {"module": "quaterion_models.encoders.extras.fasttext_encoder", "class": "FasttextEncoder"},
            "FasttextEncoder of Quaterion 0.1 was saved in a way that is not read. Build the encoder here",
        ),
        (own(Unloadable), r"Unloadable\.load failed: KeyError: 'vocabulary'"),
        (own(Defaulting), r"encoder\.json is missing"),
    ],
)
def test_an_encoder_that_cannot_be_read_is_named_and_nothing_is_written(old, tmp_path, encoder, message):
    folder = old(head_class("EmptyHead"), {"input_embedding_size": 4}, {}, encoders={"default": encoder})
    import re

    assert re.search(message, problem(convert_model(folder, tmp_path / "new"), "encoder 'default'"))
    assert not (tmp_path / "new").exists()
    assert "antigravity" not in sys.modules


def test_an_encoder_or_head_that_cannot_be_read_may_be_given(old, tmp_path):
    folder = old(
        head_class("SequentialHead"), {}, None, encoders={"default": own(Unloadable), "other": own(OldEncoder)}
    )
    head = GatedHead(8)
    conversion = convert_model(folder, tmp_path / "new", encoders={"default": OldEncoder(3.0)}, head=head)
    assert conversion.complete
    assert [encoder.factor for encoder in SimilarityModel.load(tmp_path / "new").encoders.values()] == [3.0, 2.0]
    with pytest.raises(ModelFolderError, match=r"encoders= names \['x'\], but .* has the encoders"):
        convert_model(folder, tmp_path / "new", encoders={"x": OldEncoder()})


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            head_class("SequentialHead"),
            "its layers were pickled.*Load it where Quaterion 0.1 is installed.*pass it as head=",
        ),
        (head_class("SwitchHead"), "no safe description of the heads inside it"),
        (head_class("FutureHead"), "which this process has not imported"),
        ({"module": "subprocess", "class": "Popen"}, "is not a class of kind EncoderHead"),
    ],
)
def test_a_head_that_cannot_be_read_is_named(old, tmp_path, head, message):
    import re

    folder = old(head, {"input_embedding_size": 4}, {"gates": torch.ones(4)})
    assert re.search(message, problem(convert_model(folder, tmp_path / "new"), "head"))


@pytest.mark.parametrize(
    ("name", "arguments", "weights", "message"),
    [
        ("GatedHead", {"input_embedding_size": 4}, {"weight": g}, "the weights ['weight'] are not clearly those of a"),
        ("GatedHead", {"input_embedding_size": 4}, {"gate": g, "gate2": g}, "are not clearly those of a GatedHead"),
        ("GatedHead", {"input_embedding_size": 4}, None, "the weights [] are not clearly"),
        ("GatedHead", {"input_embedding_size": 5}, {"gate": g}, "built so has {'gates': [5]}, the weights are"),
        ("GatedHead", {"input_embedding_size": 4, "new": 1}, {"gate": g}, "unexpected keyword argument 'new'"),
        ("GatedHead", {"input_embedding_size": "x"}, {"gate": g}, "must be an integer"),
        ("GatedHead", {"input_embedding_size": 4}, {"gate": g.long()}, "no floating point numbers"),
        ("EmptyHead", {"input_embedding_size": 4}, {"gate": g}, "are not clearly those of a EmptyHead"),
        (
            "SkipConnectionHead",
            {"input_embedding_size": 4, "n_layers": 2},
            {"gates.1": g, "gates.0": h, "fc.0.weight": A, "fc.0.bias": b4, "fc.1.weight": B, "fc.1.bias": c4},
            "the order of the layers is not clear",
        ),
        ("SkipConnectionHead", {"input_embedding_size": 4, "n_layers": 10**9}, {"gate": g}, "more than 1000 heads"),
        ("StackedProjectionHead", {"input_embedding_size": 1, "output_sizes": [1] * 10**5}, {}, "more than 1000 heads"),
        ("GatedHead", {"input_embedding_size": 10**12}, {"gate": g}, "built so has|asks for"),
        ("WideningHead", {"input_embedding_size": 4, "expansion_factor": 1e308}, {}, "cannot be built from these"),
        ("WideningHead", {"input_embedding_size": 10**400}, {}, "cannot be built from these arguments"),
    ],
)
def test_weights_and_arguments_that_are_not_clear_are_named(old, tmp_path, name, arguments, weights, message):
    found = problem(convert_model(old(head_class(name), arguments, weights), tmp_path / "new"), "head")
    assert any(part in found for part in message.split("|")), found


# ---- hostile folders


class Evil:
    def __reduce__(self):
        return exec, ("import sys; sys.evil_pickle_ran = True",)


def write_archive(path, payload, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: torch.save({"gate": Evil()}, path),
        lambda path: torch.save(Evil(), path),
        lambda path: torch.save(GatedHead(4), path),
        lambda path: path.write_bytes(pickle.dumps(Evil())),
        lambda path: torch.save({"gate": torch.ones(4)}, path, _use_new_zipfile_serialization=False),
        lambda path: torch.save([torch.ones(4)], path),
        lambda path: torch.save({3: torch.ones(4)}, path),
        lambda path: torch.save({"gate": "text"}, path),
        lambda path: torch.save({"gate": torch.ones(1).expand(10**12)}, path),
        lambda path: torch.save({"gate": torch.ones(4).to_sparse()}, path),
        lambda path: torch.save({"gate": torch.empty(10**12, device="meta")}, path),
        lambda path: write_archive(path, pickle.dumps(Evil(), protocol=2)),
        lambda path: write_archive(path, b"\0" * 10**6, zipfile.ZIP_DEFLATED),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x05\x06" + bytes(18)),
        lambda path: (path.with_suffix(".pt")).write_bytes(b"x") and path.write_bytes(b"x"),
        lambda path: torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(path)),
    ],
    ids=[
        *("pickle among weights", "pickle", "whole module", "bare pickle", "old form", "list", "numbers", "text"),
        *("expanded", "sparse", "meta", "archive", "bomb", "empty", "empty archive", "two files", "script"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_weights_are_read_as_tensors_or_not_at_all(gated, tmp_path, write):
    write(gated / "head" / "weights.bin")
    found = problem(convert_model(gated, tmp_path / "new"), "head")
    assert "head" in found
    assert not hasattr(sys, "evil_pickle_ran")
    assert not (tmp_path / "new").exists()


def test_old_weights_are_not_read_with_a_torch_that_could_be_made_to_run_code(gated, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    assert "with torch 2.6 or newer only" in problem(convert_model(gated, tmp_path / "new"), "head")


@pytest.mark.parametrize("key", ["..", ".", "", "a/b", "/etc", "a\\b", "a\0b", "../../etc"])
def test_a_key_that_leads_elsewhere_is_refused(gated, tmp_path, key):
    content = json.loads((gated / "config.json").read_text())
    (gated / "config.json").write_text(json.dumps({**content, "encoders": {key: own(OldEncoder)}}))
    with pytest.raises(ModelFolderError, match="has no name that can be a folder's"):
        convert_model(gated, tmp_path / "new")


@pytest.mark.parametrize("name", ["config.json", "head", "head/weights.bin", "encoders/default", "encoders"])
def test_a_link_out_of_the_folder_is_not_followed(gated, tmp_path, name):
    (gated / name).rename(tmp_path / "outside")
    (gated / name).symlink_to(tmp_path / "outside")
    with pytest.raises(ModelFolderError, match="is a link that leads out"):
        convert_model(gated, tmp_path / "new")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "is not that of a model saved by Quaterion 0.1"),
        ({"encoders": {}, "head": "a.B"}, "is not that of a model saved"),
        ({"encoders": {"a": 3}, "head": "a.B"}, "is not that of a model saved"),
        ({"encoders": {"a": {"module": 3, "class": "B"}}, "head": "a.B"}, "is not that of a model saved"),
        ({"encoders": {"a": "a.B"}}, "is not that of a model saved"),
        ({"encoders": {"a": "noModule"}, "head": "a.B"}, "is not that of a model saved"),
        ({"encoders": {str(n): "a.B" for n in range(1000)}, "head": "a.B"}, "lists 1000 encoders, expected up to 256"),
        ({"format_version": 1}, "needs no conversion: SimilarityModel.load reads it as it is"),
    ],
)
def test_a_configuration_of_something_else_is_refused(gated, tmp_path, content, message):
    (gated / "config.json").write_text(json.dumps(content))
    with pytest.raises(ModelFolderError, match=message):
        convert_model(gated, tmp_path / "new")


def test_what_is_no_folder_is_named(tmp_path):
    with pytest.raises(ModelFolderError, match="nothing is no folder: expected one that Quaterion 0.1 saved"):
        convert_model(tmp_path / "nothing", tmp_path / "new")


def test_a_folder_without_the_head_or_an_encoder_names_what_is_missing(gated, tmp_path):
    (gated / "encoders" / "default" / "factor.txt").unlink()
    (gated / "head" / "config.json").unlink()
    conversion = convert_model(gated, tmp_path / "new")
    assert "FileNotFoundError" in problem(conversion, "encoder 'default'")
    assert "config.json is missing" in problem(conversion, "head")
