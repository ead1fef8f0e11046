import math

import torch

from quaterion_models.heads import GatedHead


def test_multiplies_each_component_by_tanh_of_its_gate():
    head = GatedHead(3)
    head.gates.data = torch.tensor([0.0, 1.0, -2.0])
    x = torch.tensor([[5.0, 6.0, 7.0]])
    expected = torch.tensor([[0.0, 6 * math.tanh(1), 7 * math.tanh(-2)]])
    torch.testing.assert_close(head(x), expected)


def test_gates_start_at_two():
    assert GatedHead(3).gates.tolist() == [2.0, 2.0, 2.0]


def test_is_saved_and_loaded(tmp_path):
    head = GatedHead(3, dropout=0.25)
    torch.nn.init.normal_(head.gates)
    head.save(tmp_path)
    loaded = GatedHead.load(tmp_path)
    assert torch.equal(loaded.gates, head.gates)
    assert loaded.dropout.p == 0.25
