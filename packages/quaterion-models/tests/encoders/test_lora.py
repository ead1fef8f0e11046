"""Adapters in the real MiniLM and in tiny models: trained, saved, loaded, merged."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.encoders import ImageEncoder, SentenceTransformerEncoder, TransformersEncoder
from quaterion_models.encoders.lora import lora_settings
from quaterion_models.heads import EmptyHead
from quaterion_models.saving.files import ModelFolderError

peft = pytest.importorskip("peft")
TEXTS = ["where is my card", "a bird", "the exchange rate is wrong, and I was charged twice"]
KINDS = [SentenceTransformerEncoder, TransformersEncoder]


def encode(encoder):
    return SimilarityModel(encoder, EmptyHead(encoder.embedding_size)).encode(TEXTS)


def trained(kind, folder, lora=True):
    """An encoder whose adapters are no longer those that it began with."""
    encoder = kind(folder, lora=lora)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return encoder


@pytest.mark.parametrize("kind", KINDS)
def test_new_adapters_change_nothing_and_they_alone_are_trainable(kind, minilm_folder):
    encoder = kind(minilm_folder, lora=True)
    assert encoder.trainable and encoder.has_adapters
    np.testing.assert_allclose(encode(encoder), encode(kind(minilm_folder)), atol=1e-6)
    learning = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    # 6 layers of 384: four square matrices, and two between 384 and 1,536, each with rank 8
    assert sum(p.numel() for p in learning.values()) == 6 * 8 * (4 * 2 * 384 + 2 * (384 + 1536))
    assert all(".lora_" in name and "pooler" not in name for name in learning)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_encoder_has_its_base_and_its_adapters(kind, minilm_folder, tmp_path):
    encoder = trained(kind, minilm_folder)
    SimilarityModel(encoder, EmptyHead(384)).save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model").encoders["default"]
    assert loaded.has_adapters and loaded.settings == encoder.settings
    assert loaded.fingerprint() == encoder.fingerprint() != kind(minilm_folder, lora=True).fingerprint()
    assert np.array_equal(encode(loaded), encode(encoder))


@pytest.mark.parametrize("options", [True, {"r": 4, "use_dora": True}])
def test_a_state_holds_the_adapters_alone_and_loads_strictly(options, minilm_folder):
    encoder = trained(SentenceTransformerEncoder, minilm_folder, options)
    expected = encode(encoder)
    model = SimilarityModel(encoder.requires_grad_(False), EmptyHead(384))  # frozen for serving: still adapters
    state = model.state_dict()
    assert state and all(".lora_" in name for name in state)
    other = SimilarityModel(SentenceTransformerEncoder(minilm_folder, lora=options), EmptyHead(384))
    other.load_state_dict(state)
    assert np.array_equal(other.encode(TEXTS), expected)
    first, *rest = state
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict({name: state[name] for name in rest})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        other.load_state_dict(state | {f"{first}.more": state[first]})


def test_a_state_with_the_base_in_it_loads_too(minilm_folder):
    encoder = SentenceTransformerEncoder(minilm_folder, lora=True)
    whole = {f"model.{name}": torch.zeros_like(one) for name, one in encoder.model.state_dict().items()}
    encoder.load_state_dict(whole)
    assert not any(bool(one.any()) for one in encoder.parameters())


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # by peft
def test_peft_reads_the_saved_adapters(minilm_folder, tmp_path):
    transformers = pytest.importorskip("transformers")
    encoder = trained(TransformersEncoder, minilm_folder)
    encoder.save(tmp_path / "encoder")
    base = transformers.AutoModel.from_pretrained(tmp_path / "encoder" / "model")
    model = peft.PeftModel.from_pretrained(base, tmp_path / "encoder" / "adapters").eval()
    batch = encoder.get_collate_fn()(TEXTS)
    with torch.no_grad():
        expected = encoder.eval().embed(encoder.model, batch)
        found = encoder.embed(model, batch)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("options", [True, {"r": 4, "use_dora": True}, {"target_modules": ["query", "value"]}])
def test_a_frozen_copy_has_the_adapters_in_its_weights(options, minilm_folder, tmp_path):
    encoder = trained(SentenceTransformerEncoder, minilm_folder, options)
    frozen = encoder.frozen_copy(tmp_path / "merged")
    assert not frozen.trainable and not frozen.has_adapters and encoder.has_adapters
    assert not np.allclose(encode(frozen), encode(SentenceTransformerEncoder(minilm_folder)), atol=1e-3)
    np.testing.assert_allclose(encode(frozen), encode(encoder), atol=1e-5)
    with pytest.raises(ModelFolderError, match="holds files. Choose a folder that is empty"):
        encoder.frozen_copy(tmp_path / "merged")


@pytest.mark.parametrize("kind", KINDS)
def test_the_export_to_sentence_transformers_has_merged_weights(kind, minilm_folder, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    from quaterion_models.export.sentence_transformers import export_sentence_transformers

    encoder = trained(kind, minilm_folder)
    export_sentence_transformers(SimilarityModel(encoder, EmptyHead(384)), tmp_path / "exported")
    exported = library.SentenceTransformer(str(tmp_path / "exported"), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(exported, encode(encoder), atol=1e-5)
    assert not list((tmp_path / "exported").rglob("*adapter*"))


def test_a_configuration_of_peft_becomes_plain_values():
    config = peft.LoraConfig(r=4, target_modules=["value", "query"], use_rslora=True, task_type="FEATURE_EXTRACTION")
    assert lora_settings(config) == {
        "r": 4,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": 0.0,
        "target_modules": ["query", "value"],
        "use_rslora": True,
    }


@pytest.mark.parametrize(
    ("lora", "error", "message"),
    [
        (False, TypeError, "lora must be True, a dict of arguments of peft.LoraConfig"),
        ({"rank": 8}, ValueError, r"options \['rank'\], expected some of"),
        ({"r": "8"}, TypeError, "r must be int, got '8'"),
        ({"r": 0}, ValueError, "r must be 1 or more, got 0"),
        ({"lora_dropout": 1}, ValueError, "from 0 to below 1, got 1"),
        ({"target_modules": ".*query"}, ValueError, "'all-linear' or a list of names"),
        ({"init_lora_weights": "pissa"}, ValueError, "must be one of"),
        ({"target_modules": []}, TypeError, r"target_modules must hold one str or more, got \[\]"),
        ({"layers_to_transform": ["1"]}, TypeError, "layers_to_transform must hold one int or more"),
        (peft.LoraConfig(bias="all"), ValueError, r"options \['bias'\], expected some of"),
        (peft.LoraConfig(modules_to_save=["dense"]), ValueError, r"options \['modules_to_save'\], expected"),
    ],
)
def test_wrong_options_are_refused(lora, error, message):
    with pytest.raises(error, match=message):
        lora_settings(lora)


def test_names_of_no_layer_are_refused(tiny_model):
    folder = tiny_model("bert")
    with pytest.raises(ValueError, match=r"lora does not fit BertModel: no module has one of the names \['nothing'\]"):
        TransformersEncoder(folder, lora={"target_modules": ["nothing"]})
    with pytest.raises(ValueError, match="lora does not fit BertModel: Target module LayerNorm"):
        TransformersEncoder(folder, lora={"target_modules": ["LayerNorm"]})
    with pytest.raises(ValueError, match=r"layers_to_transform is \[1, 2\], but the BertModel has 2 layers"):
        TransformersEncoder(folder, lora={"layers_to_transform": [1, 2]})
    with pytest.raises(ValueError, match="no module in its layers 0 has one of the names"):
        TransformersEncoder(folder, lora={"target_modules": ["word_embeddings"], "layers_to_transform": 0})


def test_the_package_to_install_is_named(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r'peft is not installed. Type: pip install "quaterion-models\[lora\]"'):
        TransformersEncoder(tiny_model("bert"), lora=True)


@pytest.mark.parametrize("targets", ["all-linear", ["query", "value"], ["q_proj"]])
def test_only_the_chosen_layers_have_adapters(targets, tiny_model):
    folder, place = (tiny_model("llama"), "layers") if "q_proj" in targets else (tiny_model("bert"), "encoder.layer")
    encoder = TransformersEncoder(folder, lora={"target_modules": targets, "layers_to_transform": [1]})
    adapted = [name for name, one in encoder.named_parameters() if one.requires_grad]
    assert adapted and all(name.startswith(f"model.{place}.1.") for name in adapted)


@pytest.mark.parametrize(
    "options", [{"target_modules": ["word_embeddings"]}, {"target_modules": ["word_embeddings", "query"]}]
)
@pytest.mark.parametrize("dora", [False, True])
def test_adapters_of_embeddings_are_saved_and_merged(options, dora, tiny_model, tmp_path):
    encoder = trained(TransformersEncoder, tiny_model("bert"), {**options, "use_dora": dora})
    vectors = encode(encoder)
    assert np.abs(vectors - encode(TransformersEncoder(tiny_model("bert")))).max() > 0.01
    encoder.save(tmp_path / "saved")
    np.testing.assert_array_equal(encode(TransformersEncoder.load(tmp_path / "saved")), vectors)
    for _ in range(2):  # nothing is left to merge the second time
        encoder.merge_adapters()
        np.testing.assert_allclose(encode(encoder), vectors, atol=1e-5)


def test_adapters_of_gpt2_raise_no_warning_and_can_be_merged(tiny_model, tmp_path):
    encoder = trained(TransformersEncoder, tiny_model("gpt2"))  # warnings are errors here
    np.testing.assert_allclose(encode(encoder.frozen_copy(tmp_path / "merged")), encode(encoder), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_adapters_beside_half_precision_learn_in_float32(dtype, tiny_model):
    encoder = TransformersEncoder(tiny_model("bert"), lora=True, dtype=dtype).train()
    learning = [one for one in encoder.parameters() if one.requires_grad]
    assert {one.dtype for one in learning} == {torch.float32}
    optimizer = torch.optim.AdamW(learning, lr=1e-3)
    batch = encoder.get_collate_fn()(["word1 word2", "word3"])
    for _ in range(3):
        optimizer.zero_grad()
        encoder(batch).square()[:, :3].sum().backward()
        optimizer.step()
    assert bool(torch.isfinite(encoder(batch)).all())


def test_statistics_of_batch_normalization_stay_those_of_the_base(tiny_vision, tmp_path):
    """They are no adapters, so they are not saved: a training that changed them would be lost in part."""
    pytest.importorskip("PIL")
    encoder = ImageEncoder(tiny_vision("resnet"), lora={"target_modules": ["convolution"]}).train()
    batch = encoder.get_collate_fn()([torch.rand(3, 32, 32) for _ in range(4)])
    optimizer = torch.optim.SGD([one for one in encoder.parameters() if one.requires_grad], lr=0.1)
    encoder(batch).square().mean().neg().backward()
    optimizer.step()
    vectors = encoder.eval()(batch)
    assert not torch.equal(vectors, ImageEncoder(tiny_vision("resnet"))(batch))
    encoder.save(tmp_path / "saved")
    torch.testing.assert_close(ImageEncoder.load(tmp_path / "saved").eval()(batch), vectors, rtol=0, atol=0)
    assert any(part.training for part in encoder.train().modules())
    encoder.merge_adapters()
    assert all(part.training for part in encoder.train().model.modules())


def test_adapters_of_another_rank_than_declared_are_refused(minilm_folder, tmp_path):
    SentenceTransformerEncoder(minilm_folder, lora=True).save(tmp_path)
    config = next(path for path in tmp_path.glob("*.json"))
    content = json.loads(config.read_text())
    content["args"]["lora"]["r"] = 10**9
    config.write_text(json.dumps(content))
    with pytest.raises(ModelFolderError, match=r"ranks \[8\], but the settings say 1000000000"):
        SentenceTransformerEncoder.load(tmp_path)


def test_checkpointing_gives_the_same_gradients_with_dropout_on(minilm_folder: Path):
    gradients = []
    for checkpointing in (False, True):
        encoder = SentenceTransformerEncoder(minilm_folder, True, gradient_checkpointing=checkpointing).train()
        torch.manual_seed(0)
        encoder(encoder.get_collate_fn()(TEXTS)).square()[:, :100].sum().backward()
        gradients.append({name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})
    assert len(gradients[0]) > 90 and gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-4)
