"""The model card: what a model folder says about itself to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel

_CARD = """\
---
library_name: quaterion-models
tags:
- similarity
- quaterion
---

# Similarity model

| part | type | size |
|---|---|---|
{rows}

{sides}

```python
from quaterion_models import SimilarityModel

model = SimilarityModel.load("path/to/this/folder")
embeddings = model.encode(objects)  # [n, {size}]
```
"""

_ONE_SIDE = "One embedding for every object: `encode`."
_TWO_SIDES = "Queries and documents are embedded differently: `encode_query` and `encode_document`."


def model_card(model: SimilarityModel) -> str:
    """Writes a short model card.

    Args:
        model: The model.

    Returns:
        Markdown: the model's parts with their sizes, and how to load it.
    """
    rows = [
        f"| encoder `{key}` | {type(encoder).__name__}, {'trained' if encoder.trainable else 'frozen'} "
        f"| {encoder.embedding_size} |"
        for key, encoder in model.encoders.items()
    ]
    size = "no head" if model.head is None else str(model.head.output_size)
    if model.head is not None:
        rows.append(f"| head | {type(model.head).__name__} | {size} |")
    return _CARD.format(rows="\n".join(rows), sides=_TWO_SIDES if model.two_sided else _ONE_SIDE, size=size)
