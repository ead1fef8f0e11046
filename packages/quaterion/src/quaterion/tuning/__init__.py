"""From labelled examples to the best head: data, recipes, the search over cached vectors, and what comes of it."""

from quaterion.tuning.data.tuning_data import TuningData, read_tuning_data
from quaterion.tuning.result.provenance import RecipeFile, read_recipe_file
from quaterion.tuning.result.tune_result import TuneResult
from quaterion.tuning.splits.folds import hold_out, make_folds
from quaterion.tuning.training.recipe import Part, Recipe
from quaterion.tuning.tune import tune

__all__ = [
    "Part",
    "Recipe",
    "RecipeFile",
    "TuneResult",
    "TuningData",
    "hold_out",
    "make_folds",
    "read_recipe_file",
    "read_tuning_data",
    "tune",
]
