"""The distributions in fresh environments: each alone, and all together from training to serving."""

from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"

IMPORT_ALL = """
import importlib, pkgutil, sys
name, *skipped = sys.argv[1:]
package = importlib.import_module(name)
print(name)
for module in pkgutil.walk_packages(package.__path__, name + "."):
    if not module.name.startswith((name + ".__main__", *skipped)):
        importlib.import_module(module.name)
        print(module.name)
"""
SERVE = "quaterion_runtime.serve."
INSTALLED = "import pkgutil; print(*(module.name for module in pkgutil.iter_modules()))"


@pytest.fixture(scope="module")
def trained(quaterion, tmp_path_factory) -> Path:
    """A folder with a model that was trained, saved and exported by the installed distributions."""
    folder = tmp_path_factory.mktemp("trained")
    quaterion.python(PROGRAMS / "train.py", cwd=folder)
    return folder


@pytest.mark.parametrize(
    ("environment", "package", "absent", "extras"),
    [
        (
            "runtime_alone",
            "quaterion_runtime",
            {"torch", "quaterion_models", "starlette"},
            ["quaterion_runtime.serve."],
        ),
        ("models_alone", "quaterion_models", {"quaterion", "pytorch_lightning", "transformers", "onnx"}, []),
        ("quaterion", "quaterion", {"transformers", "sentence_transformers", "tensorboard"}, []),
    ],
)
def test_all_but_what_an_extra_brings_is_imported_without_extras(environment, package, absent, extras, request):
    environment = request.getfixturevalue(environment)
    assert absent.isdisjoint(environment.python("-c", INSTALLED).split())
    imported = environment.python("-c", IMPORT_ALL, package, *extras).split()
    source = Path(__file__).resolve().parents[2] / "packages" / package.replace("_", "-") / "src"
    modules = {path.relative_to(source).with_suffix("").as_posix() for path in source.rglob("*.py")}
    names = {module.removesuffix("/__init__").replace("/", ".") for module in modules}
    assert set(imported) == {name for name in names if not name.startswith((f"{package}.__main__", *extras))}


def test_models_alone_loads_and_runs_what_quaterion_trained(models_alone, trained):
    assert models_alone.python(PROGRAMS / "load.py", cwd=trained) == "(32, 8)\n"


def test_the_runtime_alone_runs_what_quaterion_exported(runtime_alone, trained):
    assert runtime_alone.python(PROGRAMS / "run.py", cwd=trained) == "(32, 8)\n"


def test_the_commands_are_installed_and_tell_their_version(runtime_alone, quaterion):
    version = quaterion.python("-c", "import quaterion; print(quaterion.__version__)")
    for environment, command in ((quaterion, "quaterion"), (runtime_alone, "quaterion-runtime")):
        assert environment.python(environment.folder / "bin" / command, "--version") == f"{command} {version}"


def test_an_installed_environment_is_consistent(runtime_alone, models_alone, quaterion):
    for environment in (runtime_alone, models_alone, quaterion):
        assert "No broken requirements" in environment.python("-m", "pip", "check")
