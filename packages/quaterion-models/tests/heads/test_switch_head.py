import itertools

import pytest
import torch
from torch import nn

from quaterion_models import Meta
from quaterion_models.heads import (
    EmptyHead,
    EncoderHead,
    GatedHead,
    SequentialHead,
    SkipConnectionHead,
    SoftmaxEmbeddingsHead,
    StackedProjectionHead,
    SwitchHead,
    WideningHead,
)

SIZE = 6


def every_head():
    """One of each type, all from SIZE to SIZE."""
    return {
        "empty": EmptyHead(SIZE),
        "gated": GatedHead(SIZE),
        "skip": SkipConnectionHead(SIZE, n_layers=2),
        "sequential": SequentialHead(nn.Linear(SIZE, 3), nn.GELU(), nn.Linear(3, SIZE), output_size=SIZE),
        "stacked": StackedProjectionHead(SIZE, [4, SIZE]),
        "widening": WideningHead(SIZE, 2.0),
        "softmax": SoftmaxEmbeddingsHead(2, 3, SIZE),
        "switch": SwitchHead({"empty": GatedHead(SIZE), "switch": EmptyHead(SIZE)}, SIZE),
    }


def metas(names):
    return [{"encoder": name} for name in names]


def row_by_row(head, x, names):
    """What the head must compute, the slow way."""
    return torch.stack([head.options[name](row[None], metas([name]))[0] for row, name in zip(x, names, strict=True)])


def test_every_mix_of_rows_gets_the_head_it_names_and_stays_in_order():
    heads = {"a": GatedHead(SIZE), "b": SkipConnectionHead(SIZE), "c": EmptyHead(SIZE)}
    head = SwitchHead(heads, SIZE).eval()
    for names in itertools.product("abc", repeat=4):
        x = torch.randn(4, SIZE)
        expected = row_by_row(head, x, names)
        torch.testing.assert_close(head(x, metas(names)), expected)
        torch.testing.assert_close(head(x, Meta.of(metas(names))), expected)


def test_heads_of_every_type_work_inside_and_gradients_reach_all_of_them():
    head = SwitchHead(every_head(), SIZE)
    names = [*head.options, *reversed(list(head.options))]
    x = torch.randn(len(names), SIZE, requires_grad=True)
    torch.testing.assert_close(head(x, metas(names)), row_by_row(head, x, names))
    head(x, metas(names)).square().sum().backward()
    assert x.grad is not None
    unused = {"_options.key_switch._options.key_empty.gates"}  # rows go to option "switch" there
    for name, parameter in head.named_parameters():
        assert (parameter.grad is not None) == (name not in unused), name


def test_heads_of_every_type_are_saved_inside(tmp_path):
    head = SwitchHead(every_head(), SIZE).eval()
    head.save(tmp_path)
    loaded = SwitchHead.load(tmp_path).eval()
    assert list(loaded.options) == list(head.options)
    names = list(head.options)
    x = torch.randn(len(names), SIZE)
    assert torch.equal(loaded(x, metas(names)), head(x, metas(names)))


def test_no_rows_give_no_rows():
    head = SwitchHead({"a": GatedHead(SIZE), "b": EmptyHead(SIZE)}, SIZE)
    assert head(torch.zeros(0, SIZE), Meta.empty(0)).shape == (0, SIZE)


def test_rows_without_a_name_are_queries_where_there_are_two_sides():
    head = SwitchHead({"document": EmptyHead(2), "query": GatedHead(2)}, 2)
    assert head.two_sided
    x = torch.ones(3, 2)
    query = GatedHead(2)(x)
    torch.testing.assert_close(head(x), query)
    torch.testing.assert_close(head(x, [{}] * 3), query)
    mixed = head(x, [{}, {"encoder": "document"}, {"encoder": "query"}])
    torch.testing.assert_close(mixed, torch.stack([query[0], x[0], query[0]]))


def test_names_may_be_anything():
    names = ["a.b", "keys", "type", ""]
    head = SwitchHead({name: GatedHead(2) for name in names}, 2)
    assert head(torch.ones(4, 2), metas(names)).shape == (4, 2)


def test_unknown_names_are_listed():
    head = SwitchHead({"a": EmptyHead(2), "b": EmptyHead(2)}, 2)
    with pytest.raises(ValueError, match=r"one of \['a', 'b'\]; got unknown names 'x', 'y' and rows without"):
        head(torch.ones(4, 2), [{"encoder": "y"}, {"encoder": "x"}, {"encoder": "a"}, {}])


def test_names_in_the_table_that_no_row_uses_do_no_harm():
    head = SwitchHead({"a": EmptyHead(2), "b": EmptyHead(2)}, 2)
    meta = Meta.of(metas("ax")).take(torch.tensor([0, 0]))
    assert head(torch.ones(2, 2), meta).shape == (2, 2)


def test_meta_of_another_length_is_refused():
    head = SwitchHead({"a": EmptyHead(2)}, 2)
    with pytest.raises(ValueError, match="meta has 1 rows, expected 2, one for each vector"):
        head(torch.ones(2, 2), metas("a"))


def test_output_sizes_must_be_equal():
    with pytest.raises(ValueError, match=r"same output size, got \{'a': 4, 'b': 3\}"):
        SwitchHead({"a": EmptyHead(4), "b": StackedProjectionHead(4, [3])}, 4)


def test_input_sizes_must_be_equal():
    with pytest.raises(ValueError, match=r"option 'b' takes vectors of size 5, expected 4"):
        SwitchHead({"a": EmptyHead(4), "b": EmptyHead(5)}, 4)


@pytest.mark.parametrize("options", [{}, None, []])
def test_no_options_are_refused(options):
    with pytest.raises(ValueError, match="a dict of at least one head"):
        SwitchHead(options, 4)


def test_options_that_are_no_heads_are_refused():
    with pytest.raises(TypeError, match="option 'a' must be an EncoderHead, got Linear"):
        SwitchHead({"a": nn.Linear(4, 4)}, 4)


def test_routing_makes_no_python_object_a_row(monkeypatch):
    head = SwitchHead({"a": EmptyHead(2), "b": GatedHead(2)}, 2)
    meta = Meta.of(metas("ab")).take(torch.randint(0, 2, (1000,)))

    def forbidden(*_):
        raise AssertionError("a row was looked at on its own")

    monkeypatch.setattr(Meta, "__getitem__", forbidden)
    monkeypatch.setattr(Meta, "__iter__", forbidden, raising=False)
    assert head(torch.ones(1000, 2), meta).shape == (1000, 2)


def test_is_a_head():
    assert isinstance(SwitchHead({"a": EmptyHead(2)}, 2), EncoderHead)
