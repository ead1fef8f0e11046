"""The distributions are released together."""

import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).resolve().parents[2]


def project(distribution: str) -> dict[str, Any]:
    with (PACKAGES / distribution / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]


def test_all_distributions_have_one_version() -> None:
    versions = {path.parent.name: project(path.parent.name)["version"] for path in PACKAGES.glob("*/pyproject.toml")}
    assert len(versions) >= 2
    assert len(set(versions.values())) == 1, versions


def test_quaterion_needs_quaterion_models_of_its_own_version() -> None:
    quaterion = project("quaterion")
    needed = [one for one in quaterion["dependencies"] if one.startswith("quaterion-models")]
    assert needed == [f"quaterion-models=={quaterion['version']}"]


def test_the_installed_distributions_are_those_of_this_repository() -> None:
    assert version("quaterion") == version("quaterion-models") == project("quaterion")["version"]
