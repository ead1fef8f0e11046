"""Retrieval scores by the slowest way there is: plain Python, float64, every order of every tie."""

import math
from itertools import combinations, groupby, product
from statistics import fmean
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EmptyHead, SwitchHead


def nearness(x, y, distance):
    dot = math.fsum(a * b for a, b in zip(x, y, strict=True))
    if distance == "dot_product":
        value = dot
    elif distance == "cosine":
        lengths = math.sqrt(math.fsum(a * a for a in x)) * math.sqrt(math.fsum(b * b for b in y))
        value = round(dot / lengths * 2**30) / 2**30 if lengths else 0.0
    elif distance == "euclidean":
        value = -math.dist(x, y)
    else:
        value = -math.fsum(abs(a - b) for a, b in zip(x, y, strict=True))
    return float(np.float32(value))  # candidates are tied where they are equally near after rounding


FORMULAS = {
    "precision": lambda hits, k: sum(hits[:k]) / k,
    "recall": lambda hits, k: float(any(hits[:k])),
    "r_precision": lambda hits, k: sum(hits[: sum(hits)]) / sum(hits),
    "reciprocal_rank": lambda hits, k: 1 / (hits.index(True) + 1),
    "map_at_r": lambda hits, k: sum(sum(hits[: i + 1]) / (i + 1) for i in range(sum(hits)) if hits[i]) / sum(hits),
    "ndcg": lambda hits, k: (
        sum(hit / math.log2(i + 2) for i, hit in enumerate(hits[:k]))
        / sum(1 / math.log2(i + 2) for i in range(min(k, sum(hits))))
    ),
}


def arrangements(values, relevant):
    order = sorted(range(len(values)), key=lambda i: -values[i])
    ties = [[relevant[i] for i in tie] for _, tie in groupby(order, key=lambda i: values[i])]
    placements = [
        [[place in hits for place in range(len(tie))] for hits in combinations(range(len(tie)), sum(tie))]
        for tie in ties
    ]
    for chosen in product(*placements):
        yield [hit for tie in chosen for hit in tie]


def score(name, query, candidates, relevant, *, k=1, distance="cosine"):
    """One query's score, NaN where nothing is relevant; `candidates` without the query itself."""
    if not any(relevant):
        return math.nan
    values = [nearness(query, candidate, distance) for candidate in candidates]
    return fmean(FORMULAS[name](hits, k) for hits in arrangements(values, relevant))


def group_scores(name, embeddings, groups, **options):
    """Every object over all others."""
    rows, groups = embeddings.tolist(), groups.tolist()
    scores = []
    for i, query in enumerate(rows):
        others = [j for j in range(len(rows)) if j != i]
        relevant = [groups[j] == groups[i] for j in others]
        scores.append(score(name, query, [rows[j] for j in others], relevant, **options))
    return scores


def pair_scores(name, embeddings, labels, pairs, ids=None, *, sides=False, **options):
    """Every object of a pair over all others; with `sides` every first object over all that are not first."""
    rows = embeddings.tolist()
    ids = list(range(len(rows))) if ids is None else ids.tolist()
    links = {(ids[a], ids[b]) for (a, b), label in zip(pairs.tolist(), labels.tolist(), strict=True) if label > 0}
    first = sorted({a for a, _ in pairs.tolist()})
    queries = first if sides else sorted({row for pair in pairs.tolist() for row in pair})
    scores = []
    for i in queries:
        others = [j for j in range(len(rows)) if (j not in first if sides else j != i)]
        relevant = [ids[i] == ids[j] or (ids[i], ids[j]) in links or (ids[j], ids[i]) in links for j in others]
        scores.append(score(name, rows[i], [rows[j] for j in others], relevant, **options))
    return scores


@pytest.fixture(scope="session")
def brute_force():
    return SimpleNamespace(group_scores=group_scores, pair_scores=pair_scores, score=score)


class LookupEncoder(Encoder):
    """Gives each text its vector, and remembers what it was asked for."""

    trainable = False
    embedding_size = 3

    def __init__(self, vectors):
        super().__init__()
        self.vectors = vectors
        self.asked = []
        self.modes = set()
        self.weight = nn.Parameter(torch.ones(1))

    def get_collate_fn(self):
        return list

    def forward(self, batch):
        self.asked.extend(batch)
        self.modes.add(self.training)
        return torch.stack([torch.tensor(self.vectors[text], dtype=torch.float32) for text in batch])


@pytest.fixture
def model_of():
    """A real model over given vectors of texts; with `document_head` the documents go through another head."""

    def build(vectors, document_head=None):
        head = EmptyHead(3)
        if document_head is not None:
            head = SwitchHead({"query": EmptyHead(3), "document": document_head}, 3)
        return SimilarityModel(LookupEncoder(vectors), head)

    return build


@pytest.fixture
def encoder_of():
    """The encoder of a model built by `model_of`."""
    return lambda model: model.encoders["default"]
