"""`quaterion convert-model` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from quaterion.cli.app import app
from quaterion_models import SimilarityModel

# A program's own module, as its users had it with 0.1.
ENCODERS = """
from pathlib import Path
import torch
from quaterion_models.encoders import Encoder

class Lengths(Encoder):
    trainable = False
    embedding_size = 2

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def get_collate_fn(self):
        return lambda texts: torch.tensor([[float(len(text)), 1.0] for text in texts])

    def forward(self, batch):
        return batch * self.factor

    def save(self, output_path):
        (Path(output_path) / "factor.txt").write_text(str(self.factor))

    @classmethod
    def load(cls, input_path):
        return cls(float((Path(input_path) / "factor.txt").read_text()))
"""
MODULE = "encoders_of_an_old_program"


def quaterion(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "200", "TERM": "dumb"})
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / f"{MODULE}.py").write_text(ENCODERS)
    folder = tmp_path / "old"
    (folder / "encoders" / "default").mkdir(parents=True)
    (folder / "encoders" / "default" / "factor.txt").write_text("3.0")
    (folder / "head").mkdir()
    (folder / "head" / "config.json").write_text(json.dumps({"input_embedding_size": 2}))
    torch.save({"gates": torch.tensor([0.5, 1.0])}, folder / "head" / "weights.bin")
    head = {"module": "quaterion_models.heads.gated_head", "class": "GatedHead"}
    config = {"encoders": {"default": {"module": MODULE, "class": "Lengths"}}, "head": head}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_model_is_converted_and_a_table_tells_the_parts(old: Path) -> None:
    # In a process of its own: the module is imported from the folder where the command is typed.
    command = [sys.executable, "-c", "from quaterion.cli import main; main()"]
    command += ["convert-model", "old", "new", "--import", MODULE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "The converted model is in new." in done.stdout
    assert "encoder 'default'" in done.stdout
    assert done.stdout.count("yes") == 2
    sys.path.insert(0, "")
    try:
        module = __import__(MODULE)
        model = SimilarityModel.load("new")
        expected = torch.tensor([[9.0, 3.0]]) * torch.tanh(torch.tensor([0.5, 1.0]))
        assert torch.allclose(model.encode(["abc"], to_numpy=False), expected)
        assert type(model.encoders["default"]) is module.Lengths
    finally:
        sys.modules.pop(MODULE, None)


def test_what_cannot_be_converted_is_told_and_nothing_is_written(old: Path) -> None:
    code, out, err = quaterion("convert-model", "old", "new")
    assert code == 3
    assert "no: the encoder 'default' names the class" in " ".join(out.split())
    assert f"{MODULE}:Lengths" in out
    assert err == "Nothing was written: not every part could be converted.\n"
    assert not Path("new").exists()


def test_names_that_look_like_markup_are_shown_as_they_are(old: Path) -> None:
    config = json.loads((old / "config.json").read_text())
    config["encoders"] = {"[bold]x": config["encoders"]["default"]}
    (old / "config.json").write_text(json.dumps(config))
    (old / "encoders" / "default").rename(old / "encoders" / "[bold]x")
    code, out, _ = quaterion("convert-model", "old", "new")
    assert code == 3
    assert "encoder '[bold]x'" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nothing", "new"), 1, "Error: nothing is no folder: expected one that Quaterion 0.1 saved."),
        (("old", "new", "--import", "no_such_module"), 1, "Error: No module named 'no_such_module'."),
        (("old",), 2, "Missing argument 'NEW'"),
    ],
)
def test_errors_are_one_sentence(old: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    found, _, err = quaterion("convert-model", *arguments)
    assert found == code
    assert message in err
    assert "Traceback (most" not in err


def test_a_folder_of_today_needs_no_conversion(old: Path) -> None:
    (old / "config.json").write_text('{"format_version": 1}')
    code, _, err = quaterion("convert-model", "old", "new")
    assert code == 1
    assert "needs no conversion" in err


def test_the_help_has_an_example_and_the_exit_codes() -> None:
    code, out, _ = quaterion("convert-model", "--help")
    assert code == 0
    assert "Example: quaterion convert-model old-model new-model --import my_project.encoders" in " ".join(out.split())
    assert "3 something could not be converted" in " ".join(out.split())
