import io
import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from quaterion_models import SimilarityModel
from quaterion_models.encoders import ImageEncoder
from quaterion_models.encoders.image_encoder import pool_images
from quaterion_models.heads import EmptyHead
from quaterion_models.saving.files import ModelFolderError

transformers = pytest.importorskip("transformers")
Image = pytest.importorskip("PIL.Image")

SIZES = [(40, 60), (100, 33), (32, 32), (7, 5)]
ARRAYS = [np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8) for number, size in enumerate(SIZES)]
IMAGES = [Image.fromarray(array) for array in ARRAYS]


def model_of(encoder):
    return SimilarityModel(encoder, EmptyHead(encoder.embedding_size))


def encode(encoder, objects):
    return model_of(encoder).encode(objects)


def outputs(folder, images=IMAGES):
    """What the library itself gives, for one image at a time."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        return [model(**processor(image, return_tensors="pt")) for image in images]


# Of an image of 32 x 32: 16 patches of 8 x 8, behind 1 token, 2 with DeiT's distillation token, 5 with 4 registers.
def first_token(output):
    return output.last_hidden_state[0, 0]


def own_pooled(output):
    return output.pooler_output.flatten()


def mean_of_patches(output):
    return output.last_hidden_state[0, -16:].mean(0)


def mean_of_places(output):
    return output.last_hidden_state[0].mean((1, 2))


@pytest.mark.parametrize(
    ("kind", "pooling", "expected"),
    [
        ("vit", None, first_token),
        ("vit", "mean", mean_of_patches),
        ("vit", "pooler", own_pooled),
        ("deit", None, first_token),
        ("deit", "mean", mean_of_patches),
        ("dinov2", None, first_token),
        ("dinov2_with_registers", "mean", mean_of_patches),
        ("vit_msn", None, first_token),
        ("ijepa", None, mean_of_patches),
        ("siglip_vision_model", None, own_pooled),
        ("clip_vision_model", None, own_pooled),
        ("resnet", None, own_pooled),
        ("resnet", "mean", mean_of_places),
        ("convnext", None, own_pooled),
        ("swin", None, own_pooled),
        ("poolformer", None, mean_of_places),
    ],
)
def test_gives_the_vectors_of_the_library_for_one_image_at_a_time(tiny_vision, kind, pooling, expected):
    folder = tiny_vision(kind)
    encoder = ImageEncoder(folder, pooling=pooling)
    got = encode(encoder, IMAGES)
    wanted = torch.stack([expected(output) for output in outputs(folder)]).numpy()
    assert got.shape == (4, encoder.embedding_size)
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert np.abs(got[0] - got[1]).max() > 0.01


def test_the_mean_of_swin_is_over_all_its_places(tiny_vision):
    folder = tiny_vision("swin")
    wanted = torch.stack([output.last_hidden_state[0].mean(0) for output in outputs(folder)]).numpy()
    np.testing.assert_allclose(encode(ImageEncoder(folder, pooling="mean"), IMAGES), wanted, atol=1e-5)


def test_every_kind_of_input_gives_the_same_vectors(tiny_vision, tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(len(IMAGES))]
    for image, file in zip(IMAGES, files, strict=True):
        image.save(file)
    encoder = ImageEncoder(tiny_vision("vit"))
    expected = encode(encoder, IMAGES)
    tensors = [torch.from_numpy(array).movedim(-1, 0) for array in ARRAYS]
    for kind in (
        files,
        [str(file) for file in files],
        [file.read_bytes() for file in files],
        ARRAYS,
        [array / 255 for array in ARRAYS],
        tensors,
        [IMAGES[0], files[1], str(files[2]), ARRAYS[3]],
    ):
        np.testing.assert_allclose(encode(encoder, kind), expected, atol=1e-6)
    np.testing.assert_allclose(encode(encoder, files[0]), expected[:1], atol=1e-6)


def test_an_image_is_turned_as_its_orientation_says(tiny_vision):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    IMAGES[0].save(file, "PNG", exif=exif)
    encoder = ImageEncoder(tiny_vision("vit"))
    turned = encode(encoder, [Image.fromarray(np.rot90(ARRAYS[0], -1))])
    np.testing.assert_allclose(encode(encoder, [file.getvalue()]), turned, atol=1e-6)
    assert np.abs(turned - encode(encoder, IMAGES[:1])).max() > 0.01


def test_settings_do_what_they_say(tiny_vision):
    folder = tiny_vision("dinov2")
    plain = ImageEncoder(folder)
    expected = encode(plain, IMAGES)
    unit = ImageEncoder(folder, normalize=True)
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(encode(unit, IMAGES), expected / lengths, atol=1e-6)
    half = ImageEncoder(folder, dtype="bfloat16")
    np.testing.assert_allclose(encode(half, IMAGES), expected, atol=0.2)
    assert encode(half, IMAGES).dtype == np.float32
    pooled = ImageEncoder(folder, pooling="mean")
    assert len({encoder.fingerprint() for encoder in (plain, unit, half, pooled)}) == 4
    np.testing.assert_allclose(encode(ImageEncoder(folder).half(), IMAGES), expected, atol=0.05)


def test_weights_of_a_classifier_are_used_without_it(tiny_vision, tmp_path, caplog, capfd):
    folder = shutil.copytree(tiny_vision("vit"), tmp_path / "classifier")
    trunk = transformers.AutoModel.from_pretrained(folder)
    classifier = transformers.ViTForImageClassification(trunk.config)
    classifier.vit.load_state_dict(trunk.state_dict(), strict=False)
    classifier.save_pretrained(folder)  # it has no pooler
    capfd.readouterr()
    got = encode(ImageEncoder(folder), IMAGES)
    assert capfd.readouterr() == ("", "")
    np.testing.assert_array_equal(got, encode(ImageEncoder(tiny_vision("vit")), IMAGES))
    assert "pooler" not in "".join(ImageEncoder(folder, trainable=True).state_dict())
    with pytest.raises(ValueError, match=r"lacks 2 weights of a ViTModel: pooler.*Choose a pooling that does not need"):
        encode(ImageEncoder(folder, pooling="pooler"), IMAGES)


def test_size_fingerprint_and_keys_load_no_libraries(tiny_vision):
    folder = tiny_vision("vit")
    code = f"""
import sys
from quaterion_models.encoders import ImageEncoder
encoder = ImageEncoder({str(folder)!r})
print(encoder.embedding_size, encoder.fingerprint(), encoder.cache_key(b"a").hex())
encoder.get_collate_fn()
assert not {{"transformers", "PIL", "huggingface_hub"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    encoder = ImageEncoder(folder)
    assert done.stdout.split() == ["32", encoder.fingerprint(), encoder.cache_key(b"a").hex()]


@pytest.mark.parametrize(("kind", "size"), [("resnet", 32), ("poolformer", 24), ("swin", 32)])
def test_the_size_is_known_without_the_weights(tiny_vision, tmp_path, kind, size):
    folder = shutil.copytree(tiny_vision(kind), tmp_path / "empty")
    (folder / "model.safetensors").write_bytes(b"")
    assert ImageEncoder(folder).embedding_size == size


def test_the_image_processor_is_in_the_fingerprint(tiny_vision, tmp_path):
    folder = shutil.copytree(tiny_vision("vit"), tmp_path / "copy")
    before = ImageEncoder(folder).fingerprint()
    assert before == ImageEncoder(tiny_vision("vit")).fingerprint()
    path = folder / "preprocessor_config.json"
    path.write_text(path.read_text().replace("0.5", "0.4"))
    assert ImageEncoder(folder).fingerprint() != before


def test_the_cache_knows_files_by_their_bytes_and_all_images_cost_the_same(tiny_vision, tmp_path):
    encoder = ImageEncoder(tiny_vision("vit"))
    IMAGES[0].save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "another.png")
    keys = {encoder.cache_key(path) for path in (tmp_path / "a.png", str(tmp_path / "another.png"))}
    assert keys == {encoder.cache_key((tmp_path / "a.png").read_bytes())}
    assert encoder.cache_key(IMAGES[0]) == encoder.cache_key(Image.fromarray(ARRAYS[0])) not in keys
    assert {encoder.length(obj) for obj in ("a", "a long path", b"bytes", ARRAYS[0], IMAGES[0])} == {0}


def test_copies_pickles_and_workers_have_no_weights(tiny_vision, tmp_path):
    encoder = ImageEncoder(tiny_vision("vit"))
    expected = encode(encoder, IMAGES)
    assert len(pickle.dumps(encoder)) < 10_000
    np.testing.assert_array_equal(encode(pickle.loads(pickle.dumps(encoder)), IMAGES), expected)
    assert list(encoder.parameters()) == []
    assert encoder.state_dict() == {}
    collate = encoder.get_collate_fn()
    collate(IMAGES[:1])
    assert len(pickle.dumps(collate)) < 1000
    for number, image in enumerate(IMAGES):
        image.save(tmp_path / f"{number}.png")
    paths = [str(tmp_path / f"{number}.png") for number in range(len(IMAGES))]
    loader = DataLoader(paths, batch_size=2, num_workers=2, collate_fn=collate)
    batches = [batch["pixel_values"] for batch in loader]
    assert torch.equal(torch.cat(batches), collate(IMAGES)["pixel_values"])


def test_a_frozen_one_is_saved_as_its_files(tiny_vision, tmp_path):
    model = model_of(ImageEncoder(tiny_vision("dinov2"), pooling="mean", normalize=True))
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.encode(IMAGES), model.encode(IMAGES))
    assert loaded.encoders["default"].fingerprint() == model.encoders["default"].fingerprint()
    assert '"ImageEncoder/1"' in (tmp_path / "model" / "config.json").read_text()


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_a_trained_one_is_saved_with_its_weights(tiny_vision, tmp_path, kind):
    encoder = ImageEncoder(tiny_vision(kind), trainable=True)
    model = model_of(encoder).train()
    before = encoder.fingerprint()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(model.get_collate_fn()(IMAGES)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    optimizer.step()
    assert encoder.fingerprint() != before
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model")
    assert loaded.encoders["default"].trainable
    np.testing.assert_allclose(loaded.encode(IMAGES), model.eval().encode(IMAGES), atol=1e-6)
    untrained = encode(ImageEncoder(tiny_vision(kind)), IMAGES)
    assert np.abs(loaded.encode(IMAGES) - untrained).max() > 1e-3


@pytest.fixture
def saved(tiny_vision, tmp_path):
    folder = tmp_path / "encoder"
    ImageEncoder(tiny_vision("resnet")).save(folder)
    return folder


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("config.json", {"hidden_sizes": [10**9] * 4}, "declares hidden_sizes 1000000000 for vectors of"),
        ("config.json", {"image_size": 10**9}, "declares image_size 1000000000"),
        ("preprocessor_config.json", {"size": {"shortest_edge": 10**6}}, "asks for images of 1000000 pixels"),
        ("config.json", {"model_type": "vit_mae"}, 'masked autoencoder.*write "model_type": "vit"'),
        ("config.json", {"num_channels": 1}, "takes images of 1 channels, expected 3"),
    ],
)
def test_hostile_and_strange_configurations_are_refused(saved, file, change, message):
    path = saved / "model" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelFolderError, match=message):
        ImageEncoder.load(saved)


def test_weights_of_other_shapes_are_refused_before_memory_is_taken(tiny_vision, tmp_path):
    folder = shutil.copytree(tiny_vision("resnet"), tmp_path / "wide")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"embedding_size": 10**8}))
    with pytest.raises(ValueError, match=r"its weights have other shapes than its config\.json declares"):
        ImageEncoder(folder, trainable=True)


@pytest.mark.parametrize("name", ["preprocessor_config.json", "config.json"])
def test_code_that_a_folder_names_is_not_run(tiny_vision, tmp_path, name):
    folder = shutil.copytree(tiny_vision("vit"), tmp_path / "hostile")
    (folder / "evil.py").write_text("raise SystemExit('it ran')")
    path = folder / name
    content = json.loads(path.read_text())
    content |= {"auto_map": {"AutoImageProcessor": "evil.P", "AutoConfig": "evil.C", "AutoModel": "evil.M"}}
    content["model_type" if name == "config.json" else "image_processor_type"] = "evil"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="cannot be loaded|has no image processor that can be loaded"):
        encode(ImageEncoder(folder), IMAGES)


def test_other_folders_are_named(tiny_vision, tiny_model, tiny_clip, tmp_path):
    with pytest.raises(
        ValueError, match=r"has no preprocessor_config\.json, so it is not a vision model.*Transformers"
    ):
        ImageEncoder(tiny_model("bert"))
    with pytest.raises(ValueError, match="is a model of texts and images: use ClipEncoder"):
        ImageEncoder(tiny_clip("clip"))
    with pytest.raises(ValueError, match=r"has no config\.json: it is not a vision model"):
        ImageEncoder(tmp_path)
    with pytest.raises(
        ValueError, match="no model 'nobody/nothing': there is no such folder, and the Hugging Face hub"
    ):
        ImageEncoder("nobody/nothing")


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_a_pooling_that_there_is_not_is_named(tiny_vision, kind):
    with pytest.raises(ValueError, match=r"pooling must be None or one of \['cls', 'mean', 'pooler'\], got 'max'"):
        ImageEncoder(tiny_vision(kind), pooling="max")


def test_a_pooling_that_the_model_cannot_do_is_named(tiny_vision):
    with pytest.raises(
        ValueError, match='the model has no first token for the pooling "cls": choose "pooler" or "mean"'
    ):
        encode(ImageEncoder(tiny_vision("resnet"), pooling="cls"), IMAGES)
    with pytest.raises(ValueError, match='the model has no pooled output: choose the pooling "cls" or "mean"'):
        encode(ImageEncoder(tiny_vision("vit_msn"), pooling="pooler"), IMAGES)


def test_an_image_that_cannot_be_read_is_named(tiny_vision, tmp_path):
    collate = ImageEncoder(tiny_vision("vit")).get_collate_fn()
    with pytest.raises(
        ValueError,
        match=r"ImageEncoder cannot read the image '.*none\.png' at position 1 among the images of the batch",
    ):
        collate([IMAGES[0], tmp_path / "none.png"])
    with pytest.raises(
        ValueError, match="cannot read the image 'a text' at position 0 among the images of the batch.*no such file"
    ):
        collate(["a text"])
    with pytest.raises(
        TypeError, match="ImageEncoder takes images .*, got dict at position 1 among the images of the batch"
    ):
        collate([IMAGES[0], {"image": IMAGES[1]}])


def test_bulk_encoding_leaves_out_what_cannot_be_read_and_lists_it(tiny_vision, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, image in zip(paths, IMAGES, strict=True):
        image.save(path)
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    paths[2].unlink()
    model = model_of(ImageEncoder(tiny_vision("vit")))
    (chunk,) = model.encode_stream(paths, on_error="skip")
    np.testing.assert_allclose(chunk.vectors, model.encode([IMAGES[0], IMAGES[3]]), atol=1e-6)
    assert list(chunk.positions) == [0, 3]
    assert [position for position, _ in chunk.skipped] == [1, 2]
    for (_, reason), path in zip(chunk.skipped, paths[1:3], strict=True):
        assert f"ImageEncoder cannot read the image '{path}'" in reason


def test_images_that_are_no_batch_are_named(tiny_vision, tmp_path):
    folder = shutil.copytree(tiny_vision("vit"), tmp_path / "unsized")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_resize": False}))
    with pytest.raises(ValueError, match=r"cannot make one batch of images of \[\(5, 7\), \(32, 32\), .*width, height"):
        ImageEncoder(folder).get_collate_fn()(IMAGES)


def test_tokens_before_the_patches_do_not_count_in_the_mean():
    tokens = torch.tensor([[[100.0], [50.0], [1.0], [2.0], [6.0]]])
    assert pool_images(tokens, None, "mean", patches=3).item() == 3.0
    assert pool_images(tokens, None, "mean").item() == pytest.approx(159 / 5)
    assert pool_images(tokens[:, 2:], None, None, patches=12).item() == 3.0  # places that were merged
