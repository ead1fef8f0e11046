import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quaterion_models.saving.card_text import code_text, front_matter, plain_text, table

yaml = pytest.importorskip("yaml", reason="comes with huggingface_hub")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\nb\tc", "a b c"),
        ("  a  ", "a"),
        (3.5, "3.5"),
        (None, "None"),
        ("a|b", "a\\|b"),
        ("x" * 400, "x" * 300 + "…"),
    ],
)
def test_a_value_becomes_one_line(value, expected):
    assert plain_text(value) == expected


def test_code_holds_nothing_that_ends_it():
    assert code_text("a`b|c\n") == "`a'b¦c`"
    assert code_text("") == "(no name)"


def test_a_table_has_a_line_for_each_row():
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


@settings(deadline=None)
@given(st.text(), st.lists(st.text(), min_size=1), st.floats(allow_nan=False, allow_infinity=False))
def test_any_metadata_is_yaml_that_gives_it_back_as_far_as_it_can_be_shown(text, texts, number):
    metadata = {"text": text, "texts": texts, "nest": [{"name": text, "value": number}]}
    lines = front_matter(metadata).split("\n")
    assert lines[0] == lines[-1] == "---"
    assert "---" not in lines[1:-1]

    def shown(value):
        return "".join(one if one.isprintable() else " " for one in value[:300])

    expected = {
        "text": shown(text),
        "texts": [shown(one) for one in texts],
        "nest": [{"name": shown(text), "value": number}],
    }
    found = yaml.safe_load("\n".join(lines[1:-1]))
    # YAML reads some numbers of JSON, such as 1e3, as text.
    found["nest"][0]["value"] = float(found["nest"][0]["value"])
    assert found == json.loads(json.dumps(expected))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1. one", "1\\. one"),
        ("2) two", "2\\) two"),
        ("version 1.2 (new)", "version 1.2 (new)"),
        ("see http://a.b/c", "see http\\://a.b/c"),
        ("www.a.b", "www\\.a.b"),
        ("a: b", "a: b"),
    ],
)
def test_a_text_makes_no_list_and_no_link(text, written):
    assert plain_text(text) == written
