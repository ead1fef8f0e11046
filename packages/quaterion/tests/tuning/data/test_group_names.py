"""Names of groups as examples: which are read, when they help, and when nothing else is there to learn from."""

import random
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import yaml

from quaterion.dataset import SimilarityGroupSample as Sample
from quaterion.tuning import Part, Recipe, tune
from quaterion.tuning.data.group_names import group_name_samples
from quaterion.tuning.data.tuning_data import read_tuning_data
from quaterion.tuning.search.task import TuningTask
from quaterion.tuning.splits.folds import make_folds
from quaterion.tuning.training.vectors import SampleVectors
from quaterion_models import SimilarityModel
from quaterion_models.encoders import CallableEncoder, SentenceTransformerEncoder

TEXTS = {
    "lost_card": ["I cannot find my bank card", "somebody stole my card", "my card is gone since yesterday"],
    "refund_request": ["I want my money back", "please return what I paid", "give the payment back to me"],
    "changePassword": ["how do I set another password", "I forgot my password", "reset the login secret"],
    "opening-hours": ["when do you open", "until what time is the branch open", "are you open on Sunday"],
    "exchange rate": ["how many dollars is one euro", "what is a pound worth", "price of foreign money"],
    "interest.savings": ["how much does my deposit earn", "yield of the savings account", "percent paid on savings"],
    "loan_application": ["I would like to borrow money", "how do I get a credit for a house", "apply for a mortgage"],
    "delivery_address": ["I moved to another street", "send it to my new home", "where do you ship it to"],
}


def rows(count):
    return [{"text": text, "group": group} for group, texts in TEXTS.items() for text in texts[:count]]


@pytest.fixture
def encoder(minilm_folder):
    return SentenceTransformerEncoder(minilm_folder)


def test_a_name_that_is_an_object_of_the_data_is_left_out():
    samples = [Sample("lost card", "lost_card"), Sample("money back", "refund")]
    assert group_name_samples(samples) == [Sample("refund", "refund")]
    assert group_name_samples(samples, [Sample("refund", "other")]) == []


@pytest.mark.parametrize("label", ["7", "12.5", 7, ("a", "b")])
def test_labels_without_words_have_no_name(label):
    assert group_name_samples([Sample("a text", label)]) == []


def test_objects_that_are_no_texts_have_no_names():
    assert group_name_samples([Sample([1.0, 2.0], "lost_card")]) == []


def test_names_are_neither_held_out_nor_in_the_folds():
    samples = [Sample(f"text {number}", f"group {number}") for number in range(6)]
    assert make_folds(samples, "groups", 3, unseen_groups=False, seed=0) == []
    folds = make_folds(samples, "groups", 3, unseen_groups=False, seed=0, kept=group_name_samples(samples))
    assert sorted(place for _, held in folds for place in held) == list(range(6))
    for learned, held in folds:
        assert sorted([*learned, *held]) == list(range(6))


def test_names_that_say_what_texts_are_about_are_used(encoder, tmp_path):
    """With two texts of each group, a name is half as much again; the recipe tells so."""
    train, out = tmp_path / "train.csv", tmp_path / "out"
    lines = [f"{row['text']},{row['group']}\n" for row in rows(2)]
    train.write_text("text,group\n" + "".join(lines))
    result = tune(train, encoder=encoder, test_size=0, budget="60s", trials=1, out=out)
    assert result.recipe.group_names
    assert "group names" in result.recipe.describe()
    assert len(result.task.to_learn_from(result.recipe)) == len(rows(2)) + len(TEXTS)
    assert yaml.safe_load((out / "recipe.yaml").read_text())["recipe"]["group_names"] is True


def test_the_program_learns_from_names_too(encoder, tmp_path):
    train = tmp_path / "train.csv"
    train.write_text("text,group\n" + "".join(f"{row['text']},{row['group']}\n" for row in rows(2)))
    head, loss = Part("GatedHead"), Part("SoftmaxLoss")
    recipe = Recipe(head=head, losses=(loss,), lr=0.05, epochs=4, batch_size=8, group_names=True)
    result = tune(train, encoder=encoder, test_size=0, recipe=recipe)
    program = tmp_path / "train.py"
    program.write_text(result.program)
    subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, check=True)
    texts = ["my card was stolen", "how do I open an account"]
    expected = result.model.encode(texts, to_numpy=False)
    torch.testing.assert_close(SimilarityModel.load(tmp_path / "model").encode(texts, to_numpy=False), expected)
    without = tune(train, encoder=encoder, test_size=0, recipe=replace(recipe, group_names=False))
    assert not torch.allclose(without.model.encode(texts, to_numpy=False), expected)


def test_names_that_mean_nothing_are_not_used(encoder):
    names = list(TEXTS)
    random.Random(3).shuffle(names)
    other = dict(zip(TEXTS, names, strict=True))
    assert sum(one == two for one, two in other.items()) < 3
    wrong = [{"text": row["text"], "group": other[row["group"]]} for row in rows(3)]
    result = tune(wrong, encoder=encoder, test_size=0, budget="60s", trials=1)
    assert not result.recipe.group_names


def test_one_text_of_each_group(encoder):
    """Nothing could be held out without names: with them there is something to compare recipes by."""
    test = [row for row in rows(3) if row not in rows(1)]
    result = tune(rows(1), encoder=encoder, test=test, budget="60s", trials=1)
    assert result.recipe.group_names
    assert [trial.number for trial in result.trials] == [0, 1]
    assert result.test.after.value > result.test.before.value
    assert "Names of groups are labelled examples, too: 8 of them." in str(result)
    numbered = [{**row, "group": f"{list(TEXTS).index(row['group'])}"} for row in rows(1)]
    assert "too little data" in " ".join(tune(numbered, encoder=encoder, test_size=0, budget="60s", trials=1).notes)


def test_a_name_equal_to_a_test_text_is_no_example():
    test = [{"text": "lost card", "group": "lost_card"}, *rows(1)[1:2]]
    named = read_tuning_data(rows(3)[2:], test=test).group_names
    assert "lost card" not in [sample.obj for sample in named]
    assert "refund request" in [sample.obj for sample in named]


def test_a_group_that_only_validation_has_gets_no_name_in_the_search(encoder):
    groups = list(TEXTS)
    train = [row for row in rows(2) if row["group"] != groups[-1]]
    validation = [row for row in rows(3) if row not in rows(2)]
    result = tune(train, validation=validation, encoder=encoder, test_size=0, budget="60s", trials=1)
    named = {sample.group for fold in result.task.search_folds(vectors_of(encoder)) for sample in fold.names}
    assert named == set(groups[:-1])


def test_names_of_groups_held_out_are_not_learned_from(encoder):
    data = read_tuning_data(rows(3), test_size=0, unseen_groups=True)
    folds = TuningTask(data, unseen_groups=True, seed=0).check_folds(vectors_of(encoder))
    assert folds
    assert not any(fold.names for fold in folds)


def test_an_encoder_that_takes_no_names_does_not_end_the_search(encoder):
    """With one text of each group only names can be compared by, and the second encoder is not known to read them."""
    other = CallableEncoder(len_of, embedding_size=1, version="1")
    result = tune(rows(1), encoder=[other, encoder], test_size=0, budget="20s", trials=1)
    assert result.recipe.group_names
    assert {trial.encoder for trial in result.trials} == {"SentenceTransformerEncoder"}


def len_of(texts):
    return torch.tensor([[float(len(text))] for text in texts])


def vectors_of(encoder):
    return SampleVectors({"default": encoder}, cache=None, device=torch.device("cpu"), progress=None)
