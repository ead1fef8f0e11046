"""Data shared by the tests of the demo: the standard library, read once."""

import pytest

from quaterion.demo.corpus import Entry, read_standard_library


@pytest.fixture(scope="session")
def library() -> list[Entry]:
    return read_standard_library()
