"""Every figure of a report once more, the slow way: plain loops over numpy arrays, nothing of the library."""

import math
from collections import Counter

import numpy as np


def cosines(queries, candidates):
    """float64 cosines, rounded as the library documents it."""
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    candidates = candidates / np.linalg.norm(candidates, axis=1, keepdims=True)
    return (np.round(queries @ candidates.T * 2**30) / 2**30).astype(np.float32).astype(float)


class Search:
    """Rows of similarities and of what is relevant; NaN similarity for what is no candidate (the query itself)."""

    def __init__(self, similarities, relevant):
        self.similarities, self.relevant = similarities, relevant
        self.lists = {}

    @classmethod
    def of_groups(cls, vectors, groups):
        vectors, groups = np.asarray(vectors, float), np.asarray(groups)
        similarities = cosines(vectors, vectors)
        np.fill_diagonal(similarities, np.nan)
        return cls(similarities, groups[:, None] == groups[None, :])

    @classmethod
    def of_pairs(cls, queries, candidates, query_texts, candidate_texts, links):
        relevant = [[c == q or (q, c) in links or (c, q) in links for c in candidate_texts] for q in query_texts]
        return cls(cosines(np.asarray(queries, float), np.asarray(candidates, float)), np.array(relevant))

    def hits(self, query, tied_last):
        """Relevance in order of similarity; relevant ones among equals come first, or with `tied_last` last."""
        similarity, relevant = self.similarities[query], self.relevant[query]
        order = np.lexsort((relevant if tied_last else ~relevant, -similarity))  # NaN comes last
        return relevant[order][: np.count_nonzero(~np.isnan(similarity))].tolist()

    def able(self):
        mask = self.relevant & ~np.isnan(self.similarities)
        return [int(query) for query in np.flatnonzero(mask.any(axis=1))]

    def scores(self, formula, tied_last=False):
        if tied_last not in self.lists:
            self.lists[tied_last] = [self.hits(query, tied_last) for query in self.able()]
        return np.array([formula(hits) for hits in self.lists[tied_last]])

    def bounds(self, formula):
        """Mean score where ties are broken against and in favour of what is relevant."""
        return self.scores(formula, tied_last=True).mean(), self.scores(formula).mean()

    def rank(self, query):
        similarity, relevant = self.similarities[query], self.relevant[query]
        best = np.nanmax(similarity[relevant])
        return 1 + int((similarity > best).sum())  # NaN is greater than nothing

    def top(self, query, rows, count=5):
        listed = [row for row in rows if not np.isnan(self.similarities[query][row])]
        return sorted(listed, key=lambda row: (-self.similarities[query][row], row))[:count]

    def histogram(self):
        """Counts of a hundred bins over [-1, 1], and means: of matching pairs and of the others."""
        found = {}
        for name, wanted in (("matching", self.relevant), ("other", ~self.relevant)):
            values = self.similarities[wanted & ~np.isnan(self.similarities)]
            places = np.minimum(99, np.floor((values + 1) / 0.02)).astype(int)
            found[name] = np.bincount(places, minlength=100).tolist()
            found[name + "_mean"] = values.mean() if len(values) else None
        return found


def recall(k):
    return lambda hits: float(any(hits[:k]))


def reciprocal_rank(hits):
    return 1 / (hits.index(True) + 1)


def r_precision(hits):
    return sum(hits[: sum(hits)]) / sum(hits)


def map_at_r(hits):
    total = sum(hits)
    found, score = 0, 0.0
    for place, hit in enumerate(hits[:total], start=1):
        found += hit
        score += found / place if hit else 0
    return score / total


def ndcg(k):
    def formula(hits):
        gain = sum(1 / math.log2(place + 1) for place, hit in enumerate(hits[:k], start=1) if hit)
        return gain / sum(1 / math.log2(place + 1) for place in range(1, min(k, sum(hits)) + 1))

    return formula


FORMULAS = {
    "recall@1": recall(1),
    "recall@10": recall(10),
    "MRR": reciprocal_rank,
    "nDCG@10": ndcg(10),
    "R-precision": r_precision,
    "MAP@R": map_at_r,
}


def bootstrap(scores, resamples=2000, seed=5):
    """Ends of the 95 % interval of the mean."""
    random = np.random.default_rng(seed)
    means = [scores[random.integers(len(scores), size=len(scores))].mean() for _ in range(resamples)]
    return np.quantile(means, [0.025, 0.975])


def pca(vectors):
    """Two principal components of unit vectors, and their share of the variance; signs are free."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    return left[:, :2] * values[:2], (values[:2] ** 2).sum() / (values**2).sum()


def suspicions(search, groups, k=10):
    """Suspicion of every object that has no neighbour of its group, by row."""
    found = {}
    for row, similarity in enumerate(search.similarities):
        nearest = np.argsort(-similarity, kind="stable")[:k].tolist()  # NaN, the object itself, comes last
        if any(groups[other] == groups[row] for other in nearest):
            continue
        votes = Counter(groups[other] for other in nearest)
        found[row] = {
            group: count / k * max(0, np.mean([similarity[o] for o in nearest if groups[o] == group]))
            for group, count in votes.items()
            if count == max(votes.values())
        }
    return found


def votes(search, groups, k=10):
    """Of every object that is not alone in its group: whether its k nearest take it for the right one, and how many."""
    found = {}
    for row in search.able():
        nearest = np.argsort(-search.similarities[row], kind="stable")[:k].tolist()
        counts = Counter(groups[other] for other in nearest)
        means = {g: np.mean([search.similarities[row][o] for o in nearest if groups[o] == g]) for g in counts}
        taken_for = max(counts, key=lambda group: (counts[group], means[group]))
        found[row] = taken_for == groups[row], counts[taken_for]
    return found


def head_confidence(vector, components):
    """One minus the mean entropy of a vector's groups of so many probabilities, as a share of the largest entropy."""
    entropies = [
        -sum(p * math.log(p) for p in vector[start : start + components] if p > 0)
        for start in range(0, len(vector), components)
    ]
    return 1 - sum(entropies) / len(entropies) / math.log(components)


def reliability(right, places, confidence):
    """Counts, mean confidence and accuracy of ten bins, and the expected calibration error."""
    counts, means, accuracies, error = [], [], [], 0.0
    for number in range(10):
        members = [row for row, place in enumerate(places) if place == number]
        counts.append(len(members))
        means.append(np.mean([confidence[row] for row in members]) if members else None)
        accuracies.append(np.mean([right[row] for row in members]) if members else None)
        if members:
            error += abs(accuracies[-1] - means[-1]) * len(members) / len(places)
    return counts, means, accuracies, error
