"""From objects to the arrays that a graph takes."""

from quaterion_runtime.inputs.prepare import InputPreparer, Prepared, preparer_of

__all__ = ["InputPreparer", "Prepared", "preparer_of"]
