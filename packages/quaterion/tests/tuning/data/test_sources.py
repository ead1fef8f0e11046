"""Parts that fit each other."""

import pytest

from quaterion.tuning.data.sources import read_parts

GROUPS = [{"text": "one", "label": "a"}, {"text": "two", "label": "b"}]
PAIRS = [{"question": "q", "answer": "d"}]


def read(train, *, split=None, file_format=None, validation=None, test=None, **options):
    sources = {"train": train, "validation": validation, "test": test}
    return read_parts(sources, split=split, file_format=file_format, options={"skip_bad_rows": False, **options})


def scored(*scores):
    return [{"left": f"a{number}", "right": "b", "score": score} for number, score in enumerate(scores)]


def scores(part):
    return [sample.score for sample in part.samples]


def test_only_parts_that_were_given_are_read():
    parts = read(GROUPS, test=GROUPS[:1])
    assert [(name, part.form, len(part.samples)) for name, part in parts.items()] == [
        ("train", "groups", 2),
        ("test", "groups", 1),
    ]
    assert parts["train"].columns == {"text": "text", "group": "label"}
    assert parts["train"].notes == ["2 samples of 2 groups in a list (2 rows)."]


def test_columns_may_have_other_names_in_other_parts():
    parts = read(GROUPS, test=[{"query": "one", "intent": "a"}])
    assert parts["test"].samples[0].group == "a"


def test_parts_of_other_forms_are_refused():
    columns = (r"\(columns question, answer\)", r"\(columns text, label\)")
    expected = "The test data are pairs {}, and the training data are groups {}. Expected the same".format(*columns)
    with pytest.raises(ValueError, match=expected):
        read(GROUPS, test=PAIRS)
    with pytest.raises(ValueError, match="The validation data are scored pairs .*, and the training data are pairs"):
        read(PAIRS, validation=scored(1))


def test_scores_are_on_the_scale_of_the_highest_of_all_parts():
    parts = read(scored(5, 2), validation=scored(0.5, 1), test=scored(3, 4))
    assert scores(parts["train"]) == [1.0, 0.4]
    assert scores(parts["validation"]) == pytest.approx([0.1, 0.2])
    assert scores(parts["test"]) == pytest.approx([0.6, 0.8])
    for part in parts.values():
        assert part.score_range == (0.0, 5.0)
        assert part.notes[-1] == "Scores from 0 to 5 were brought to 0 to 1." and len(part.notes) == 2


def test_scores_of_a_scale_that_was_given_are_on_it():
    parts = read(scored(5, 2), test=scored(3, 4), score_range=(0, 10))
    assert scores(parts["train"]) == [0.5, 0.2] and scores(parts["test"]) == [0.3, 0.4]


def test_a_column_divides_the_data():
    rows = [{**row, "split": split} for row, split in zip(GROUPS * 2, ["train", "train", "dev", "test"], strict=True)]
    parts = read(rows, split="split")
    assert {name: len(part.samples) for name, part in parts.items()} == {"train": 2, "validation": 1, "test": 1}
    with pytest.raises(ValueError, match="split='split' divides the data, and test data were given, too. Expected one"):
        read(rows, split="split", test=GROUPS)


def test_a_format_is_for_files_whichever_part_they_are(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("text,label,split\none,a,train\ntwo,b,test\n")
    assert len(read(path, file_format="csv", test=GROUPS)["train"].samples) == 2
    assert list(read(path, file_format="csv", split="split")) == ["train", "test"]
    with pytest.raises(ValueError, match="format='csv' is for files, and the data is a list"):
        read(GROUPS, file_format="csv")


def test_folders_of_images_have_no_columns(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs the extra images")
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "images" / name).mkdir(parents=True)
        image.new("L", (1, 1), number).save(tmp_path / "images" / name / "1.png")
    folder = tmp_path / "images"
    part = read(str(folder))["train"]
    assert (part.form, len(part.samples), part.columns) == ("groups", 2, {})
    with pytest.raises(ValueError, match="text='path' tells how to read a table, and .*images is a folder of images"):
        read(folder, text="path")
    with pytest.raises(
        ValueError, match="split='part' names a column, and .*images is a folder. Give the folders of its"
    ):
        read(folder, split="part")
    with pytest.raises(
        ValueError, match=r"The test data are pairs .*, and the training data are groups \(a folder of images\)"
    ):
        read(folder, test=PAIRS)


def test_bad_rows_name_file_line_and_field(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "one", "label": "a"}\n{"text": 7, "label": "a"}\n')
    with pytest.raises(ValueError, match="bad.jsonl, line 2, field 'text': 7 is a number"):
        read(GROUPS, test=path)
    assert len(read(GROUPS, test=path, skip_bad_rows=True)["test"].samples) == 1
