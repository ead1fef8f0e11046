"""A look at the data: wrong labels, leaked test objects, overlapping groups, and collapsed embeddings."""

from quaterion.eval.inspection.duplicates import NearDuplicates, near_duplicates
from quaterion.eval.inspection.label_errors import SuspectedLabelErrors, suspected_label_errors
from quaterion.eval.inspection.overlap import GroupOverlap, overlapping_groups
from quaterion.eval.inspection.spread import Collapse, collapse

__all__ = [
    "Collapse",
    "GroupOverlap",
    "NearDuplicates",
    "SuspectedLabelErrors",
    "collapse",
    "near_duplicates",
    "overlapping_groups",
    "suspected_label_errors",
]
