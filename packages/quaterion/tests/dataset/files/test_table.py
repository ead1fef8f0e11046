"""Rows of what comes in columns."""

from quaterion.dataset.files.table import column_table


def test_names_that_are_no_texts_are_found_by_their_text_and_rows_count_from_the_first():
    columns = {0: ["a", "b"], "text": ["c", "d"]}
    table = column_table("a frame", list(columns), columns.__getitem__, first=1)
    assert (table.columns, list(table.rows(["text", "0"]))) == (["0", "text"], [(1, ("c", "a")), (2, ("d", "b"))])
