"""From labelled data to a folder: what comes out, when nothing helps, and going on after a stop."""

import csv
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
import torch
import yaml

import quaterion
from quaterion.tuning import Part, Recipe, read_recipe_file, tune
from quaterion_models import SimilarityModel
from quaterion_models.encoders import VectorEncoder
from quaterion_models.heads import EmptyHead
from quaterion_models.predict import Classifier, Matcher

SIZE = 32


@pytest.fixture
def encoder():
    return VectorEncoder(SIZE)


@pytest.fixture
def options(encoder, monkeypatch):
    """A search that is short: few recipes, each for few epochs, on few parts of the data."""
    monkeypatch.setattr("quaterion.tuning.search.space.MOST_EPOCHS", 40)
    monkeypatch.setattr("quaterion.tuning.search.task.SEARCHED", 200)
    return {"encoder": encoder, "budget": "60s", "trials": 2}


def test_groups(noisy, options, tmp_path):
    rows, out = noisy.group_rows(30), tmp_path / "out"
    copy = json.dumps(rows)
    result = quaterion.tune(rows, group="group", out=out, **options)
    assert json.dumps(rows) == copy
    assert result.improved
    assert result.gain.real
    assert result.test.count == 36  # a fifth of 180
    assert result.test.difference.value > 0
    names = {path.name for path in out.iterdir()}
    assert {
        "config.json",
        "README.md",
        "leaderboard.csv",
        "recipe.yaml",
        "train.py",
        "result.json",
        "classifier",
    } <= names
    loaded, some = SimilarityModel.load(out), [row["text"] for row in rows[:9]]
    torch.testing.assert_close(loaded.encode(some), result.model.encode(some))
    found = Classifier.load(out).classify(some)
    assert found == result.classifier.classify(some)
    with (out / "leaderboard.csv").open(newline="") as file:
        board = list(csv.DictReader(file))
    assert len(board) == 3
    assert [row["place"] for row in board] == [str(place) for place in range(1, 4)]
    assert any(row["recipe"] == "untouched encoder" and row["candidate"] == "0" for row in board)
    assert board[0]["recipe"] == result.recipe.describe()
    assert "accuracy" in (out / "README.md").read_text()
    assert result.report.figures()["comparison"]["rows"]


def test_the_test_set_is_not_what_chooses(noisy, options):
    """Other labels in the test set change what is measured, and nothing else."""
    train, test = noisy.group_rows(30), noisy.group_rows(10, seed=5)
    shifted = [{**row, "group": other["group"]} for row, other in zip(test, test[1:] + test[:1], strict=True)]
    one, other = (tune(train, group="group", test=part, **options) for part in (test, shifted))
    assert one.recipe == other.recipe
    assert one.classifier.settings() == other.classifier.settings()
    assert one.test.after.value > 0.4 > other.test.after.value


@pytest.mark.slow
def test_labels_that_mean_nothing_leave_the_encoder_as_it_is(noisy, options):
    kept = 0
    for seed in range(10):
        rows = noisy.group_rows(12, seed=seed)
        labels = [row["group"] for row in rows]
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
        shuffled = [{**row, "group": labels[place]} for row, place in zip(rows, order, strict=True)]
        result = tune(shuffled, group="group", test_size=0, seed=seed, **options)
        kept += not result.improved
        assert result.improved or isinstance(result.model.head, EmptyHead)
        assert result.improved or "Nothing that was tried beats the untouched encoder" in str(result)
    assert kept >= 9


def test_equal_seeds_give_equal_models(noisy, options):
    rows = noisy.group_rows(20)
    one, other = (tune(rows, group="group", **options) for _ in range(2))
    assert one.recipe == other.recipe
    assert one.test == other.test
    assert torch.equal(one.classifier.examples, other.classifier.examples)


def test_pairs_with_two_sides(noisy, options, tmp_path):
    rows = noisy.pair_rows(noisy.pair_samples(200))
    for row in rows:
        del row["score"]
    result = tune(rows, anchor="anchor", positive="positive", out=tmp_path / "out", **options)
    assert result.metric == "mrr"
    assert result.classifier is None
    assert any(trial.recipe.two_sided for trial in result.trials)
    SimilarityModel.load(tmp_path / "out").encode_query([rows[0]["anchor"]])


def test_matching_pairs_have_a_threshold(noisy, options, tmp_path):
    rows = noisy.pair_rows(noisy.pair_samples(200, scored=True))
    recipe = Recipe(head=Part("GatedHead"), losses=(Part("ContrastiveLoss"),), lr=0.05, epochs=30, batch_size=64)
    columns = {"anchor": "anchor", "positive": "positive", "score": "score"}
    result = tune(rows, **columns, recipe=recipe, out=tmp_path / "out", **options)
    assert result.metric == "average precision"
    matcher = Matcher.load(tmp_path / "out")
    assert matcher.threshold == pytest.approx(result.matcher.threshold)
    assert matcher.calibration.f1 > 0.5


def test_graded_scores(noisy, options):
    rows = noisy.pair_rows(noisy.pair_samples(150, scored=True))
    for place, row in enumerate(rows):
        row["score"] = abs(row["score"] - 0.1 * (place % 3))
    result = tune(rows, anchor="anchor", positive="positive", score="score", **options)
    assert result.metric == "spearman"
    assert result.matcher is None


def test_unseen_groups_are_measured_by_search(noisy, options):
    result = tune(noisy.group_rows(20), group="group", unseen_groups=True, **options)
    tested = {sample.group for sample in result.task.data.test}
    assert tested.isdisjoint(sample.group for sample in result.task.everything())
    assert result.classifier is None
    assert result.test is not None


def test_one_example_of_each_group_is_too_little_to_choose_by(noisy, options):
    result = tune(noisy.group_rows(1), group="group", test_size=0, **options)
    assert not result.improved
    assert "too little data" in str(result)
    assert result.classifier.classify([noisy.group_rows(1)[0]["text"]])[0].label == "g0"


def test_several_encoders_are_tried_alone_and_joined(noisy, options):
    class Half(VectorEncoder):
        def __init__(self, embedding_size, start=0):
            super().__init__(embedding_size)
            self.start = start

        def get_collate_fn(self):
            collate, start, stop = super().get_collate_fn(), self.start, self.start + self.embedding_size
            return lambda objects: collate([one[start:stop] for one in objects])

        def cache_key(self, obj):
            return super().cache_key(obj[self.start : self.start + self.embedding_size])

        def fingerprint(self):
            return f"half {self.start}"

    first, second = Half(3), type("Second", (Half,), {})(29, 3)
    result = tune(noisy.group_rows(30), group="group", **{**options, "encoder": [first, second], "trials": 1})
    names = Counter(trial.encoder for trial in result.trials)
    assert names == {"Half": 2, "Second": 2, "Half + Second": 2}
    assert len({trial.number for trial in result.trials}) == 6
    assert list(result.model.encoders) == (["Half", "Second"] if "+" in result.encoder else ["default"])
    assert result.encoder in names


def test_a_recipe_is_trained_without_a_search(noisy, options, tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in noisy.group_rows(20)), encoding="utf-8")
    found = tune(data, group="group", out=tmp_path / "one", **options)
    file = read_recipe_file(tmp_path / "one" / "recipe.yaml")
    assert file.recipe == found.recipe
    assert file.data == str(data)
    again = tune(file.data, encoder=options["encoder"], recipe=file.recipe, out=tmp_path / "two", **file.reading)
    assert not again.trials
    assert again.test == found.test
    assert again.classifier.settings() == found.classifier.settings()


def test_the_program_takes_what_was_given_as_objects(noisy, tmp_path, monkeypatch):
    """Nobody can write down rows in memory or an encoder of the user's own: it is a function of them."""

    class Own(VectorEncoder):
        pass

    rows, encoder = noisy.group_rows(10), Own(SIZE)
    recipe = Recipe(head=Part("GatedHead"), losses=(Part("SoftmaxLoss"),), lr=0.05, epochs=2, batch_size=16)
    result = tune(rows, group="group", encoder=encoder, recipe=recipe)
    assert "a function, train(data, encoders)" in str(result)
    names = {}
    monkeypatch.chdir(tmp_path)
    exec(result.program, names)  # noqa: S102
    theirs = names["train"](rows, {"default": encoder})
    some = [row["text"] for row in rows[:5]]
    torch.testing.assert_close(theirs.encode(some), result.model.encode(some))
    assert SimilarityModel.load(tmp_path / "model", classes=[Own]).encode(some).shape == (5, SIZE)


def test_a_decision_that_rests_on_few_samples_says_so(noisy, options, tmp_path):
    """Two groups have four texts and the others one, of which nothing can be held out."""
    many = [row for row in noisy.group_rows(4) if row["group"] in {"g0", "g1"}]
    ones = [{**row, "group": f"single {place}"} for place, row in enumerate(noisy.group_rows(5, seed=3))]
    few = tune([*many, *ones], group="group", test_size=0, out=tmp_path / "out", **{**options, "trials": 1})
    assert few.decided_on == 8
    assert "The decision rests on 8 samples" in str(few)
    assert "rests on 8 samples" in few.report.figures()["facts"]["tuning"]["decided on"]
    assert json.loads((tmp_path / "out" / "result.json").read_text())["decided_on"] == 8
    enough = replace(few, decided_on=100)
    assert "rests on" not in str(enough)
    assert enough.report.figures()["facts"]["tuning"]["decided on"] == "100 samples held out from training"


def test_the_program_trains_the_same_model(tmp_path, datasets_folder, minilm_folder):
    data, out = tmp_path / "data.csv", tmp_path / "out"
    with (datasets_folder / "banking77" / "train.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    intents = sorted({row["category"] for row in rows})[:4]
    chosen = [[row["text"], intent] for intent in intents for row in rows if row["category"] == intent]
    with data.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "intent"], *chosen[::4]])
    recipe = Recipe(
        head=Part("GatedHead"), losses=(Part("SoftmaxLoss"), Part("SupConLoss")), lr=0.01, epochs=3, batch_size=32
    )
    result = tune(data, group="intent", encoder=str(minilm_folder), recipe=recipe, out=out)
    subprocess.run([sys.executable, out / "train.py"], cwd=tmp_path, check=True, capture_output=True, timeout=300)
    theirs = SimilarityModel.load(tmp_path / "model")
    texts = [sample.obj for sample in result.task.data.test]
    torch.testing.assert_close(theirs.encode(texts), result.model.encode(texts), rtol=1e-4, atol=1e-5)
    assert [one.label for one in theirs.classify(texts)] == [one.label for one in result.model.classify(texts)]


def test_going_on_after_a_stop(noisy, options, tmp_path, monkeypatch):
    """Ctrl-C in the middle: the best so far is the result, and the next run does not train again what it knows."""
    rows, out = noisy.group_rows(20), tmp_path / "out"
    seen = []

    def stop(trials):
        seen.append(len(trials))
        if len(seen) == 3:
            raise KeyboardInterrupt

    first = tune(rows, group="group", out=out, on_trial=stop, **options)
    assert "interrupted" in str(first)
    assert SimilarityModel.load(out)
    lines = (tmp_path / "out.tuning" / "trials.jsonl").read_text().splitlines()
    second = tune(rows, group="group", out=out, **options)
    assert "interrupted" not in str(second)
    keys = [json.loads(line)["key"] for line in (tmp_path / "out.tuning" / "trials.jsonl").read_text().splitlines()]
    assert len(keys) > len(lines)
    assert len(set(keys)) == len(keys)


def test_stopped_before_there_is_anything(noisy, options, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("quaterion.tuning.training.fold.train_head", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tune(noisy.group_rows(10), group="group", **options)


def test_a_folder_of_something_else_is_not_touched(noisy, options, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("do not lose")
    with pytest.raises(ValueError, match="holds files but no saved model"):
        tune(noisy.group_rows(10), group="group", out=out, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"budget": "soon"}, ValueError, "expected a time"),
        ({"trials": 0}, ValueError, "trials=0"),
        ({"encoder": 7}, TypeError, "encoder is a int"),
        ({"encoder": []}, ValueError, "holds no encoder"),
        ({"encoder": [VectorEncoder(SIZE), VectorEncoder(SIZE)]}, ValueError, "Two encoders have one name"),
        ({"group": "grupp"}, ValueError, "no column 'grupp'"),
    ],
)
def test_what_cannot_be_used_is_told(noisy, options, change, error, message):
    with pytest.raises(error, match=message):
        tune(noisy.group_rows(10), **{"group": "group", **options, **change})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no recipe file"),
        ("recipe: 3", "expected a mapping with a `recipe`"),
        ("recipe: {lr: -1}", "expected a number"),
        ("recipe: {}\nencoder: minilm", "expected a list of names"),
        ("recipe: {}\nreading: 3", "expected arguments by name"),
        ("recipe: {}\ndata: 3", "expected the path"),
        ("recipe: !!python/object/apply:os.system ['true']", "is no recipe file"),
    ],
)
def test_recipe_files_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_recipe_file(path)


def test_a_recipe_file_can_be_read_by_any_yaml(noisy, options, tmp_path):
    tune(noisy.group_rows(10), group="group", out=tmp_path / "out", **options)
    content = yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text())
    assert content["data"] is None  # rows in memory lie nowhere
    assert content["versions"]["quaterion"] == quaterion.__dict__.get("__version__", content["versions"]["quaterion"])
