"""The objects of a mining run, each distinct one once, and which documents are no negatives of which query."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from quaterion.dataset.labels import group_ids
from quaterion.dataset.similarity_samples import SimilarityGroupSample, SimilarityPairSample
from quaterion.eval.encoding import content_of

__all__ = ["Exclusions", "MiningPool", "Ragged", "group_pool", "pair_pool"]


class Ragged:
    """Lists of integers of different lengths, side by side.

    Args:
        lists: The lists.

    Example:
        >>> owners, values = Ragged([[7], [], [8, 9]]).of(torch.tensor([2, 0]))
        >>> owners.tolist(), values.tolist()
        ([0, 0, 1], [8, 9, 7])
    """

    def __init__(self, lists: Sequence[Collection[int]]) -> None:
        lengths = torch.tensor([len(one) for one in lists], dtype=torch.int64)
        self._starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        self._values = torch.tensor(list(chain.from_iterable(lists)), dtype=torch.int64)

    def of(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Values of some of the lists.

        Args:
            numbers: Numbers of the lists, `[B]`.

        Returns:
            For each value the place in `numbers` of the list that it is from, and the value; `[E]` both.
        """
        starts = self._starts[numbers]
        lengths = self._starts[numbers + 1] - starts
        owner = torch.repeat_interleave(torch.arange(len(numbers)), lengths)
        within = torch.arange(len(owner)) - (lengths.cumsum(0) - lengths)[owner]
        return owner, self._values[starts[owner] + within]


class Exclusions:
    """Documents that are never a negative of a sample.

    Args:
        direct: Rows of such documents, for each of P samples.
        tags: Groups that a sample's query belongs to, for each of P samples; numbers below G.
        members: Rows of the documents that belong to a group, for each of G groups.
    """

    def __init__(
        self,
        direct: Sequence[Collection[int]],
        tags: Sequence[Collection[int]],
        members: Sequence[Collection[int]],
    ) -> None:
        self._direct, self._tags, self._members = Ragged(direct), Ragged(tags), Ragged(members)

    def hide(self, block: Tensor, samples: Tensor) -> None:
        """Sets similarities to minus infinity where a document is no negative.

        Args:
            block: Similarities of B samples' queries to all documents, `[B, N]`; changed in place.
            samples: Numbers of the samples, `[B]`, on the CPU.
        """
        sample, row = self._direct.of(samples)
        _hide(block, sample, row)
        sample, tag = self._tags.of(samples)
        place, row = self._members.of(tag)
        _hide(block, sample[place], row)


def _hide(block: Tensor, rows: Tensor, columns: Tensor) -> None:
    block[rows.to(block.device), columns.to(block.device)] = -torch.inf


class MiningPool:
    """Distinct objects by content, the samples that want negatives, and the documents to find them among.

    Attributes:
        objects: The distinct objects.
        samples: What gets negatives: P positive pairs.
        queries: Number of each sample's query among the objects, P of them.
        positives: Number of each sample's positive among the objects, P of them.
        documents: Row of each document by its number among the objects, in the order of rows.
    """

    def __init__(self) -> None:
        self.objects: list[Any] = []
        self.samples: list[SimilarityPairSample] = []
        self.queries: list[int] = []
        self.positives: list[int] = []
        self.documents: dict[int, int] = {}
        self._numbers: dict[object, int] = {}
        self._known: list[list[int]] = []
        self._partners: dict[int, set[int]] = {}
        self._tags: dict[int, set[int]] = {}

    def number(self, obj: Any) -> int:
        """Number of an object: the same for objects of equal content."""
        number = self._numbers.setdefault(content_of(obj), len(self.objects))
        if number == len(self.objects):
            self.objects.append(obj)
        return number

    def add_document(self, number: int) -> None:
        """Makes an object a candidate."""
        self.documents.setdefault(number, len(self.documents))

    def add_tag(self, number: int, tag: int) -> None:
        """Notes a group or subgroup that an object belongs to; objects that share one are no negatives."""
        self._tags.setdefault(number, set()).add(tag)

    def forget_tags(self) -> None:
        """Forgets all groups, where they say nothing."""
        self._tags = {}

    def add_sample(self, sample: SimilarityPairSample, query: int, positive: int) -> None:
        """Takes a sample that wants negatives.

        Args:
            sample: The sample; the negatives that it has stay, and are not found again.
            query: Number of its query.
            positive: Number of its positive, which is a document.
        """
        self.samples.append(sample)
        self.queries.append(query)
        self.positives.append(positive)
        self._known.append([self.number(negative) for negative in sample.negatives])
        self._partners.setdefault(query, set()).add(positive)
        self._partners.setdefault(positive, set()).add(query)

    def exclusions(self) -> Exclusions:
        """Which documents are no negatives of which sample: equal objects, partners, companions, known negatives."""
        codes = {tag: code for code, tag in enumerate(sorted(set(chain.from_iterable(self._tags.values()))))}
        members: list[list[int]] = [[] for _ in codes]
        for number, row in self.documents.items():
            for tag in self._tags.get(number, ()):
                members[codes[tag]].append(row)
        direct, tags = [], []
        for query, known in zip(self.queries, self._known, strict=True):
            related = {query, *self._partners[query], *known}
            direct.append([self.documents[number] for number in related if number in self.documents])
            tags.append([codes[tag] for tag in self._tags.get(query, ())])
        return Exclusions(direct, tags, members)

    def filled(self, sample: int, numbers: Iterable[int]) -> SimilarityPairSample:
        """A sample with the negatives that it had and those found.

        Args:
            sample: Number of the sample.
            numbers: Numbers of the objects found.
        """
        one = self.samples[sample]
        return replace(one, negatives=[*one.negatives, *(self.objects[number] for number in numbers)])


def pair_pool(samples: Sequence[SimilarityPairSample], documents: Iterable[Any]) -> MiningPool:
    """A pool of pairs: first objects are queries, all second ones are documents.

    Args:
        samples: The pairs.
        documents: Further documents.

    Raises:
        ValueError: A pair's score is not 1.
    """
    wrong = [position for position, sample in enumerate(samples) if sample.score != 1]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(samples)} pairs have a score other than 1, the first is pair {wrong[0]} with "
            f"{samples[wrong[0]].score}. Expected positive pairs, since their partners are what negatives are compared "
            "with: leave the others out."
        )
    pool = MiningPool()
    subgroups = group_ids(sample.subgroup for sample in samples).tolist()
    for sample, subgroup in zip(samples, subgroups, strict=True):
        query, positive = pool.number(sample.obj_a), pool.number(sample.obj_b)
        pool.add_document(positive)
        pool.add_sample(sample, query, positive)
        for number in (query, positive):
            pool.add_tag(number, subgroup)
    if len(set(subgroups)) == 1:
        pool.forget_tags()  # one subgroup for all says nothing, as in training
    for document in documents:
        pool.add_document(pool.number(document))
    return pool


def group_pool(samples: Sequence[SimilarityGroupSample], documents: Iterable[Any], *, seed: int) -> MiningPool:
    """A pool of groups: every object is a query with a positive of its group, and a document.

    Args:
        samples: The objects with their groups.
        documents: Further documents, of no group.
        seed: Seed of the draw of positives.

    Raises:
        ValueError: There is one group only, or no group of two distinct objects.
    """
    pool = MiningPool()
    groups = group_ids(sample.group for sample in samples).tolist()
    members: dict[int, list[int]] = {group: [] for group in groups}
    distinct: dict[tuple[int, int], SimilarityGroupSample] = {}
    for sample, group in zip(samples, groups, strict=True):
        number = pool.number(sample.obj)
        pool.add_document(number)
        pool.add_tag(number, group)
        if (number, group) not in distinct:
            distinct[number, group] = sample
            members[group].append(number)
    _check_groups(members)
    # In a shuffled ring each object has the next one as its positive: everyone is a positive exactly once.
    generator = torch.Generator().manual_seed(seed)
    following: dict[tuple[int, int], int] = {}
    for group, numbers in members.items():
        ring = [numbers[place] for place in torch.randperm(len(numbers), generator=generator).tolist()]
        following.update({(one, group): after for one, after in zip(ring, ring[1:] + ring[:1], strict=True)})
    for (number, group), sample in distinct.items():
        positive = following[number, group]
        if positive != number:
            pair = SimilarityPairSample(sample.obj, pool.objects[positive], subgroup=sample.group)
            pool.add_sample(pair, number, positive)
    for document in documents:
        pool.add_document(pool.number(document))
    return pool


def _check_groups(members: dict[int, list[int]]) -> None:
    if len(members) == 1:
        raise ValueError(
            "All objects are of one group, so that none is a negative of another. Expected two groups or more: use "
            "more of the data."
        )
    if all(len(numbers) < 2 for numbers in members.values()):
        raise ValueError(
            f"Not one of {len(members)} groups has two distinct objects, so no anchor has a positive. Expected groups "
            "of two or more: check the labels."
        )
