"""How a result came about: the recipe file that repeats it, and the program that goes on from it."""

import inspect
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from quaterion.tuning.encoders import EncoderChoice
from quaterion.tuning.program import arguments_of, program_of
from quaterion.tuning.recipe import Recipe
from quaterion_models.encoders.pretrained_encoder import PretrainedEncoder

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
        return all(
            isinstance(one, str | Path | None) for one in (self.data, *map(self.reading.get, ("validation", "test")))
        )

    def program(self, recipe: Recipe, choice: EncoderChoice, *, pairs: bool) -> str:
        """The program that trains a recipe with `TrainableModel`.

        Args:
            recipe: The recipe.
            choice: The encoders.
            pairs: Whether the data are pairs.
        """
        data = arguments_of(self._plain_reading(), _plain(_found(self.data))) if self.repeatable else "..."
        encoders = {name: _expression(encoder, recipe.trainable_layers) for name, encoder in choice.encoders.items()}
        cache = None if self.cache is None else _plain(_found(self.cache))
        return program_of(recipe, encoders=encoders, data=data, pairs=pairs, cache=cache)

    def _plain_reading(self) -> dict[str, Any]:
        files = {name: _found(self.reading[name]) for name in ("validation", "test")}
        return {name: _plain(value) for name, value in {**self.reading, **files}.items()}

    def recipe_file(self, recipe: Recipe, choice: EncoderChoice) -> str:
        """Text of `recipe.yaml`.

        Args:
            recipe: The recipe.
            choice: The encoders.
        """
        source = _plain(_found(self.data)) if self.repeatable else None
        command = f"quaterion tune {'' if source else 'DATA '}--recipe recipe.yaml --out FOLDER"
        content = {
            "data": source,
            "reading": {name: value for name, value in self._plain_reading().items() if value is not None}
            if self.repeatable
            else {},
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


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _found(path: Any) -> Any:
    """The path by which a file is found from every folder."""
    return path if path is None else Path(path).absolute()


def _expression(encoder: Any, trainable_layers: int) -> str:
    """Python that builds an encoder; one that was passed as an object can only be named."""
    if isinstance(encoder, PretrainedEncoder):
        usual = {name: one.default for name, one in inspect.signature(type(encoder)).parameters.items()}
        settings = {**encoder.settings, **({"trainable_layers": trainable_layers} if trainable_layers else {})}
        changed = {name: value for name, value in settings.items() if value != usual.get(name, value)}
        return f"{type(encoder).__name__}({arguments_of(changed, str(encoder.folder.absolute()))})"
    return f"{type(encoder).__name__}(...)"
