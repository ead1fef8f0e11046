"""Every figure, read back out of the page, equals one computed by an independent script."""

import numpy as np
import pytest
import torch
from scipy import stats

from quaterion.eval.report import Report
from quaterion_models.heads import SoftmaxEmbeddingsHead, SwitchHead

MODELS = ("before", "after")


@pytest.fixture(scope="module")
def groups(group_case, independent, read_page):
    case = group_case()
    page = Report(case.after, case.samples, before=case.before, num_worst=60, log_progress=False).to_html()
    case.figures = read_page(page).figures
    case.search = {name: independent.Search.of_groups(case.vectors[name], case.groups) for name in MODELS}
    return case


@pytest.fixture(scope="module")
def pairs(pair_case, independent, read_page):
    case = pair_case()
    page = Report(case.after, case.samples, before=case.before, log_progress=False).to_html()
    case.figures = read_page(page).figures
    case.search = {
        name: independent.Search.of_pairs(case.queries, case.documents[name], case.anchors, case.candidates, case.links)
        for name in MODELS
    }
    return case


@pytest.fixture(params=["groups", "pairs"])
def case(request):
    return request.getfixturevalue(request.param)


def check_comparison(figures, search, independent):
    checked = []
    for row in figures["comparison"]["rows"]:
        if row["name"] not in independent.FORMULAS:
            continue
        checked.append(row["name"])
        formula = independent.FORMULAS[row["name"]]
        for name in MODELS:
            low, high = search[name].bounds(formula)
            assert low - 1e-6 <= row[name]["value"] <= high + 1e-6
            assert high - low < 0.005  # ties leave next to nothing open
        before, after = (search[name].scores(formula) for name in MODELS)
        gains = after - before
        assert row["difference"]["value"] == pytest.approx(row["after"]["value"] - row["before"]["value"], abs=1e-9)
        for figure, scores in (("before", before), ("after", after), ("difference", gains)):
            low, high = independent.bootstrap(scores)
            close = 0.1 * (high - low) + 0.005
            assert row[figure]["low"] == pytest.approx(low, abs=close)
            assert row[figure]["high"] == pytest.approx(high, abs=close)
        undecided = 0.01 * len(gains)  # ties again: none on data without
        assert row["won"] == pytest.approx((gains > 1e-9).sum(), abs=undecided)
        assert row["lost"] == pytest.approx((gains < -1e-9).sum(), abs=undecided)
        assert row["won"] + row["lost"] + row["tied"] == len(gains)
        better, worse = row["difference"]["low"] > 0, row["difference"]["high"] < 0
        assert row["verdict"] in {"better" if better else "worse" if worse else "", "no difference shown"}
    return checked


def test_the_comparison(case, independent):
    checked = check_comparison(case.figures, case.search, independent)
    assert checked[:4] == ["recall@1", "recall@10", "MRR", "nDCG@10"]
    assert len(checked) == (6 if hasattr(case, "groups") else 4)


def test_the_histograms(case):
    for name in MODELS:
        found, expected = case.figures["histograms"][name], case.search[name].histogram()
        assert found["edges"] == pytest.approx(np.linspace(-1, 1, 101), abs=1e-12)
        for kind in ("matching", "other"):
            assert found[kind] == expected[kind]
            assert found[f"{kind}_mean"] == pytest.approx(expected[f"{kind}_mean"], abs=1e-9)


def test_the_recall_curve(case, independent):
    curve = case.figures["recall"]
    assert curve["k"][:5] == [1, 2, 3, 5, 10]
    for name in MODELS:
        for k, value in zip(curve["k"], curve[name], strict=True):
            assert value == pytest.approx(case.search[name].scores(independent.recall(k)).mean(), abs=1e-9)


def test_the_counts_of_queries(case):
    able = len(case.search["after"].able())
    assert case.figures["queries"]["scored"] == able
    assert case.figures["queries"]["left_out"] == case.figures["queries"]["all"] - able > 0


def test_the_map_of_groups(groups, independent):
    shown = groups.figures["map"]
    assert shown["text"] == groups.texts
    assert [shown["groups"][group] for group in shown["group"]] == [f"group {group}" for group in groups.groups]
    for name in MODELS:
        check_map(shown[name], *independent.pca(groups.vectors[name]))


def check_map(shown, points, explained):
    assert shown["method"] == "pca"
    assert shown["explained"] == pytest.approx(explained, abs=1e-5)
    for axis, expected in zip(("x", "y"), points.T, strict=True):
        found = np.array(shown[axis]) * shown["width"]
        sign = np.sign(found @ expected)
        assert found == pytest.approx(sign * expected, abs=1e-4 * shown["width"])


def test_the_map_of_pairs_shows_every_distinct_object_once(pairs, independent):
    shown = pairs.figures["map"]
    distinct = list(dict.fromkeys(pairs.candidates))
    assert shown["text"] == pairs.anchors + distinct
    assert shown["groups"] == ["queries", "candidates"]
    assert shown["group"] == [0] * len(pairs.anchors) + [1] * len(distinct)
    for name in MODELS:
        rows = [pairs.candidates.index(one) for one in distinct]
        check_map(shown[name], *independent.pca(np.concatenate([pairs.queries, pairs.documents[name][rows]])))


def check_worst(figures, search, rows, texts):
    ranks = {query: search["after"].rank(query) for query in search["after"].able()}
    wrong = sorted((query for query in ranks if ranks[query] > 1), key=lambda query: (-ranks[query], query))
    shown = figures["worst"]["queries"]
    assert [query["row"] for query in shown] == wrong[: len(shown)]
    for query in shown:
        for name in MODELS:
            similarity, relevant = search[name].similarities[query["row"]], search[name].relevant[query["row"]]
            top = search[name].top(query["row"], rows)
            assert [one["row"] for one in query[name]["top"]] == top
            assert [one["text"] for one in query[name]["top"]] == [texts[row] for row in top]
            assert [one["similarity"] for one in query[name]["top"]] == pytest.approx(similarity[top], abs=1e-6)
            assert [one["relevant"] for one in query[name]["top"]] == relevant[top].tolist()
            best = query[name]["best"]
            assert relevant[best["row"]] and best["similarity"] == pytest.approx(similarity[best["row"]], abs=1e-6)
            assert query[name]["rank"] == 1 + sum(similarity[row] > similarity[best["row"]] for row in rows)
    return wrong


def test_the_worst_queries_of_groups(groups):
    wrong = check_worst(groups.figures, groups.search, range(len(groups.texts)), groups.texts)
    assert len(groups.figures["worst"]["queries"]) == groups.figures["worst"]["num_not_first"] == len(wrong) > 3


def test_the_worst_queries_of_pairs_list_every_candidate_once(pairs):
    rows = [pairs.candidates.index(one) for one in dict.fromkeys(pairs.candidates)]
    check_worst(pairs.figures, pairs.search, rows, pairs.candidates)


def check_label_errors(figures, search, groups, independent):
    expected = independent.suspicions(search["before"], groups)
    found = figures["label_errors"]
    assert found["num_suspects"] == pytest.approx(len(expected), abs=1)  # objects with next to nothing but opposites
    values = [one["suspicion"] for one in found["suspects"]]
    best = sorted((max(votes.values()) for votes in expected.values()), reverse=True)
    assert values == pytest.approx(best[: len(values)], abs=1e-5)
    for one in found["suspects"]:
        votes = {str(group): suspicion for group, suspicion in expected[one["row"]].items()}
        assert votes[one["suggested"]] == pytest.approx(one["suspicion"], abs=1e-5)
    return found["suspects"]


def test_the_suspected_label_errors(groups, independent):
    names = [f"group {group}" for group in groups.groups]
    assert check_label_errors(groups.figures, groups.search, names, independent)


def check_reliability(found, independent, right, places, confidence, strays=0):
    """`strays` objects may lie in another bin, where equals make the neighbours or the edge a matter of a bit."""
    counts, means, accuracies, error = independent.reliability(right, places, confidence)
    assert np.abs(np.array(found["counts"]) - counts).sum() <= 2 * strays
    assert sum(found["counts"]) == len(right)
    for count, *values in zip(counts, found["confidence"], means, found["accuracy"], accuracies, strict=True):
        close = 1e-6 + 2 * strays / max(count, 1)
        assert values == [None] * 4 or values[0] == pytest.approx(values[1], abs=close)
        assert values == [None] * 4 or values[2] == pytest.approx(values[3], abs=close)
    assert found["ece"] == pytest.approx(error, abs=1e-6 + strays / len(right))
    assert found["accuracy_of_all"] == pytest.approx(np.mean(right), abs=1e-9 + strays / len(right))


def check_neighbours(found, search, groups, independent, strays=0):
    votes = independent.votes(search, groups).values()
    right, counts = [one for one, _ in votes], np.array([count for _, count in votes])
    check_reliability(found, independent, right, (counts - 1).tolist(), (counts / 10).tolist(), strays)


def test_the_reliability_of_the_neighbours(groups, independent):
    found = groups.figures["reliability"]
    assert (found["k"], found["objects"], found["left_out"]) == (10, 59, 1)
    assert found["edges"] == pytest.approx([place / 10 for place in range(11)])
    assert list(found["kinds"]) == ["neighbours"]
    for name in MODELS:
        check_neighbours(found["kinds"]["neighbours"][name], groups.search[name], groups.groups, independent)
    # The vectors that know the groups better are right more often, so that the check can tell the two apart.
    before, after = (found["kinds"]["neighbours"][name]["accuracy_of_all"] for name in MODELS)
    assert before < after < 1


def test_the_reliability_of_a_softmax_head(group_case, independent, table_model, read_page):
    case = group_case()
    torch.manual_seed(0)
    head = SoftmaxEmbeddingsHead(output_groups=5, output_size_per_group=3, input_embedding_size=8)
    with torch.no_grad():
        vectors = head(3 * torch.from_numpy(case.vectors["after"]))
    model = table_model(dict(zip(case.texts, vectors, strict=True)))
    model.head = head
    page = Report(model, case.samples, before=case.before, log_progress=False).to_html()
    found = read_page(page).figures["reliability"]["kinds"]
    assert (list(found["neighbours"]), list(found["head"])) == (["before", "after"], ["after"])
    votes = independent.votes(independent.Search.of_groups(vectors.numpy(), case.groups), case.groups)
    confidence = [independent.head_confidence(vectors[row].tolist(), 3) for row in votes]
    places = [int(10 * one) for one in confidence]
    assert len(set(places)) > 3
    check_reliability(found["head"]["after"], independent, [right for right, _ in votes.values()], places, confidence)


def test_of_a_model_with_sides_the_head_of_the_queries_says_how_sure_it_is(group_case):
    case = group_case()
    options = {"document": SoftmaxEmbeddingsHead(4, 2, 3), "query": SoftmaxEmbeddingsHead(2, 4, 3)}
    case.after.head = SwitchHead(options, 3)
    for text, vector in case.after.queries.items():
        case.after.queries[text] = vector.view(2, 4).softmax(dim=1).flatten()
    figures = Report(case.after, case.samples, log_progress=False).figures()
    assert list(figures["reliability"]["kinds"]) == ["neighbours", "head"]


def test_a_softmax_head_of_single_components_is_sure_of_everything_and_says_nothing(group_case):
    case = group_case()
    case.after.head = SoftmaxEmbeddingsHead(output_groups=8, output_size_per_group=1, input_embedding_size=3)
    figures = Report(case.after, case.samples, log_progress=False).figures()
    assert list(figures["reliability"]["kinds"]) == ["neighbours"]


def test_pairs_have_no_groups_that_they_could_be_taken_for(pairs):
    assert pairs.figures["reliability"] is None


def test_the_correlations_of_scored_pairs(pairs):
    rows = {row["name"]: row for row in pairs.figures["comparison"]["rows"]}
    for name in MODELS:
        documents = pairs.documents[name][: len(pairs.anchors)]
        cosines = (pairs.queries * documents).sum(axis=1)
        cosines = cosines / np.linalg.norm(pairs.queries, axis=1) / np.linalg.norm(documents, axis=1)
        assert rows["Spearman"][name]["value"] == pytest.approx(stats.spearmanr(cosines, pairs.scores)[0], abs=1e-6)
        assert rows["Pearson"][name]["value"] == pytest.approx(stats.pearsonr(cosines, pairs.scores)[0], abs=1e-6)


def test_the_facts(groups, pairs):
    facts = groups.figures["facts"]["data"]
    assert (facts["objects"], facts["distinct objects"], facts["groups"]) == (60, 60, 7)
    assert (facts["smallest group"], facts["largest group"]) == (1, 10)
    assert facts["queries with nothing to find"] == 1
    facts = pairs.figures["facts"]["data"]
    assert (facts["pairs"], facts["distinct queries"], facts["explicit negatives"]) == (40, 40, 20)
    assert facts["distinct candidates"] == len(set(pairs.candidates)) == 59
    assert (facts["lowest score"], facts["highest score"]) == (0, 1)


def test_a_report_without_a_model_before_has_the_same_figures_of_the_other(group_case):
    case = group_case()
    alone = Report(case.after, case.samples, log_progress=False).figures()
    both = Report(case.after, case.samples, before=case.before, log_progress=False).figures()
    assert "before" not in alone["map"] and "before" not in alone["histograms"] and "before" not in alone["recall"]
    for part in ("map", "histograms", "recall"):
        assert alone[part]["after"] == both[part]["after"]
    assert [row["after"] for row in alone["comparison"]["rows"]] == [row["after"] for row in both["comparison"]["rows"]]


def test_a_sample_of_queries_is_scored_against_all_objects(group_case):
    case = group_case()
    figures = Report(case.after, case.samples, sample_size=10, log_progress=False).figures()
    assert figures["queries"] == {"all": 60, "scored": 10, "left_out": 1, "candidates": 60, "sampled": True}
    assert sum(figures["histograms"]["after"]["matching"] + figures["histograms"]["after"]["other"]) == 10 * 59


def test_equal_seeds_give_equal_figures(group_case):
    case = group_case()
    one, other = (Report(case.after, case.samples, before=case.before, log_progress=False).figures() for _ in range(2))
    assert one == other
