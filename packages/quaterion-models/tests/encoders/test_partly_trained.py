import copy

import pytest
import torch

from quaterion_models.encoders import FieldEncoder, SentenceTransformerEncoder, TransformersEncoder

pytest.importorskip("transformers")

KINDS = ["bert", "roberta", "mpnet", "electra", "modernbert", "distilbert", "deberta-v2", "gpt2", "llama", "qwen3"]
TEXTS = ["word1 word2 word3", "word4", "word5 word6 word7 word8 word9 word10 word11", "word1 word9 word9"]


def deep(tiny_model, kind):
    """A model of three layers, so that there is a layer between the embeddings and those that are trained."""
    name = {"distilbert": "n_layers", "gpt2": "n_layer"}.get(kind, "num_hidden_layers")
    return tiny_model(kind, {name: 3, "layer_types": None} if kind == "modernbert" else {name: 3})


def gradients(encoder, inputs):
    encoder.zero_grad()
    weights = torch.arange(float(len(TEXTS) * encoder.embedding_size)).sin().view(len(TEXTS), -1)
    (encoder(inputs) * weights).sum().backward()
    return {name: one.grad.clone() for name, one in encoder.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_from_states_are_those_of_the_whole_model(tiny_model, kind, layers):
    encoder = TransformersEncoder(deep(tiny_model, kind), trainable_layers=layers)
    batch = encoder.get_collate_fn()(TEXTS)
    states = encoder.get_trunk()(batch)
    assert not states.values.requires_grad
    assert states.values.shape == (int(states.counts.sum()), encoder.get_trunk().width)
    expected = gradients(encoder, batch)
    got = gradients(encoder, states.padded())
    assert got.keys() == expected.keys() == dict(encoder.named_parameters()).keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(encoder(states.padded()), encoder(batch), atol=1e-5, rtol=1e-5)


def test_only_the_top_is_trained_has_dropout_and_lies_in_the_state(tiny_model):
    encoder = TransformersEncoder(deep(tiny_model, "bert"), trainable_layers=1)
    encoder.train()
    assert encoder.trainable
    assert all(name.startswith("model.encoder.layer.2.") for name in encoder.state_dict())
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert {name for name, part in encoder.loaded().named_modules() if part.training} == {
        name for name, _ in encoder.loaded().named_modules() if name.startswith("encoder.layer.2")
    }


def test_states_of_a_text_do_not_depend_on_its_batch(tiny_model):
    encoder = TransformersEncoder(deep(tiny_model, "mpnet"), trainable_layers=1)
    trunk, collate = encoder.get_trunk(), encoder.get_collate_fn()
    together = trunk(collate(TEXTS))
    alone = torch.cat([trunk(collate([text])).values for text in TEXTS])
    torch.testing.assert_close(together.values, alone, atol=1e-5, rtol=1e-5)


def test_a_trained_top_leaves_the_fingerprint_of_the_trunk_and_changes_that_of_the_encoder(tiny_model, tmp_path):
    folder = deep(tiny_model, "bert")
    encoder = TransformersEncoder(folder, trainable_layers=1)
    trunk, whole = encoder.get_trunk().fingerprint(), encoder.fingerprint()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1)
    assert encoder.get_trunk().fingerprint() == trunk
    assert encoder.fingerprint() != whole
    encoder.save(tmp_path / "saved")
    loaded = TransformersEncoder.load(tmp_path / "saved")
    assert loaded.settings["trainable_layers"] == 1
    assert loaded.get_trunk().fingerprint() == trunk
    batch = encoder.get_collate_fn()(TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(loaded(batch), encoder(batch))
    others = [
        {"trainable_layers": 2},
        {"trainable_layers": 1, "max_length": 8},
        {"trainable_layers": 1, "prompt": "a "},
    ]
    digests = {TransformersEncoder(folder, **options).get_trunk().fingerprint() for options in others}
    assert len(digests | {trunk}) == 4
    normalized = TransformersEncoder(folder, trainable_layers=1, normalize=True, pooling="cls")
    assert normalized.get_trunk().fingerprint() == trunk


def test_another_frozen_weight_is_another_trunk(tiny_model):
    encoder = TransformersEncoder(deep(tiny_model, "bert"), trainable_layers=1)
    other = TransformersEncoder(deep(tiny_model, "bert"), trainable_layers=1)
    digest = encoder.get_trunk().fingerprint()
    assert other.get_trunk().fingerprint() == digest
    with torch.no_grad():
        other.loaded().encoder.layer[0].output.dense.bias[0] += 1
    assert other.get_trunk().fingerprint() != digest


def test_weights_that_a_cast_has_rounded_are_another_trunk(tiny_model):
    encoder = TransformersEncoder(deep(tiny_model, "bert"), trainable_layers=1)
    trunk, batch = encoder.get_trunk(), encoder.get_collate_fn()(TEXTS)
    digest, states = trunk.fingerprint(), trunk(batch).values
    encoder.bfloat16()
    trunk(batch)  # the frozen part is cast when it is used
    encoder.float()
    assert not torch.equal(trunk(batch).values, states)
    assert trunk.fingerprint() != digest


def test_no_layers_are_a_frozen_encoder_with_the_same_fingerprint(tiny_model):
    frozen = TransformersEncoder(tiny_model("bert"))
    none = TransformersEncoder(tiny_model("bert"), trainable_layers=0)
    assert not none.trainable
    assert none.get_trunk() is None
    assert none.fingerprint() == frozen.fingerprint()


def test_a_copy_shares_no_weight_with_the_original_and_trains_its_own(tiny_model):
    encoder = TransformersEncoder(deep(tiny_model, "bert"), trainable_layers=1)
    alike = copy.deepcopy(encoder)
    batch = encoder.get_collate_fn()(TEXTS)
    before = encoder(batch).detach()
    with torch.no_grad():
        for parameter in alike.parameters():
            parameter.add_(0.5)
    assert not torch.allclose(alike(batch), before)
    torch.testing.assert_close(alike(alike.get_trunk()(batch).padded()), alike(batch), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoder(batch), before)


def test_a_cast_reaches_the_frozen_part_too(tiny_model):
    encoder = TransformersEncoder(deep(tiny_model, "bert"), trainable_layers=1).to(torch.bfloat16)
    batch = encoder.get_collate_fn()(TEXTS)
    assert encoder(batch).dtype == torch.bfloat16
    assert encoder.get_trunk()(batch).values.dtype == torch.bfloat16


def test_a_cast_leaves_the_frequencies_of_positions_in_float32(tiny_model):
    """As a model that is loaded in that precision has them: rounded, they turn long texts into noise."""
    folder = deep(tiny_model, "llama")
    cast = TransformersEncoder(folder, trainable_layers=1).to(torch.bfloat16)
    read = TransformersEncoder(folder, trainable_layers=1, dtype="bfloat16")
    batch = cast.get_collate_fn()([" ".join(f"word{number}" for number in range(39))])
    assert cast.loaded().rotary_emb.inv_freq.dtype == torch.float32
    assert torch.equal(cast.get_trunk()(batch).values, read.get_trunk()(batch).values)


def sentence_transformer(folder, model, *more, include_prompt=True, **options):
    """Writes a model of sentence-transformers around a tiny one of transformers."""
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    parts = [modules.Transformer(str(model)), modules.Pooling(16, include_prompt=include_prompt), *more]
    made = library.SentenceTransformer(modules=parts, device="cpu", **options)
    made.save(str(folder), create_model_card=False)
    return folder


@pytest.mark.parametrize("prompt", [None, "word1 "], ids=["the model's own", "given"])
def test_a_prompt_that_the_pooling_leaves_out_is_refused(tiny_model, tmp_path, prompt):
    named = {"prompts": {"query": "word5 word6 "}, "default_prompt_name": "query"} if prompt is None else {}
    model = sentence_transformer(tmp_path / "model", deep(tiny_model, "bert"), include_prompt=False, **named)
    with pytest.raises(ValueError, match=f"does not work with the prompt '{prompt or 'word5 word6 '}' of .*leaves the"):
        SentenceTransformerEncoder(model, trainable_layers=1, prompt=prompt)
    SentenceTransformerEncoder(model, trainable_layers=1, prompt="")


def test_a_text_without_tokens_is_refused(tiny_model, tmp_path):
    decoder = tiny_model("gpt2", {"n_layer": 3}, pad_token="[PAD]")  # noqa: S106 - no password
    model = sentence_transformer(tmp_path / "model", decoder)
    encoder = SentenceTransformerEncoder(model, trainable_layers=1)
    with pytest.raises(ValueError, match="object 1 of a batch of 2 is a text without any token"):
        encoder.get_trunk()(encoder.get_collate_fn()(["word1", ""]))


def test_modules_of_sentence_transformers_behind_the_layers_are_trained_too(tiny_model, tmp_path):
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    model = sentence_transformer(tmp_path / "model", deep(tiny_model, "bert"), modules.Dense(16, 8))
    encoder = SentenceTransformerEncoder(model, trainable_layers=1)
    batch = encoder.get_collate_fn()(TEXTS)
    got = gradients(encoder, encoder.get_trunk()(batch).padded())
    expected = gradients(encoder, batch)
    assert {name.split(".")[1] for name in got} == {"0", "2"}
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-5, rtol=1e-5)
    trunk = encoder.get_trunk().fingerprint()
    encoder.save(tmp_path / "saved")
    assert SentenceTransformerEncoder.load(tmp_path / "saved").get_trunk().fingerprint() == trunk


def test_a_field_has_the_trunk_of_its_encoder(tiny_model):
    encoder = TransformersEncoder(deep(tiny_model, "bert"), trainable_layers=1)
    field = FieldEncoder("text", encoder)
    batch = field.get_collate_fn()([{"text": text} for text in TEXTS])
    torch.testing.assert_close(field(field.get_trunk()(batch).padded()), encoder(batch), atol=1e-5, rtol=1e-5)


def test_what_cannot_be_divided_is_refused_at_once(tiny_model):
    folder = tiny_model("bert")
    with pytest.raises(ValueError, match="is 3, but the BertModel has 2 layers. Expected a number from 0"):
        TransformersEncoder(folder, trainable_layers=3)
    with pytest.raises(ValueError, match=r"does not work for a AlbertModel: looked for one list of layers .* none"):
        TransformersEncoder(tiny_model("albert"), trainable_layers=1)
    with pytest.raises(ValueError, match="T5EncoderModel: its upper layers take more than the states of"):
        TransformersEncoder(tiny_model("t5"), trainable_layers=1)
    for kind in ("convbert", "fnet"):
        with pytest.raises(ValueError, match="the state of a token depends on the padding of its batch"):
            TransformersEncoder(tiny_model(kind), trainable_layers=1)
    for kind in ("longformer", "squeezebert"):  # one pads tokens itself, the other one has them in the last dimension
        with pytest.raises(ValueError, match=r"its layers cannot be run without those below \(IndexError"):
            TransformersEncoder(tiny_model(kind), trainable_layers=1)
