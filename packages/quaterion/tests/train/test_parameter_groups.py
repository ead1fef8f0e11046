import pytest

from quaterion.train.parameter_groups import parameter_groups
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import GatedHead


def groups(model, **options):
    settings = {"lr": 1e-3, "weight_decay": 0.01, "encoder_lr": None, "layer_lr_decay": 1.0} | options
    return parameter_groups(model, model.model, **settings)


@pytest.mark.parametrize("lora", [None, True])
def test_layers_learn_the_slower_the_lower_they_lie(lora, model_type, minilm_folder):
    if lora:
        pytest.importorskip("peft")
    encoder = SentenceTransformerEncoder(minilm_folder, trainable=True, lora=lora)
    model = model_type(encoders=encoder, head=GatedHead)
    found = groups(model, encoder_lr=1e-4, layer_lr_decay=0.5)
    held = [id(one) for group in found for one in group["params"]]
    assert sorted(held) == sorted({id(one) for one in model.parameters() if one.requires_grad})
    rates = {id(one): group["lr"] for group in found for one in group["params"]}
    names = dict(encoder.named_parameters())
    start = "model.0.model"
    end = "query.lora_A.default.weight" if lora else "query.weight"
    for layer in range(6):
        parameter = names[f"{start}.encoder.layer.{layer}.attention.self.{end}"]
        assert rates[id(parameter)] == pytest.approx(1e-4 * 0.5 ** (5 - layer))
    if not lora:
        assert rates[id(names[f"{start}.embeddings.word_embeddings.weight"])] == pytest.approx(1e-4 * 0.5**6)
        decays = {id(one): group["weight_decay"] for group in found for one in group["params"]}
        assert decays[id(names[f"{start}.embeddings.LayerNorm.weight"])] == 0
    assert {rates[id(one)] for one in model.model.head.parameters()} == {1e-3}


def test_a_head_over_a_frozen_encoder_is_one_group(model_type):
    model = model_type()
    (group,) = groups(model)
    assert group["params"] == [one for one in model.parameters() if one.requires_grad]
    assert group["weight_decay"] == 0.01


def test_layers_that_are_not_known_are_refused(model_type, encoder_type):
    model = model_type(encoders=encoder_type(trainable=True))
    groups(model, encoder_lr=1e-4)
    with pytest.raises(
        ValueError, match="layer_lr_decay=0.9 does not fit the encoder 'default': LinearEncoder holds no"
    ):
        groups(model, layer_lr_decay=0.9)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"encoder_lr": 0}, "encoder_lr=0; expected a learning rate above 0"), ({"layer_lr_decay": 1.5}, "up to 1")],
)
def test_rates_out_of_range_are_refused(options, message, model_type):
    with pytest.raises(ValueError, match=message):
        groups(model_type(), **options)


def test_layers_of_a_partly_trained_encoder(model_type, minilm_folder):
    encoder = SentenceTransformerEncoder(minilm_folder, trainable_layers=2)
    model = model_type(encoders=encoder, head=GatedHead)
    found = groups(model, lr=1.0, encoder_lr=0.1, layer_lr_decay=0.5)
    assert sorted({round(group["lr"], 6) for group in found}) == [0.05, 0.1, 1.0]
    held = [id(one) for group in found for one in group["params"]]
    assert sorted(held) == sorted(id(one) for one in model.parameters() if one.requires_grad)
