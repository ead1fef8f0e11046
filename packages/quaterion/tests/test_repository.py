"""The files that tell a host of repositories what to run and what to ask for."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
FORMS = sorted(path for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml") if path.name != "config.yml")


def read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def steps() -> list[dict[str, Any]]:
    jobs = [job for workflow in WORKFLOWS for job in read(workflow)["jobs"].values()]
    return [step for job in jobs for step in job.get("steps", [])]


def test_workflows_run_nothing_but_targets_of_the_makefile() -> None:
    commands = {step["run"] for step in steps() if "run" in step}
    matrix = read(ROOT / ".github/workflows/tests.yml")["jobs"]["make"]["strategy"]["matrix"]
    named = {*matrix["target"], *(one["target"] for one in matrix["include"])}
    named |= {command.removeprefix("make ") for command in commands if "${{" not in command}
    assert all(command.startswith("make ") for command in commands)
    assert {"check", "test", "test-lowest", "test-dist", "docs"} <= named
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert named <= set(targets)


def test_workflows_try_every_python_that_the_distributions_say_they_support() -> None:
    matrix = read(ROOT / ".github/workflows/tests.yml")["jobs"]["make"]["strategy"]["matrix"]
    for project in ROOT.glob("packages/*/pyproject.toml"):
        metadata = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        classified = re.findall(r"Python :: (3\.\d+)", "\n".join(metadata["classifiers"]))
        assert classified == matrix["python"]
        assert metadata["requires-python"] == f">={classified[0]}"


def test_the_lowest_torch_that_is_tried_is_the_lowest_that_is_allowed() -> None:
    matrix = read(ROOT / ".github/workflows/tests.yml")["jobs"]["make"]["strategy"]["matrix"]
    (tried,) = (one["torch"] for one in matrix["include"] if one["target"] == "test-lowest")
    models = tomllib.loads((ROOT / "packages/quaterion-models/pyproject.toml").read_text(encoding="utf-8"))
    (allowed,) = (one for one in models["project"]["dependencies"] if one.startswith("torch"))
    assert f"{allowed.replace('>=', '==')}.0" == tried


def test_actions_are_pinned_and_get_no_token_but_the_one_that_publishes() -> None:
    uses = [step["uses"] for step in steps() if "uses" in step]
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+)*", use) for use in uses)
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts and all(step["with"] == {"persist-credentials": False} for step in checkouts)
    granted = {}
    for workflow in WORKFLOWS:
        content = read(workflow)
        assert content["permissions"] == {"contents": "read"}
        granted |= {name: job["permissions"] for name, job in content["jobs"].items() if "permissions" in job}
    assert granted == {"publish": {"id-token": "write"}}
    publish = read(ROOT / ".github/workflows/release.yml")["jobs"]["publish"]
    assert publish["environment"] == "pypi" and publish["needs"] == "tests"


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_forms_of_issues_ask_for_something(form: Path) -> None:
    content = read(form)
    assert {"name", "description", "body"} <= content.keys()
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert any(field.get("validations", {}).get("required") for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)


def test_there_are_forms_for_bugs_features_and_questions_and_no_blank_issue() -> None:
    assert [form.stem for form in FORMS] == ["bug", "feature", "question"]
    assert read(ROOT / ".github/ISSUE_TEMPLATE/config.yml") == {"blank_issues_enabled": False}


def test_the_citation_names_the_project_and_its_licence() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors", "version"} <= citation.keys()
    assert citation["license"] == "Apache-2.0"


def test_every_distribution_has_the_licence_of_the_repository() -> None:
    licence = (ROOT / "LICENSE").read_bytes()
    assert [path.read_bytes() == licence for path in ROOT.glob("packages/*/LICENSE")] == [True] * 3
