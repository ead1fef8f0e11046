import io
import os
import shutil
import zlib

import numpy as np
import pytest
import torch

from quaterion_models.encoders.images import image_key, is_image, read_images

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")

# Four corners that tell every turn and mirror image apart.
CORNERS = np.array([[[255, 0, 0], [0, 255, 0], [9, 9, 9]], [[0, 0, 255], [200, 200, 0], [77, 7, 7]]], dtype=np.uint8)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8))


def read(obj):
    (picture,) = read_images([obj], what="TestEncoder")
    assert picture.mode == "RGB"
    return np.asarray(picture)


def key(obj):
    return image_key(obj, what="TestEncoder")


def file_of(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.fixture
def png(tmp_path):
    path = tmp_path / "corners.png"
    Image.fromarray(CORNERS).save(path)
    return path


def test_every_kind_of_image_gives_the_same_pixels(png):
    floats = CORNERS.astype(np.float64) / 255
    channels_first = torch.from_numpy(CORNERS).movedim(-1, 0)
    kinds = [png, str(png), png.read_bytes(), bytearray(png.read_bytes()), memoryview(png.read_bytes())]
    kinds += [Image.open(png), Image.fromarray(CORNERS), CORNERS, floats, floats.astype(np.float32)]
    kinds += [channels_first, channels_first.float() / 255, (channels_first.double() / 255).requires_grad_()]
    kinds += [CORNERS.astype(np.uint16) * 257, CORNERS[:, ::-1][:, ::-1], np.dstack([CORNERS, CORNERS[:, :, 0] | 255])]
    for kind in kinds:
        assert is_image(kind)
        assert np.array_equal(read(kind), CORNERS), kind


def test_arrays_without_colour_are_grey():
    grey = np.array([[0, 100], [200, 255]], dtype=np.uint8)
    expected = np.stack([grey] * 3, axis=-1)
    tensor = torch.from_numpy(grey)
    for kind in (grey, grey[:, :, None], tensor, tensor[None], grey / 255):
        assert np.array_equal(read(kind), expected)
    assert np.array_equal(read(grey > 50), np.where(expected > 50, 255, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_the_exif_orientation_is_followed(orientation, form, tmp_path):
    # What the viewer of a file must do to the stored rows and columns, by the EXIF standard.
    upright = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: np.rot90,
    }[orientation]
    stored = np.kron(CORNERS, np.ones((8, 8, 1), dtype=np.uint8))  # blocks, as JPEG stores them
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    path = tmp_path / f"turned.{form.lower()}"
    Image.fromarray(stored).save(path, form, exif=exif, **lossless)
    tolerance = 3 if form == "JPEG" else 0
    for kind in (path, path.read_bytes(), Image.open(path)):
        np.testing.assert_allclose(read(kind).astype(int), upright(stored).astype(int), atol=tolerance)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\xff", b"Exif\0\0II*\0\x08\0\0\0\x01"])
def test_damaged_exif_data_do_not_spoil_an_image(form, exif):
    file = file_of(Image.fromarray(CORNERS), form, exif=exif, lossless=True)
    assert np.array_equal(read(file), CORNERS)
    assert key(Image.open(io.BytesIO(file))) == key(Image.fromarray(CORNERS))


def test_modes_are_converted():
    red, grey = np.array([[[255, 0, 0]]]), np.array([[[80, 80, 80]]])
    image = Image.new("RGB", (1, 1), "red")
    for mode in ("RGB", "RGBA", "RGBX", "CMYK", "HSV", "P"):
        assert np.array_equal(read(image.convert(mode)), red), mode
    np.testing.assert_allclose(read(image.convert("YCbCr")).astype(int), red, atol=2)  # chroma of 8 bits
    for mode in ("L", "LA", "RGB"):
        assert np.array_equal(read(Image.new("L", (1, 1), 80).convert(mode)), grey), mode
    assert np.array_equal(read(Image.new("1", (1, 1), 1)), [[[255] * 3]])


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled_and_not_cut_off(form):
    values = np.array([[0, 256, 257, 32768, 65535]], dtype=np.uint16)
    expected = np.rint(values / 257).astype(np.uint8)  # 65535 / 257 is 255
    file = file_of(Image.fromarray(values), form)
    for kind in (file, values, torch.from_numpy(values), Image.fromarray(values.astype(np.int32))):
        assert np.array_equal(read(kind)[..., 0], expected)


def test_images_of_floats_reach_from_0_to_1():
    assert np.array_equal(read(Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32)))[0, :, 0], [0, 128, 255])


def test_what_is_transparent_lies_on_white(tmp_path):
    hidden = Image.fromarray(np.array([[[255, 0, 0, 0], [0, 0, 255, 255], [0, 0, 0, 51]]], dtype=np.uint8), "RGBA")
    expected = [[[255, 255, 255], [0, 0, 255], [204, 204, 204]]]  # 255 · (1 − 51/255) = 204
    for kind in (hidden, file_of(hidden), np.asarray(hidden), torch.from_numpy(np.array(hidden)).movedim(-1, 0)):
        assert np.array_equal(read(kind), expected)
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    expected = [[[255, 255, 255], [0, 0, 255]]]
    assert np.array_equal(read(file_of(palette, "PNG", transparency=0)), expected)
    assert np.array_equal(read(file_of(palette, "GIF", transparency=0)), expected)
    named = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))
    assert np.array_equal(read(file_of(named, "PNG", transparency=(1, 2, 3))), [[[255] * 3, [4, 5, 6]]])


def test_the_first_frame_is_taken():
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    file = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(read(file)[0, 0], [255, 0, 0])


def test_what_is_passed_in_stays_as_it_is():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(file_of(Image.fromarray(CORNERS), exif=exif)))
    array, tensor = CORNERS.astype(np.float32) / 255, torch.rand(3, 2, 2)
    copies = array.copy(), tensor.clone()
    for kind in (image, array, tensor):
        read(kind)
        key(kind)
    assert (image.size, image.mode, image.getexif()[0x0112]) == ((3, 2), "RGB", 6)
    assert np.array_equal(array, copies[0]) and torch.equal(tensor, copies[1])


def test_files_are_keyed_by_their_bytes(png, tmp_path):
    copied = shutil.copy(png, tmp_path / "another name.png")
    first = key(png)
    assert len(first) == 16
    assert {key(str(png)), key(copied), key(png.read_bytes()), key(memoryview(png.read_bytes()))} == {first}
    os.utime(png, (0, 0))
    assert key(png) == first
    png.write_bytes(png.read_bytes() + b"x")
    assert key(png) != first
    assert key(copied) == first


def test_large_files_are_keyed_as_their_bytes(tmp_path):
    content = np.random.default_rng(0).bytes(3 * 2**20 + 5)
    (tmp_path / "large").write_bytes(content)
    assert key(tmp_path / "large") == key(content)


def test_images_and_arrays_are_keyed_by_their_pixels(png):
    opened = Image.open(png)
    assert key(opened) == key(Image.fromarray(CORNERS)) == key(opened)
    other = CORNERS.copy()
    other[0, 0, 0] -= 1
    assert key(Image.fromarray(other)) != key(opened)
    assert key(CORNERS) == key(CORNERS.copy()) != key(other)
    assert key(torch.from_numpy(CORNERS)) == key(torch.from_numpy(CORNERS.copy()))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_the_same_pixels_turned_differently_have_another_key(form):
    keys = set()
    for orientation in (1, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = Image.open(io.BytesIO(file_of(Image.fromarray(CORNERS), form, exif=exif)))
        before = key(image)
        read(image)
        assert key(image) == before
        keys.add(before)
    assert len(keys) == 2


def bomb(width, height):
    """The header of a PNG that declares a size, with no pixels behind it."""
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    checked = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + checked + (100).to_bytes(4, "big") + b"IDAT"


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) show\n"


def test_postscript_is_not_given_to_the_program_that_would_run_it(tmp_path, monkeypatch):
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # looked for anew
    picture = Image.open(io.BytesIO(EPS))
    for one in (EPS, picture):
        with pytest.raises(ValueError, match="is PostScript, a program, which is not run. Convert it to PNG"):
            read(one)
    with pytest.raises(ValueError, match="is PostScript"):
        key(picture)
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_or_a_device_is_not_read_without_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        for use in (read, key):
            with pytest.raises(ValueError, match=rf"image '{path}'.*: it is a folder, a pipe or a device"):
                use(path)


def test_the_order_of_bytes_in_an_array_does_not_matter():
    values = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    assert np.array_equal(read(values.astype(">u2")), read(values))


def test_what_is_transparent_in_a_file_of_16_bits_is_white():
    values = np.array([[0, 300, 65535]], dtype=np.uint16)
    content = file_of(Image.fromarray(values), transparency=300)
    assert np.asarray(read(content))[0, :, 0].tolist() == [0, 255, 255]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is in no format of images that Pillow knows"),
        (b"a text", "it is in no format of images that Pillow knows"),
        (EPS, "it is PostScript, a program, which is not run"),
        (file_of(NOISE)[:3000], "OSError"),
        (file_of(NOISE, "JPEG")[:1500], "OSError: image file is truncated"),
        (bomb(100_000, 100_000), "DecompressionBombError"),
        (bomb(10_000, 9_500), "DecompressionBombWarning"),  # warnings are errors here
    ],
)
def test_files_that_cannot_be_read_are_named(content, reason, tmp_path):
    path = tmp_path / "bad.img"
    path.write_bytes(content)
    good = Image.new("RGB", (2, 2))
    with pytest.raises(
        ValueError,
        match=rf"TestEncoder cannot read the image '.*bad\.img' at position 1 among the images of the batch: {reason}",
    ):
        read_images([good, path, good], what="TestEncoder")
    with pytest.raises(
        ValueError, match=f"TestEncoder cannot read the image at position 2 among the images of the batch: {reason}"
    ):
        read_images([good, good, content], what="TestEncoder")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.png", "there is no such file"),
        ("", "it is a folder, a pipe or a device, expected a file"),
        ("a\0b", "embedded null"),
        ("x" * 999, "OSError"),
    ],
)
def test_paths_without_a_file_are_named(name, reason, tmp_path):
    path = f"{tmp_path}/{name}"
    with pytest.raises(
        ValueError, match=rf"cannot read the image '.*' at position 0 among the images of the batch: {reason}"
    ):
        read(path)
    with pytest.raises(ValueError, match=rf"TestEncoder cannot read the image '.*': {reason}"):
        key(path)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((3, 4, 5), dtype=np.uint8), r"its shape is \[3, 4, 5\], expected \[H, W\] or \[H, W, C\]"),
        (torch.zeros(5, 4, 3), r"its shape is \[5, 4, 3\], expected \[H, W\] or \[C, H, W\] with 1, 3 or 4 channels"),
        (np.zeros(9, dtype=np.uint8), r"its shape is \[9\]"),
        (np.zeros((0, 5, 3), dtype=np.uint8), r"its shape is \[0, 5, 3\]"),
        (np.zeros((2, 2, 3), dtype=np.int64), "its numbers are int64 from 0 to 0, expected uint8, uint16"),
        (np.array([[0.0, 255.0]]), "its numbers are float64 from 0.0 to 255.0, expected .* floats from 0 to 1"),
        (np.array([[-0.5, 0.5]]), "its numbers are float64 from -0.5 to 0.5"),
        (torch.tensor([[0.5, float("nan")]]), "its numbers are float32 from nan to nan"),
        (Image.fromarray(np.array([[70_000]], dtype=np.int32)), "its numbers are int32 from 70000 to 70000"),
        (Image.new("RGB", (0, 5)), "it has no pixels"),
        (Image.new("RGB", (2001, 2)), "it has 2001 x 2 pixels, one side more than 1000 times the other"),
    ],
)
def test_arrays_that_are_no_image_are_described(image, reason):
    with pytest.raises(ValueError, match=f"read the image at position 0 among the images of the batch: {reason}"):
        read(image)


@pytest.mark.parametrize("obj", [None, 3, {"image": "a.png"}, ["a.png"], 0.5])
def test_what_is_no_image_is_named(obj):
    assert not is_image(obj)
    with pytest.raises(TypeError, match=rf"TestEncoder takes images .*, got {type(obj).__name__} at position 1 among"):
        read_images([np.zeros((2, 2), dtype=np.uint8), obj], what="TestEncoder")
    with pytest.raises(TypeError, match=rf"TestEncoder takes images .*, got {type(obj).__name__}\. Pick the image"):
        key(obj)
