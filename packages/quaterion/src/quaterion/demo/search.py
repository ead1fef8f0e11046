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

__all__ = ["Answer", "Vectors", "answer_questions", "embed_batches", "score_search"]

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


def answer_questions(
    model: SimilarityModel, questions: Sequence[str], entries: Sequence[Entry], before: Vectors, after: Vectors
) -> list[Answer]:
    """Answers questions in plain words with the encoder as it was, and with the trained model.

    Args:
        model: The trained model.
        questions: The questions.
        entries: All entries.
        before: Their vectors by the encoder alone.
        after: Their vectors by the model.

    Returns:
        An answer to each question.
    """
    untrained = SimilarityModel(model.encoders, EmptyHead(model.get_encoders_output_size(model.encoders)))
    found = [
        _best(one.encode_query(list(questions), to_numpy=False), vectors.entries, entries)
        for one, vectors in ((untrained, before), (model, after))
    ]
    return [Answer(question, *lists) for question, *lists in zip(questions, *found, strict=True)]


def _best(queries: Tensor, documents: Tensor, entries: Sequence[Entry]) -> list[list[Entry]]:
    similarities = F.normalize(queries) @ F.normalize(documents).T  # [Q, N]
    best = similarities.topk(min(TOP, len(entries)), dim=1).indices
    return [[entries[number] for number in row] for row in best.tolist()]
