import pytest

from quaterion_runtime.readable import Reader, check_on_error


def numbers(objects):
    return lambda rows: [int(objects[row]) for row in rows]


def test_objects_that_can_be_read_are_read_once():
    asked = []
    read, kept = Reader(range(3), "skip").read(lambda rows: asked.append(rows) or rows, [2, 0])
    assert (read, kept, asked) == ([2, 0], [2, 0], [[2, 0]])


def test_those_that_cannot_be_read_are_left_out_with_their_place_and_reason():
    reader = Reader([10, 11, 12, 13], "skip")
    assert reader.read(numbers(["1", "x", "3", None]), [3, 2, 1, 0]) == ([3, 1], [2, 0])
    assert sorted(one.position for one in reader.skipped) == [11, 13]
    reasons = dict(reader.skipped)
    assert reasons[11] == "ValueError: invalid literal for int() with base 10: 'x'"
    assert reasons[13].startswith("TypeError: ")
    assert reader.read(numbers(["x"]), [0]) == (None, [])
    assert len(reader.skipped) == 3


def test_without_leave_the_first_error_ends_it():
    reader = Reader(range(2), "raise")
    with pytest.raises(ValueError, match="invalid literal"):
        reader.read(numbers(["1", "x"]), [0, 1])
    assert reader.skipped == []


def test_what_is_the_fault_of_no_object_is_raised():
    def together(rows):
        if len(rows) > 1:
            raise ValueError("they differ in size")
        return rows

    with pytest.raises(ValueError, match="they differ in size"):
        Reader(range(2), "skip").read(together, [0, 1])

    def broken(rows):
        raise MemoryError

    with pytest.raises(MemoryError):
        Reader(range(2), "skip").read(broken, [0, 1])


def test_another_word_is_refused():
    with pytest.raises(ValueError, match='on_error must be "raise" or "skip", got \'ignore\''):
        check_on_error("ignore")
