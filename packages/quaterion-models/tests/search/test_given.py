import numpy as np
import pytest

from quaterion_models.search.given import checked_ids, new_ids, object_lines, unit_vectors


def test_vectors_get_length_1_in_any_precision_and_stay_as_they_were():
    rows = np.random.default_rng(0).standard_normal((20_000, 3))
    for given in (rows, rows.astype(np.float32), rows.astype(np.float16), (rows * 20).astype(np.int8), rows.tolist()):
        before = np.array(given)
        units = unit_vectors(given, 3)
        assert units.dtype == np.float32
        lengths = np.linalg.norm(before.astype(np.float64), axis=1, keepdims=True)
        expected = np.divide(before, lengths, out=np.zeros(before.shape), where=lengths > 0, dtype=np.float64)
        np.testing.assert_allclose(units, expected, atol=1e-7)
        assert (np.array(given) == before).all()


def test_lengths_too_large_or_small_for_float32_are_no_obstacle():
    given = np.array([[3e300, 4e300], [3e-300, 4e-300], [0, 0]])
    np.testing.assert_allclose(unit_vectors(given, 2), [[0.6, 0.8], [0.6, 0.8], [0, 0]], rtol=1e-6)


def test_tensors_may_be_given():
    torch = pytest.importorskip("torch")
    assert (unit_vectors(torch.tensor([[0.0, 2.0]]), 2) == [[0, 1]]).all()


def test_the_row_of_a_number_that_is_not_finite_is_named_in_a_large_array():
    rows = np.ones((10_000, 2), dtype=np.float32)
    rows[9_000, 1] = np.nan
    with pytest.raises(ValueError, match="the vector in row 9000 has a number that is not finite"):
        unit_vectors(rows, 2)


def test_ids_become_plain_texts_and_integers():
    ids = checked_ids([np.int64(3), np.str_("a"), 2**63 - 1, -(2**63)])
    assert ids == [3, "a", 2**63 - 1, -(2**63)]
    assert {type(one) for one in ids} == {int, str}


def test_ids_that_come_twice_are_counted_but_not_all_listed():
    with pytest.raises(ValueError, match=r"^0, 1, 2, 3, 4 and 95 more more than once"):
        new_ids([*range(100), *range(100)])


def test_a_line_holds_no_line_break_and_all_of_unicode():
    lines = object_lines(["a\nb"], [{"text": "ü\u2028\r\n"}], 1)
    assert b"\n" not in lines[0]
    assert lines[0].decode() == '["a\\nb",{"text":"ü\u2028\\r\\n"}]'
