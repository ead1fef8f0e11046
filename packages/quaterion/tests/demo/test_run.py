"""The demo from end to end on a slice of the library, with the real encoder and Trainer."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from quaterion.demo.run import DemoOptions, DemoResult, run_demo
from quaterion.train.trainable_model import TrainableModel
from quaterion_models import SimilarityModel

SLICE = 60


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> DemoOptions:
    return DemoOptions(
        out=tmp_path_factory.mktemp("demo"), questions=["sort a list"], epochs=2, batch_size=16, limit=SLICE, quiet=True
    )


@pytest.fixture(scope="module")
def result(options: DemoOptions) -> DemoResult:
    torch.manual_seed(11)
    state = torch.random.get_rng_state()
    found = run_demo(options)
    assert torch.equal(torch.random.get_rng_state(), state), "the demo drew from the caller's random numbers"
    return found


def test_scores_are_shares_within_their_intervals(result: DemoResult) -> None:
    for scores in (result.before, result.after):
        assert list(scores) == ["mrr", "recall@1", "recall@10"]
        assert all(0 <= one.low <= one.value <= one.high <= 1 for one in scores.values())


def test_every_entry_has_one_part_in_the_run(result: DemoResult) -> None:
    split = result.split
    assert len(result.entries) == SLICE
    assert sorted(split.train + split.validation + split.test) == list(range(SLICE))


def test_answers_name_five_entries_before_and_after(result: DemoResult) -> None:
    (answer,) = result.answers
    assert answer.question == "sort a list"
    assert len(answer.before) == len(answer.after) == 5


def test_the_saved_model_embeds_as_the_trained_one_did(result: DemoResult) -> None:
    model = SimilarityModel.load(result.model_folder)
    documents = model.encode_document([entry.text for entry in result.entries], normalize=True)
    query = model.encode_query(["sort a list"], normalize=True)
    best = np.argsort(-(query @ documents.T)[0])[:5]
    assert [result.entries[i].name for i in best] == [entry.name for entry in result.answers[0].after]
    assert "among all 60 entries" in (result.model_folder / "README.md").read_text(encoding="utf-8")


def test_the_json_holds_scores_and_seconds(result: DemoResult) -> None:
    content = json.loads(result.to_json())
    assert set(content) == {"before", "after", "seconds"}
    assert content["after"]["recall@10"] == result.after["recall@10"]._asdict()
    assert content["seconds"]["total"] >= content["seconds"]["encode"] > 0


def test_a_second_run_encodes_nothing_and_gives_the_same_scores(
    result: DemoResult, options: DemoOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the encoder ran although all vectors are cached")

    monkeypatch.setattr("quaterion.cache.fill.Filling.run", refuse)
    again = run_demo(options)
    assert (again.before, again.after) == (result.before, result.after)


@pytest.mark.slow
def test_another_seed_trains_another_model(result: DemoResult, options: DemoOptions) -> None:
    other = run_demo(replace(options, seed=1, cache=options.out / "cache"))
    assert other.split.test != result.split.test


def test_stopping_the_training_is_an_interruption_and_leaves_the_saved_model(
    result: DemoResult, options: DemoOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    import signal

    handler = signal.getsignal(signal.SIGINT)
    card = (result.model_folder / "README.md").stat().st_mtime_ns
    monkeypatch.setattr(TrainableModel, "on_train_epoch_start", interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_demo(options)
    finally:
        signal.signal(signal.SIGINT, handler)  # Lightning switches it off
    assert (result.model_folder / "README.md").stat().st_mtime_ns == card
    SimilarityModel.load(result.model_folder)
