"""What a source is: files by suffix, and objects in memory by what they can do."""

import subprocess
import sys

import pytest

from quaterion.dataset.files import read_samples
from quaterion.dataset.files.open_table import open_table

ROWS = [{"text": "one", "group": "a"}, {"text": "two", "group": "b"}]


def contents(source):
    return [(one.obj, one.group) for one in read_samples(source)]


def test_a_list_and_a_generator_of_dictionaries_give_samples():
    assert contents(ROWS) == contents(dict(row) for row in ROWS) == [("one", "a"), ("two", "b")]


def test_a_table_stays_as_it_is():
    table = open_table(ROWS)
    assert open_table(table) is table
    assert contents(table) == contents(ROWS)


def test_objects_that_are_no_texts_come_through_as_they_are():
    image = object()
    assert read_samples([{"text": image, "group": ("a", 1)}])[0].obj is image
    assert read_samples([{"text": 12, "group": "a"}])[0].obj == 12


def test_a_pandas_frame_gives_python_values_and_its_missing_values_are_empty():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["one", "two", None, "four"], "group": pandas.array([1, 2, 3, None], "Int64")})
    samples = read_samples(frame)
    assert [(one.obj, one.group, type(one.group)) for one in samples] == [("one", 1, int), ("two", 2, int)]
    assert [(remark.kind, remark.place, remark.field) for remark in samples.remarks] == [
        ("empty", 2, "text"),
        ("empty", 3, "group"),
    ]


def test_nan_as_a_group_of_a_pandas_frame_is_empty():
    pandas = pytest.importorskip("pandas")
    samples = read_samples(pandas.DataFrame({"text": ["one", "two"], "group": [1.0, float("nan")]}))
    assert (len(samples), samples.counts["empty"]) == (1, 1)


def test_a_polars_frame_gives_samples_and_a_lazy_one_says_what_to_do():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(ROWS)
    assert contents(frame) == [("one", "a"), ("two", "b")]
    with pytest.raises(TypeError, match=r"a LazyFrame, which holds no rows yet. Pass what its collect\(\) gives"):
        read_samples(frame.lazy())


class HuggingFaceDataset:
    """What a data set of Hugging Face offers of columns."""

    column_names = ["text", "group"]

    plain = False

    def __getitem__(self, name):
        return (row[name] if self.plain else object() for row in ROWS)

    def with_format(self, kind):
        other = HuggingFaceDataset()
        other.plain = kind is None
        return other


def test_a_hugging_face_data_set_gives_samples():
    assert contents(HuggingFaceDataset()) == [("one", "a"), ("two", "b")]


def test_a_real_hugging_face_data_set_gives_samples_and_several_splits_say_what_to_do():
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_list(ROWS)
    assert contents(data) == contents(data.to_iterable_dataset()) == [("one", "a"), ("two", "b")]
    numbered = datasets.Dataset.from_list([{"text": text, "group": 7} for text in ("one", "one", "two")])
    for kind in (None, "torch", "numpy", "pandas"):
        samples = read_samples(numbered.with_format(kind))
        assert [(one.obj, one.group) for one in samples] == [("one", 7), ("two", 7)]
    with pytest.raises(TypeError, match="Pass one of them"):
        read_samples(datasets.DatasetDict({"train": data}))


def test_several_splits_say_what_to_do():
    splits = HuggingFaceDataset()
    splits.column_names = {"train": ["text"], "test": ["text"]}
    with pytest.raises(TypeError, match="of 'train', 'test'. Pass one of them"):
        read_samples(splits)


def test_an_item_that_is_no_dictionary_is_bad():
    with pytest.raises(ValueError, match="a list, item 1: a tuple is no dictionary"):
        read_samples([*ROWS[:1], ("two", "b")])


@pytest.mark.parametrize("source", [12, {"text": ["one"]}, None])
def test_other_sources_are_refused(source):
    with pytest.raises(TypeError, match=f"The data is a {type(source).__name__}; expected the path of a file"):
        read_samples(source)


def test_the_format_is_told_by_the_suffix_or_given(write):
    content = "text,label\none,a\n"
    assert read_samples(write("A.CSV", content))[0].obj == "one"
    assert read_samples(str(write("a.txt", content)), format="csv")[0].obj == "one"
    with pytest.raises(ValueError, match=r"a\.txt has the suffix '\.txt', which tells no format"):
        read_samples(write("a.txt", content))
    with pytest.raises(ValueError, match="format='xlsx'; expected one of csv, tsv"):
        open_table(write("a.csv", content), "xlsx")
    with pytest.raises(ValueError, match="format='csv' is for files, and the data is a list"):
        open_table(ROWS, "csv")


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    for name in ("no.csv", "no.parquet", "no.jsonl", "no"):
        with pytest.raises(FileNotFoundError):
            read_samples(tmp_path / name)


def test_nothing_optional_is_imported(write):
    path = write("a.csv", "text,label\na,b\n")
    code = (
        f"import sys; from quaterion.dataset.files import read_samples; read_samples({str(path)!r})\n"
        "print(sorted({'pandas', 'polars', 'pyarrow', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
