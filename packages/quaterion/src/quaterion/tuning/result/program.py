"""The Python program that trains a recipe with `TrainableModel`, for those who want to go on by hand."""

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from quaterion.tuning.training.recipe import Part, Recipe
from quaterion_models import encoders as built_in
from quaterion_models.encoders import Encoder
from quaterion_models.encoders.pretrained_encoder import PretrainedEncoder
from quaterion_models.saving.arguments import decode_arguments, recorded_arguments

__all__ = ["Expression", "Program", "arguments_of", "encoder_expression", "program_of"]

_UNTOUCHED_IMPORTS = """\
from quaterion_models import SimilarityModel
{encoder_imports}from quaterion_models.heads import EmptyHead
"""

_UNTOUCHED = """\
encoders = {encoders}
model = SimilarityModel(encoders, EmptyHead(SimilarityModel.get_encoders_output_size(encoders)))
model.save("model")
"""

_IMPORTS = """\
import math

import pytorch_lightning as pl
import torch

from quaterion import Quaterion, TrainableModel
from quaterion.dataset import {loader}
from quaterion.loss import {loss_imports}
from quaterion.train.cache import CacheConfig
from quaterion.tuning import read_tuning_data
{encoder_imports}from quaterion_models.heads import {head_imports}
"""

_TRAINED = """\
data = read_tuning_data({data})
samples = [*data.train, *(data.validation or ()){names}]
steps = {epochs} * math.ceil(len(samples) / {batch_size})


class Model(TrainableModel):
    lr, weight_decay, lr_schedule, warmup_steps = {lr}, {weight_decay}, "cosine", {warmup}
{encoder_lr}
    def configure_encoders(self):
        return {encoders}

    def configure_head(self, input_embedding_size):
        return {head}

    def configure_loss(self):
        return {loss}

    def configure_caches(self):
        return CacheConfig({cache})


torch.manual_seed({seed})
model = Model()
trainer = pl.Trainer(max_epochs={epochs}, devices=1, logger=False, enable_checkpointing=False)
Quaterion.fit(model, trainer, {loader}(samples, batch_size={batch_size}, shuffle=True))
model.save_servable("model")
"""


class Expression(str):
    """Python that stands in a program as it is, where other values stand as `repr` writes them."""

    __slots__ = ()
    __repr__ = str.__str__


class Program(NamedTuple):
    """A program.

    Attributes:
        text: What a Python file holds.
        parameters: What its function `train` takes, because it was given as objects; none of a program that just runs.
    """

    text: str
    parameters: Sequence[str]

    def notes(self) -> list[str]:
        """What has to be told of it."""
        if not self.parameters:
            return []
        return [
            f"The program that trains the same is a function, train({', '.join(self.parameters)}): what was given as "
            "an object cannot be written down."
        ]


def program_of(
    recipe: Recipe,
    *,
    encoders: Mapping[str, str | None],
    data: str,
    pairs: bool,
    objects: Sequence[str] = (),
    cache: str | None = None,
) -> Program:
    """Writes the program.

    Args:
        recipe: The recipe.
        encoders: The expression that builds each encoder, by name; None for one that was given as an object.
        data: Arguments of `read_tuning_data`, as they stand in a program.
        pairs: Whether the data are pairs.
        objects: Names in `data` of what was given as objects.
        cache: Folder of the encoders' vectors; None for memory.
    """
    built = {name: expression or f"encoders[{name!r}]" for name, expression in encoders.items()}
    classes = sorted({expression.partition("(")[0] for expression in encoders.values() if expression})
    facts = {
        "encoders": "{" + ", ".join(f"{name!r}: {expression}" for name, expression in built.items()) + "}",
        "encoder_imports": f"from quaterion_models.encoders import {', '.join(classes)}\n" if classes else "",
    }
    given = [] if all(encoders.values()) else ["encoders"]
    if not recipe.losses:
        title = "The encoder as it is, under a head that leaves its vectors alone."
        return _program(title, _UNTOUCHED_IMPORTS.format(**facts), _UNTOUCHED.format(**facts), given, result="model")
    heads = sorted({recipe.head.type, *(["SwitchHead"] if recipe.two_sided else [])})
    losses = sorted({*(part.type for part in recipe.losses), *(["CombinedLoss"] if len(recipe.losses) > 1 else [])})
    loader = "PairsSimilarityDataLoader" if pairs else "GroupSimilarityDataLoader"
    imports = _IMPORTS.format(**facts, loader=loader, loss_imports=", ".join(losses), head_imports=", ".join(heads))
    body = _TRAINED.format(
        **facts,
        loader=loader,
        data=data,
        encoder_lr=f"    encoder_lr = {recipe.encoder_lr}\n" if recipe.trainable_layers else "",
        names=", *data.group_names" if recipe.group_names else "",
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        warmup=f"min(int({recipe.warmup} * steps), steps - 1)",
        head=_head(recipe),
        loss=_loss(recipe.losses),
        cache="" if cache is None else f"save_dir={cache!r}",
        seed=recipe.seed,
    )
    return _program("Trains what `quaterion tune` found.", imports, body, [*objects, *given], result="model.model")


def _program(title: str, imports: str, body: str, parameters: Sequence[str], *, result: str) -> Program:
    """A program that runs as it is; where something has to be passed to it, a function that returns the result."""
    if parameters:
        call = f"train({', '.join(parameters)})"
        body = f"{textwrap.indent(body, '    ')}    return {result}\n".replace("\n\n\n", "\n\n")
        title, body = f"{title} Call `{call}`.", f"\ndef {call}:\n{body}"
    return Program(f'"""{title}"""\n\n{imports}\n{body}', parameters)


def encoder_expression(encoder: Encoder, trainable_layers: int) -> str | None:
    """Python that builds an encoder.

    Args:
        encoder: The encoder.
        trainable_layers: Top layers of it that are to be trained.

    Returns:
        The expression; None where it takes more than plain values, or a class of the user's own.
    """
    kind = type(encoder)
    if getattr(built_in, kind.__name__, None) is not kind:
        return None
    usual = {name: one.default for name, one in inspect.signature(kind).parameters.items()}
    if isinstance(encoder, PretrainedEncoder):
        values = {**encoder.settings, **({"trainable_layers": trainable_layers} if trainable_layers else {})}
        changed = {name: value for name, value in values.items() if value != usual.get(name, value)}
        return f"{kind.__name__}({arguments_of(changed, str(encoder.folder.absolute()))})"
    recorded = recorded_arguments(encoder)
    if recorded is None or recorded.unrecorded:
        return None
    values = {name: value for name, value in decode_arguments(recorded.values).items() if value is not None}
    return f"{kind.__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def _head(recipe: Recipe) -> str:
    one = f"{recipe.head.type}(input_embedding_size{_arguments(recipe.head)})"
    if not recipe.two_sided:
        return one
    return f'SwitchHead({{side: {one} for side in ("query", "document")}}, input_embedding_size)'


def _loss(parts: Sequence[Part]) -> str:
    expressions = [_one_loss(part) for part in parts]
    if len(parts) == 1:
        return expressions[0]
    items = [f"{part.type!r}: ({one}, {part.weight})" for part, one in zip(parts, expressions, strict=True)]
    return f"CombinedLoss({{{', '.join(items)}}})"


def _one_loss(part: Part) -> str:
    sizes = "self.model.output_size, len({sample.group for sample in samples})"
    if part.has_class_weights:
        return f"{part.type}({sizes}{_arguments(part)})"
    return f"{part.type}({_arguments(part).removeprefix(', ')})"


def _arguments(part: Part) -> str:
    return "".join(f", {name}={value!r}" for name, value in part.args.items())


def arguments_of(values: Mapping[str, Any], positional: Any) -> str:
    """Arguments as they stand in a program; those that are None are left out.

    Args:
        values: Arguments by name.
        positional: The first argument.
    """
    named = [f"{name}={value!r}" for name, value in values.items() if value is not None]
    return ", ".join([repr(positional), *named])
