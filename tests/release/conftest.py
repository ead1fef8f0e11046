"""The files of `dist/`, which `make dist` has built, and fresh environments that they are installed into."""

import os
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
collect_ignore = ["programs"]  # run in the environments, not here
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")


class Environment:
    """A virtual environment of its own, in which nothing of the repository can be imported.

    Args:
        folder: Where it is made.
        above: An environment whose packages are seen, too, as if they were installed in this one.
    """

    def __init__(self, folder: Path, *, above: "Environment | None" = None) -> None:
        venv.create(folder, with_pip=True, symlinks=True)
        self.folder = folder
        if above is not None:
            (self.packages / "above.pth").write_text(f"{above.packages}\n")

    @property
    def packages(self) -> Path:
        """The folder of its packages."""
        (packages,) = self.folder.glob("lib/python*/site-packages")
        return packages

    def python(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        """Runs its interpreter and gives what that printed.

        Raises:
            AssertionError: If the program failed, with what it printed.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [self.folder / "bin" / "python", *arguments]
        done = subprocess.run(
            command, cwd=cwd or self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}"
        return done.stdout

    def install(self, *what: str | Path) -> None:
        """Installs packages with pip, which leaves compiling to the imports: most modules are never imported."""
        self.python(*PIP, "install", "--no-compile", *what)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(params=["quaterion", "quaterion-models", "quaterion-runtime"])
def distribution(request: pytest.FixtureRequest) -> str:
    """Each distribution in turn."""
    return request.param


@pytest.fixture(scope="session")
def built() -> Callable[[str, str], Path]:
    """Finds the one file of a distribution in `dist/` that has an ending."""

    def find(distribution: str, ending: str) -> Path:
        (path,) = ROOT.glob(f"dist/{distribution.replace('-', '_')}-[0-9]*{ending}")
        return path

    return find


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives a folder for an environment."""
    return lambda name: tmp_path_factory.mktemp(name) / "venv"


@pytest.fixture(scope="session")
def runtime_alone(fresh: Callable[[str], Path], built: Callable[[str, str], Path]) -> Environment:
    """Has `quaterion-runtime` and what it requires."""
    environment = Environment(fresh("runtime"))
    environment.install(built("quaterion-runtime", ".whl"))
    return environment


@pytest.fixture(scope="session")
def models_alone(fresh: Callable[[str], Path], built: Callable[[str, str], Path]) -> Environment:
    """Has `quaterion-models` and what it requires."""
    environment = Environment(fresh("models"))
    # First and on its own, because a plain range may pull gigabytes of CUDA packages.
    environment.install(*os.environ.get("TORCH", "torch").split())
    environment.install(built("quaterion-models", ".whl"))
    return environment


@pytest.fixture(scope="session")
def quaterion(
    fresh: Callable[[str], Path], built: Callable[[str, str], Path], models_alone: Environment
) -> Environment:
    """Has `quaterion` with both others. That it takes torch from the environment with models alone saves a minute."""
    environment = Environment(fresh("quaterion"), above=models_alone)
    version = models_alone.python("-c", "from importlib.metadata import version; print(version('torch').split('+')[0])")
    constraint = environment.folder / "constraint.txt"
    constraint.write_text(f"torch=={version}")
    others = built("quaterion-models", ".whl"), built("quaterion-runtime", ".whl")
    environment.install("--constraint", constraint, f"{built('quaterion', '.whl')}[onnx]", *others)
    return environment
