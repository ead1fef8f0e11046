"""The report of the demo reads well in 80 columns."""

import io
from pathlib import Path

import torch
from rich.console import Console

from quaterion.cli.demo_report import print_report
from quaterion.demo.corpus import Entry, Split
from quaterion.demo.run import DemoResult
from quaterion.demo.search import Answer, SideBySide, Vectors
from quaterion.functional.bootstrap import Interval
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EmptyHead


class Zeros(Encoder):
    """Embeds everything alike: the report searches for nothing."""

    trainable = False
    embedding_size = 2

    def get_collate_fn(self):
        return len

    def forward(self, batch: int) -> torch.Tensor:
        return torch.zeros(batch, 2)


def entry(name: str) -> Entry:
    return Entry(
        name,
        "function",
        "(a, b=None)",
        f"Does what {name} says, with a and b and whatever else there is to do it with.",
    )


def report(**changes: object) -> str:
    old = [entry(f"module.before_{i}") for i in range(5)]
    new = [
        entry("package.subpackage.module.AClassOfALongName.and_a_long_method"),
        *[entry(f"m.after_{i}") for i in range(4)],
    ]
    vectors = Vectors(torch.eye(2), torch.eye(2))
    result = DemoResult(
        entries=[*old, *new],
        split=Split(train=list(range(2500)), validation=list(range(280)), test=list(range(700))),
        before={"mrr": Interval(0.45, 0.42, 0.48), "recall@1": Interval(0.3, 0.2, 0.4)},
        after={"mrr": Interval(0.58, 0.55, 0.61), "recall@1": Interval(0.25, 0.2, 0.3)},
        answers=[Answer("what is [bold]that[/bold]?", old, new)],
        search=SideBySide(SimilarityModel(Zeros(), EmptyHead(2)), vectors, vectors),
        reused=False,
        model_folder=Path("quaterion-demo") / "model",
        seconds={"total": 61.4},
    )
    file = io.StringIO()
    print_report(result, Console(file=file, width=200))
    return file.getvalue()


def test_no_line_is_wider_than_80_columns() -> None:
    assert max(map(len, report().splitlines())) <= 80


def test_the_table_has_values_intervals_and_gains() -> None:
    lines = report().splitlines()
    (mrr,) = [line for line in lines if line.strip().startswith("MRR ")]
    assert mrr.split() == ["MRR", "0.450", "[0.420,", "0.480]", "0.580", "[0.550,", "0.610]", "+0.130"]
    (recall,) = [line for line in lines if line.strip().startswith("recall@1 ")]
    assert recall.split()[-1] == "-0.050"


def test_answers_stand_side_by_side_under_the_question_as_it_was_typed() -> None:
    output = report()
    assert "» what is [bold]that[/bold]?" in output
    (second,) = [line for line in output.splitlines() if "module.before_1" in line]
    assert second.split() == ["2", "module.before_1", "m.after_0"]


def test_the_best_answer_is_shown_with_its_documentation() -> None:
    assert "Does what package.subpackage.module" in report()


def test_the_end_says_where_the_model_is_and_how_to_load_it() -> None:
    assert 'SimilarityModel.load("quaterion-demo/model")' in report()
