"""Pages of the reference: one for each public package and module, read from the sources without importing them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import griffe

# Modules that users import from though no package exports their names.
MODULES = (
    "quaterion.distances",
    "quaterion.eval.confidence",
    "quaterion_models.content_key",
    "quaterion_models.encoders.extras.fasttext_encoder",
    "quaterion_models.export.inputs",
    "quaterion_models.saving.convert",
    "quaterion_models.saving.model_card",
    "quaterion_models.types",
)


@dataclass(frozen=True)
class PublicModule:
    """A package or module whose names are documented.

    Attributes:
        path: Its dotted path.
        text: Its docstring.
        exports: Where each public name is documented, as a dotted path: here, or in the package that it belongs to.
        members: Public methods and attributes with a docstring, of each class that is documented here.
    """

    path: str
    text: str
    exports: dict[str, str]
    members: dict[str, list[str]]

    @property
    def page(self) -> str:
        """The page's place below docs/."""
        return f"reference/{self.path}.md"

    @property
    def here(self) -> list[str]:
        """The names that are documented on this page."""
        return [name for name, home in self.exports.items() if home == f"{self.path}.{name}"]


def read_modules(sources: list[Path]) -> list[PublicModule]:
    """Finds what is public.

    Args:
        sources: The folders in which the packages lie.

    Returns:
        The modules, a package before what is in it.
    """
    loader = griffe.GriffeLoader(search_paths=sources)
    roots = [loader.load(path.parent.name) for folder in sources for path in sorted(folder.glob("*/__init__.py"))]
    modules = {module.path: (module, _names(module)) for root in roots for module in _public(root)}
    homes: dict[str, str] = {}
    for path in sorted(modules, key=lambda path: path.count("."), reverse=True):
        module, names = modules[path]
        for name in names:
            definition = module[name].canonical_path
            if definition.startswith(f"{path}."):  # the innermost package that exports it and that it lies in
                homes.setdefault(definition, f"{path}.{name}")
    found = []
    for path, (module, names) in modules.items():
        exports = {name: homes.get(module[name].canonical_path, f"{path}.{name}") for name in names}
        members = {name: _members(module[name]) for name in names if exports[name] == f"{path}.{name}"}
        found.append(PublicModule(path, module.docstring.value if module.docstring else "", exports, members))
    return found


def _public(module: griffe.Module) -> list[griffe.Module]:
    public = module.path in MODULES or (module.is_init_module and bool(module.exports))
    below = [one for _, one in sorted(module.members.items()) if not one.is_alias and one.is_module]
    return [*([module] if public else []), *(found for one in below for found in _public(one))]


def _names(module: griffe.Module) -> list[str]:
    exported = [str(name) for name in module.exports or ()]
    defined = [name for name, one in module.members.items() if not one.is_alias and not name.startswith("_")]
    names = exported or [name for name in defined if not module[name].is_module and module[name].has_docstring]
    return sorted((name for name in names if name != "__version__"), key=str.lower)


def _members(documented: griffe.Object | griffe.Alias) -> list[str]:
    if not documented.is_class:
        return []
    return [name for name, one in documented.members.items() if not name.startswith("_") and one.has_docstring]


def module_page(module: PublicModule) -> str:
    """The Markdown of a module's page; mkdocstrings fills in the docstrings."""
    elsewhere = {name: home for name, home in module.exports.items() if name not in module.here}
    lines = [f"# {module.path}", "", module.text, ""]
    if elsewhere:
        names = ", ".join(f"[`{name}`][{home}]" for name, home in elsewhere.items())
        lines += [f"Documented in the package that they belong to: {names}.", ""]
    return "\n".join([*lines, *(f"::: {module.path}.{name}\n" for name in module.here)])


def overview(modules: list[PublicModule]) -> str:
    """A table of all modules with the first sentence about each."""
    rows = [f"| [`{one.path}`]({one.path}.md) | {_first_paragraph(one.text)} |" for one in modules]
    commands = "| [command lines](commands.md) | `quaterion` and `quaterion-runtime`, their commands and options. |"
    return "\n".join(["| module | what stands in it |", "|---|---|", commands, *rows])


def _first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")


def link_targets(modules: list[PublicModule]) -> dict[str, str]:
    """What inline code on a page is about, where that can be told without doubt.

    A class by its name, a function by its name where that has an underscore (`encode` may be anything), both and what
    is in a class by the path from the module or the class: `quaterion.tune`, `Quaterion.fit`.

    Args:
        modules: What `read_modules` found.

    Returns:
        Text of the code, to a place below docs/ with its anchor.
    """
    pages = {f"{one.path}.{name}": one.page for one in modules for name in one.here}
    found: dict[str, set[str]] = {}
    for module in modules:
        if "." in module.path:  # `quaterion` alone may be the library, the package or the command
            found.setdefault(module.path, set()).add(module.page)
        for name, home in module.exports.items():
            place = f"{pages[home]}#{home}"
            found.setdefault(f"{module.path}.{name}", set()).add(place)
            if "_" in name or name != name.lower():
                found.setdefault(name, set()).add(place)
        for name, members in module.members.items():
            for member in members:
                place = f"{module.page}#{module.path}.{name}.{member}"
                found.setdefault(f"{name}.{member}", set()).add(place)
    return {text: next(iter(places)) for text, places in found.items() if len(places) == 1}
