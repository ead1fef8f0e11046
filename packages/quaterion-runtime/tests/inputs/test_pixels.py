import numpy as np
import pytest
from PIL import Image

from quaterion_runtime.folder import PixelsInput
from quaterion_runtime.inputs import pixels as pixels_module
from quaterion_runtime.inputs.pixels import PixelsPreparer

RANDOM = np.random.default_rng(0)


def prepare(images, **changes):
    described = {"field": None, "resize": None, "crop": None, "resample": "bicubic", "rescale": 1.0, "mean": (0, 0, 0),
                 "std": (1, 1, 1), "tensors": {"pixels": "x"}}  # fmt: skip
    return PixelsPreparer(PixelsInput(**described | changes)).prepare(images, "query", range(len(images)))


def batch(images, **changes):
    return prepare(images, **changes).batch(range(len(images)))["x"]


def test_values_are_scaled_and_shifted_channel_by_channel():
    image = RANDOM.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    got = batch([image], rescale=1 / 255, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    assert got.shape == (1, 3, 4, 5)
    assert got.dtype == np.float32
    for channel, (mean, std) in enumerate([(0.1, 0.5), (0.2, 0.6), (0.3, 0.7)]):
        np.testing.assert_allclose(got[0, channel], (image[:, :, channel] / 255 - mean) / std, rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((9, 6), (10, 7)), ((6, 9), (7, 10)), ((6, 6), (7, 7)), ((6, 11), (7, 12)), ((3, 100), (7, 233))],
)
def test_the_shorter_side_is_made_as_long_as_asked_for(size, expected):
    # The longer one is rounded down: 9 · 7 / 6 = 10.5, 11 · 7 / 6 = 12.8, 100 · 7 / 3 = 233.3.
    image = Image.fromarray(RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8))
    got = batch([image], resize={"shortest_edge": 7})
    assert got.shape == (1, 3, *expected)
    resized = np.asarray(image.resize(expected[::-1], Image.Resampling.BICUBIC))
    assert (got[0].transpose(1, 2, 0) == resized).all()


def test_both_sides_are_made_as_long_as_asked_for_with_the_filter_asked_for():
    image = Image.fromarray(RANDOM.integers(0, 256, (9, 8, 3), dtype=np.uint8))
    found = {}
    for name in ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"):
        got = batch([image], resize={"height": 5, "width": 6}, resample=name)
        resized = np.asarray(image.resize((6, 5), Image.Resampling[name.upper()]))
        assert (got[0].transpose(1, 2, 0) == resized).all()
        found[name] = got.tobytes()
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize(("height", "width", "top", "left"), [(4, 4, 1, 2), (3, 5, 2, 1), (7, 8, 0, 0), (6, 6, 0, 1)])
def test_the_middle_is_cut_out(height, width, top, left):
    image = RANDOM.integers(0, 256, (7, 8, 3), dtype=np.uint8)
    got = batch([image], crop=(height, width))[0].transpose(1, 2, 0)
    assert (got == image[top : top + height, left : left + width]).all()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 9), (9, 4), (4, 9), (20, 3)])
def test_what_lies_beyond_a_small_image_is_black(height, width):
    image = RANDOM.integers(1, 256, (5, 6, 3), dtype=np.uint8)
    got = batch([image], crop=(height, width))[0].transpose(1, 2, 0)
    assert got.shape == (height, width, 3)
    inside = got.any(axis=2)
    assert inside.sum() == min(5, height) * min(6, width)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    assert abs(rows[0] - (height - 1 - rows[-1])) <= 1
    assert abs(columns[0] - (width - 1 - columns[-1])) <= 1


def test_images_are_read_when_their_batch_is_due(monkeypatch):
    read = []
    original = pixels_module.read_picture
    monkeypatch.setattr(pixels_module, "read_picture", lambda obj, place: (read.append(place), original(obj, place))[1])
    prepared = prepare([np.zeros((4, 4), dtype=np.uint8)] * 5)
    assert read == []
    assert prepared.lengths().tolist() == [0] * 5
    prepared.batch([3, 1])
    assert read == [3, 1]


def test_images_that_differ_in_size_are_no_batch():
    images = [np.zeros((4, 4), dtype=np.uint8), np.zeros((4, 5), dtype=np.uint8)]
    with pytest.raises(ValueError, match=r"differ in size: \[\(4, 4\), \(4, 5\)\] .*or batch_size=1"):
        batch(images)
    assert batch(images, crop=(2, 2)).shape == (2, 3, 2, 2)
