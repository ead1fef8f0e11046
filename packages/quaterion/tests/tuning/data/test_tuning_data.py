"""Data for tuning, from what a user has to training, validation and test."""

import copy

import pytest

from quaterion.tuning.data.tuning_data import read_tuning_data


def grouped(*sizes, prefix="text"):
    return [
        {"text": f"{prefix} {group} {number}", "label": f"g{group}"}
        for group, size in enumerate(sizes)
        for number in range(size)
    ]


def objects(samples):
    return [sample.obj for sample in samples]


def test_a_test_is_held_out_of_data_without_one():
    rows = grouped(10, 20, 1)
    data = read_tuning_data(rows, seed=5)
    assert data.form == "groups" and data.validation is None
    assert data.columns == {"text": "text", "group": "label"}
    assert (len(data.train), len(data.test)) == (25, 6)
    assert sorted(objects(data.train) + objects(data.test)) == sorted(row["text"] for row in rows)
    assert data.notes == [
        "31 samples of 3 groups in a list (31 rows).",
        "Held out 6 of 31 samples for the test, the same share of each group (seed 5).",
    ]
    assert objects(read_tuning_data(rows, seed=5).test) == objects(data.test)
    assert objects(read_tuning_data(rows, seed=6).test) != objects(data.test)


def test_nothing_is_held_out_where_a_test_is_given_or_none_is_wanted():
    rows = grouped(10, 10)
    assert (len(read_tuning_data(rows, test_size=0).train), read_tuning_data(rows, test_size=0).test) == (20, [])
    data = read_tuning_data(rows, test=grouped(2, 2, prefix="other"))
    assert (len(data.train), len(data.test)) == (20, 4)
    assert data.notes == [
        "Training: 20 samples of 2 groups in a list (20 rows).",
        "Test: 4 samples of 2 groups in a list (4 rows).",
    ]


def test_a_number_of_samples_may_be_held_out():
    assert len(read_tuning_data(grouped(10, 10), test_size=5).test) == 5
    for size in (-1, 20, 1.0):
        with pytest.raises(ValueError, match="Cannot hold out .* of 20 samples"):
            read_tuning_data(grouped(10, 10), test_size=size)


def test_groups_of_one_object_leave_no_test():
    data = read_tuning_data(grouped(1, 1, 1))
    assert len(data.train) == 3 and data.test == []
    assert data.notes[-1].startswith("Nothing was held out for the test: every group has one object.")


def test_pairs_that_share_one_object_leave_no_test():
    data = read_tuning_data([{"question": "q", "answer": f"a{number}"} for number in range(9)])
    assert len(data.train) == 9 and data.test == []
    assert data.notes[-1].startswith("Nothing was held out for the test: too many pairs have objects in common.")


def test_whole_groups_are_held_out():
    data = read_tuning_data(grouped(*[5] * 10), unseen_groups=True)
    assert len(data.test) == 10
    assert not {sample.group for sample in data.train} & {sample.group for sample in data.test}
    assert data.notes[-1] == "Held out 10 of 50 samples for the test, whole groups (seed 0)."
    with pytest.raises(ValueError, match="takes 4 groups with two different objects or more"):
        read_tuning_data(grouped(5, 5, 5), unseen_groups=True)


def test_pairs_are_held_out_and_those_on_both_sides_are_counted():
    rows = [{"anchor": f"{number}", "positive": f"{number + 1}"} for number in range(100)]
    data = read_tuning_data(rows)
    assert (data.form, len(data.train), len(data.test)) == ("pairs", 79, 20)
    assert data.notes[1:] == [
        "Held out 20 of 100 pairs for the test, with no object in common (seed 0).",
        "Dropped 1 pair with objects on both sides.",
    ]


def test_the_users_test_stays_whole_and_the_other_parts_lose_its_objects():
    train, validation, test = grouped(6, 6), grouped(3, 3), grouped(2, 2)
    data = read_tuning_data(train, validation=validation, test=test)
    assert objects(data.test) == [row["text"] for row in test]
    assert objects(data.validation) == ["text 0 2", "text 1 2"]
    assert objects(data.train) == [f"text {group} {number}" for group in range(2) for number in range(3, 6)]
    assert data.notes[3:] == [
        "Left out of the validation data: 4 samples with an object of the test data.",
        "Left out of the training data: 4 samples with an object of the test data.",
        "Left out of the training data: 2 samples with an object of the validation data.",
    ]


def test_documents_may_be_searched_by_training_and_by_test_queries():
    def rows(name, count):
        return [{"question": f"{name} {number}", "answer": f"answer {number % 2}"} for number in range(count)]

    data = read_tuning_data([*rows("train", 10), *rows("test", 1)], test=rows("test", 4))
    assert (len(data.train), len(data.test)) == (10, 4)
    assert data.notes[2:] == [
        "Left out of the training data: 1 pair with an object of the test data.",
        "2 documents of the test data are in the training data, too.",
    ]


def test_a_part_that_would_lose_everything_is_an_error():
    with pytest.raises(
        ValueError, match="The training data has nothing but 4 samples with an object of the test data, so"
    ):
        read_tuning_data(grouped(2, 2), test=grouped(2, 2))
    with pytest.raises(ValueError, match="one group, 'g1', not counting objects of validation and test data"):
        read_tuning_data(grouped(2, 5), test=grouped(2, 2))


def test_a_column_says_what_is_what():
    rows = [
        {**row, "part": part} for row, part in zip(grouped(4, 4), ["train", "Train", "dev", "TEST"] * 2, strict=True)
    ]
    data = read_tuning_data(rows, split="part")
    assert objects(data.train) == ["text 0 0", "text 0 1", "text 1 0", "text 1 1"]
    assert objects(data.validation) == ["text 0 2", "text 1 2"]
    assert objects(data.test) == ["text 0 3", "text 1 3"]
    assert data.columns == {"text": "text", "group": "label"}


def test_a_test_is_held_out_where_the_column_marks_none():
    rows = [{**row, "part": "dev" if row["text"].endswith("9") else "train"} for row in grouped(11, 11)]
    data = read_tuning_data(rows, split="part", test_size=0.1)
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 2)


def test_groups_that_are_not_learned_are_told_or_an_error():
    test = [{"text": "new", "label": "other"}, {"text": "old", "label": "g0"}]
    data = read_tuning_data(grouped(3, 3), test=test)
    assert data.notes[-1] == "Test: 1 sample of groups that the training data lack."
    with pytest.raises(
        ValueError, match=r"None of the groups of the test data \(such as 'other'\) is in the training data"
    ):
        read_tuning_data(grouped(3, 3), test=test[:1])
    test.insert(1, {"text": "newer", "label": "other"})
    assert len(read_tuning_data(grouped(3, 3), test=test[:2], unseen_groups=True).test) == 2
    data = read_tuning_data(grouped(3, 3), test=test, unseen_groups=True)
    assert data.notes[-1] == "Test: 1 group of the training data, not unseen."


def test_one_group_is_an_error():
    with pytest.raises(ValueError, match="All training samples are in one group, 'g0', .* Expected two groups or more"):
        read_tuning_data(grouped(5))


def test_left_out_rows_are_told():
    rows = [*grouped(5, 5), grouped(1)[0], {"text": "", "label": "g0"}]
    assert read_tuning_data(rows).notes[:3] == [
        "10 samples of 2 groups in a list (12 rows).",
        "Left out 1 empty row: item 11.",
        "Left out 1 duplicate row: item 10.",
    ]


def test_data_are_not_modified():
    rows, test = (
        [{"left": f"a{i}", "right": f"b{i}", "score": i % 6} for i in range(20)],
        [{"left": "x", "right": "y", "score": 9}, {"left": "z", "right": "w", "score": 1}],
    )
    before = copy.deepcopy((rows, test))
    data = read_tuning_data(rows, test=test)
    assert (rows, test) == before
    assert data.train[5].score == pytest.approx(5 / 9)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_data_on_which_nothing_can_be_measured_are_an_error(part):
    """Told before the search, not after it."""
    pairs = [{"left": f"a{i}", "right": f"b{i}", "score": i % 2} for i in range(20)]
    equal = [{"left": f"c{i}", "right": f"d{i}", "score": 0} for i in range(5)]
    message = f"Nothing can be measured on the {part} data: all scores are equal"
    with pytest.raises(ValueError, match=message):
        read_tuning_data(pairs, **{part: equal})
    lone = grouped(1, 1, 1, prefix="new")
    with pytest.raises(ValueError, match=f"on the {part} data: no group has two different objects"):
        read_tuning_data(grouped(5, 5, 5, 5, 5), **{part: lone}, unseen_groups=True)
    read_tuning_data(grouped(5, 5, 5), **{part: lone})  # objects of known groups


def test_scores_that_are_all_equal_are_an_error():
    pairs = [{"left": f"a{i}", "right": f"b{i}", "score": 1} for i in range(20)]
    with pytest.raises(ValueError, match="on the training data: all scores are equal"):
        read_tuning_data(pairs)


def test_a_test_that_would_measure_nothing_is_not_held_out():
    pairs = [{"left": f"a{i}", "right": f"b{i}", "score": 0.5 if i else 1} for i in range(6)]
    data = read_tuning_data(pairs)
    assert (len(data.train), len(data.test)) == (6, 0)
    assert "all scores are equal in what would be, or in what would be left" in data.notes[-1]


def test_real_files_are_read(datasets_folder):
    folder = datasets_folder / "banking77"
    data = read_tuning_data(folder / "train.csv", test=str(folder / "test.csv"))
    assert len(data.test) == 3080 and len({sample.group for sample in data.train}) == 77
    assert not set(objects(data.train)) & set(objects(data.test))
    assert 9900 < len(data.train) <= 10003


def test_real_scored_pairs_share_no_sentence(datasets_folder):
    data = read_tuning_data(datasets_folder / "stsb" / "stsb-en-train.csv", anchor=1, positive=2, score=3)
    parts = [{obj for one in part for obj in (one.obj_a, one.obj_b)} for part in (data.train, data.test)]
    assert not parts[0] & parts[1]
    assert abs(len(data.test) / (len(data.train) + len(data.test)) - 0.2) < 0.001
    means = [sum(one.score for one in part) / len(part) for part in (data.train, data.test)]
    assert abs(means[0] - means[1]) < 0.01
