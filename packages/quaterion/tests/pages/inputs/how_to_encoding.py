"""docs/how-to/encoding.md: a saved model, and a corpus with a line that cannot be encoded."""

from pathlib import Path

from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead
from quaterion_models.search import ExactIndex


def prepare(run):
    SimilarityModel(SentenceTransformerEncoder(run.minilm()), EmptyHead(384)).save("model")
    Path("corpus.txt").write_text("a cat\na kitten\nthe stock market\n")
    run.names |= {"SimilarityModel": SimilarityModel, "index": ExactIndex(384)}
    run.names |= {"texts": ["a cat", "a kitten"], "questions": ["what is a kitten?"]}


def check(run):
    assert run.names["vectors"].shape == (1, 384)
    hit = run.names["index"].search(run.names["vectors"], k=1)[0][0]
    assert hit.id == 1
    assert Path("skipped.txt").read_text() == ""
