"""Fine-tuning on images: from files, through a cache, with the encoder frozen and trained."""

import numpy as np
import pytest
import torch

from quaterion import Quaterion
from quaterion.cache import EmbeddingStore
from quaterion.dataset import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    SimilarityPairSample,
)
from quaterion.loss import MultipleNegativesRankingLoss, TripletLoss
from quaterion.train.cache import CacheConfig
from quaterion_models import SimilarityModel
from quaterion_models.encoders import ClipEncoder, ImageEncoder
from quaterion_models.heads import SkipConnectionHead

transformers = pytest.importorskip("transformers")
Image = pytest.importorskip("PIL.Image")

TOWER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
VISION = TOWER | {"image_size": 16, "patch_size": 8}
WORDS = ["red", "green", "blue"]


def save_model(config, folder):
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory):
    return save_model(transformers.ViTConfig(**VISION), tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    tokenizers = pytest.importorskip("tokenizers")
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "eos_token": "<end>"}
    vocabulary = {word: number for number, word in enumerate(["<pad>", "<unk>", *WORDS, "<end>"])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, special["unk_token"]))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.post_processor = tokenizers.processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 5)])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    text = TOWER | {"vocab_size": 6, "max_position_embeddings": 8, "pad_token_id": 0, "eos_token_id": 5}
    config = transformers.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=12)
    folder = save_model(config, tmp_path_factory.mktemp("clip"))
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Four noisy pictures of each of three colours, and the number of the colour."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    made = []
    for number in range(12):
        pixels = random.integers(0, 100, (20 + number, 30, 3), np.uint8)
        pixels[..., number % 3] += 150
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        made.append((path, number % 3))
    return made


def losses_of(model_type, make_trainer, loader, encoder, loss, caches):
    torch.manual_seed(0)
    model = model_type(encoders=encoder, head=SkipConnectionHead, loss=loss, caches=caches)
    torch.manual_seed(1)
    Quaterion.fit(model, make_trainer(max_epochs=4), loader)
    return model, [value for _, value in model.steps]


def stored(folder):
    (store,) = (EmbeddingStore.open(path) for path in folder.iterdir() if (path / "manifest.json").exists())
    return store


def test_files_train_from_the_cache_as_without_it(model_type, make_trainer, vit_folder, files, tmp_path):
    samples = [SimilarityGroupSample(str(path), group) for path, group in files]
    runs = []
    for caches in (None, CacheConfig(save_dir=tmp_path / "cache")):
        loader = GroupSimilarityDataLoader(samples, batch_size=12, shuffle=True)
        encoder = ImageEncoder(vit_folder)
        _, losses = losses_of(model_type, make_trainer, loader, encoder, TripletLoss(mining="all"), caches)
        runs.append(losses)
    assert runs[1] == pytest.approx(runs[0], rel=1e-5)
    assert runs[0][-1] < runs[0][0]
    paths = [str(path) for path, _ in files]
    plain = encoder(encoder.get_collate_fn()(paths))
    keys = np.stack([np.frombuffer(encoder.cache_key(path), np.uint8) for path in paths])
    vectors = stored(tmp_path / "cache").vectors_of(keys)
    torch.testing.assert_close(vectors, plain, atol=1e-5, rtol=0)


def test_a_cache_holds_a_file_once_and_notices_that_it_was_edited(
    model_type, make_trainer, vit_folder, files, tmp_path
):
    copies = []
    for path, group in files:
        copy = tmp_path / f"copy of {path.name}"
        copy.write_bytes(path.read_bytes())
        copies.append(SimilarityGroupSample(copy, group))
    samples = [SimilarityGroupSample(path, group) for path, group in files] + copies
    caches = CacheConfig(save_dir=tmp_path / "cache")

    def fit():
        loader = GroupSimilarityDataLoader(samples, batch_size=24)
        losses_of(model_type, make_trainer, loader, ImageEncoder(vit_folder), TripletLoss(), caches)
        return len(stored(tmp_path / "cache"))

    assert fit() == len(files)
    copies[0].obj.write_bytes(files[1][0].read_bytes())  # now another picture, which is known
    assert fit() == len(files)
    Image.new("RGB", (9, 9), "pink").save(copies[0].obj)
    assert fit() == len(files) + 1


def test_texts_and_images_train_from_the_cache_as_without_it(model_type, make_trainer, clip_folder, files, tmp_path):
    samples = [SimilarityPairSample(WORDS[group], path) for path, group in files]
    runs = []
    for caches in (None, CacheConfig(save_dir=tmp_path / "cache")):
        loader = PairsSimilarityDataLoader(samples, batch_size=3)
        loss = MultipleNegativesRankingLoss()
        model, losses = losses_of(model_type, make_trainer, loader, ClipEncoder(clip_folder), loss, caches)
        runs.append(losses)
    assert runs[1] == pytest.approx(runs[0], rel=1e-5)
    assert np.mean(runs[0][-4:]) < np.mean(runs[0][:4])
    assert len(stored(tmp_path / "cache")) == len(files) + len(WORDS)
    model.save_servable(tmp_path / "served")
    objects = [WORDS[0], files[0][0], Image.open(files[1][0])]
    served = SimilarityModel.load(tmp_path / "served").encode(objects)
    np.testing.assert_allclose(served, model.model.encode(objects), atol=1e-6)


@pytest.mark.parametrize("kind", ["image", "clip"])
def test_a_trainable_encoder_trains_end_to_end(
    model_type, make_trainer, vit_folder, clip_folder, files, tmp_path, kind
):
    encoder = ImageEncoder(vit_folder, trainable=True) if kind == "image" else ClipEncoder(clip_folder, trainable=True)
    objects = [path for path, _ in files] if kind == "image" else [WORDS[0], files[0][0]]
    before = SimilarityModel(encoder, SkipConnectionHead(encoder.embedding_size)).encode(objects)
    if kind == "image":
        samples = [SimilarityGroupSample(path, group) for path, group in files]
        loader, loss = GroupSimilarityDataLoader(samples, batch_size=12), TripletLoss(mining="all")
    else:
        samples = [SimilarityPairSample(WORDS[group], path) for path, group in files]
        loader, loss = PairsSimilarityDataLoader(samples, batch_size=3), MultipleNegativesRankingLoss()
    model, losses = losses_of(model_type, make_trainer, loader, encoder, loss, None)
    assert np.mean(losses[-4:]) < losses[0]
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    model.save_servable(tmp_path / "served")
    served = SimilarityModel.load(tmp_path / "served")
    np.testing.assert_allclose(served.encode(objects), model.model.encode(objects), atol=1e-6)
    assert np.abs(served.encode(objects) - before).max() > 1e-3
