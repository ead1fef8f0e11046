"""The Python program that trains a recipe with `TrainableModel`, for those who want to go on by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

from quaterion.tuning.recipe import Part, Recipe

__all__ = ["program_of"]

_UNTOUCHED = '''"""The encoder as it is, under a head that leaves its vectors alone."""

from quaterion_models import SimilarityModel
from quaterion_models.encoders import {encoder_imports}
from quaterion_models.heads import EmptyHead

encoders = {encoders}
model = SimilarityModel(encoders, EmptyHead(SimilarityModel.get_encoders_output_size(encoders)))
model.save("model")
'''

_TRAINED = '''"""Trains what `quaterion tune` found."""

import math

import pytorch_lightning as pl
import torch

from quaterion import Quaterion, TrainableModel
from quaterion.dataset import {loader}
from quaterion.loss import {loss_imports}
from quaterion.train.cache import CacheConfig
from quaterion.tuning import read_tuning_data
from quaterion_models.encoders import {encoder_imports}
from quaterion_models.heads import {head_imports}

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
'''


def program_of(recipe: Recipe, *, encoders: Mapping[str, str], data: str, pairs: bool, cache: str | None = None) -> str:
    """Writes the program.

    Args:
        recipe: The recipe.
        encoders: The expression that builds each encoder, by name.
        data: Arguments of `read_tuning_data`, as they stand in a program.
        pairs: Whether the data are pairs.
        cache: Folder of the encoders' vectors; None for memory.

    Returns:
        The text of a Python file.
    """
    built = ", ".join(f"{name!r}: {expression}" for name, expression in encoders.items())
    facts = {
        "encoders": f"{{{built}}}",
        "encoder_imports": ", ".join(sorted({expression.partition("(")[0] for expression in encoders.values()})),
    }
    if not recipe.losses:
        return _UNTOUCHED.format(**facts)
    heads = sorted({recipe.head.type, *(["SwitchHead"] if recipe.two_sided else [])})
    losses = sorted({*(part.type for part in recipe.losses), *(["CombinedLoss"] if len(recipe.losses) > 1 else [])})
    return _TRAINED.format(
        **facts,
        loader="PairsSimilarityDataLoader" if pairs else "GroupSimilarityDataLoader",
        loss_imports=", ".join(losses),
        head_imports=", ".join(heads),
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
