"""Top layers trained along with the best head: what is learned, saved, repeated and refused."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import yaml

from quaterion.tuning import Part, Recipe, read_recipe_file, tune
from quaterion.tuning.training.unfreezing import unfrozen_recipe
from quaterion_models import SimilarityModel
from quaterion_models.encoders import TransformersEncoder, VectorEncoder
from quaterion_models.predict import Classifier

KINDS = {"red": ["word1", "word2", "word3", "word4"], "blue": ["word5", "word6", "word7", "word8"]}
WORDS = ["word10 {}", "word11 {} word12", "word13 {} word14 word15", "word16 word17 word18 {}"]
RECIPE = Recipe(head=Part("GatedHead"), losses=(Part("SoftmaxLoss"),), lr=0.01, epochs=3, batch_size=8)


def rows():
    """Texts in four groups: two kinds of things, said in two kinds of ways."""
    return [
        {"text": words.format(thing), "group": f"{kind} {place % 2}"}
        for kind, things in KINDS.items()
        for thing in things
        for place, words in enumerate(WORDS)
    ]


def test_epochs_are_few_and_steps_are_some():
    few, many = (unfrozen_recipe(RECIPE, 2, count) for count in (16, 100_000))
    assert (few.trainable_layers, few.epochs) == (2, 60)  # 2 batches of 8: 120 steps
    assert (many.batch_size, many.epochs) == (8, 3)
    assert "2 top layers" in few.describe()


@pytest.mark.slow
def test_a_recipe_with_trained_layers_is_the_same_by_its_program(tiny_bert, tmp_path):
    data, out = tmp_path / "data.csv", tmp_path / "out"
    data.write_text("text,group\n" + "".join(f"{row['text']},{row['group']}\n" for row in rows()))
    recipe = replace(RECIPE, trainable_layers=1, encoder_lr=1e-3)
    options = {"encoder": str(tiny_bert()), "out": out, "cache": tmp_path / "cache"}
    result = tune(data, recipe=recipe, **options)
    texts = [row["text"] for row in rows()]
    vectors = result.model.encode(texts, to_numpy=False)
    untouched = result.untouched.encode(texts, to_numpy=False)
    assert not torch.allclose(vectors, untouched, atol=1e-2)
    torch.testing.assert_close(SimilarityModel.load(out).encode(texts, to_numpy=False), vectors, rtol=1e-4, atol=1e-5)
    assert Classifier.load(out).classify(texts[:3]) == result.classifier.classify(texts[:3])
    assert result.report.figures()["comparison"]["rows"]
    assert yaml.safe_load((out / "recipe.yaml").read_text())["recipe"]["trainable_layers"] == 1
    assert read_recipe_file(out / "recipe.yaml").recipe == recipe
    subprocess.run([sys.executable, out / "train.py"], cwd=tmp_path, check=True, capture_output=True, timeout=300)
    theirs = SimilarityModel.load(tmp_path / "model").encode(texts, to_numpy=False)
    torch.testing.assert_close(theirs, vectors, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_search_takes_trained_layers_only_where_they_are_better(tiny_bert, monkeypatch):
    """They are one more candidate; where labels mean nothing, neither they nor any head are the result."""
    monkeypatch.setattr("quaterion.tuning.training.unfreezing.LEAST_STEPS", 6)
    labels = torch.randint(2, (len(rows()),), generator=torch.Generator().manual_seed(1)).tolist()
    drawn = [{"text": row["text"], "group": str(label)} for row, label in zip(rows(), labels, strict=True)]
    told = []
    options = {"encoder": str(tiny_bert()), "test_size": 0, "budget": "60s", "trials": 1, "unfreeze": 1}
    result = tune(drawn, on_trial=told.append, **options)
    assert not result.improved
    assert not result.recipe.trainable_layers
    board = {row["candidate"]: row["recipe"] for row in result.leaderboard}
    assert "1 top layers trained" in board[-1]
    assert any("1 top layers" in trial.recipe.describe() for trial in told[-1])


def test_what_cannot_be_unfrozen_is_refused_before_any_work(tiny_bert, noisy):
    encoder = TransformersEncoder(tiny_bert())
    with pytest.raises(ValueError, match="is a VectorEncoder, whose layers cannot be trained one by one"):
        tune(noisy.group_rows(10), group="group", encoder=VectorEncoder(32), unfreeze=1)
    with pytest.raises(ValueError, match="trainable_layers is 9, but the BertModel has 3 layers"):
        tune(rows(), encoder=encoder, unfreeze=9)
    with pytest.raises(ValueError, match="unfreeze=-1; expected a number of layers"):
        tune(rows(), encoder=encoder, unfreeze=-1)
    with pytest.raises(ValueError, match="recipe and unfreeze=1 are both given"):
        tune(rows(), encoder=encoder, unfreeze=1, recipe=RECIPE)
