"""Which objects the walk finds, how it names them, and what their signatures and paragraphs are."""

import os
import subprocess
import sys
import types

import pytest

from quaterion.demo.walker import Walk, first_paragraph, module_names, signature_text


def module(name: str, **members: object) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(members)
    return made


def documented(name: str, *, defined_in: str, documentation: str = "Does something that is worth a line.") -> object:
    def function() -> None: ...

    function.__name__ = function.__qualname__ = name
    function.__module__ = defined_in
    function.__doc__ = documentation
    return function


def names(**modules: types.ModuleType) -> list[str]:
    by_name = {name.replace("_dot_", "."): one for name, one in modules.items()}
    return [record[0] for record in Walk(by_name).entries()]


def test_modules_that_print_open_windows_or_are_private_are_not_walked() -> None:
    found = module_names()
    tops = {name.partition(".")[0] for name in found}
    assert tops.isdisjoint({"antigravity", "this", "idlelib", "turtledemo", "turtle", "tkinter", "test", "lib2to3"})
    assert not [name for name in found if any(part.startswith("_") for part in name.split("."))]
    assert {"json", "json.decoder", "os.path", "xml.etree.ElementTree"} <= set(found)
    assert found == sorted(set(found))


def test_looking_for_modules_imports_none() -> None:
    code = (
        "import sys; from quaterion.demo.walker import module_names; old = set(sys.modules); module_names(); "
        "print(sorted(set(sys.modules) - old))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize(
    ("documentation", "expected"),
    [
        ("Return the sum of a list\n   of numbers.\n\nMore of it.", "Return the sum of a list of numbers."),
        ("x" * 24, None),
        ("x" * 25, "x" * 25),
        ("x" * 400, "x" * 400),
        ("x" * 401, None),
        ("f(a, b) -> the sum of a and b, a number", None),
        ("S.f(a, b) -> the sum of a and b, a number", None),
        ("g(first, second, third, fourth)", None),
        ("Calls f(a, b) and returns the sum of both.", "Calls f(a, b) and returns the sum of both."),
        (None, None),
        (7, None),
    ],
)
def test_a_first_paragraph_is_prose_of_25_to_400_characters(documentation: object, expected: str | None) -> None:
    assert first_paragraph(documentation, "f") == expected


def test_a_signature_holds_nothing_that_changes_between_runs_or_machines() -> None:
    def function(
        a: int,
        b: object = object(),
        c: str = os.sep + "home",
        d: int = sys.maxsize,
        *,
        e: tuple[()] = (),
        f: float = 0.5,
    ) -> None: ...

    assert signature_text(function) == "(a, b=..., c=..., d=..., *, e=(), f=0.5)"


def test_an_object_without_a_readable_signature_gets_dots() -> None:
    assert signature_text(dict.fromkeys, bound=False) == "(iterable, value=None, /)"
    assert signature_text(type("C", (), {"__signature__": "no signature"})) == "(...)"


def test_methods_are_written_as_they_are_called() -> None:
    class Owner:
        def plain(self, a: int) -> None:
            """Does something plain with a."""

        @classmethod
        def of_class(cls, a: int) -> None:
            """Does something with the class and a."""

        @staticmethod
        def static(a: int) -> None:
            """Does something static with a and nothing."""

    Owner.__module__ = "json"
    found = {record[0]: record[1:3] for record in Walk({"json": module("json", Owner=Owner)}).entries()}
    assert found == {
        "json.Owner.plain": ("method", "(a)"),
        "json.Owner.of_class": ("method", "(a)"),
        "json.Owner.static": ("method", "(a)"),
    }


def test_an_object_shown_by_two_modules_is_named_by_the_one_that_defines_it() -> None:
    function = documented("work", defined_in="queue")
    assert names(json=module("json", work=function), queue=module("queue", work=function)) == ["queue.work"]


def test_an_object_of_a_private_module_is_named_by_the_public_one_that_shows_it() -> None:
    function = documented("work", defined_in="_queue")
    assert names(queue=module("queue", work=function)) == ["queue.work"]


def test_an_object_that_a_package_offers_is_named_by_the_package() -> None:
    function = documented("work", defined_in="asyncio.queues")
    package = module("asyncio", work=function, __all__=["work"])
    part = module("asyncio.queues", work=function, __all__=["work"])
    assert names(asyncio=package, asyncio_dot_queues=part) == ["asyncio.work"]


def test_a_submodule_that_declares_no_interface_is_left_out() -> None:
    function = documented("work", defined_in="asyncio.queues")
    assert names(asyncio_dot_queues=module("asyncio.queues", work=function)) == []


def test_private_names_undeclared_names_and_foreign_objects_are_left_out() -> None:
    members = {
        "_hidden": documented("_hidden", defined_in="json"),
        "undeclared": documented("undeclared", defined_in="json"),
        "foreign": documented("foreign", defined_in="numpy"),
        "work": documented("work", defined_in="json"),
        "__all__": ["_hidden", "foreign", "work", "not_there"],
    }
    assert names(json=module("json", **members)) == ["json.work"]


def test_an_alias_and_an_inherited_text_are_not_found_twice() -> None:
    class Base:
        def run(self) -> None:
            """Runs whatever there is to be run."""

        again = run

    class Child(Base):
        def run(self) -> None:
            """Runs whatever there is to be run."""

    Base.__module__ = Child.__module__ = "json"
    assert names(json=module("json", Base=Base, Child=Child)) == ["json.Base.run"]


def test_built_in_objects_have_no_prefix() -> None:
    import builtins

    found = names(builtins=builtins, io=__import__("io"))
    assert {"sorted", "str.join", "open"} <= set(found)
    assert "io.open" not in found
