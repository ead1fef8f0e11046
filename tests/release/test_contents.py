"""What lies in `dist/`: complete, nothing else, and the same however it is built."""

import email
import filecmp
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest


@pytest.fixture
def unpacked(built, distribution, tmp_path):
    """What the sdist holds."""
    with tarfile.open(built(distribution, ".tar.gz")) as sdist:
        sdist.extractall(tmp_path / "unpacked", filter="data")
    (folder,) = (tmp_path / "unpacked").iterdir()
    return folder


def build(kind: str, source: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "build", "--no-isolation", kind, "--outdir", out, source]
    subprocess.run(command, capture_output=True, check=True)
    (path,) = out.iterdir()
    return path


def test_there_is_a_wheel_and_an_sdist_of_each_distribution_under_one_version(root):
    command = [sys.executable, root / "scripts" / "version.py"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert sorted(path.name for path in (root / "dist").iterdir()) == [
        f"{name}-{version}{ending}"
        for name in ("quaterion", "quaterion_models", "quaterion_runtime")
        for ending in ("-py3-none-any.whl", ".tar.gz")
    ]


def test_a_wheel_holds_the_package_as_it_is_in_the_repository_its_licence_and_nothing_else(root, built, distribution):
    source = root / "packages" / distribution / "src"
    expected = {
        path.relative_to(source).as_posix(): path.read_bytes()
        for path in source.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(built(distribution, ".whl")) as wheel:
        found = {name: wheel.read(name) for name in wheel.namelist()}
    info = {name for name in found if ".dist-info/" in name}
    assert {name: found[name] for name in found.keys() - info} == expected
    assert f"{distribution.replace('-', '_')}/py.typed" in expected
    (licence,) = (name for name in info if name.endswith("/licenses/LICENSE"))
    assert found[licence] == (root / "LICENSE").read_bytes()
    scripts = set() if distribution == "quaterion-models" else {"entry_points.txt"}
    assert {Path(name).name for name in info} == {"LICENSE", "METADATA", "RECORD", "WHEEL", *scripts}


def test_an_sdist_holds_what_the_wheel_is_built_from_and_nothing_else(built, distribution):
    with tarfile.open(built(distribution, ".tar.gz")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    outside = {name for name in names if not name.startswith(f"src/{distribution.replace('-', '_')}/")}
    assert outside == {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", ".gitignore"}


def test_the_sdist_and_the_repository_build_the_same_wheel_byte_for_byte(root, built, distribution, unpacked, tmp_path):
    for name, source in (("sdist", unpacked), ("repository", root / "packages" / distribution)):
        wheel = build("--wheel", source, tmp_path / name)
        assert filecmp.cmp(wheel, built(distribution, ".whl"), shallow=False), name


def test_the_metadata_is_complete(unpacked):
    found = email.message_from_bytes((unpacked / "PKG-INFO").read_bytes())
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Requires-Python"] == ">=3.11"
    assert found["Description-Content-Type"] == "text/markdown"
    assert found["Author"] and found["Summary"] and found["Keywords"]
    classifiers = found.get_all("Classifier")
    assert "Typing :: Typed" in classifiers
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} <= set(classifiers)
    # A page of an index has no files beside it.
    assert "](" not in found.get_payload().replace("](https://", "")


def test_an_index_shows_every_readme(root):
    command = [sys.executable, "-m", "twine", "check", "--strict", *(root / "dist").iterdir()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
