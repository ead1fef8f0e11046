"""What `quaterion.functional` offers as a whole."""

import inspect
import pkgutil
from importlib import import_module

from quaterion import functional


def test_every_formula_of_a_loss_and_of_a_score_is_exported() -> None:
    modules = [
        import_module(f"quaterion.functional.{found.name}") for found in pkgutil.iter_modules(functional.__path__)
    ]
    public = {name: getattr(module, name) for module in modules for name in module.__all__}
    formulas = {
        name
        for name, function in public.items()
        if inspect.isfunction(function)
        and (
            (name.endswith("_loss") and name != "zero_loss") or function.__module__ == "quaterion.functional.retrieval"
        )
    }
    assert len(formulas) > 20
    assert formulas <= set(functional.__all__)
    assert all(getattr(functional, name) is public[name] for name in functional.__all__)
