"""Objects as text and thumbnails."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quaterion.eval.report.shown_object import clip_all, escaped_size, show


def opened(address):
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "I;16"])
def test_images_of_every_mode_become_thumbnails(mode):
    shown = show(Image.new(mode, (200, 100)), thumbnail=50)
    assert opened(shown.image).size == (50, 25)
    assert shown.text == "image of 200 × 100"


def test_a_path_of_an_image_shows_the_image_and_a_path_of_nothing_its_name(tmp_path):
    Image.new("L", (10, 10)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    assert opened(show(tmp_path / "a.png").image).size == (10, 10)
    assert show(tmp_path / "b.png").image is None
    assert show(Path("nowhere.png")).text == "nowhere.png"


def test_arrays_are_described_and_not_printed():
    assert show(np.zeros((3, 4), np.float32)).text == "ndarray [3, 4] of float32"


def test_objects_that_have_no_text_are_described_by_their_type():
    class Mute:
        def __repr__(self):
            raise RuntimeError("nothing to say")

    assert show(Mute()).text == "a Mute"
    assert show(np.float32).text == repr(np.float32)


def test_many_texts_fit_their_budget_whatever_is_in_them():
    texts = ["<" * 1000, "\u65e5" * 1000, "plain " * 200] * 100
    clipped = clip_all(texts, longest=160, budget=60_000)
    assert sum(map(escaped_size, clipped)) <= 60_000
    assert all(one.endswith("characters)") for one in clipped)
