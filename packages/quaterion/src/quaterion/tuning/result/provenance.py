"""How a result came about: the recipe file that repeats it, and the program that goes on from it."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from quaterion.tuning.result.program import Expression, Program, arguments_of, encoder_expression, program_of
from quaterion.tuning.training.encoders import EncoderChoice
from quaterion.tuning.training.recipe import Recipe

__all__ = ["Provenance", "RecipeFile", "read_recipe_file"]

_HEAD = """\
# What `quaterion tune` found. To train and measure it again, without a search:
#
#     {command}
#
"""


@dataclass(frozen=True)
class Provenance:
    """What `tune` was called with.

    Args:
        data: The data as they were passed.
        reading: Arguments of `read_tuning_data`; those that are None are left out.
        search: Arguments of the search.
        cache: Folder of the encoders' vectors.
    """

    data: Any
    reading: Mapping[str, Any]
    search: Mapping[str, Any]
    cache: Path | None

    @property
    def repeatable(self) -> bool:
        """Whether the data lie in files, so that a file can say where."""
        return not any(map(_is_object, self._sources().values()))

    def _sources(self) -> dict[str, Any]:
        return {"data": self.data, **{name: self.reading[name] for name in ("validation", "test")}}

    def program(self, recipe: Recipe, choice: EncoderChoice, *, pairs: bool) -> Program:
        """The program that trains a recipe with `TrainableModel`.

        Args:
            recipe: The recipe.
            choice: The encoders.
            pairs: Whether the data are pairs.
        """
        sources = {
            name: Expression(name) if _is_object(one) else _plain(_found(one)) for name, one in self._sources().items()
        }
        data = arguments_of({**self._plain_reading(), **sources, "data": None}, sources["data"])
        encoders = {
            name: encoder_expression(encoder, recipe.trainable_layers) for name, encoder in choice.encoders.items()
        }
        cache = None if self.cache is None else _plain(_found(self.cache))
        objects = [name for name, one in sources.items() if isinstance(one, Expression)]
        return program_of(recipe, encoders=encoders, data=data, objects=objects, pairs=pairs, cache=cache)

    def _plain_reading(self) -> dict[str, Any]:
        return {name: _plain(value) for name, value in self.reading.items()}

    def recipe_file(self, recipe: Recipe, choice: EncoderChoice) -> str:
        """Text of `recipe.yaml`.

        Args:
            recipe: The recipe.
            choice: The encoders.
        """
        source = _plain(_found(self.data)) if self.repeatable else None
        given = f"{'' if source else ' DATA'}{'' if choice.source else ' --encoder ENCODER'}"
        command = f"quaterion tune{given} --recipe recipe.yaml --out FOLDER"
        files = {name: _plain(_found(one)) for name, one in self._sources().items() if not _is_object(one)}
        reading = {
            name: value for name, value in {**self._plain_reading(), **files, "data": None}.items() if value is not None
        }
        content = {
            "data": source,
            "reading": reading if self.repeatable else {},
            "encoder": None if choice.source is None else list(choice.source),
            "recipe": recipe.to_dict(),
            "search": dict(self.search),
            "versions": {
                "python": platform.python_version(),
                "torch": str(torch.__version__),
                **{name: version(name) for name in ("quaterion", "quaterion-models")},
            },
        }
        text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        return _HEAD.format(command=command) + text


@dataclass(frozen=True)
class RecipeFile:
    """What a recipe file says.

    Args:
        recipe: The recipe.
        data: Path of the data; None where the file does not say.
        reading: Arguments of `read_tuning_data`.
        encoder: Names or folders of the encoders; None where the file does not say.
    """

    recipe: Recipe
    data: str | None
    reading: Mapping[str, Any]
    encoder: list[str] | None


def read_recipe_file(path: str | Path) -> RecipeFile:
    """Reads a recipe file; nothing that it names is run.

    Args:
        path: The file.

    Raises:
        ValueError: It is no recipe file, or a value in it is not valid.
        OSError: It cannot be read.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no recipe file: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("recipe"), Mapping):
        raise ValueError(  # noqa: TRY004 - what is in the file is wrong
            f"{path} is no recipe file: expected a mapping with a `recipe`, as `quaterion tune` writes it."
        )
    try:
        recipe = Recipe.from_dict(content["recipe"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    data, reading, encoder = content.get("data"), content.get("reading") or {}, content.get("encoder")
    if not isinstance(reading, Mapping) or not all(isinstance(name, str) for name in reading):
        raise ValueError(f"{path}: reading={reading!r}; expected arguments by name.")
    if encoder is not None and (not isinstance(encoder, list) or not all(isinstance(one, str) for one in encoder)):
        raise ValueError(f"{path}: encoder={encoder!r}; expected a list of names or folders.")
    if data is not None and not isinstance(data, str):
        raise ValueError(f"{path}: data={data!r}; expected the path of a file.")
    return RecipeFile(recipe, data, dict(reading), encoder)


def _is_object(source: Any) -> bool:
    """Whether data were given as an object, which no file can name."""
    return not isinstance(source, str | Path | None)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _found(path: Any) -> Any:
    """The path by which a file is found from every folder."""
    return path if path is None else Path(path).absolute()
