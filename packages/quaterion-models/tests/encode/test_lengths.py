import pytest

from quaterion_models import SimilarityModel
from quaterion_models.encode.lengths import total_lengths
from quaterion_models.encoders import Encoder, SwitchEncoder
from quaterion_models.heads import EmptyHead


class Words(Encoder):
    """Estimates by characters, and counts words."""

    trainable = False
    embedding_size = 1

    def lengths(self, objects):
        return [len(text.split()) for text in objects]

    def forward(self, batch):
        return batch


class Prompted(Words):
    def get_side_fn(self):
        return lambda text, side: f"{side} {text}"


class Sums(Words):
    def lengths(self, objects):
        return [1000 * sum(numbers) for numbers in objects]


class TextOrNumbers(SwitchEncoder):
    @classmethod
    def encoder_selection(cls, record):
        return "text" if isinstance(record, str) else "numbers"


TEXTS = ["a bc", "d", ""]


def test_the_lengths_of_all_encoders_are_added_up():
    model = SimilarityModel({"a": Words(), "b": Words()}, EmptyHead(2))
    assert total_lengths(model, TEXTS, None, exact=False) == [8, 2, 0]
    assert total_lengths(model, TEXTS, None, exact=True) == [4, 2, 0]


def test_objects_are_prepared_for_their_sides_first():
    model = SimilarityModel(Prompted(), EmptyHead(1))
    assert total_lengths(model, TEXTS, ["query", "document", "query"], exact=True) == [3, 2, 1]
    assert total_lengths(model, TEXTS, ["query", "document", "query"], exact=False) == [10, 10, 6]


def test_lengths_are_those_of_each_object_unless_an_encoder_knows_better():
    class Plain(Words):
        lengths = Encoder.lengths

    assert Plain().lengths(["abc", b"de", 7]) == [3, 2, 0]


def test_a_switch_asks_each_option_about_its_own_objects():
    switch = TextOrNumbers({"text": Words(), "numbers": Sums()})
    assert switch.lengths(["a b", (1, 2), "a", (3,)]) == [2, 3000, 1, 3000]


def test_a_wrong_number_of_lengths_is_an_error():
    class Wrong(Words):
        def lengths(self, objects):
            return [1]

    with pytest.raises(ValueError, match=r"Wrong\.lengths gave 1 numbers for 3 objects, expected one each"):
        total_lengths(SimilarityModel(Wrong(), EmptyHead(1)), TEXTS, None, exact=True)
