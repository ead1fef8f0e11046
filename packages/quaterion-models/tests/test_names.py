import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from quaterion_models.names import folder_names, module_name

AWKWARD = [
    "default",
    "a.b",
    "",
    "keys",
    "type",
    "..",
    ".",
    "a/b",
    "a\\b",
    "A",
    "a",
    "ä",
    "\ud800",
    "%",
    "%2E",
    "x" * 500,
]


def test_any_key_is_a_name_that_a_module_dict_takes():
    modules = nn.ModuleDict({module_name(key): nn.Identity() for key in AWKWARD})
    assert len(modules) == len(AWKWARD)


def test_folder_names_are_plain_short_and_differ_even_without_case(tmp_path):
    names = folder_names(AWKWARD)
    assert len({name.casefold() for name in names.values()}) == len(AWKWARD)
    for name in names.values():
        assert (tmp_path / name).parent == tmp_path
        assert not set(name) & set('./\\:*?"<>|')
        (tmp_path / name).mkdir()


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), unique=True, max_size=8))
def test_different_keys_get_different_names(keys):
    assert len(set(folder_names(keys).values())) == len(keys)
    assert len({module_name(key) for key in keys}) == len(keys)


def test_a_key_that_is_not_text_is_refused():
    with pytest.raises(TypeError, match="a name must be text, got int 3"):
        module_name(3)
