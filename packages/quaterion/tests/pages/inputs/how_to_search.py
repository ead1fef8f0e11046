"""docs/how-to/search.md: a model, texts, a file of articles and one of queries."""

import csv
import json
from pathlib import Path

from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead
from quaterion_models.search import ExactIndex

ARTICLES = [
    ("number", "body", "lang", "year"),
    (1, "what to do when your card is lost", "en", 2021),
    (2, "how to top up your account", "en", 2019),
    (3, "verlorene Karten", "de", 2022),
    (4, "cards of last century", "en", 1999),
]


def prepare(run):
    model = SimilarityModel(SentenceTransformerEncoder(run.minilm()), EmptyHead(384))
    model.save("my-model")
    with Path("articles.csv").open("w", newline="") as file:
        csv.writer(file).writerows(ARTICLES)
    Path("queries.txt").write_text("lost my card\nadd money\n")
    texts = ["cards that are lost", "topping up"]
    articles = ExactIndex(384)
    articles.add(["a"], model.encode(["cards"]), [{"lang": "en", "tag": "news", "year": 2005}])
    run.replace["index.search(queries"] = "hits = articles.search(queries"  # objects with fields to filter by
    run.names |= {"model": model, "texts": texts, "articles": articles, "queries": model.encode_query(["a card"])}


def check(run):
    assert run.printed[0].split()[1] == "0"
    assert [hit.id for hit in run.names["hits"][0]] == ["a"]
    (found,) = map(json.loads, run.answers[1].splitlines())
    assert {hit["id"] for hit in found["hits"]} == {"1", "2"}
    answers = [json.loads(line) for line in Path("answers.jsonl").read_text().splitlines()]
    assert [one["hits"][0]["id"] for one in answers] == ["1", "2"]
