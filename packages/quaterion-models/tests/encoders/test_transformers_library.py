import shutil

import pytest
import torch

from quaterion_models.encoders.transformers_library import (
    check_texts,
    has_tokenizer,
    load_text_model,
    load_tokenizer,
    quietly,
    save_text_model,
)

IDS = torch.tensor([[5, 6, 7, 8]])


def load(folder):
    return load_text_model(folder, torch.float32, extra="transformers")


def hidden(model):
    with torch.no_grad():
        return model(input_ids=IDS).last_hidden_state


def test_the_setting_of_progress_bars_is_restored():
    logging = pytest.importorskip("transformers.utils.logging")
    for shown in (True, False):
        (logging.enable_progress_bar if shown else logging.disable_progress_bar)()
        with quietly(extra="transformers"):
            assert not logging.is_progress_bar_enabled()
        assert logging.is_progress_bar_enabled() == shown
    logging.enable_progress_bar()


def test_what_is_no_text_is_named_with_its_place():
    check_texts(["a", ""], "MyEncoder")
    with pytest.raises(TypeError, match="MyEncoder takes text, got bytes at position 1 of the batch. Pass strings"):
        check_texts(["a", b"b"], "MyEncoder")


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match=f"{tmp_path} has no tokenizer that can be loaded: "):
        load_tokenizer(tmp_path, extra="transformers")


def test_the_files_of_a_tokenizer_are_known(tmp_path):
    (tmp_path / "config.json").touch()
    assert not has_tokenizer(tmp_path)
    for name in ("tokenizer.json", "vocab.txt", "spiece.model", "qwen.tiktoken"):
        (tmp_path / name).touch()
        assert has_tokenizer(tmp_path)
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("bert", "AutoModelForMaskedLM"),
        ("roberta", "AutoModelForSequenceClassification"),
        ("llama", "AutoModelForCausalLM"),
        ("gpt2", "AutoModelForCausalLM"),
        ("t5", "AutoModelForSeq2SeqLM"),
        ("t5", "T5EncoderModel"),
        ("bart", "AutoModelForSeq2SeqLM"),
    ],
)
def test_a_checkpoint_with_a_head_gives_what_its_body_gives(tiny_model, tmp_path, kind, head):
    transformers = pytest.importorskip("transformers")
    # A checkpoint as they are published, whose weights have other names: made from the body's own weights.
    source = tiny_model(kind)
    whole = getattr(transformers, head).from_pretrained(source)
    whole.save_pretrained(tmp_path)
    torch.testing.assert_close(hidden(load(tmp_path)), hidden(load(source)))


def test_nothing_is_computed_or_kept_beyond_the_vectors_of_tokens(tiny_model):
    for kind in ("bert", "roberta", "llama"):
        model = load(tiny_model(kind))
        assert getattr(model, "pooler", None) is None
        output = model(input_ids=IDS)
        assert output.get("past_key_values") is None
        assert not model.training


def test_masks_go_to_the_fast_attention_of_torch(tiny_model):
    for kind in ("bert", "roberta", "distilbert", "llama", "gpt2"):
        assert load(tiny_model(kind)).config._attn_implementation == "sdpa"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_come_in_the_precision_that_is_asked_for(tiny_model, dtype):
    model = load_text_model(tiny_model("llama"), dtype, extra="transformers")
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    # A cast would round what rotates the vectors by their positions, and long texts would suffer.
    assert model.rotary_emb.inv_freq.dtype == torch.float32


@pytest.mark.parametrize("kind", ["bert", "t5", "bart"])
def test_what_is_saved_is_loaded_by_the_whole_models_class_too(tiny_model, tmp_path, kind):
    transformers = pytest.importorskip("transformers")
    model = load(tiny_model(kind))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    save_text_model(model, tiny_model(kind), tmp_path, extra="transformers")
    shutil.copyfile(tiny_model(kind) / "config.json", tmp_path / "config.json")
    torch.testing.assert_close(hidden(load(tmp_path)), hidden(model))
    whole = transformers.AutoModel.from_pretrained(tmp_path)
    encoder = whole if kind == "bert" else whole.get_encoder()
    torch.testing.assert_close(hidden(encoder.eval()), hidden(model))


def test_damaged_weights_are_named(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model("bert"), tmp_path / "copy")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ValueError, match=f"{folder} cannot be loaded as a text model of Hugging Face: "):
        load(folder)
