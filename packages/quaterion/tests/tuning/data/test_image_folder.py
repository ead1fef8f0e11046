"""Folders of images by class."""

import zipfile
from collections import Counter
from pathlib import Path

import pytest

from quaterion.tuning.data.image_folder import ImageFolders

pytest.importorskip("PIL", reason="needs the extra images")
from PIL import Image

from quaterion_models.encoders.images import read_images


@pytest.fixture
def draw(tmp_path):
    """Writes images of one colour, each its own, by their paths below a folder."""

    def draw(*paths, root="animals", colour=None):
        for number, path in enumerate(paths):
            file = tmp_path / root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (2, 2), colour or (number, 0, 0)).save(file)
        return tmp_path / root

    return draw


def test_classes_are_folders_and_objects_are_paths_that_encoders_read(draw):
    root = draw("cat/2.png", "cat/1.jpg", "dog/1.PNG")
    samples, notes = ImageFolders().read(root)
    assert [(sample.obj, sample.group) for sample in samples] == [
        (str(root / "cat" / "1.jpg"), "cat"),
        (str(root / "cat" / "2.png"), "cat"),
        (str(root / "dog" / "1.PNG"), "dog"),
    ]
    assert notes == ["3 images of 2 classes in animals."]
    assert len(read_images([sample.obj for sample in samples], what="the test")) == 3


def test_deeper_folders_are_classes_of_their_own(draw):
    samples, _ = ImageFolders().read(draw("Greek/alpha/1.png", "Greek/beta/1.png", "Latin/alpha/1.png"))
    assert [sample.group for sample in samples] == ["Greek/alpha", "Greek/beta", "Latin/alpha"]


def test_hidden_files_are_passed_over_and_others_are_told(draw):
    root = draw("cat/1.png", "dog/1.png", ".cache/x/1.png", "cat/.1.png")
    (root / "cat" / "notes.txt").write_text("x")
    (root / "dog" / "README").write_text("x")
    (root / "README.txt").write_text("x")
    samples, notes = ImageFolders().read(root)
    assert len(samples) == 2
    assert notes[1] == "Passed over 3 files that are no images (2 .txt, 1 no suffix)."


def test_equal_images_of_a_class_are_left_out_and_of_two_classes_are_one_object(draw):
    draw("cat/1.png", "dog/0.png")
    root = draw("cat/3.png", "cat/4.png", "dog/1.png", colour=(9, 9, 9))
    samples, notes = ImageFolders().read(root)
    assert [(Path(sample.obj).relative_to(root).as_posix(), sample.group) for sample in samples] == [
        ("cat/1.png", "cat"),
        ("cat/3.png", "cat"),
        ("dog/0.png", "dog"),
        ("cat/3.png", "dog"),
    ]
    assert notes[1:] == [
        "Left out 1 image equal to another of the same class: cat/4.png.",
        "Kept 1 image equal to one of another class.",
    ]


def test_equal_images_of_several_folders_are_one_object(draw):
    folders = ImageFolders()
    train, _ = folders.read(draw("cat/1.png", "dog/1.png", root="some"))
    test, _ = folders.read(draw("cat/other.png", "dog/other.png", root="more"))
    assert [sample.obj for sample in test] == [sample.obj for sample in train]


def test_only_some_of_many_equal_images_are_listed(draw):
    draw("dog/1.png")
    root = draw(*(f"cat/{number}.png" for number in range(6)), colour=(9, 9, 9))
    _, notes = ImageFolders().read(root)
    assert notes[1] == (
        "Left out 5 images equal to another of the same class: cat/1.png, cat/2.png, cat/3.png and 2 more."
    )


def test_what_is_no_folder_of_classes_is_an_error(draw, tmp_path):
    with pytest.raises(
        ValueError, match="All images in .*one are in one class, 'cat'. Expected a folder for each of two"
    ):
        ImageFolders().read(draw("cat/1.png", "cat/2.png", root="one"))
    with pytest.raises(
        ValueError, match=r"The image b.png lies in .*flat itself, so it has no class. .* flat.cat.b.png"
    ):
        ImageFolders().read(draw("a/1.png", "b.png", root="flat"))
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    with pytest.raises(ValueError, match="There is no image in .*empty. Expected a folder for each class"):
        ImageFolders().read(tmp_path / "empty")
    (tmp_path / "empty" / "sub" / "a.txt").write_text("x")
    with pytest.raises(ValueError, match=r"There is no image in .*; it holds 1 file that is no image \(1 .txt\)"):
        ImageFolders().read(tmp_path / "empty")


def test_folders_that_are_named_like_splits_say_what_to_do(draw):
    root = draw("train/cat/1.png", "train/dog/1.png", "test/cat/2.png", "val/cat/3.png")
    with pytest.raises(ValueError, match="named like splits") as caught:
        ImageFolders().read(root)
    assert str(caught.value).endswith(
        f"Give each by itself: the data {str(root / 'train')!r}, test={str(root / 'test')!r}, "
        f"validation={str(root / 'val')!r}."
    )


@pytest.mark.slow
def test_omniglot_has_a_class_for_each_character(datasets_folder, tmp_path):
    with zipfile.ZipFile(datasets_folder / "omniglot" / "images_background_small1.zip") as archive:
        archive.extractall(tmp_path)
    samples, _ = ImageFolders().read(tmp_path / "images_background_small1")
    assert len(samples) == 2720
    assert set(Counter(sample.group for sample in samples).values()) == {20}
    assert len({sample.group for sample in samples}) == 136
