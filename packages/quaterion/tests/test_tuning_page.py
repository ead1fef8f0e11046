"""The page about tuning: every block runs, one after the other, with the real encoder."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quaterion.cli.app import app
from quaterion_models import SimilarityModel

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "tuning.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.slow
def test_every_block_of_the_page_runs(
    minilm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert minilm_folder  # the encoder that the commands find by its name
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    printed, answered = [], []
    for kind, block in BLOCKS:
        if kind == "python":
            exec(block, names)  # noqa: S102
            printed += capsys.readouterr().out.splitlines()
            continue
        for line in block.splitlines():
            command, *words = shlex.split(line)
            if command == "python":
                subprocess.run([sys.executable, *words], check=True, capture_output=True, timeout=300)
                continue
            assert command == "quaterion"
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, done.output
            answered.append(done.stdout)
    assert "card" in answered[1]
    assert printed[-1] == "card"
    assert any(line.startswith("Test: accuracy") for line in printed)
    results = [json.loads(Path(folder, "result.json").read_text()) for folder in ("support-model", "again")]
    assert results[0]["test"] == results[1]["test"]
    texts = ["is my card on its way?"]
    first, again = (SimilarityModel.load(folder).encode(texts) for folder in ("again", "model"))
    assert abs(first - again).max() < 1e-5
    written = re.findall(r"^\| `([a-z_.A-Z]+)` \|", TEXT, flags=re.MULTILINE)
    assert "leaderboard.csv" in written
    assert all(Path("support-model", name).is_file() for name in written)
