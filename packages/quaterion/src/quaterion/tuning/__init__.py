"""From labelled examples to the best head: data, recipes, the search over cached vectors, and what comes of it."""

from quaterion.tuning.data import TuningData, read_tuning_data
from quaterion.tuning.provenance import RecipeFile, read_recipe_file
from quaterion.tuning.recipe import Part, Recipe
from quaterion.tuning.result import TuneResult
from quaterion.tuning.splits import hold_out, make_folds
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
