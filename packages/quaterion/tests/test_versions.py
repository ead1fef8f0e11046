"""The distributions are released together, under one version."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import quaterion
import quaterion_models

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = Path("scripts", "version.py")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the files of this repository that have to do with its version."""
    files = [*ROOT.glob("packages/*/pyproject.toml"), *ROOT.glob("packages/*/src/*/__init__.py")]
    for file in [*files, ROOT / SCRIPT, ROOT / "CITATION.cff", ROOT / "CHANGELOG.md"]:
        copy = tmp_path / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return tmp_path


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, root / SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_every_place_of_this_repository_states_one_version() -> None:
    done = run(ROOT)
    assert (done.stdout, done.stderr) == (f"{quaterion.__version__}\n", "")


def test_the_installed_distributions_are_those_of_this_repository() -> None:
    assert version("quaterion") == quaterion.__version__
    assert version("quaterion-models") == quaterion_models.__version__ == quaterion.__version__


def test_a_new_version_is_written_to_every_place_and_nothing_else_changes(repository: Path) -> None:
    before = {path: path.read_text() for path in repository.rglob("*") if path.is_file()}
    assert run(repository, "--to", "1.2.3rc1").stdout == "1.2.3rc1\n"
    old, changed = quaterion.__version__, set()
    for path, text in before.items():
        lines = zip(text.splitlines(), path.read_text().splitlines(), strict=True)
        differing = [(one, other) for one, other in lines if one != other]
        assert all(one.replace(old, "1.2.3rc1") == other for one, other in differing)
        changed |= {(path.parent.name, path.name, other.strip()) for _, other in differing}
    assert {(folder, line) for folder, name, line in changed if name != "pyproject.toml"} == {
        *((f"quaterion{part}", '__version__ = "1.2.3rc1"') for part in ("", "_models", "_runtime")),
        (repository.name, "version: 1.2.3rc1"),
    }
    pins = [line for *_, name, line in changed if name == "pyproject.toml"]
    assert '"quaterion-models==1.2.3rc1",' in pins
    assert sum("quaterion-runtime==1.2.3rc1" in line for line in pins) == 1
    # No distribution needs another at a version that was left behind.
    assert not [path for path in repository.rglob("pyproject.toml") if f"=={old}" in path.read_text()]


def test_places_that_disagree_are_named(repository: Path) -> None:
    citation = repository / "CITATION.cff"
    citation.write_text(citation.read_text().replace(f"version: {quaterion.__version__}", "version: 0.9.0"))
    done = run(repository)
    assert done.returncode == 1
    assert "CITATION.cff states 0.9.0" in done.stderr.splitlines()


def test_a_place_that_lost_its_version_is_named(repository: Path) -> None:
    (repository / "CITATION.cff").write_text("title: Quaterion\n")
    assert "no version is stated in CITATION.cff" in run(repository, "--to", "1.2.3").stderr
    assert quaterion.__version__ in (repository / "packages/quaterion/src/quaterion/__init__.py").read_text()


def test_what_is_no_version_is_refused(repository: Path) -> None:
    assert "a version looks like 1.1.0 or 1.1.0rc1, got 'v1.1'" in run(repository, "--to", "v1.1").stderr


def test_a_tag_is_ready_when_version_and_dated_changelog_agree(repository: Path) -> None:
    run(repository, "--to", "1.2.3")
    assert run(repository, "--tag", "v1.2.4").stderr.splitlines() == [
        "the tag is v1.2.4, but the version is 1.2.3",
        "CHANGELOG.md has no heading '## [1.2.3] - YYYY-MM-DD'",
    ]
    changes = repository / "CHANGELOG.md"
    changes.write_text(changes.read_text() + "\n## [1.2.3] - 2030-01-31\n")
    assert run(repository, "--tag", "v1.2.3").stdout == "1.2.3\n"
