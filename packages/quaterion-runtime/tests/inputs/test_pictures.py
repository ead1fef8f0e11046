"""Images of every kind come to the model as they came in training."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from quaterion_runtime.inputs.pictures import read_picture

RANDOM = np.random.default_rng(0)
COLOURS = RANDOM.integers(0, 256, (5, 7, 4), dtype=np.uint8)
WIDE = RANDOM.integers(0, 65536, (5, 7)).astype(np.uint16)


def read(obj):
    picture = read_picture(obj, 0)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def encoded(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def grey(values):
    return np.repeat(values[:, :, None], 3, axis=2)


def test_colours_stay_as_they_are():
    rgb = COLOURS[:, :, :3]
    for obj in (rgb, Image.fromarray(rgb), encoded(Image.fromarray(rgb), "PNG"), np.asfortranarray(rgb)):
        assert (read(obj) == rgb).all()


def test_what_is_transparent_is_seen_on_white():
    alpha = COLOURS[:, :, 3:] / 255
    expected = COLOURS[:, :, :3] * alpha + 255 * (1 - alpha)
    for obj in (COLOURS, Image.fromarray(COLOURS), encoded(Image.fromarray(COLOURS), "PNG")):
        assert np.abs(read(obj) - expected).max() <= 1  # rounding
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    assert read(encoded(palette, "PNG", transparency=0)).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_sixteen_bits_are_scaled_and_not_cut_off():
    expected = grey(np.floor(WIDE / 257 + 0.5).astype(np.uint8))
    picture = Image.fromarray(WIDE)
    for obj in (WIDE, WIDE.astype(">u2"), WIDE[:, :, None], picture, picture.convert("I"), encoded(picture, "PNG")):
        assert (read(obj) == expected).all()
    with pytest.raises(ValueError, match="its numbers are int32 from 0 to 70000, expected uint8"):
        read(Image.fromarray(np.array([[0, 70000]], dtype=np.int32)))


def test_floats_lie_between_0_and_1():
    values = RANDOM.random((4, 3))
    expected = grey(np.floor(values * 255 + 0.5).astype(np.uint8))
    assert (read(values) == expected).all()
    assert (read(Image.fromarray(values.astype(np.float32))) == expected).all()
    for wrong in (values * 255, values - 0.5, values * np.nan):
        with pytest.raises(ValueError, match="expected uint8, uint16, booleans, or floats from 0 to 1"):
            read(wrong)


def test_booleans_are_black_and_white():
    flags = np.array([[True, False]])
    assert read(flags).tolist() == read(Image.fromarray(flags)).tolist() == [[[255] * 3, [0] * 3]]


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "YCbCr", "HSV"])
def test_other_modes_are_converted_by_pillow(mode):
    picture = Image.fromarray(COLOURS[:, :, :3]).convert(mode)
    assert (read(picture) == np.asarray(picture.convert("RGB"))).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(orientation):
    upright = np.repeat(np.repeat(np.array([[0, 60, 120], [180, 220, 255]], dtype=np.uint8), 16, 0), 16, 1)
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
              6: np.rot90(upright), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1)}[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x112] = orientation
    photograph = encoded(Image.fromarray(np.ascontiguousarray(stored)), "JPEG", exif=exif, quality=100)
    assert np.abs(read(photograph).astype(int) - grey(upright)).max() <= 8  # what JPEG changes
    assert (read(Image.open(io.BytesIO(photograph))) == read(photograph)).all()


@pytest.mark.parametrize(
    "exif", [b"XXXXXXXX", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\0A\0\0\0\0\0\0\0"]
)
def test_damaged_notes_on_orientation_say_nothing(exif):
    rgb = COLOURS[:, :, :3]
    assert (read(encoded(Image.fromarray(rgb), "PNG", exif=b"Exif\0\0" + exif)) == rgb).all()


def test_a_path_is_a_text_or_a_path(tmp_path):
    Image.fromarray(COLOURS[:, :, :3]).save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png") == read(str(tmp_path / "a.png"))).all()


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        (b"no image", "it is in no format of images that Pillow knows"),
        (np.zeros((0, 4, 3), dtype=np.uint8), r"its shape is \[0, 4, 3\], expected \[H, W\] or \[H, W, C\]"),
        (np.zeros((4, 4, 2), dtype=np.uint8), r"its shape is \[4, 4, 2\]"),
        (np.zeros(4, dtype=np.uint8), r"its shape is \[4\]"),
        (np.zeros((4, 4), dtype=np.int64), "its numbers are int64 from 0 to 0"),
        (Image.new("RGB", (0, 3)), "it has no pixels"),
        (Image.new("RGB", (1, 1001)), "it has 1 x 1001 pixels, one side more than 1000 times the other"),
        (encoded(Image.new("RGB", (3, 3)), "EPS"), "it is PostScript, a program, which is not run. Convert it to PNG"),
        (encoded(Image.effect_noise((50, 50), 50), "PNG")[:-500], "OSError: "),
    ],
)
def test_an_image_that_cannot_be_read_says_why(obj, reason):
    with pytest.raises(ValueError, match=f"the image at position 3 cannot be read: {reason}"):
        read_picture(obj, 3)


def test_a_path_that_cannot_be_read_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("missing.png", "there is no such file"), ("pipe", "it is a folder, a pipe or a device")):
        with pytest.raises(ValueError, match=rf"the image '.*{name}' at position 0 cannot be read: {reason}"):
            read_picture(tmp_path / name, 0)


@pytest.mark.parametrize("obj", [None, 3, ["a.png"], {"image": b""}])
def test_what_is_no_image_is_refused(obj):
    with pytest.raises(TypeError, match=rf"the model takes images, got {type(obj).__name__} at position 2\. Pass"):
        read_picture(obj, 2)


def test_images_are_read_as_they_are_for_training():
    images = pytest.importorskip("quaterion_models.encoders.images")
    photograph = Image.fromarray(RANDOM.integers(0, 256, (20, 30, 4), dtype=np.uint8))
    kinds = [
        photograph,
        *(photograph.convert(mode) for mode in ("L", "LA", "P", "PA", "1", "CMYK", "RGBa", "RGBX")),
    ]
    kinds += [Image.fromarray(WIDE), COLOURS, WIDE, encoded(photograph, "PNG"), encoded(photograph.convert("P"), "GIF")]
    for ours, theirs in zip(kinds, images.read_images(kinds, what="a test"), strict=True):
        assert (read(ours) == np.asarray(theirs)).all()
