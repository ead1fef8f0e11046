import collections
import functools
import os
import re
import sys
import types

import numpy as np
import pytest
import torch

from quaterion_models import code_origin
from quaterion_models.code_origin import (
    binding_of,
    globals_in,
    imports_in,
    is_container,
    is_installed,
    is_library,
    is_member,
    library_version,
    module_name,
    names_in,
    stored_in,
)


def uses_names(x):
    return [re.compile(x) for _ in range(3)] or (lambda: np.zeros(3))


def test_names_inside_inner_functions_are_found():
    assert {"re", "np", "range"} <= names_in(uses_names.__code__)


def imports_inside(x):
    global STATE
    from os import path, sep

    STATE = path
    return x.sep, sep


def test_globals_read_set_and_imported_are_told_from_attributes():
    assert globals_in(uses_names.__code__) == {"re", "np", "range"}
    assert globals_in(imports_inside.__code__) == set()
    assert stored_in(imports_inside.__code__) == {"STATE"}
    assert imports_in(imports_inside.__code__) == [("os", 0, ("path", "sep"))]


@pytest.mark.parametrize("value", [[1], {}, set(), bytearray(b""), collections.deque(), os.environ])
def test_what_running_code_fills_is_a_container(value):
    assert is_container(value)


@pytest.mark.parametrize("value", [1, "a", (1, []), frozenset({1}), re.compile("x"), torch.zeros(1), np.zeros(1)])
def test_other_values_are_none(value):
    assert not is_container(value)


def test_the_statement_that_binds_a_global_is_found(make_module):
    make_module("some_user_module", "if True:\n    A = 1\nB = A\ndef f():\n    B = 2\n")
    assert binding_of("some_user_module", "B") == "B = A"
    assert "A = 1" in binding_of("some_user_module", "A")
    assert binding_of("no_such_module", "A") == ""


@pytest.mark.parametrize("module", ["json", "xml.dom", "torch.nn", "PIL", "quaterion_models.heads"])
def test_what_is_installed_is_known_before_it_is_imported(module):
    assert is_installed(module)
    assert not is_installed("no_such_module")


@pytest.mark.parametrize(
    "module", ["json", "builtins", "torch.nn", "numpy", "quaterion_models.heads", "_pytest.python"]
)
def test_python_and_what_is_installed_are_libraries(module):
    assert is_library(module)


def test_a_users_module_is_none(make_module):
    assert not is_library(make_module("some_user_module", "x = 1").__name__)
    assert not is_library("__main__") or "pytest" in str(sys.modules["__main__"])
    assert not is_library(None)


def test_the_version_leaves_out_the_device_it_was_built_for(monkeypatch):
    fake = types.ModuleType("fake_library")
    fake.__version__ = "2.1.0+cu128"
    monkeypatch.setitem(sys.modules, "fake_library", fake)
    assert library_version("fake_library.part") == "2.1.0"
    assert library_version("torch.nn") == torch.__version__.partition("+")[0]
    assert library_version("json") == ""
    assert library_version("no_such_library") == ""


def test_a_main_module_has_one_name_in_all_processes():
    assert module_name("__mp_main__") == module_name("__main__") == "__main__"


def test_members_are_functions_and_values_of_the_users_own():
    class Some:
        __slots__ = ("slot",)
        value = 3

        def method(self):
            return 1

        @functools.cached_property
        def cached(self):
            return 2

    found = {name for name, value in vars(Some).items() if is_member(name, value, has_source=True)}
    assert found == {"value", "method", "cached"}


def test_the_module_lists_plain_types():
    assert str in code_origin.PLAIN
