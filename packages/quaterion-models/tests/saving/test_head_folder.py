import json

import pytest
import torch
from torch import nn

from quaterion_models.heads import EncoderHead, GatedHead, SequentialHead, SkipConnectionHead, SwitchHead
from quaterion_models.saving.files import ModelFolderError
from quaterion_models.saving.head_folder import head_to_spec, load_head


class Residual(EncoderHead):
    """A head with another head, a layer and a value of every kind among its arguments."""

    def __init__(self, inner, layer, *, shape=(1,), table=None):
        super().__init__(inner.input_embedding_size)
        self.inner, self.layer, self.shape, self.table = inner, layer, shape, table

    @property
    def output_size(self):
        return self.input_embedding_size

    def transform(self, input_vectors):
        return self.layer(input_vectors) + self.inner(input_vectors)

    def get_config_dict(self):
        return {"inner": self.inner, "layer": self.layer, "shape": self.shape, "table": self.table}


class Random(EncoderHead):
    """Needs real memory while it is built, and draws random numbers."""

    output_size = 2

    def __init__(self, input_embedding_size):
        super().__init__(input_embedding_size)
        self.layer = nn.Linear(input_embedding_size, 2)
        self.start = float(self.layer.weight.detach().sum())

    def transform(self, input_vectors):
        return self.layer(input_vectors)


def change(path, edit):
    config = json.loads((path / "config.json").read_text())
    edit(config)
    (path / "config.json").write_text(json.dumps(config))


def test_heads_layers_and_values_among_the_arguments_come_back(tmp_path):
    head = Residual(GatedHead(3), nn.Sequential(nn.Linear(3, 3), nn.Tanh()), shape=(2, 3), table={1: "a"})
    head.save(tmp_path)
    loaded = Residual.load(tmp_path)
    assert (loaded.shape, loaded.table) == ((2, 3), {1: "a"})
    x = torch.randn(2, 3)
    assert torch.equal(loaded(x), head(x))


def test_the_spec_of_a_built_in_head_is_readable():
    assert head_to_spec(GatedHead(3, dropout=0.5)) == {
        "type": "GatedHead/1",
        "args": {"input_embedding_size": 3, "dropout": 0.5},
    }


def test_a_head_that_cannot_be_outlined_is_loaded_all_the_same_and_draws_nothing(tmp_path):
    head = Random(4)
    head.save(tmp_path)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    loaded = Random.load(tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(loaded.layer.weight, head.layer.weight)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda c: c["head"]["args"].update(input_embedding_size=10**8),
            r"has shape \[4(, 4)?\], .* has \[100000000",
        ),
        (lambda c: c["head"]["args"].update(n_layers=10**9), "declares more than 1000 heads and layers"),
        (lambda c: c["head"]["args"].update(n_layers=1), "has a tensor .* which a SkipConnectionHead does not know"),
        (lambda c: c["head"]["args"].update(n_layers="x"), "cannot be built from its arguments"),
        (lambda c: c["head"]["args"].update(unknown=1), "cannot be built from its arguments"),
        (lambda c: c["head"]["args"].update(dropout={"$dtype": "x"}), "not a known value"),
        (lambda c: c["head"].update(type="GatedHead/1"), "cannot be built|does not know"),
        (lambda c: c["head"].update(type="NewHead/1"), "has not imported"),
        (lambda c: c["head"].update(type=3), 'must be described by "type" and "args"'),
        (lambda c: c["head"].update(args=[]), '"args" of .* must be a dict'),
        (lambda c: c.update(head=None), "'head' must be dict"),
        (lambda c: c.update(format_version=99), "format_version 99"),
    ],
)
def test_hostile_configurations_are_refused(tmp_path, edit, message):
    SkipConnectionHead(4, n_layers=2).save(tmp_path)
    change(tmp_path, edit)
    with pytest.raises(ModelFolderError, match=message):
        load_head(tmp_path)


def test_a_million_heads_and_endless_nesting_are_refused(tmp_path):
    SwitchHead({"a": GatedHead(4)}, 4).save(tmp_path)
    option = {"$head": {"type": "EmptyHead/1", "args": {"input_embedding_size": 4}}}
    change(tmp_path, lambda c: c["head"]["args"].update(options={str(n): option for n in range(2000)}))
    with pytest.raises(ModelFolderError, match="declares more than 1000 heads and layers"):
        load_head(tmp_path)
    nested = option
    for _ in range(150):
        args = {"options": {"a": nested}, "input_embedding_size": 4}
        nested = {"$head": {"type": "SwitchHead/1", "args": args}}
    change(tmp_path, lambda c: c["head"]["args"].update(options={"a": nested}))
    with pytest.raises(ModelFolderError, match="nested too deeply|has no tensor|does not know"):
        load_head(tmp_path)


def test_layers_in_a_configuration_are_those_of_the_list_only(tmp_path):
    SequentialHead(nn.Linear(4, 4), output_size=4).save(tmp_path)
    for kind in (
        "os:system",
        "torch.nn.modules.linear:Bilinear",
        "torch.nn.modules.linear:Linear",
        "Module",
        "Bilinear",
    ):
        layer = {"$layer": {"type": kind, "args": {}}}
        change(tmp_path, lambda c, layer=layer: c["head"]["args"].update({"*modules": [layer]}))
        with pytest.raises(ModelFolderError, match=r"is not one of torch\.nn that this library builds"):
            load_head(tmp_path)
