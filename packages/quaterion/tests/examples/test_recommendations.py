"""The guide to recommendations: its program runs on some of the data."""

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch


def test_links_are_what_the_code_imports_and_what_functions_mention(program: ModuleType) -> None:
    names = ("collections", "heapq", "math", "queue", "threading")
    modules = {name: program.read_module(name) for name in names}
    assert {"keyword", "operator", "sys", "heapq", "copy"} <= modules["collections"].mentions  # `from copy import copy`
    assert "threading" in modules["queue"].mentions
    assert "math" not in modules["heapq"].mentions
    assert modules["heapq"].text.startswith("heapq: Heap queue algorithm (a.k.a. priority queue). heappush heappop")
    linked, links = program.links_of([*modules.values()])
    found = {frozenset((linked[a].name, linked[b].name)) for a, b in links.nonzero().tolist()}
    assert {frozenset(("heapq", "queue")), frozenset(("queue", "threading"))} <= found
    assert frozenset(("heapq", "math")) not in found
    assert torch.equal(links, links.T)


def test_both_directions_of_a_link_are_on_one_side_and_new_modules_have_none_in_training(program: ModuleType) -> None:
    links = torch.rand(60, 60, generator=torch.Generator().manual_seed(1)) < 0.3
    links = (links | links.T).fill_diagonal_(False)
    parts = program.split(links, seed=0)
    sides = torch.stack([parts.train, parts.validation, parts.test, parts.new])
    assert torch.equal(sides, sides.mT)
    assert torch.equal(sides.sum(dim=0), links.long())  # each link is on one side
    assert 0 < parts.is_new.sum() < 20
    assert not sides[:3, parts.is_new].any()


def test_recall_looks_at_the_ten_best_that_are_not_known(program: ModuleType) -> None:
    scores = torch.arange(20.0, 0.0, -1).expand(20, 20)  # 0 is the best for all, then 1, ...
    known, wanted = torch.zeros(2, 20, 20, dtype=torch.bool)
    known[5, :3] = True
    wanted[5, [3, 13, 14, 19]] = True  # the ten best of 5 are 3, 4, 6 to 13
    recalls = program.recall_at_10(scores, known, wanted)
    assert recalls[5] == 0.5
    assert recalls.isnan().sum() == 19


def test_the_linear_model_is_the_ridge_regression_that_it_says(program: ModuleType) -> None:
    links = (torch.rand(8, 8, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    links = (links + links.T).clamp(max=1).fill_diagonal_(0.0).double()
    scores = program.ease(links.float(), 2.0)
    for column in range(8):  # each module's column from all other columns
        others = [other for other in range(8) if other != column]
        inputs = links[:, others]
        weights = torch.linalg.solve(inputs.T @ inputs + 2 * torch.eye(7), inputs.T @ links[:, column])
        assert torch.allclose(scores[:, column].double(), inputs @ weights, atol=1e-5)


@pytest.mark.slow
def test_text_tells_what_goes_with_new_modules(
    program: ModuleType, minilm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--every", "3", "--epochs", "10", "--seeds", "2", "--encoder", str(minilm_folder)]
    program.main([*few, "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert program.table(figures) in capsys.readouterr().out
    of_new = {row["method"]: row["new"] for row in figures["rows"] if row["seed"] == 0}
    assert list(of_new) == list(program.METHODS)
    assert of_new["all, head"] > of_new["links"]
    for example in figures["examples"]:
        assert all(len(found) == 5 for found in example["found"].values())
        assert example["module"] not in [name for found in example["found"].values() for name, _ in found]
