"""The script that collects what the oldest dependencies are."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"

PROJECT = """
[project]
name = "quaterion-{name}"
dependencies = ["quaterion-models==1.0.0", "{required}"]
[project.optional-dependencies]
reading = ["pyarrow>=15"]
all = ["quaterion-{name}[reading]"]
test = ["pytest"]
"""


def run(root: Path, **projects: str) -> subprocess.CompletedProcess[str]:
    for name, required in projects.items():
        folder = root / "packages" / name
        folder.mkdir(parents=True)
        (folder / "pyproject.toml").write_text(PROJECT.format(name=name, required=required))
    (root / "scripts").mkdir()
    script = root / "scripts" / "oldest_dependencies.py"
    script.write_bytes((SCRIPTS / script.name).read_bytes())
    return subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)


def test_it_lists_what_all_distributions_and_their_extras_need_but_not_themselves(tmp_path: Path) -> None:
    assert run(tmp_path, one="numpy>=1.26", two="numpy>=2.0").stdout.split() == [
        "numpy>=1.26",
        "numpy>=2.0",
        "pyarrow>=15",
    ]


def test_a_requirement_without_a_lower_bound_is_named(tmp_path: Path) -> None:
    assert "these requirements have no lower bound: numpy<3" in run(tmp_path, one="numpy<3").stderr
