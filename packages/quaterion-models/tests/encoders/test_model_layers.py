import pickle

import pytest
import torch

from quaterion_models.encoders import ClipImageEncoder, ClipTextEncoder, ImageEncoder, TimmEncoder, TransformersEncoder
from quaterion_models.encoders.model_layers import layer_depths, named_layers

pytest.importorskip("transformers")
TEXTS = ["word1 word2 word3", "word4"]


def gradients(encoder, batch):
    encoder.train()
    torch.manual_seed(0)
    encoder(batch).square()[:, :3].sum().backward()
    return {name: one.grad for name, one in encoder.named_parameters() if one.grad is not None}


@pytest.mark.parametrize(
    ("kind", "place"),
    [("bert", "encoder.layer"), ("gpt2", "h"), ("llama", "layers"), ("distilbert", "transformer.layer")],
)
def test_embeddings_lie_below_the_layers_and_what_follows_them_is_the_top(tiny_model, kind, place):
    model = TransformersEncoder(tiny_model(kind), trainable=True).model
    assert named_layers(model) == (place, 2)
    depths = layer_depths(model)
    assert depths.keys() == dict(model.named_parameters()).keys()
    names = list(depths)
    first = next(number for number, name in enumerate(names) if name.startswith(f"{place}."))
    for number, name in enumerate(names):
        inside = name.startswith(f"{place}.")
        assert depths[name] == (1 - int(name[len(place) + 1]) if inside else 2 if number < first else 0)


def test_each_tower_of_a_model_of_texts_and_images_has_layers_of_its_own(tiny_clip):
    folder = tiny_clip("clip", vision_layers=3)
    assert set(layer_depths(ClipTextEncoder(folder, trainable=True)).values()) == {0, 1, 2}
    assert set(layer_depths(ClipImageEncoder(folder, trainable=True)).values()) == {0, 1, 2, 3}


def test_what_has_no_list_of_layers_is_refused(tiny_vision):
    with pytest.raises(ValueError, match="the layers of ResNetModel cannot be found"):
        layer_depths(ImageEncoder(tiny_vision("resnet"), trainable=True))
    with pytest.raises(ValueError, match="Linear holds no model of the library transformers"):
        layer_depths(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("options", [{"trainable_layers": 1}, {"lora": True}, {"trainable": True}])
def test_layers_that_are_computed_again_give_the_same_gradients_and_none_to_what_is_frozen(tiny_model, options):
    if "lora" in options:
        pytest.importorskip("peft")
    encoders = []
    for one in (False, True):
        torch.manual_seed(0)  # of new adapters
        encoders.append(TransformersEncoder(tiny_model("bert"), gradient_checkpointing=one, **options))
    batch = encoders[0].get_collate_fn()(TEXTS)
    expected = gradients(encoders[0], batch)
    embedded = []
    encoders[1].loaded().embeddings.register_forward_hook(lambda *call: embedded.append(call[2].requires_grad))
    found = gradients(encoders[1], batch)
    assert embedded == ["trainable" in options]  # no gradient goes through frozen layers
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{"trainable_layers": 1}, {"trainable": True}])
def test_an_encoder_that_computes_again_goes_to_other_processes(tiny_model, options):
    encoder = TransformersEncoder(tiny_model("bert"), gradient_checkpointing=True, **options)
    batch = encoder.get_collate_fn()(TEXTS)
    assert torch.equal(pickle.loads(pickle.dumps(encoder))(batch), encoder(batch))


@pytest.mark.parametrize("tower", [ClipTextEncoder, ClipImageEncoder])
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_tower_computes_its_layers_again(tiny_clip, kind, tower):
    objects = TEXTS if tower is ClipTextEncoder else [torch.zeros(3, 32, 32), torch.ones(3, 32, 32)]
    encoders = [tower(tiny_clip(kind), True, gradient_checkpointing=one) for one in (False, True)]
    batch = encoders[0].get_collate_fn()(objects)
    expected, found = gradients(encoders[0], batch), gradients(encoders[1], batch)
    assert len(expected) > 30 and found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def test_a_model_of_timm_computes_its_blocks_again(tmp_path):
    timm = pytest.importorskip("timm")
    made = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=0, depth=2)
    timm.models.save_for_hf(made, str(tmp_path), safe_serialization=True)
    encoders = [TimmEncoder(tmp_path, trainable=True, gradient_checkpointing=one) for one in (False, True)]
    batch = torch.rand(2, 3, 32, 32)
    expected, found = gradients(encoders[0], batch), gradients(encoders[1], batch)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def test_what_cannot_compute_again_is_refused(tiny_vision):
    with pytest.raises(ValueError, match="gradient_checkpointing: ResNetModel cannot compute its layers again"):
        ImageEncoder(tiny_vision("resnet"), trainable=True, gradient_checkpointing=True)
