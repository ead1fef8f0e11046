import pytest
import torch
from torch import nn

from quaterion_models.heads import SequentialHead
from quaterion_models.saving.files import ModelFolderError


class Scale(nn.Module):
    def __init__(self, factor, inner=None):
        super().__init__()
        self.factor = factor
        self.inner = inner

    def forward(self, x):
        x = x * self.factor
        return x if self.inner is None else self.inner(x)


class Secret(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.layer = nn.Linear(size, size)  # the argument itself is not kept

    def forward(self, x):
        return self.layer(x)


def test_applies_modules_in_order():
    head = SequentialHead(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), output_size=2)
    x = torch.randn(5, 3)
    one, _, two = head.layers
    torch.testing.assert_close(head(x), two(torch.relu(one(x))))
    assert head.output_size == 2


@pytest.mark.parametrize(
    ("modules", "size"),
    [
        ((nn.Linear(3, 2),), 3),
        ((nn.Dropout(), nn.Sequential(nn.Identity(), nn.Linear(7, 2))), 7),
        ((nn.LayerNorm(6),), 6),
        ((nn.BatchNorm1d(5),), 5),
        ((nn.Tanh(),), None),
        ((nn.Conv1d(1, 2, 3), nn.Linear(4, 2)), None),
        ((nn.GLU(), nn.Linear(4, 2)), None),
    ],
)
def test_the_input_size_is_that_of_the_first_layer_that_has_one(modules, size):
    assert SequentialHead(*modules, output_size=2).input_embedding_size == size


LAYERS = [
    nn.Linear(4, 4, bias=False),
    nn.Linear(4, 4),
    nn.LayerNorm(4, eps=1e-3, elementwise_affine=False),
    nn.LayerNorm(4, bias=False),
    nn.BatchNorm1d(4, momentum=0.3, affine=False),
    nn.BatchNorm1d(4, track_running_stats=False),
    nn.RMSNorm(4),
    nn.GroupNorm(2, 4),
    nn.Dropout(0.3, inplace=False),
    nn.AlphaDropout(0.2),
    nn.ReLU(inplace=True),
    nn.LeakyReLU(0.3),
    nn.PReLU(4),
    nn.ELU(0.5),
    nn.GELU("tanh"),
    nn.Hardtanh(-2.0, 3.0),
    nn.Softplus(2, 10),
    nn.Softmax(dim=1),
    nn.Identity(),
    nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.SiLU(), nn.Linear(4, 4, bias=False))),
    nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 3, padding="same"), nn.AvgPool1d(2), nn.Flatten()),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_every_known_layer_is_saved_with_its_arguments(layer, tmp_path):
    head = SequentialHead(nn.Linear(4, 4), layer, output_size=4)
    head.save(tmp_path)
    loaded = SequentialHead.load(tmp_path)
    assert repr(loaded) == repr(head)
    x = torch.randn(3, 4)
    assert torch.equal(loaded.eval()(x), head.eval()(x))


def test_half_precision_weights_stay_so(tmp_path):
    head = SequentialHead(nn.Linear(4, 4), output_size=4).to(torch.bfloat16)
    head.save(tmp_path)
    loaded = SequentialHead.load(tmp_path)
    assert loaded.layers[0].weight.dtype == torch.bfloat16
    assert torch.equal(loaded.layers[0].weight, head.layers[0].weight)


def test_a_users_layer_is_loaded_only_when_it_is_given(tmp_path):
    head = SequentialHead(nn.Linear(4, 4), Scale(2.0, nn.Linear(4, 4)), output_size=4)
    head.save(tmp_path)
    with pytest.raises(ModelFolderError, match=r"Scale' is not one of torch\.nn .*pass classes=\[TheClass\]"):
        SequentialHead.load(tmp_path)
    loaded = SequentialHead.load(tmp_path, classes=[Scale])
    x = torch.randn(3, 4)
    assert torch.equal(loaded(x), head(x))


def test_a_layer_whose_arguments_cannot_be_told_is_saved_and_named_when_loading(tmp_path):
    SequentialHead(Secret(4), output_size=4).save(tmp_path)
    with pytest.raises(ModelFolderError, match=r"'\*modules': 'builtins.list'.*pass it as head="):
        SequentialHead.load(tmp_path, classes=[Secret])


def test_no_modules_are_refused():
    with pytest.raises(ValueError, match="at least one module, got none"):
        SequentialHead(output_size=3)


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match="takes torch modules, got function"):
        SequentialHead(lambda x: x, output_size=3)
