import numpy as np
import pytest
import torch
from torch import nn

from quaterion_models import SimilarityModel
from quaterion_models.encode.portion import EncodeOptions, Portion, PortionEncoder
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EmptyHead, GatedHead, SwitchHead


def numbers(batch):
    return torch.tensor([[float(text), 1.0] for text in batch])


class Numbers(Encoder):
    """Text of digits to (the number, 1); notes the numbers of each batch."""

    trainable = False
    embedding_size = 2

    def __init__(self, dropped=0):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.dropped = dropped
        self.batches = []

    def get_collate_fn(self):
        return numbers

    def forward(self, batch):
        self.batches.append(batch[:, 0].tolist())
        return (batch * self.weight).to(self.weight.dtype)[self.dropped :]


class Negative(Numbers):
    """The larger the number, the shorter it says the text is."""

    def lengths(self, objects):
        return [-int(text) for text in objects]


def encoder_of(encoder, head=None, batch_size=2, **options):
    return PortionEncoder(SimilarityModel(encoder, head or EmptyHead(2)), EncodeOptions(batch_size, **options))


TEXTS = ["1", "22", "333", "4", "55"]
PORTION = Portion(range(10, 15), TEXTS)


def test_batches_hold_objects_of_like_length_by_the_exact_lengths():
    encoder = Negative()
    encoded = encoder_of(encoder).encode(PORTION)
    assert encoder.batches == [[1, 4], [22, 55], [333]]
    assert encoded.vectors.tolist() == [[float(text), 1.0] for text in TEXTS]
    assert encoded.positions == [10, 11, 12, 13, 14]
    assert encoded.skipped == []


def test_lengths_are_not_asked_for_where_one_batch_holds_all():
    class Unknown(Numbers):
        def lengths(self, objects):
            raise AssertionError("asked")

    assert len(encoder_of(Unknown(), batch_size=5).encode(PORTION).vectors) == 5
    with pytest.raises(AssertionError, match="asked"):
        encoder_of(Unknown(), batch_size=4).encode(PORTION)


def test_progress_counts_every_object_once():
    done = []
    portion = Portion(range(6), ["1", "x", "333", "4", "y", "55"])
    encoder_of(Numbers(), on_error="skip").encode(portion, done.append)
    assert sum(done) == 6


@pytest.mark.parametrize("batch_size", [1, 2, 3, 10])
def test_unreadable_objects_are_skipped_and_told(batch_size):
    portion = Portion([7, 5, 3, 1, 9], ["1", "x", "333", None, "55"])
    encoded = encoder_of(Numbers(), batch_size=batch_size, on_error="skip").encode(portion)
    assert encoded.vectors.tolist() == [[1, 1], [333, 1], [55, 1]]
    assert encoded.positions == [7, 3, 9]
    assert [position for position, _ in encoded.skipped] == [1, 5]
    assert encoded.skipped[0].reason.startswith("TypeError: float() argument must be a string")
    assert encoded.skipped[1].reason == "ValueError: could not convert string to float: 'x'"


def test_an_object_whose_length_cannot_be_told_is_skipped():
    class Fields(Numbers):
        def length(self, obj):
            return len(obj["number"])

        def get_collate_fn(self):
            return lambda records: numbers([record["number"] for record in records])

    portion = Portion(range(4), [{"number": "1"}, {}, {"number": "2"}, {"number": "x"}])
    encoded = encoder_of(Fields(), on_error="skip").encode(portion)
    assert encoded.vectors[:, 0].tolist() == [1, 2]
    assert encoded.positions == [0, 2]
    assert encoded.skipped[0] == (1, "KeyError: 'number'")
    with pytest.raises(KeyError, match="number") as caught:
        encoder_of(Fields()).encode(portion)
    assert caught.value.__notes__ == ["The object (dict) is the one at position 1 of those to encode"]


def test_a_portion_without_a_readable_object_gives_no_rows_of_the_right_size():
    encoded = encoder_of(Numbers(), on_error="skip").encode(Portion(range(3), ["x"] * 3))
    assert encoded.vectors.shape == (0, 2)
    assert encoded.positions == []
    assert len(encoded.skipped) == 3


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_errors_of_the_model_are_always_raised(on_error):
    class Broken(Numbers):
        def forward(self, batch):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        encoder_of(Broken(), on_error=on_error).encode(PORTION)


def test_a_model_that_loses_rows_is_named():
    with pytest.raises(ValueError, match="the model gave 1 vectors for 2 objects, expected one each"):
        encoder_of(Numbers(dropped=1)).encode(PORTION)


def test_the_mode_of_every_part_is_as_it_was_even_after_an_error():
    model = SimilarityModel(Numbers(), EmptyHead(2, dropout=0.9)).train()
    encoder = PortionEncoder(model, EncodeOptions(2))
    assert encoder.encode(PORTION).vectors.tolist() == [[float(text), 1.0] for text in TEXTS]  # no dropout
    with pytest.raises(ValueError, match="could not convert"):
        encoder.encode(Portion(range(1), ["x"]))
    assert model.training
    assert model.head.dropout.training
    assert torch.is_grad_enabled()


def test_what_a_module_makes_at_its_first_forward_can_be_trained_with():
    class Lazy(Numbers):
        trainable = True

        def forward(self, batch):
            if not hasattr(self, "table"):
                self.table = torch.ones(2)
            return batch * self.weight * self.table

    model = SimilarityModel(Lazy(), EmptyHead(2))
    PortionEncoder(model, EncodeOptions(2)).encode(PORTION)
    model(model.get_collate_fn()(TEXTS)).sum().backward()
    assert model.encoders["default"].weight.grad.tolist() == [sum(map(float, TEXTS)), 5.0]


def test_each_side_goes_through_its_own_head_and_vectors_are_normalized_on_request():
    sides = {"query": EmptyHead(2), "document": GatedHead(2)}
    query = encoder_of(Numbers(), SwitchHead(sides, 2), side="query").encode(PORTION)
    document = encoder_of(Numbers(), SwitchHead(sides, 2), side="document").encode(PORTION)
    torch.testing.assert_close(document.vectors, query.vectors * float(np.tanh(2.0)))
    normal = encoder_of(Numbers(), SwitchHead(sides, 2), side="document", normalize=True).encode(PORTION)
    torch.testing.assert_close(normal.vectors, query.vectors / query.vectors.norm(dim=1, keepdim=True))


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1, got 0"):
        EncodeOptions(0)
    with pytest.raises(ValueError, match='on_error must be "raise" or "skip", got \'ignore\''):
        EncodeOptions(1, on_error="ignore")
    with pytest.raises(ValueError, match="has no head"):
        PortionEncoder(SimilarityModel(Numbers(), None), EncodeOptions(1))
