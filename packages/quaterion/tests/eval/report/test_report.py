"""What a report refuses, and how it is saved."""

import re
import sys
from types import SimpleNamespace

import pytest
import torch

from quaterion.dataset import SimilarityGroupSample, SimilarityPairSample
from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.group import RetrievalPrecision
from quaterion.eval.report import Report
from quaterion.eval.report.projection import project
from quaterion.eval.scored import SpearmanCorrelation


def test_saving_replaces_a_file_in_one_step_and_makes_its_folder(group_case, tmp_path):
    case = group_case()
    path = tmp_path / "new" / "report.html"
    Report(case.after, case.samples, log_progress=False).save(path)
    first = path.read_text(encoding="utf-8")
    Report(case.after, case.samples, title="another", log_progress=False).save(path)
    assert first.startswith("<!doctype html>") and "<title>another</title>" in path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_worst": -1}, "num_worst=-1; expected how many to show, 0 for none."),
        ({"projection": "tsne"}, "projection='tsne'; expected 'auto', 'pca' or 'umap'."),
        ({"metrics": {}}, "metrics is empty; expected names to metrics"),
    ],
)
def test_wrong_arguments_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Report(None, [], **options)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([RetrievalPrecision()], "metrics is a list; expected a dict of names to metrics."),
        ({"p": "precision"}, "The metric 'p' is a str; expected one of quaterion.eval.group, quaterion.eval.pair or"),
    ],
)
def test_metrics_that_are_none_are_refused_at_once(metrics, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        Report(None, [], metrics=metrics)


def test_titles_and_facts_may_be_anything_that_has_a_text(group_case):
    case = group_case()
    facts = {1: {2: 3, "none": None, "nan": float("nan")}}
    figures = Report(case.after, case.samples, title=2026, facts=facts, log_progress=False).figures()
    assert (figures["title"], figures["facts"]["1"]) == ("2026", {"2": 3, "none": "None", "nan": None})


def test_vectors_whose_distances_overflow_still_make_a_page(group_case):
    case = group_case()
    for text, vector in case.after.documents.items():
        case.after.documents[text] = vector * 1e30
    page = Report(case.after, case.samples, distance_metric_name="euclidean", log_progress=False).to_html()
    assert "Suspected label errors" in page


def test_a_metric_of_pairs_on_groups_says_which_to_use(group_case):
    case = group_case()
    report = Report(case.after, case.samples, metrics={"rho": SpearmanCorrelation()}, log_progress=False)
    with pytest.raises(
        TypeError, match=re.escape("'rho' is a SpearmanCorrelation, which compares the objects of pairs")
    ):
        report.figures()


def test_data_of_both_kinds_is_refused(group_case):
    data = [SimilarityPairSample("a", "b"), SimilarityGroupSample("c", 1)]
    with pytest.raises(TypeError, match="Item 1 of the data set is a SimilarityGroupSample; expected a SimilarityPair"):
        Report(group_case().after, data, log_progress=False).figures()


def test_data_with_nothing_to_find_is_refused(table_model):
    data = [SimilarityGroupSample("a", 1), SimilarityGroupSample("b", 2)]
    model = table_model({"a": torch.eye(2)[0], "b": torch.eye(2)[1]})
    with pytest.raises(UnscorableSetError, match="Not one of 2 queries has a relevant candidate"):
        Report(model, data, log_progress=False).figures()


def test_own_metrics_take_the_place_of_the_usual_ones(group_case):
    case = group_case()
    report = Report(case.after, case.samples, metrics={"p@3": RetrievalPrecision(3)}, log_progress=False)
    assert [row["name"] for row in report.figures()["comparison"]["rows"]] == ["p@3"]


def test_the_smallest_data_there_is_makes_a_page(table_model):
    data = [SimilarityGroupSample("a", 1), SimilarityGroupSample("b", 1), SimilarityGroupSample("c", 2)]
    model = table_model(dict(zip("abc", torch.ones(3, 1), strict=True)))
    assert "<!doctype html>" in Report(model, data, before=model, log_progress=False).to_html()


@pytest.mark.parametrize("distance", ["dot_product", "euclidean", "manhattan"])
def test_every_distance_counts_every_pair(group_case, distance):
    case = group_case()
    figures = Report(case.after, case.samples, distance_metric_name=distance, log_progress=False).figures()
    histogram = figures["histograms"]["after"]
    assert sum(histogram["matching"]) + sum(histogram["other"]) == 60 * 59
    assert figures["distance"] == distance


def test_umap_that_is_asked_for_and_missing_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"umap is not installed. Type: pip install .quaterion\[umap\]."):
        project(torch.eye(30), method="umap")


def test_umap_gets_the_seed_and_the_vectors(monkeypatch):
    asked = {}

    class UMAP:
        def __init__(self, **options):
            asked.update(options)

        def fit_transform(self, vectors):
            return vectors[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    found = project(2 * torch.eye(30), method="auto", seed=7)
    assert found.method == "umap" and found.explained is None
    assert asked["random_state"] == 7 and asked["metric"] == "cosine" and asked["n_neighbors"] == 15
    assert torch.equal(found.points, torch.eye(30)[:, :2].double())
    assert [project(torch.eye(count), method="umap").method for count in (4, 5)] == ["pca", "umap"]
    assert [project(torch.eye(count), method="auto").method for count in (19, 20)] == ["pca", "umap"]


@pytest.mark.slow
def test_the_real_umap_keeps_far_clusters_apart_and_repeats_itself():
    pytest.importorskip("umap", reason="needs UMAP: pip install quaterion[umap]")
    vectors = torch.randn(60, 8, generator=torch.Generator().manual_seed(0)) / 10
    vectors[:30, 0] += 5
    vectors[30:, 1] += 5
    found = project(vectors, method="umap", seed=3)
    assert torch.equal(found.points, project(vectors, method="umap", seed=3).points)
    distances = torch.cdist(found.points, found.points)
    same = torch.block_diag(torch.ones(30, 30), torch.ones(30, 30)).bool()
    assert distances[same].max() < distances[~same].min()
