"""Models over given vectors, and a report read back out of its page as any HTML reader would."""

import importlib.util
import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch


def load(name):
    """A module beside this file: tests are imported one by one, without a package around them."""
    specification = importlib.util.spec_from_file_location(f"report_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


class TableModel:
    """Gives each object its vector; queries may have another."""

    two_sided = True

    def __init__(self, documents, queries=None):
        self.documents, self.queries = documents, documents if queries is None else queries

    def encode_query(self, inputs, batch_size=32, to_numpy=True):
        return torch.stack([torch.as_tensor(self.queries[one]) for one in inputs]).float()

    def encode_document(self, inputs, batch_size=32, to_numpy=True):
        return torch.stack([torch.as_tensor(self.documents[one]) for one in inputs]).float()


class _Page(HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.blocks, self.text = [], {}, []
        self._script = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "script":
            self._script = dict(attributes).get("id", "code")

    def handle_endtag(self, tag):
        if tag == "script":
            self._script = None

    def handle_data(self, data):
        if self._script is None:
            self.text.append(data)
        else:
            self.blocks[self._script] = self.blocks.get(self._script, "") + data


@pytest.fixture(scope="session")
def table_model():
    return TableModel


@pytest.fixture(scope="session")
def independent():
    """See `independent.py`."""
    return load("independent")


@pytest.fixture(scope="session")
def browser_module():
    """See `browser.py`."""
    return load("browser")


@pytest.fixture(scope="session")
def read_page():
    """From a page's text to its tags, its visible text, and its figures."""

    def read(text):
        page = _Page(text)
        return SimpleNamespace(
            tags=page.tags,
            text="".join(page.text),
            figures=json.loads(page.blocks["figures"]),
            charts=json.loads(page.blocks["charts"]),
        )

    return read


@pytest.fixture(scope="session")
def group_case(table_model):
    """Sixty texts of six groups with one alone, and models that know the groups badly and better."""

    def make(num_objects=60, num_groups=6, dimensions=8, seed=0):
        from quaterion.dataset import SimilarityGroupSample

        generator = torch.Generator().manual_seed(seed)
        centres = torch.randn(num_groups, dimensions, generator=generator)
        groups = [number % num_groups for number in range(num_objects - 1)] + [num_groups]
        noise = torch.randn(num_objects, dimensions, generator=generator)
        pull = centres[torch.tensor(groups).clamp(max=num_groups - 1)]
        texts = [f"text {number}" for number in range(num_objects)]
        models = [table_model(dict(zip(texts, noise + weight * pull, strict=True))) for weight in (0.4, 1.2)]
        samples = [SimilarityGroupSample(text, f"group {group}") for text, group in zip(texts, groups, strict=True)]
        return SimpleNamespace(
            samples=samples, texts=texts, groups=groups, before=models[0], after=models[1],
            vectors={
                "before": torch.stack(list(models[0].documents.values())).numpy(),
                "after": torch.stack(list(models[1].documents.values())).numpy(),
            },
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def pair_case(table_model):
    """Forty pairs with explicit negatives, one answer used twice, and scores from 0 to 1."""

    def make(num_pairs=40, dimensions=8, seed=1):
        from quaterion.dataset import SimilarityPairSample

        generator = torch.Generator().manual_seed(seed)
        anchors = [f"question {number}" for number in range(num_pairs)]
        positives = [f"answer {max(1, number)}" for number in range(num_pairs)]
        negatives = [f"wrong {number}" for number in range(num_pairs // 2)]
        scores = [number % 5 / 4 for number in range(num_pairs)]
        names = list(dict.fromkeys(anchors + positives + negatives))
        queries = dict(zip(anchors, torch.randn(num_pairs, dimensions, generator=generator), strict=True))
        models = []
        for weight in (0.3, 1.0):
            documents = dict(zip(names, torch.randn(len(names), dimensions, generator=generator), strict=True))
            for anchor, positive in zip(anchors, positives, strict=True):
                documents[positive] = documents[positive] + weight * queries[anchor]
            models.append(table_model(documents, queries))
        samples = [
            SimilarityPairSample(a, b, score, negatives=negatives[place : place + 1])
            for place, (a, b, score) in enumerate(zip(anchors, positives, scores, strict=True))
        ]
        candidates = positives + negatives
        return SimpleNamespace(
            samples=samples, anchors=anchors, positives=positives, candidates=candidates, scores=scores,
            links={(a, b) for a, b, score in zip(anchors, positives, scores, strict=True) if score > 0},
            before=models[0], after=models[1],
            queries=torch.stack([queries[one] for one in anchors]).numpy(),
            documents={
                name: torch.stack([model.documents[one] for one in candidates]).numpy()
                for name, model in zip(("before", "after"), models, strict=True)
            },
        )  # fmt: skip

    return make
