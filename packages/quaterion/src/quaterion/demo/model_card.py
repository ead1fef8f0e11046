"""The card of the demo's model: data, training, figures, and how to use it."""

import platform
from collections.abc import Mapping
from pathlib import Path

from quaterion.demo.corpus import Split
from quaterion.functional.bootstrap import Interval

__all__ = ["demo_card"]

_CARD = """\
---
library_name: quaterion-models
base_model: sentence-transformers/all-MiniLM-L6-v2
tags:
- similarity
- quaterion
---

# Search in Python's standard library

Finds functions, classes and methods of Python's standard library by a description of what they do. `quaterion demo`
made this model: the encoder all-MiniLM-L6-v2, frozen, with a head for descriptions (queries) and a head for entries
(documents).

## Data

{count:,} descriptions (first paragraphs of docstrings) and entries (qualified names with signatures) of the standard
library of Python {python}: {train:,} pairs to learn from, {validation:,} to choose the best epoch, {test:,} to test.

## Training

MultipleNegativesRankingLoss over cached vectors of the encoder, AdamW.

## Search for the {test:,} test descriptions among all {count:,} entries

| | before | after |
|---|---|---|
{rows}

The intervals are 95 % bootstrap intervals over descriptions.

## Use

```python
from quaterion_models import SimilarityModel

model = SimilarityModel.load("{folder}")
queries = model.encode_query(["delete a folder with everything in it"], normalize=True)
documents = model.encode_document(["rmtree (function): shutil.rmtree(path)"], normalize=True)
similarity = queries @ documents.T
```
"""


def demo_card(
    folder: Path, count: int, split: Split, before: Mapping[str, Interval], after: Mapping[str, Interval]
) -> str:
    """Writes the model card.

    Args:
        folder: Where the model will be.
        count: Number of all entries.
        split: Parts of the data.
        before: Scores of the encoder as it was.
        after: Scores of the model.

    Returns:
        Markdown.
    """
    rows = "\n".join(f"| {name} | {_cell(before[name])} | {_cell(after[name])} |" for name in after)
    return _CARD.format(
        count=count,
        python=platform.python_version(),
        train=len(split.train),
        validation=len(split.validation),
        test=len(split.test),
        rows=rows,
        folder=folder.as_posix(),
    )


def _cell(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
