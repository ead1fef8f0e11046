import json
import pickle
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from quaterion_models import SimilarityModel
from quaterion_models.encoders import ClipEncoder, ClipImageEncoder, ClipTextEncoder
from quaterion_models.heads import EmptyHead, GatedHead, SwitchHead
from quaterion_models.saving.files import ModelFolderError

transformers = pytest.importorskip("transformers")
Image = pytest.importorskip("PIL.Image")

TEXTS = ["word1", "", "word2 word3 word4", "word5 " * 30, "nothing known"]  # the fourth is longer than the 16 positions
IMAGES = [
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8))
    for number, size in enumerate([(40, 60), (100, 33), (32, 32)])
]
KINDS = ["clip", "siglip", "chinese_clip"]


def model_of(encoder):
    return SimilarityModel(encoder, EmptyHead(encoder.embedding_size))


def encode(encoder, objects):
    return model_of(encoder).encode(objects)


def text_features(folder, kind):
    """What the library itself gives, for one text at a time; of SigLIP padded, as it was trained."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    padding = {"padding": "max_length"} if kind == "siglip" else {}
    with torch.no_grad():
        inputs = [tokenizer(t, truncation=True, max_length=16, return_tensors="pt", **padding) for t in TEXTS]
        return torch.cat(
            [
                model.get_text_features(batch["input_ids"], attention_mask=batch["attention_mask"]).pooler_output
                for batch in inputs
            ]
        )


def image_features(folder):
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        features = [model.get_image_features(**processor(image, return_tensors="pt")) for image in IMAGES]
    return torch.cat([feature.pooler_output for feature in features])


@pytest.mark.parametrize("kind", KINDS)
def test_gives_the_features_of_the_model_for_one_object_at_a_time(tiny_clip, kind):
    folder = tiny_clip(kind)
    texts, images = text_features(folder, kind), image_features(folder)
    plain = ClipEncoder(folder, normalize=False)
    assert plain.embedding_size == texts.shape[1] == images.shape[1] == (32 if kind == "siglip" else 24)
    mixed = [TEXTS[0], IMAGES[0], *TEXTS[1:], *IMAGES[1:]]
    expected = torch.cat([texts[:1], images[:1], texts[1:], images[1:]])
    np.testing.assert_allclose(encode(plain, mixed), expected, atol=1e-5)
    np.testing.assert_allclose(encode(ClipEncoder(folder), mixed), F.normalize(expected, dim=1), atol=1e-5)
    np.testing.assert_allclose(encode(plain, TEXTS), texts, atol=1e-5)
    np.testing.assert_allclose(encode(plain, IMAGES), images, atol=1e-5)
    assert (texts[0] - texts[2]).abs().max() > 0.01
    assert (images[0] - images[1]).abs().max() > 0.01


def test_the_towers_are_encoders_of_their_own(tiny_clip, tmp_path):
    folder = tiny_clip("clip")
    for cls, objects in ((ClipTextEncoder, TEXTS), (ClipImageEncoder, IMAGES)):
        model = model_of(cls(folder))
        expected = encode(ClipEncoder(folder), objects)
        np.testing.assert_allclose(model.encode(objects), expected, atol=1e-6)
        model.save(tmp_path / cls.__name__)
        np.testing.assert_array_equal(
            SimilarityModel.load(tmp_path / cls.__name__).encode(objects), model.encode(objects)
        )


def test_text_is_a_str_and_everything_else_is_an_image(tiny_clip, tmp_path):
    path = tmp_path / "image.png"
    IMAGES[0].save(path)
    encoder = ClipEncoder(tiny_clip("clip"))
    pixels = np.asarray(IMAGES[0])
    kinds = [path, path.read_bytes(), pixels, pixels / 255, torch.from_numpy(pixels.copy()).movedim(-1, 0), IMAGES[0]]
    vectors = encode(encoder, [*kinds, str(path)])
    np.testing.assert_allclose(vectors[:-1], np.repeat(vectors[:1], len(kinds), axis=0), atol=1e-6)
    np.testing.assert_allclose(vectors[-1:], encode(encoder.options["text"], [str(path)]), atol=1e-6)
    assert encoder.extract_meta([str(path), path]) == [{"encoder": "text"}, {"encoder": "image"}]


def test_a_switch_head_follows_the_kind(tiny_clip):
    encoder = ClipEncoder(tiny_clip("clip"))
    size = encoder.embedding_size
    head = SwitchHead({"text": EmptyHead(size), "image": GatedHead(size)}, size)
    mixed = [IMAGES[0], TEXTS[0], IMAGES[1]]
    plain = encode(encoder, mixed)
    expected = plain * np.array([[np.tanh(2)], [1], [np.tanh(2)]])  # a new gate is tanh(2)
    np.testing.assert_allclose(SimilarityModel(encoder, head).encode(mixed), expected, atol=1e-6)


def test_each_tower_holds_its_own_half_of_the_weights(tiny_clip):
    folder = tiny_clip("clip")
    encoder = ClipEncoder(folder)
    text, image = encoder.options["text"], encoder.options["image"]
    encode(encoder, TEXTS)
    assert text._frozen.model is not None
    assert image._frozen.model is None  # no image has come yet
    encode(encoder, IMAGES)
    halves = [{name for name, _ in tower.loaded().named_parameters()} for tower in (text, image)]
    whole = {name for name, _ in transformers.AutoModel.from_pretrained(folder).named_parameters()}
    assert halves[0] | halves[1] | {"logit_scale"} == whole
    assert not halves[0] & halves[1]
    assert list(encoder.parameters()) == []
    assert len(pickle.dumps(encoder)) < 10_000


def test_keys_lengths_and_fingerprints(tiny_clip, tmp_path):
    folder = tiny_clip("clip")
    encoder = ClipEncoder(folder)
    IMAGES[0].save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    assert encoder.cache_key(tmp_path / "a.png") == encoder.cache_key(tmp_path / "b.png")
    assert encoder.cache_key(tmp_path / "a.png") != encoder.cache_key(str(tmp_path / "a.png"))
    assert [encoder.length(obj) for obj in ("four", IMAGES[0], b"bytes")] == [4, 0, 0]
    prints = {option.fingerprint() for option in encoder.options.values()} | {encoder.fingerprint()}
    assert len(prints) == 3
    copied = shutil.copytree(folder, tmp_path / "copy")
    assert ClipEncoder(copied).fingerprint() == encoder.fingerprint()
    assert ClipEncoder(folder, normalize=False).fingerprint() != encoder.fingerprint()
    path = copied / "preprocessor_config.json"
    path.write_text(path.read_text() + " ")
    assert ClipEncoder(copied).fingerprint() != encoder.fingerprint()


@pytest.mark.parametrize("options", [{}, {"normalize": False, "dtype": "bfloat16"}])
def test_a_frozen_one_is_saved_once_for_both_towers(tiny_clip, tmp_path, options):
    folder = tiny_clip("clip")
    model = model_of(ClipEncoder(folder, **options))
    model.save(tmp_path / "model")
    weights = list((tmp_path / "model").rglob("model*.safetensors"))
    assert [path.read_bytes() for path in weights] == [(folder / "model.safetensors").read_bytes()]
    loaded = SimilarityModel.load(tmp_path / "model")
    assert type(loaded.encoders["default"]) is ClipEncoder
    assert loaded.encoders["default"].fingerprint() == model.encoders["default"].fingerprint()
    np.testing.assert_array_equal(loaded.encode([*TEXTS, *IMAGES]), model.encode([*TEXTS, *IMAGES]))
    loaded.save(tmp_path / "model")  # onto the very files it would read its weights from
    np.testing.assert_array_equal(SimilarityModel.load(tmp_path / "model").encode(TEXTS), model.encode(TEXTS))
    half = model_of(ClipEncoder(folder)).half()
    half.save(tmp_path / "half")
    assert SimilarityModel.load(tmp_path / "half").encode(["word1"]).dtype == np.float16


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_trained_one_is_saved_with_both_towers(tiny_clip, tmp_path, kind):
    encoder = ClipEncoder(tiny_clip(kind), trainable=True)
    model = model_of(encoder).train()
    objects = [*TEXTS, *IMAGES]
    untrained = encode(ClipEncoder(tiny_clip(kind)), objects)
    before = [option.fingerprint() for option in encoder.options.values()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    weights = torch.linspace(-1, 1, encoder.embedding_size)
    (model(model.get_collate_fn()(objects)) @ weights).sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    optimizer.step()
    assert not set(before) & {option.fingerprint() for option in encoder.options.values()}
    model.save(tmp_path / "model")
    assert len(list((tmp_path / "model").rglob("model*.safetensors"))) == 1
    loaded = SimilarityModel.load(tmp_path / "model")
    assert loaded.encoders["default"].trainable
    got = loaded.encode(objects)
    np.testing.assert_allclose(got, model.eval().encode(objects), atol=1e-6)
    assert np.abs(got - untrained)[: len(TEXTS)].max() > 1e-3
    assert np.abs(got - untrained)[len(TEXTS) :].max() > 1e-3


def test_a_trained_tower_is_saved_within_its_model(tiny_clip, tmp_path):
    encoder = ClipTextEncoder(tiny_clip("clip"), trainable=True)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(1.1)
    encoder.save(tmp_path / "text")
    loaded = ClipTextEncoder.load(tmp_path / "text")
    np.testing.assert_allclose(encode(loaded, TEXTS), encode(encoder, TEXTS), atol=1e-6)
    images = ClipImageEncoder(tmp_path / "text" / "model")
    np.testing.assert_allclose(encode(images, IMAGES), encode(ClipImageEncoder(tiny_clip("clip")), IMAGES), atol=1e-6)


def test_what_is_neither_text_nor_image_is_named(tiny_clip):
    encoder = ClipEncoder(tiny_clip("clip"))
    for obj in ({"text": "a"}, None, 3):
        with pytest.raises(
            TypeError, match=rf"ClipEncoder takes texts \(str\) and images .*, got {type(obj).__name__}"
        ):
            encoder.get_collate_fn()(["a", obj])
        with pytest.raises(TypeError, match="pick it out of your records with FieldEncoder"):
            encoder.cache_key(obj)


def test_each_tower_names_what_it_does_not_take(tiny_clip, tmp_path):
    text, image = ClipEncoder(tiny_clip("clip")).options.values()
    with pytest.raises(TypeError, match="ClipTextEncoder takes text, got Image at position 1 of the batch"):
        text.get_collate_fn()(["a", IMAGES[0]])
    with pytest.raises(
        ValueError, match="ClipImageEncoder cannot read the image 'a text' at position 1 among the images of the batch"
    ):
        image.get_collate_fn()([IMAGES[0], "a text"])
    with pytest.raises(
        ValueError, match=r"cannot read the image '.*none\.png' at position 1 among the images of the batch"
    ):
        ClipEncoder(tiny_clip("clip")).get_collate_fn()(["a", IMAGES[0], tmp_path / "none.png"])


def test_other_folders_are_named(tiny_vision, tiny_model, tiny_clip, tmp_path):
    for folder in (tiny_vision("vit"), tiny_model("bert")):
        with pytest.raises(
            ValueError, match=r"is not a model of texts and images: its config\.json has no text_config"
        ):
            ClipEncoder(folder)
    copied = shutil.copytree(tiny_clip("clip"), tmp_path / "copy")
    (copied / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match=r"has no preprocessor_config\.json: its files are not complete"):
        ClipEncoder(copied)
    with pytest.raises(
        ValueError, match="no model 'nobody/nothing': there is no such folder, and the Hugging Face hub"
    ):
        ClipEncoder("nobody/nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"projection_dim": 10**9}, "other shapes than its config.json declares|declares"),
        ({"text_config": {"model_type": "clip_text_model", "hidden_size": 10**9}}, "declares hidden_size 1000000000"),
    ],
)
def test_huge_declared_sizes_are_refused(tiny_clip, tmp_path, change, message):
    ClipEncoder(tiny_clip("clip"), trainable=True).save(tmp_path / "encoder")
    path = tmp_path / "encoder" / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelFolderError, match=message):
        ClipEncoder.load(tmp_path / "encoder")


def test_a_model_without_features_of_texts_is_named(tiny_clip, tmp_path):
    folder = shutil.copytree(tiny_clip("clip"), tmp_path / "copy")
    tower = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    text = tower | {"model_type": "llama", "num_key_value_heads": 2, "vocab_size": 100}
    vision = tower | {"model_type": "clip_vision_model", "image_size": 32, "patch_size": 8}
    config = transformers.AutoConfig.for_model("llava", text_config=text, vision_config=vision)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    with pytest.raises(ValueError, match=r"is a LlavaModel, which has no get_text_features\(\)"):
        ClipTextEncoder(folder, trainable=True)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_adapters_of_both_towers_are_saved_in_one_folder_and_merged(tiny_clip, tmp_path, kind):
    pytest.importorskip("peft")
    folder, objects = tiny_clip(kind, vision_layers=3), [*TEXTS[:2], *IMAGES[:2]]
    encoder = ClipEncoder(folder, lora={"r": 4}, gradient_checkpointing=True)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for one in encoder.parameters():
            if one.requires_grad:
                one.add_(torch.randn(one.shape, generator=generator) * 0.05)
    vectors = encode(encoder, objects)
    assert (np.abs(vectors - encode(ClipEncoder(folder), objects)).max(axis=1) > 0.01).all()
    encoder.save(tmp_path / "saved")
    loaded = ClipEncoder.load(tmp_path / "saved")
    assert all(tower.has_adapters and tower.gradient_checkpointing for tower in loaded.options.values())
    np.testing.assert_array_equal(encode(loaded, objects), vectors)
    with pytest.raises(ModelFolderError, match="does not fit the model beside it"):
        ClipTextEncoder.load(tmp_path / "saved")
    for tower in encoder.options.values():
        tower.merge_adapters()
    np.testing.assert_allclose(encode(encoder, objects), vectors, atol=1e-5)
    encoder.save(tmp_path / "merged")
    np.testing.assert_allclose(encode(ClipEncoder.load(tmp_path / "merged"), objects), vectors, atol=1e-5)


def test_every_adapter_of_a_tower_learns(tiny_clip):
    """SigLIP pools by torch's own attention, which would pass an adapter in it by."""
    pytest.importorskip("peft")
    encoder = ClipImageEncoder(tiny_clip("siglip"), lora=True).train()
    encoder(encoder.get_collate_fn()(IMAGES[:2])).square()[:, :5].sum().backward()
    adapters = {name: one for name, one in encoder.named_parameters() if one.requires_grad}
    assert len(adapters) > 20 and all(one.grad is not None for one in adapters.values())
