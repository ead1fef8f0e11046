"""Scores and answers, from vectors whose neighbours are known."""

import torch

from quaterion.demo.corpus import Entry
from quaterion.demo.search import SideBySide, Vectors, answer_questions, score_search
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EmptyHead, EncoderHead, SwitchHead


class Angles(Encoder):
    """Turns a text that is a number of degrees into a unit vector."""

    trainable = False
    embedding_size = 2

    def get_collate_fn(self):
        return lambda texts: torch.tensor([float(text) for text in texts]).deg2rad()

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.stack([batch.cos(), batch.sin()], dim=1)


class Turn(EncoderHead):
    """Turns every vector by 90 degrees."""

    @property
    def output_size(self) -> int:
        return 2

    def transform(self, input_vectors: torch.Tensor) -> torch.Tensor:
        return torch.stack([-input_vectors[:, 1], input_vectors[:, 0]], dim=1)


def circle(*degrees: float) -> torch.Tensor:
    angles = torch.tensor(degrees).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def entries(count: int) -> list[Entry]:
    return [Entry(f"m.f{i}", "function", "()", f"Does {i}.") for i in range(count)]


def test_chosen_descriptions_are_searched_among_all_entries() -> None:
    documents = circle(*range(0, 240, 20))
    # The first is closest to entry 0, its own. Number 2 lies at 0 degrees: entries 0 and 1 come before its own.
    descriptions = circle(0, 999, 0, *[999] * 9)
    scores = score_search(Vectors(descriptions, documents), [0, 2])
    assert scores["mrr"].value == (1 + 1 / 3) / 2
    assert scores["recall@1"].value == 0.5
    assert scores["recall@10"].value == 1.0


def test_a_question_is_answered_by_the_encoder_alone_and_by_the_trained_model() -> None:
    model = SimilarityModel(Angles(), SwitchHead({"query": Turn(2), "document": EmptyHead(2)}, 2))
    vectors = Vectors(circle(*range(0, 360, 45)), circle(*range(0, 360, 45)))
    one, two = answer_questions(SideBySide(model, vectors, vectors), ["4", "94"], entries(8))
    assert one.question == "4"
    # 4 degrees: nearest are 0, 45, 315, 90, 270. Turned by 90 degrees: 90, 135, 45, 180, 0.
    assert [entry.name for entry in one.before] == ["m.f0", "m.f1", "m.f7", "m.f2", "m.f6"]
    assert [entry.name for entry in one.after] == ["m.f2", "m.f3", "m.f1", "m.f4", "m.f0"]
    assert [entry.name for entry in two.before] == [entry.name for entry in one.after]
