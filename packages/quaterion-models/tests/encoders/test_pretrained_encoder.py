import copy
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from quaterion_models import SimilarityModel
from quaterion_models.encoders.pretrained_collate import PretrainedCollate
from quaterion_models.encoders.pretrained_encoder import PretrainedEncoder
from quaterion_models.encoders.pretrained_files import ModelSource, read_config
from quaterion_models.heads import EmptyHead

WORDS = ["a", "b", "c"]


class Numbers(PretrainedCollate):
    def files(self):
        return [self.folder / "vocab.txt"]

    def load(self):
        return (self.folder / "vocab.txt").read_text().split()

    def collate(self, tool, objects):
        return torch.tensor([tool.index(word) for word in objects])


class Table(PretrainedEncoder):
    """A model of a user's own: a vector for each word."""

    source = ModelSource("a table of vectors", "me/table", "none")
    SETTINGS = {"scale": (int, float)}
    DISTRIBUTIONS = ()

    def __init__(self, name_or_folder, trainable=False, *, scale=1, normalize=False, dtype=None):
        super().__init__(name_or_folder, trainable, dtype=dtype, normalize=normalize, scale=scale)

    def load_model(self, dtype):
        weights = load_file(self.folder / "model.safetensors")["weight"].to(dtype)
        return torch.nn.Embedding.from_pretrained(weights, freeze=False)

    def embed(self, model, batch):
        return model(batch) * self.settings["scale"]

    def read_size(self):
        return read_config(self.folder / "config.json")["dim"]

    def write_model(self, model, folder):
        for name in ("config.json", "vocab.txt"):
            (folder / name).write_bytes((self.folder / name).read_bytes())
        save_file({"weight": model.weight.detach().contiguous()}, folder / "model.safetensors")

    def get_collate_fn(self):
        return Numbers(self.folder)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "table"
    place.mkdir()
    (place / "config.json").write_text(json.dumps({"dim": 2}))
    (place / "vocab.txt").write_text(" ".join(WORDS))
    save_file({"weight": torch.tensor([[3.0, 4.0], [0.0, 1.0], [1.1, 0.0]])}, place / "model.safetensors")
    return place


def encode(encoder):
    return SimilarityModel(encoder, EmptyHead(2)).encode(WORDS)


def test_a_subclass_needs_only_what_is_its_own(folder, tmp_path):
    encoder = Table(folder, scale=2, normalize=True)
    assert encoder.embedding_size == 2
    np.testing.assert_allclose(encode(encoder), [[0.6, 0.8], [0, 1], [1, 0]], atol=1e-6)
    model = SimilarityModel(encoder, EmptyHead(2))
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model", classes=[Table]).encoders["default"]
    assert loaded.settings == encoder.settings == {"dtype": None, "normalize": True, "scale": 2}
    assert loaded.fingerprint() == encoder.fingerprint()
    assert np.array_equal(encode(loaded), encode(encoder))


def test_a_trained_one_is_written_as_it_is(folder, tmp_path):
    encoder = Table(folder, trainable=True)
    assert [name for name, _ in encoder.named_parameters()] == ["model.weight"]
    before = encoder.fingerprint()
    with torch.no_grad():
        encoder.model.weight.add_(1)
    assert encoder.fingerprint() != before
    encoder.save(tmp_path / "saved")
    loaded = Table.load(tmp_path / "saved")
    assert loaded.trainable
    np.testing.assert_array_equal(encode(loaded), [[4, 5], [1, 2], [np.float32(2.1), 1]])


def test_weights_are_read_at_the_first_forward_and_kept_apart(folder):
    encoder = Table(folder)
    (folder / "model.safetensors").rename(folder / "elsewhere")
    assert encoder.embedding_size == 2
    (folder / "elsewhere").rename(folder / "model.safetensors")
    encode(encoder)
    assert encoder._frozen.model is not None
    assert list(encoder.parameters()) == [] and encoder.state_dict() == {} and list(encoder.children()) == []
    for copied in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert copied._frozen.model is None
        assert np.array_equal(encode(copied), encode(encoder))


@pytest.mark.parametrize(("dtype", "error"), [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_dtype_is_that_of_the_weights_alone(folder, dtype, error):
    encoder = Table(folder, dtype=dtype)
    vectors = encode(encoder)
    assert encoder.loaded().weight.dtype == getattr(torch, dtype)
    assert vectors.dtype == np.float32
    rounded = torch.tensor(1.1).to(getattr(torch, dtype)).item()
    assert vectors[2, 0] == np.float32(rounded) != np.float32(1.1)
    assert abs(rounded - 1.1) <= 1.1 * error


def test_a_cast_is_one_of_weights_and_vectors_and_can_be_taken_back(folder):
    encoder = Table(folder)
    full, prints = encode(encoder), [encoder.fingerprint()]
    half = encode(encoder.half())
    prints.append(encoder.fingerprint())
    assert half.dtype == np.float16 and encoder.loaded().weight.dtype == torch.float16
    # Not the rounded weights cast back: they are read again.
    assert np.array_equal(encode(encoder.float()), full)
    assert encoder.fingerprint() == prints[0] != prints[1]


def test_autocast_leaves_the_precision_of_the_vectors(folder):
    encoder = Table(folder)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert encode(encoder).dtype == np.float32


def test_files_that_change_are_read_again_or_refused(folder):
    encoder = Table(folder)
    before = encoder.fingerprint()
    save_file({"weight": torch.zeros(3, 2)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"have changed since the encoder's fingerprint was taken.*Build the encoder"):
        encode(encoder)
    assert encoder.fingerprint() != before
    assert not encode(encoder).any()
    save_file({"weight": torch.ones(3, 2)}, folder / "model.safetensors")
    encoder.fingerprint()
    assert encode(encoder).all()


def test_other_files_in_the_place_of_those_it_was_built_on_are_refused(folder):
    encoders = [Table(folder), pickle.loads(pickle.dumps(Table(folder)))]
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(content)  # the same, as when a model is saved where it came from
    assert encode(Table(folder)).any() and encode(encoders[0]).any()
    save_file({"weight": torch.zeros(3, 2)}, folder / "model.safetensors")
    encode(encoders[0])  # its weights have been read
    with pytest.raises(ValueError, match=r"have changed since the encoder was built.*another model than its head"):
        encode(encoders[1])
    encoders[1].fingerprint()
    assert not encode(encoders[1]).any()


def test_a_folder_that_has_moved_is_named(folder, tmp_path):
    encoder, other = Table(folder), Table(folder)
    tool = other.get_collate_fn()
    folder.rename(tmp_path / "moved")
    for use in (encode, lambda one: one.save(tmp_path / "saved"), Table.fingerprint, lambda _: tool(WORDS)):
        with pytest.raises(ValueError, match=r"table is no longer there: an encoder reads .*Load it again"):
            use(encoder)


def test_what_a_subclass_declares_is_what_it_passes_on(folder):
    class Undeclared(Table):
        SETTINGS = {}

    with pytest.raises(TypeError, match=r"Undeclared declares SETTINGS \[\], it got \['scale'\]"):
        Undeclared(folder)


@pytest.mark.parametrize("dtype", ["int8", "float64", torch.float16, 16])
def test_other_precisions_are_named(folder, dtype):
    with pytest.raises(ValueError, match=r"dtype must be None or one of \['float16', 'bfloat16', 'float32'\], got"):
        Table(folder, dtype=dtype)


def test_a_folder_of_something_else_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"has no config\.json: it is not a table of vectors"):
        Table(tmp_path)
