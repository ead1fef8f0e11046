"""Curves from dictionaries and from CSVLogger's folder."""

import re

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from quaterion.eval.report.training_log import training_curves


def test_values_that_are_not_finite_are_left_out_and_counted():
    log = [{"epoch": 0, "loss": float("nan")}, {"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": float("inf")}]
    curve = {"x": [1], "y": [0.5], "count": 1, "lowest": 0.5, "highest": 0.5}
    assert training_curves(log) == {"axis": "epoch", "curves": {"loss": curve}, "left_out": 2, "thinned": False}


def test_tensors_count_as_their_numbers_and_entries_without_an_axis_go_by_position():
    found = training_curves([{"loss": torch.tensor(0.5)}, {"loss": 0.25}])
    curve = {"x": [0, 1], "y": [0.5, 0.25], "count": 2, "lowest": 0.25, "highest": 0.5}
    assert found == {"axis": "entry", "curves": {"loss": curve}, "left_out": 0, "thinned": False}


def test_long_curves_are_thinned_and_keep_their_ends_and_their_extremes():
    log = [{"step": step, "loss": 1.0 + step % 2, "lr": 0.1} for step in range(30_001)]
    log[777]["loss"] = -5.0  # between two of the values that are kept
    found = training_curves(log)
    loss = found["curves"]["loss"]
    assert (loss["count"], loss["lowest"], loss["highest"]) == (30_001, -5.0, 2.0)
    assert len(loss["x"]) == len(loss["y"]) == 5_000 and found["thinned"]
    assert (loss["x"][0], loss["x"][-1]) == (0, 30_000) and loss["x"] == sorted(set(loss["x"]))
    assert all(log[x]["loss"] == y for x, y in zip(loss["x"], loss["y"], strict=True))
    assert {late - early for early, late in zip(loss["x"], loss["x"][1:], strict=False)} == {6, 7}


def test_however_many_curves_there_are_each_keeps_some_values():
    found = training_curves([{f"metric {number}": 1.0 for number in range(1000)}] * 50)
    assert {len(curve["x"]) for curve in found["curves"].values()} == {20}


def test_endless_names_are_clipped_and_those_that_begin_alike_stay_apart():
    names = ["x" * 5000 + ending for ending in "abc"]
    found = training_curves([{name: float(place) for place, name in enumerate(names)}])["curves"]
    assert [curve["y"] for curve in found.values()] == [[0.0], [1.0], [2.0]]
    assert max(map(len, found)) < 100


def test_a_folder_of_csv_logger_gives_what_was_logged(tmp_path, make_trainer):
    class Model(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch, place):
            self.log("train_loss", float(place), on_step=True)
            return self.layer(batch[0]).sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 1)))
    for _ in range(2):
        logger = CSVLogger(tmp_path, name="log")
        make_trainer(max_epochs=1, logger=logger, log_every_n_steps=1).fit(Model(), loader)
    found = training_curves(tmp_path / "log")
    assert list(found["curves"]) == ["train_loss"]
    assert found["curves"]["train_loss"]["x"] == [0, 1, 2, 3]
    assert found["curves"]["train_loss"]["y"] == [0.0, 1.0, 2.0, 3.0]
    assert found["axis"] == "step"


def test_of_several_versions_the_latest_is_read(tmp_path):
    for version in (2, 10):
        (tmp_path / f"version_{version}").mkdir()
        (tmp_path / f"version_{version}" / "metrics.csv").write_text(f"step,loss\n0,{version}\n")
    assert training_curves(tmp_path)["curves"]["loss"]["y"] == [10.0]


def test_a_bad_cell_is_named_by_file_line_and_field(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,loss\n0,1.5\n1,oops\n")
    with pytest.raises(ValueError, match=r"metrics\.csv, line 3, field 'loss': 'oops' is no number\. Expected"):
        training_curves(tmp_path)


def test_a_folder_without_a_log_says_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape("holds no metrics.csv. Expected the folder that CSVLogger")):
        training_curves(tmp_path)


@pytest.mark.parametrize(
    ("log", "error", "message"),
    [
        ([], ValueError, "The training log holds no values. Expected at least one besides step and epoch"),
        ([{"step": 1}], ValueError, "holds no values"),
        ([3], TypeError, "Entry 0 of the training log is a int; expected a dict"),
        ([{"loss": "low"}], TypeError, "Entry 0 of the training log has 'loss': 'low'; expected a number"),
    ],
)
def test_logs_that_are_none_are_refused(log, error, message):
    with pytest.raises(error, match=re.escape(message)):
        training_curves(log)
