"""Embeddings of texts for commands."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from quaterion.cli.encoded_texts import CHUNK, encoded_texts
from quaterion_models import SimilarityModel
from quaterion_models.encoders import CallableEncoder
from quaterion_models.heads import EmptyHead, StackedProjectionHead, SwitchHead


def lengths(texts: list[str]) -> Any:
    return [[float(len(text)), 1.0] for text in texts]


@pytest.fixture
def encoder() -> CallableEncoder:
    return CallableEncoder(lengths, 2, version="1")


def test_are_those_of_the_model_in_order(encoder: CallableEncoder, capsys: pytest.CaptureFixture[str]) -> None:
    model = SimilarityModel(encoder, EmptyHead(2)).eval()
    texts = ["a" * (1 + number % 17) for number in range(CHUNK + 5)]
    assert torch.equal(encoded_texts(model, texts), torch.tensor(lengths(texts)))
    assert capsys.readouterr() == ("", "")  # no bar where there is no terminal, and none on standard output ever


def test_a_two_sided_model_has_two(encoder: CallableEncoder) -> None:
    heads = {"query": EmptyHead(2), "document": StackedProjectionHead(2, [2])}
    model = SimilarityModel(encoder, SwitchHead(heads, 2)).eval()
    sides: dict[str, Callable[..., Any]] = {"query": model.encode_query, "document": model.encode_document}
    for side, encode in sides.items():
        found = encoded_texts(model, ["ab", "c"], side=side)  # type: ignore[arg-type]
        assert torch.allclose(found, encode(["ab", "c"], to_numpy=False))
