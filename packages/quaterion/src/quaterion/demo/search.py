"""What the demo measures and shows: search before and after training."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from quaterion.batch import Batch
from quaterion.demo.corpus import Entry
from quaterion.eval.search_metrics import mean_intervals, retrieval_scores
from quaterion.functional.bootstrap import Interval
from quaterion.train.trainable_model import TrainableModel
from quaterion_models import SimilarityModel
from quaterion_models.heads import EmptyHead

__all__ = ["Answer", "SideBySide", "Vectors", "answer_questions", "best_entries", "embed_batches", "score_search"]

TOP = 5


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings of all entries: row i of both belongs to entry i.

    Args:
        descriptions: `[N, D]`.
        entries: `[N, D]`.
    """

    descriptions: Tensor
    entries: Tensor


@dataclass(frozen=True, slots=True)
class Answer:
    """The best entries for one question.

    Args:
        question: What was asked.
        before: Entries found with the encoder as it was, best first.
        after: Entries found with the trained model.
    """

    question: str
    before: list[Entry]
    after: list[Entry]


@torch.no_grad()
def embed_batches(model: TrainableModel, batches: Sequence[Batch], *, trained: bool) -> Vectors:
    """Embeds pairs whose vectors are cached.

    Args:
        model: The model.
        batches: Batches of all pairs, in order.
        trained: Whether to apply the model's head; else the vectors are the encoder's own.

    Returns:
        The embeddings, on the CPU.
    """
    model.eval()
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for batch in batches:
        moved = batch.to(model.model.device)
        vectors = model.embed(moved.features) if trained else torch.cat(list(moved.features.cached.values()), dim=1)
        for side, rows in zip(sides, vectors.float().cpu().chunk(2), strict=True):  # [2B, D]: queries, then documents
            side.append(rows)
    return Vectors(descriptions=torch.cat(sides[0]), entries=torch.cat(sides[1]))


def score_search(vectors: Vectors, numbers: Sequence[int]) -> dict[str, Interval]:
    """Searches for the entries of some descriptions among all entries.

    Args:
        vectors: Embeddings of all entries.
        numbers: Which descriptions to search with.

    Returns:
        `mrr`, `recall@1` and `recall@10`, each with its 95 % bootstrap interval.
    """
    rows = torch.tensor(numbers)
    return mean_intervals(retrieval_scores(vectors.descriptions[rows], vectors.entries, rows, ks=(1, 10)))


class SideBySide:
    """Searches all entries with the encoder as it was, and with the trained model.

    Args:
        model: The trained model.
        before: The entries' vectors by the encoder alone.
        after: Their vectors by the model.
    """

    def __init__(self, model: SimilarityModel, before: Vectors, after: Vectors) -> None:
        untrained = SimilarityModel(model.encoders, EmptyHead(model.get_encoders_output_size(model.encoders)))
        self._sides = [(one, F.normalize(vectors.entries)) for one, vectors in ((untrained, before), (model, after))]

    def similarities(self, questions: Sequence[str]) -> list[Tensor]:
        """Cosine similarity of questions and all entries: before training and after, `[Q, N]` each."""
        return [
            F.normalize(model.encode_query(list(questions), to_numpy=False)) @ documents.T
            for model, documents in self._sides
        ]


def answer_questions(search: SideBySide, questions: Sequence[str], entries: Sequence[Entry]) -> list[Answer]:
    """Answers questions in plain words with the encoder as it was, and with the trained model.

    Args:
        search: Both searches.
        questions: The questions.
        entries: All entries.

    Returns:
        An answer to each question.
    """
    found = [
        [[entries[number] for number in row] for row in best_entries(similarities).tolist()]
        for similarities in search.similarities(questions)
    ]
    return [Answer(question, *lists) for question, *lists in zip(questions, *found, strict=True)]


def best_entries(similarities: Tensor) -> Tensor:
    """Numbers of the entries that a search shows.

    Args:
        similarities: Of questions and entries, `[Q, N]`.

    Returns:
        The five best of each question, best first, `[Q, 5]`; fewer where there are fewer entries.
    """
    return similarities.topk(min(TOP, similarities.shape[1]), dim=1).indices
