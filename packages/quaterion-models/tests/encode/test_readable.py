import pytest
import torch

from quaterion_models.encode.readable import Skipped, read_rows
from quaterion_models.encoders.pretrained_collate import ToolError

OBJECTS = ["1", "2", "x", "4", "five", "6"]
POSITIONS = [10, 11, 12, 13, 14, 15]


class Reader:
    """Reads numbers; notes the calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, rows):
        self.calls.append(rows)
        return [int(OBJECTS[row]) for row in rows]


def read(reader, rows, on_error):
    return read_rows(reader, rows, objects=OBJECTS, positions=POSITIONS, on_error=on_error)


def test_readable_objects_are_read_at_once():
    reader = Reader()
    assert read(reader, [5, 0, 3], "raise") == ([6, 1, 4], [5, 0, 3], [])
    assert reader.calls == [[5, 0, 3]]


def test_unreadable_objects_are_left_out_and_the_others_read_together():
    reader = Reader()
    result, kept, skipped = read(reader, [5, 2, 0, 4], "skip")
    assert (result, kept) == ([6, 1], [5, 0])
    assert skipped == [
        Skipped(12, "ValueError: invalid literal for int() with base 10: 'x'"),
        Skipped(14, "ValueError: invalid literal for int() with base 10: 'five'"),
    ]
    assert reader.calls == [[5, 2, 0, 4], [5], [2], [0], [4], [5, 0]]


def test_nothing_readable_gives_nothing():
    result, kept, skipped = read(Reader(), [2, 4], "skip")
    assert (result, kept, [position for position, _ in skipped]) == (None, [], [12, 14])


def test_the_error_of_an_object_says_where_it_is():
    with pytest.raises(ValueError, match="'x'") as caught:
        read(Reader(), [5, 2, 4], "raise")
    assert caught.value.__notes__ == ["The object (str) is the one at position 12 of those to encode"]
    assert caught.value.__suppress_context__  # the batch's own error tells a place in a sorted batch


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_an_error_of_the_batch_alone_is_raised_as_it_is(on_error):
    def no_two(rows):
        if len(rows) > 1:
            raise ValueError("these do not go together")
        return rows

    with pytest.raises(ValueError, match="do not go together") as caught:
        read(no_two, [0, 1], on_error)
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError, ImportError, ToolError, KeyboardInterrupt])
def test_what_is_no_fault_of_an_object_is_never_skipped(error, alone):
    def fails(rows):
        raise ValueError if alone and len(rows) > 1 else error

    with pytest.raises(error):
        read(fails, [0, 1], "skip")


def test_the_reason_holds_what_an_error_has_been_told_on_its_way():
    def reads_a_field(rows):
        try:
            return [int(OBJECTS[row]) for row in rows]
        except ValueError as error:
            error.add_note("This is about the field 'count'")
            raise

    _, _, (skipped,) = read(reads_a_field, [1, 2], "skip")
    assert skipped.reason.startswith("ValueError: invalid literal") and skipped.position == 12
    assert skipped.reason.endswith(". This is about the field 'count'")
