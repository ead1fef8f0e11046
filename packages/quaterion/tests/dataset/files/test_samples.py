"""What is said of the samples that were read."""

from quaterion.dataset import GroupSimilarityDataLoader
from quaterion.dataset.files import Remark, Samples, read_samples


def test_samples_are_a_data_set_for_loaders():
    samples = read_samples([{"text": f"text {number}", "group": number % 2} for number in range(4)])
    (batch,) = GroupSimilarityDataLoader(samples, batch_size=4)
    assert sorted(batch[2]["groups"].tolist() if isinstance(batch[2], dict) else batch[2].groups.tolist()) == [
        0,
        0,
        1,
        1,
    ]


def test_only_some_of_many_places_are_shown():
    rows = [{"text": "one", "group": "a"}] * 6 + [{"text": "", "group": "a"}]
    assert str(read_samples(rows)).splitlines() == [
        "1 sample of 1 group in a list (7 rows).",
        "Left out 1 empty row: item 6.",
        "Left out 5 duplicate rows: items 1, 2, 3 and 2 more.",
    ]


def test_bad_rows_are_shown_with_what_is_wrong():
    samples = Samples("a.csv", "line", [], {"group": "g"}, 1, [Remark("bad", 1234, "text", "the byte 0xE9 ...")])
    assert samples.notes() == ["Left out 1 bad row: line 1,234, field 'text': the byte 0xE9 ...."]


def test_rescaled_scores_are_said():
    samples = read_samples([{"left": "a", "right": "b", "score": 4}])
    assert str(samples) == "1 scored pair in a list (1 row).\nScores from 0 to 4 were brought to 0 to 1."
