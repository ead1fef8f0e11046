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

    def program(self, recipe: Recipe, choice: EncoderChoice, *, pairs: bool) -> Program:
        """The program that trains a recipe with `TrainableModel`.

        Args:
            recipe: The recipe.
            choice: The encoders.
            pairs: Whether the data are pairs.
        """
        return program_of(
            recipe,
            encoders={name: encoder_expression(one, recipe.trainable_layers) for name, one in choice.encoders.items()},
            data=arguments_of(self._reading(), self._sources["data"]),
            objects=self._objects,
            pairs=pairs,
            cache=_absolute(self.cache),
        )

    def recipe_file(self, recipe: Recipe, choice: EncoderChoice) -> str:
        """Text of `recipe.yaml`.

        Args:
            recipe: The recipe.
            choice: The encoders.
        """
        in_files, named = not self._objects, choice.source is not None
        command = f"quaterion tune{'' if in_files else ' DATA'}{'' if named else ' --encoder ENCODER'}"
        content = {
            "data": self._sources["data"] if in_files else None,
            "reading": self._reading() if in_files else {},
            "encoder": None
            if choice.source is None
            else [_absolute(one) if Path(one).exists() else one for one in choice.source],
            "recipe": recipe.to_dict(),
            "search": dict(self.search),
            "versions": {
                "python": platform.python_version(),
                "torch": str(torch.__version__),
                **{name: version(name) for name in ("quaterion", "quaterion-models")},
            },
        }
        text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        return _HEAD.format(command=f"{command} --recipe recipe.yaml --out FOLDER") + text

    @property
    def _sources(self) -> dict[str, Any]:
        """Where data lie; of what was given as an object, which no file can hold, the name of the argument."""
        given = {"data": self.data, "validation": self.reading["validation"], "test": self.reading["test"]}
        return {
            name: _absolute(one) if isinstance(one, str | Path | None) else Expression(name)
            for name, one in given.items()
        }

    @property
    def _objects(self) -> list[str]:
        return [name for name, one in self._sources.items() if isinstance(one, Expression)]

    def _reading(self) -> dict[str, Any]:
        """Arguments of `read_tuning_data` behind the first one, those that are not None."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in self.reading.items()}
        values |= {name: one for name, one in self._sources.items() if name != "data"}
        return {name: value for name, value in values.items() if value is not None}


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


def _absolute(path: str | Path | None) -> str | None:
    """The path by which a file is found from every folder."""
    return None if path is None else str(Path(path).absolute())
