import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.encoders import TimmEncoder
from quaterion_models.heads import EmptyHead
from quaterion_models.saving.files import ModelFolderError

SIZES = [(40, 60), (300, 133), (64, 64)]
ARRAYS = [np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8) for number, size in enumerate(SIZES)]


def test_the_extra_is_named_where_timm_is_missing(tmp_path):
    code = f"""
import importlib.util, pathlib
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "timm" else find(name, *rest)
folder = pathlib.Path({str(tmp_path)!r})
(folder / "config.json").write_text('{{"architecture": "resnet18"}}')
from quaterion_models.encoders import TimmEncoder
try:
    TimmEncoder(folder, trainable=True)
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == 'timm is not installed. Type: pip install "quaterion-models[timm]"\n'


def test_other_folders_are_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "vit", "architectures": ["ViTModel"]}')
    with pytest.raises(
        ValueError, match=r"is not a model of timm: its config\.json names no architecture.*ImageEncoder"
    ):
        TimmEncoder(tmp_path)
    with pytest.raises(
        ValueError, match=r"no model 'resnet18\.nothing': there is no such folder, and the Hugging Face"
    ):
        TimmEncoder("resnet18.nothing")


@pytest.fixture(scope="session")
def timm():
    return pytest.importorskip("timm", reason="needs the extra timm, which needs torchvision")


@pytest.fixture(scope="session")
def tiny_timm(timm, tmp_path_factory):
    """Makes a folder as timm writes it, of an architecture with random weights."""
    made = {}

    def make(name, **options):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                model = timm.create_model(name, num_classes=7, **options)
            timm.models.save_for_hf(model, str(made[name]), safe_serialization=True)
        return made[name]

    return make


@pytest.fixture(scope="session")
def resnet(tiny_timm):
    return tiny_timm("test_resnet")


@pytest.fixture(scope="session")
def images():
    module = pytest.importorskip("PIL.Image")
    return [module.fromarray(array) for array in ARRAYS]


def model_of(encoder):
    return SimilarityModel(encoder, EmptyHead(encoder.embedding_size))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_gives_the_features_of_timm_for_one_image_at_a_time(timm, tiny_timm, images, name):
    folder = tiny_timm(name)
    plain = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(plain), is_training=False)
    with torch.no_grad():
        expected = torch.cat([plain(transform(image).unsqueeze(0)) for image in images])
    encoder = TimmEncoder(folder)
    assert encoder.embedding_size == expected.shape[1]
    np.testing.assert_allclose(model_of(encoder).encode(images), expected, atol=1e-5)
    np.testing.assert_allclose(model_of(encoder).encode(ARRAYS), expected, atol=1e-5)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    unit = model_of(TimmEncoder(folder, normalize=True)).encode(images)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)


def test_the_size_is_known_without_the_weights(resnet, tmp_path):
    folder = shutil.copytree(resnet, tmp_path / "copy")
    expected = TimmEncoder(folder).embedding_size
    (folder / "model.safetensors").write_bytes(b"")
    assert TimmEncoder(folder).embedding_size == expected


def test_a_frozen_one_is_saved_as_its_files(resnet, images, tmp_path):
    model = model_of(TimmEncoder(resnet, normalize=True))
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model")
    assert isinstance(loaded.encoders["default"], TimmEncoder)
    assert loaded.encoders["default"].fingerprint() == model.encoders["default"].fingerprint()
    np.testing.assert_array_equal(loaded.encode(images), model.encode(images))
    assert len(pickle.dumps(model.encoders["default"])) < 10_000
    assert list(model.parameters()) == []


def test_a_trained_one_is_saved_with_its_weights(resnet, images, tmp_path):
    model = model_of(TimmEncoder(resnet, trainable=True)).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(model.get_collate_fn()(images)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    optimizer.step()
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model")
    assert loaded.encoders["default"].trainable
    np.testing.assert_allclose(loaded.encode(images), model.eval().encode(images), atol=1e-5)
    assert np.abs(loaded.encode(images) - model_of(TimmEncoder(resnet)).encode(images)).max() > 1e-3
    loaded.save(tmp_path / "model")
    np.testing.assert_allclose(
        SimilarityModel.load(tmp_path / "model").encode(images), loaded.encode(images), atol=1e-6
    )


def test_half_precision(resnet, images):
    expected = model_of(TimmEncoder(resnet)).encode(images)
    got = model_of(TimmEncoder(resnet, dtype="bfloat16")).encode(images)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=0.1 * np.abs(expected).max())


def test_files_are_known_by_their_bytes(resnet, images, tmp_path):
    encoder = TimmEncoder(resnet)
    images[0].save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    assert encoder.cache_key(tmp_path / "a.png") == encoder.cache_key(str(tmp_path / "b.png"))
    assert encoder.length("a path") == encoder.length(images[0]) == 0
    with pytest.raises(ValueError, match=r"TimmEncoder cannot read the image '.*none\.png' at position 1 among"):
        encoder.get_collate_fn()([images[0], tmp_path / "none.png"])


def test_weights_that_are_missing_are_named(resnet, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(resnet, tmp_path / "copy")
    weights = load_file(folder / "model.safetensors")
    for name in [name for name in weights if name.startswith("layer4.")]:
        del weights[name]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"lacks \d+ weights of its architecture, which would be random: layer4"):
        TimmEncoder(folder, trainable=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "no_such_model"}, r"cannot be loaded as a model of timm: RuntimeError: Unknown model"),
        ({"model_args": {"depths": [3, 60_000]}}, "declares 60003 layers, expected at most 1000"),
        ({"model_args": {"in_chans": 10**9}}, "declares a size of 1000000000, expected at most 65536"),
    ],
)
def test_hostile_configurations_are_refused(resnet, tmp_path, change, message):
    TimmEncoder(resnet, trainable=True).save(tmp_path / "encoder")
    path = tmp_path / "encoder" / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelFolderError, match=message):
        TimmEncoder.load(tmp_path / "encoder")
