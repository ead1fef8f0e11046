"""Names for what travels between collate functions, encoders and heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

TensorInterchange: TypeAlias = Tensor | np.ndarray[Any, Any] | dict[str, "TensorInterchange"] | Any
"""What a collate function returns and an encoder takes: a tensor, an array, a nest of dicts of them, or anything."""

CollateFnType: TypeAlias = Callable[[list[Any]], TensorInterchange]
"""Turns a list of objects into one encoder's input."""

SideFnType: TypeAlias = Callable[[Any, str], Any]
"""Prepares an object for its side, `"query"` or `"document"`."""

MetaExtractorFnType: TypeAlias = Callable[[list[Any]], list[dict[str, Any]]]
"""Turns a list of objects into one dict of side information for each."""
