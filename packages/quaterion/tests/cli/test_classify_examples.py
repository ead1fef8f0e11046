"""Classifiers from files of examples, on real data too."""

import csv
import random
from collections import Counter
from pathlib import Path

import pytest
import torch

from quaterion.cli.classify_examples import ClassifierOptions, choose_classifier, held_out_rows
from quaterion.dataset.files import read_samples
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder, VectorEncoder
from quaterion_models.heads import EmptyHead
from quaterion_models.predict import Classifier


def test_a_fifth_of_each_group_is_held_out_and_an_example_always_stays() -> None:
    labels = [label for label, count in {"a": 100, "b": 7, "c": 2, "d": 1}.items() for _ in range(count)]
    random.Random(0).shuffle(labels)
    rows = held_out_rows(labels)
    counts = Counter(labels[row] for row in rows)
    assert rows == sorted(set(rows))
    assert counts["a"] == 20
    assert 1 <= counts["b"] <= 2
    assert counts["c"] <= 1
    assert counts["d"] == 0


@pytest.fixture
def model() -> SimilarityModel:
    return SimilarityModel(VectorEncoder(2), EmptyHead(2)).eval()


def vectors(per_group: int, seed: int) -> list[dict[str, object]]:
    generator = torch.Generator().manual_seed(seed)
    centres = {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [-1.0, 0.3]}
    return [
        {"text": (torch.tensor(centre) + 0.6 * torch.randn(2, generator=generator)).numpy(), "group": name}
        for _ in range(per_group)
        for name, centre in centres.items()
    ]


def test_a_new_classifier_is_calibrated_and_has_all_examples(
    model: SimilarityModel, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = read_samples(vectors(40, 0))
    found = choose_classifier("none", model, samples, ClassifierOptions(keep=0.9))
    assert len(found.examples) == 120  # type: ignore[arg-type]
    rows = held_out_rows([sample.group for sample in samples])
    rest = [sample for row, sample in enumerate(samples) if row not in rows]
    judge = Classifier.from_examples(model, [one.obj for one in rest], [one.group for one in rest])
    held_out = judge.classify([samples[row].obj for row in rows])  # type: ignore[union-attr]
    similarities = [one.similarity for one in held_out]
    enough = [t for t in similarities if sum(one >= t for one in similarities) >= 0.9 * len(rows)]
    assert found.threshold == max(enough)
    assert (found.k, found.temperature) != (10, 0.05)
    said = capsys.readouterr().err
    assert f"The threshold {max(enough):.3f} keeps" in said
    assert "accuracy" in said


def test_without_keep_there_is_no_threshold_and_few_examples_are_not_calibrated_on(model: SimilarityModel) -> None:
    assert choose_classifier("none", model, read_samples(vectors(40, 0)), ClassifierOptions()).threshold is None
    few = choose_classifier("none", model, read_samples(vectors(4, 0)), ClassifierOptions(threshold=0.5))
    assert (few.k, few.temperature, few.threshold) == (10, 0.05, 0.5)


def test_a_threshold_for_a_classifier_with_added_examples(model: SimilarityModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    Classifier.from_examples(model, [[0.0, -1.0]], ["d"], k=4, threshold=0.1).save(tmp_path / "model")
    samples = read_samples(vectors(40, 0))
    kept = choose_classifier(str(tmp_path / "model"), model, samples, ClassifierOptions())
    new = choose_classifier(str(tmp_path / "model"), model, samples, ClassifierOptions(keep=0.9))
    assert (kept.labels, kept.threshold, kept.k, new.k) == (["d", "a", "b", "c"], 0.1, 4, 4)
    assert new.threshold not in (None, 0.1)


@pytest.mark.slow
def test_on_banking77_intents_that_are_hidden_are_recognised(minilm_folder: Path, datasets_folder: Path) -> None:
    def texts(name: str, per_intent: int) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        with (datasets_folder / "banking77" / name).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["category"], []).append(row["text"])
        return {intent: some[:per_intent] for intent, some in sorted(found.items())}

    encoder = SentenceTransformerEncoder(str(minilm_folder))
    model = SimilarityModel(encoder, EmptyHead(encoder.embedding_size)).eval()
    train, test = texts("train.csv", 20), texts("test.csv", 6)
    hidden = set(random.Random(0).sample(list(train), 10))
    samples = read_samples(
        [{"text": text, "group": intent} for intent, some in train.items() if intent not in hidden for text in some]
    )
    classifier = choose_classifier("none", model, samples, ClassifierOptions(keep=0.9))
    known = [(text, intent) for intent, some in test.items() if intent not in hidden for text in some]
    found = classifier.classify([text for text, _ in known])
    unknown = classifier.classify([text for intent in hidden for text in test[intent]])
    kept = [one.label is not None for one in found]
    # 402 known objects: 0.9 within three standard errors of 0.9 from as many held out and as many tested.
    assert sum(kept) / len(kept) > 0.9 - 3 * (2 * 0.9 * 0.1 / 268) ** 0.5
    assert sum(one.label is None for one in unknown) / len(unknown) > 2 * (1 - sum(kept) / len(kept))
    plain = classifier.replace(threshold=None).classify([text for text, _ in known])
    right = [one.label == intent for one, (_, intent) in zip(plain, known, strict=True)]
    assert sum(right) / len(right) > 0.8
    confidence = sum(one.confidence for one in plain) / len(plain)
    assert confidence == pytest.approx(sum(right) / len(right), abs=0.08)
