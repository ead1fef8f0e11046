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
    with pytest.raises(ImportError, match="umap is not installed. Type: pip install umap-learn"):
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
