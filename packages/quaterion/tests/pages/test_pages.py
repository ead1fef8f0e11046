"""Every command and every program on every page runs; what cannot run here says why, and is listed."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

from page_blocks import PAGES, ROOT, RUN, SHOWN, blocks_of, commands_in
from page_runner import Run, inputs_of, load_inputs

NOT_RUN = Path(__file__).with_name("not_run.txt")


def parameters():
    for page in PAGES:
        if any(block.kind in RUN and not block.reason for block in blocks_of(page)):
            inputs = load_inputs(page)
            yield pytest.param(page, inputs, marks=[pytest.mark.slow] * getattr(inputs, "SLOW", False), id=page)


@pytest.mark.parametrize(("page", "inputs"), list(parameters()))
def test_every_block_of_the_page_runs(page, inputs, tmp_path, monkeypatch, request):
    for module in getattr(inputs, "NEEDS", ()):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    shorten_trainings(monkeypatch)
    run = Run(page, request)
    if hasattr(inputs, "prepare"):
        inputs.prepare(run)
    getattr(inputs, "blocks", Run.blocks)(run)
    if hasattr(inputs, "check"):
        inputs.check(run)


def shorten_trainings(monkeypatch):
    """What a page trains without a Trainer of its own is trained for two epochs: pages are about their calls."""
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    short = {"max_epochs": 2, "accelerator": "cpu", "devices": 1, **quiet}
    fit = importlib.import_module("quaterion.train.fit")  # the package has a function of this name
    monkeypatch.setattr(fit, "trainer_defaults", lambda *_: dict(short))


def test_what_is_not_run_is_listed():
    found = [
        f"{block.page}: {block.code.splitlines()[0].partition('  #')[0].rstrip()}  # {block.reason}"
        for page in PAGES
        for block in blocks_of(page)
        if block.reason
    ]
    listed = NOT_RUN.read_text(encoding="utf-8").splitlines()
    assert found == listed, (
        f"{NOT_RUN.name} must list what is not run, so that a change shows in review:\n" + "\n".join(found)
    )


@pytest.mark.parametrize("page", PAGES)
def test_blocks_say_what_they_are(page):
    for block in blocks_of(page):
        assert block.kind in RUN | SHOWN, (
            f"{block.place}: the block is {block.kind or 'of no language'}; choose one of {RUN | SHOWN}."
        )


def test_inputs_belong_to_pages():
    known = {inputs_of(page) for page in PAGES}
    assert set((Path(__file__).parent / "inputs").glob("*.py")) <= known


@pytest.mark.parametrize("page", PAGES)
def test_what_pages_install_and_make_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    lines = [line for block in blocks_of(page) if block.kind == "bash" for line in commands_in(block.code)]
    for target in re.findall(
        r"^make ([a-z-]+)", "\n".join([*lines, *re.findall("`(make .*?)`", text)]), flags=re.MULTILINE
    ):
        assert target in targets, f"{page}: make {target}"
    for name, extras in re.findall(r"pip install [\"']?(quaterion[a-z-]*)(?:\[([a-z,-]+)\])?", text):
        project = tomllib.loads((ROOT / "packages" / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert set(filter(None, extras.split(","))) <= set(project["optional-dependencies"]), (
            f"{page}: {name}[{extras}]"
        )
