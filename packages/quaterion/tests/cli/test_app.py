"""The command line as a whole: help, version, wrong usage."""

import subprocess
import sys
from importlib.metadata import version

from typer.testing import CliRunner

from quaterion.cli.app import app

runner = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})


def test_without_a_command_the_help_lists_the_commands_and_exit_codes() -> None:
    result = runner.invoke(app, [])
    assert "demo" in result.output
    assert "130 interrupted" in result.output


def test_the_version_is_the_distributions() -> None:
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"quaterion {version('quaterion')}\n")


def test_an_unknown_command_is_wrong_usage() -> None:
    result = runner.invoke(app, ["dmeo"])
    assert result.exit_code == 2
    assert "dmeo" in result.output


def test_the_help_of_the_demo_has_an_example() -> None:
    result = runner.invoke(app, ["demo", "--help"])
    assert result.exit_code == 0
    assert "Example: quaterion demo --query" in result.output
    assert "--limit" not in result.output


def test_help_does_not_import_torch_or_lightning() -> None:
    code = (
        "import sys; from quaterion.cli import main; sys.argv = ['quaterion', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'pytorch_lightning', 'sentence_transformers'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
