"""Which column is what, without and with the caller's word."""

import pytest

from quaterion.dataset.files.columns import choose_roles
from quaterion.dataset.files.table import Table

NONE = dict.fromkeys(["text", "group", "anchor", "positive", "score"])


def table(*columns, headerless=False):
    numbers = [str(number) for number in range(1, len(columns) + 1)]
    without = (lambda: Table("data.csv", "line", numbers, lambda wanted: iter(()))) if headerless else None
    return Table("data.csv", "line", list(columns), lambda wanted: iter(()), headerless=without)


def roles(*columns, negatives=None, headerless=False, **given):
    return choose_roles(table(*columns, headerless=headerless), NONE | given, negatives)[1]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["text", "category"], {"text": "text", "group": "category"}),
        (["id", "Query", "Intent"], {"text": "Query", "group": "Intent"}),
        (["question", "answer"], {"anchor": "question", "positive": "answer"}),
        (["sentence1", "sentence2", "score"], {"anchor": "sentence1", "positive": "sentence2", "score": "score"}),
        (["Sentence 1".replace(" ", ""), "sentence2"], {"anchor": "Sentence1", "positive": "sentence2"}),
    ],
)
def test_common_names_are_found(columns, expected):
    assert roles(*columns).columns == expected


@pytest.mark.parametrize("columns", [["text", "title", "label"], ["a", "b"], ["question", "answer", "label"], ["text"]])
def test_a_doubt_is_an_error_that_lists_the_columns(columns):
    listed = ", ".join(map(repr, columns))
    with pytest.raises(
        ValueError, match=f"Cannot tell what the columns of data.csv are: {listed}. Name the columns of"
    ):
        roles(*columns)


def test_one_named_column_leaves_the_other_of_two():
    assert roles("utterance_fr", "cls", group="cls").columns == {"text": "utterance_fr", "group": "cls"}
    with pytest.raises(ValueError, match="Cannot tell which column of data.csv is the text; it has 'id', 'fr', 'cls'"):
        roles("id", "fr", "cls", group="cls")


def test_a_named_column_is_not_guessed_for_another_role():
    assert roles("question", "query", "answer", anchor="query").columns == {"anchor": "query", "positive": "answer"}
    assert roles("text", "title", "label", text="title").columns == {"text": "title", "group": "label"}


def test_negatives_are_found_by_name_or_given():
    assert roles("anchor", "positive", "negative_1", "negative_2").negatives == ("negative_1", "negative_2")
    assert roles("anchor", "positive", "bad", "worse", negatives=["bad", "worse"]).negatives == ("bad", "worse")
    assert roles("anchor", "positive", "negative", negatives=[]).negatives == ()
    assert roles("anchor", "negative", positive="negative").negatives == ()


def test_a_column_that_is_missing_is_told_with_the_likeliest_or_with_all():
    with pytest.raises(
        ValueError, match="has no column 'intnt' for group. It has 'text', 'intent'. Did you mean 'intent'"
    ):
        roles("text", "intent", group="intnt")
    with pytest.raises(ValueError, match="has no column 'zzz' for negatives. It has 'anchor', 'positive'. Name"):
        roles("anchor", "positive", negatives="zzz")


def test_spaces_and_case_do_not_matter_where_one_column_fits():
    assert roles("Text ", " Intent", text="text", group="intent").wanted == ["Text ", " Intent"]


def test_numbers_are_columns_only_where_they_are_no_names():
    chosen, found = choose_roles(table("one", "two", headerless=True), NONE | {"text": 1, "group": "2"}, None)
    assert (chosen.columns, found.wanted) == (["1", "2"], ["1", "2"])
    chosen, found = choose_roles(table("1", "2", headerless=True), NONE | {"text": 1, "group": 2}, None)
    assert chosen.headerless is not None
    with pytest.raises(ValueError, match="no column '2' .* If the first row is no header, give numbers"):
        roles("one", "two", headerless=True, text="one", group=2)


def test_roles_that_exclude_each_other_are_told():
    with pytest.raises(ValueError, match="Columns were given for group and anchor. Expected text and group, or anchor"):
        roles("a", "b", group="a", anchor="b")


def test_a_column_has_one_role_and_stands_once():
    with pytest.raises(ValueError, match="The column 'a' of data.csv has two roles"):
        roles("a", "b", anchor="a", positive="a")
    with pytest.raises(ValueError, match="two columns of the name 'text'. Rename one"):
        roles("text", "text", "label", text="text")
    with pytest.raises(ValueError, match="two columns of the name 'label'. Rename one"):
        roles("text", "label", "label")
