"""docs/how-to/evaluation.md: two models, and data with groups and with pairs."""

import csv
from pathlib import Path

from quaterion import eval as evaluation
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityGroupSample, SimilarityPairSample
from quaterion.eval import group
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead, GatedHead

NEEDS = ["jinja2", "vl_convert"]
SLOW = True
FORMS = {"card": "my {} card has not come", "top-up": "how do I top up {}", "loan": "give me a {} loan"}


def prepare(run):
    rows = [(form.format(word), intent) for intent, form in FORMS.items() for word in ("new", "old", "big", "small")]
    with Path("test.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("query", "intent"), *rows])
    encoder = SentenceTransformerEncoder(run.minilm())
    untuned, tuned = SimilarityModel(encoder, EmptyHead(384)), SimilarityModel(encoder, GatedHead(384))
    tuned.save("my-model")
    pairs = [SimilarityPairSample(one, two, 1.0) for (one, _), (two, _) in zip(rows[::2], rows[1::2], strict=True)]
    run.names |= {name: getattr(evaluation, name) for name in ("Evaluator", "GroupSampler", "compare")}
    run.names |= {name: getattr(group, name) for name in ("RetrievalPrecision", "RetrievalRPrecision")}
    run.names |= {"data": [SimilarityGroupSample(*row) for row in rows], "untuned": untuned, "tuned": tuned}
    run.names |= {"pairs": pairs, "model": tuned, "PairsSimilarityDataLoader": PairsSimilarityDataLoader}


def check(run):
    assert "recall@1" in run.answers[0] or "precision@1" in run.answers[0]
    assert Path("report.html").stat().st_size > 10_000
    assert any("better" in line or "no difference" in line or "±" in line for line in run.printed) or run.printed
    assert len(run.names["loader"].dataset) == len(run.names["pairs"])
