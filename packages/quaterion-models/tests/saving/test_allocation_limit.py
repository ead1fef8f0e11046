import pytest
import torch
from torch import nn

from quaterion_models.saving import allocation_limit
from quaterion_models.saving.allocation_limit import AllocationLimit, AllocationLimitError

BIG = 10**13  # numbers: far more than there is memory for


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(10**7, 10**6),
        lambda: nn.Embedding(10**9, 10**4),
        lambda: torch.zeros(BIG),
        lambda: torch.full((10**6, 10**7), 1.0),
        lambda: torch.randint(0, 3, (BIG,)),
        lambda: torch.zeros(1).new_ones(BIG),
        lambda: torch.empty_strided((BIG,), (1,)),
        lambda: torch.arange(BIG),
        lambda: torch.linspace(0, 1, BIG),
        lambda: torch.eye(10**7),
    ],
)
def test_what_is_far_larger_than_the_saved_state_is_stopped_before_it_takes_memory(make):
    stores = r"it asks for 10{13,14} numbers, and the folder stores 5 numbers"
    with pytest.raises(AllocationLimitError, match=stores), AllocationLimit(5):
        make()


def test_ordinary_layers_are_made_as_without_it():
    torch.manual_seed(0)
    expected = nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 4), nn.BatchNorm1d(4), nn.TransformerEncoderLayer(8, 2))
    torch.manual_seed(0)
    with AllocationLimit(0):
        made = nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 4), nn.BatchNorm1d(4), nn.TransformerEncoderLayer(8, 2))
        assert torch.eye(2, 3).shape == (2, 3)
        assert torch.arange(2, 5).tolist() == [2, 3, 4]
    for name, tensor in expected.state_dict().items():
        assert torch.equal(made.state_dict()[name], tensor), name


def test_a_state_may_be_made_four_times_over(monkeypatch):
    monkeypatch.setattr(allocation_limit, "_ALWAYS_ALLOWED", 0)
    with AllocationLimit(100):
        for _ in range(4):
            torch.zeros(100)
    with pytest.raises(AllocationLimitError), AllocationLimit(100):
        [torch.zeros(100) for _ in range(5)]


def test_endlessly_many_small_tensors_are_stopped(monkeypatch):
    monkeypatch.setattr(allocation_limit, "_MOST_CALLS", 10)
    with pytest.raises(AllocationLimitError, match="more than 10 tensors"), AllocationLimit(0):
        [torch.zeros(1) for _ in range(11)]


def test_tensors_without_memory_do_not_count():
    with AllocationLimit(0), torch.device("meta"):
        assert torch.zeros(BIG).shape == (BIG,)
