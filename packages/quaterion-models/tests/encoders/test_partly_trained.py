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
    with torch.no_grad():
        other.loaded().encoder.layer[0].output.dense.bias[0] += 1
    assert other.get_trunk().fingerprint() != encoder.get_trunk().fingerprint()


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


def test_modules_of_sentence_transformers_behind_the_layers_are_trained_too(tiny_model, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    parts = [modules.Transformer(str(deep(tiny_model, "bert"))), modules.Pooling(16), modules.Dense(16, 8)]
    library.SentenceTransformer(modules=parts, device="cpu").save(str(tmp_path / "model"), create_model_card=False)
    encoder = SentenceTransformerEncoder(tmp_path / "model", trainable_layers=1)
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
    with pytest.raises(ValueError, match="T5Block model: its upper layers take more than the states of"):
        TransformersEncoder(tiny_model("t5"), trainable_layers=1)
    for wrong in (-1, 1.5, True, "1"):
        with pytest.raises(ValueError, match="trainable_layers must be None or an integer of at least 0, got"):
            TransformersEncoder(folder, trainable_layers=wrong)
    with pytest.raises(ValueError, match="trainable=True and trainable_layers=0 contradict each other"):
        TransformersEncoder(folder, trainable=True, trainable_layers=0)
