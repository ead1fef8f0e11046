"""What an installation takes on disk, everything that it needs included."""

import importlib.metadata
import re

import pytest

MOST_BYTES = 220_000_000


def needed(name: str) -> set[str]:
    """A distribution and all that it requires without extras."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if one in found:
            continue
        try:
            requires = importlib.metadata.requires(one) or []
        except importlib.metadata.PackageNotFoundError:  # for another system or Python
            continue
        found.add(one)
        waiting += [re.split(r"[^\w.-]", entry, maxsplit=1)[0] for entry in requires if "extra ==" not in entry]
    return found


def test_the_runtime_and_all_that_it_needs_fit_into_220_mb():
    names = needed("quaterion-runtime")
    if "sympy" in names:
        pytest.skip("this onnxruntime is an old one, which needs sympy, too")
    sizes = {}
    for name in names:
        files = importlib.metadata.files(name) or []
        places = [file.locate() for file in files]
        sizes[name] = sum(place.stat().st_size for place in places if place.is_file())
    assert {"numpy", "onnxruntime", "tokenizers"} <= sizes.keys() and sizes["onnxruntime"] > 10_000_000
    assert not {"torch", "transformers"} & sizes.keys()
    assert sum(sizes.values()) <= MOST_BYTES, sizes
