"""One way to classify texts from labelled examples, in a process of its own: `side_by_side.py` runs it.

    python benchmarks/rivals.py METHOD task.json predictions.json

The task has the folder of a pre-trained encoder, examples with their labels (numbers), the names of the labels, and
texts. It has no label of the texts, so that no method can look at them. Libraries are imported before the clock starts.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

NEIGHBOURS, TEMPERATURE = 10, 0.05
SEED = 0


class Task(NamedTuple):
    encoder: str
    examples: list[str]
    labels: list[int]
    names: list[str]
    texts: list[str]


Predict = Callable[[Task], Any]


class Method(NamedTuple):
    """One way, and what has to be said about it.

    Attributes:
        prepare: Imports what is needed, and returns what predicts the labels of the texts.
        package: Distribution that is compared, as `pip install` knows it.
        settings: In the words of the table.
    """

    prepare: Callable[[], Predict]
    package: str
    settings: str


def tune() -> Predict:
    from quaterion import tune

    def predict(task: Task) -> list[int]:
        groups = [task.names[label] for label in task.labels]
        rows = [{"text": text, "group": group} for text, group in zip(task.examples, groups, strict=True)]
        result = tune(rows, encoder=task.encoder, text="text", group="group")
        assert result.classifier is not None
        # Every text has one of the intents here, so nothing is "none of these".
        classifier = result.classifier.replace(threshold=None)
        return [task.names.index(one.label) for one in classifier.classify(task.texts)]

    return predict


def setfit(iterations: int) -> Predict:
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    def predict(task: Task) -> Any:
        model = SetFitModel.from_pretrained(task.encoder)
        with tempfile.TemporaryDirectory() as folder:
            options = TrainingArguments(
                output_dir=folder,
                num_iterations=iterations,
                report_to="none",
                save_strategy="no",
                show_progress_bar=False,
            )
            examples = Dataset.from_dict({"text": task.examples, "label": task.labels})
            Trainer(model, options, train_dataset=examples).train()
        return model.predict(task.texts, as_numpy=True)

    return predict


def sentence_transformers(loss_name: str) -> Predict:
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
        losses,
    )

    def predict(task: Task) -> Any:
        model = SentenceTransformer(task.encoder, device="cpu")
        with tempfile.TemporaryDirectory() as folder:
            options = SentenceTransformerTrainingArguments(
                output_dir=folder,
                num_train_epochs=1,
                batch_sampler="group_by_label",
                use_cpu=True,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
            )
            SentenceTransformerTrainer(
                model,
                options,
                train_dataset=Dataset.from_dict({"sentence": task.examples, "label": task.labels}),
                loss=getattr(losses, loss_name)(model),
            ).train()
        return _vote(_encode(model, task.examples), task.labels, _encode(model, task.texts))

    return predict


def metric_learning(loss_name: str) -> Predict:
    import torch
    from pytorch_metric_learning import losses, miners, samplers
    from sentence_transformers import SentenceTransformer

    def predict(task: Task) -> Any:
        torch.manual_seed(SEED)
        np.random.seed(SEED)  # noqa: NPY002 - the sampler draws from it
        encoder = SentenceTransformer(task.encoder, device="cpu")
        examples, texts = (torch.from_numpy(_encode(encoder, part)) for part in (task.examples, task.texts))
        labels = torch.tensor(task.labels)
        head = torch.nn.Linear(examples.shape[1], examples.shape[1])
        optimizer = torch.optim.Adam(head.parameters())
        loss = getattr(losses, loss_name)()
        miner = miners.MultiSimilarityMiner() if loss_name == "MultiSimilarityLoss" else None
        sampler = samplers.MPerClassSampler(labels, m=4, batch_size=128, length_before_new_iter=len(labels))
        data = torch.utils.data.TensorDataset(examples, labels)
        for _ in range(30):
            for vectors, targets in torch.utils.data.DataLoader(data, batch_size=128, sampler=sampler):
                optimizer.zero_grad()
                embeddings = head(vectors)
                pairs = None if miner is None else miner(embeddings, targets)
                loss(embeddings, targets, pairs).backward()
                optimizer.step()
        with torch.no_grad():
            found = [torch.nn.functional.normalize(head(part)).numpy() for part in (examples, texts)]
        return _vote(found[0], task.labels, found[1])

    return predict


def logistic_regression(with_names: bool) -> Predict:
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression

    def predict(task: Task) -> Any:
        encoder = SentenceTransformer(task.encoder, device="cpu")
        examples, labels = task.examples, task.labels
        if with_names:
            examples = [*examples, *(name.replace("_", " ") for name in task.names)]
            labels = [*labels, *range(len(task.names))]
        classifier = LogisticRegression(C=10, max_iter=1000).fit(_encode(encoder, examples), labels)
        return classifier.predict(_encode(encoder, task.texts))

    return predict


def nearest_neighbours() -> Predict:
    from sentence_transformers import SentenceTransformer

    def predict(task: Task) -> Any:
        encoder = SentenceTransformer(task.encoder, device="cpu")
        return _vote(_encode(encoder, task.examples), task.labels, _encode(encoder, task.texts))

    return predict


def _encode(encoder: Any, texts: list[str]) -> Any:
    return encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def _vote(examples: Any, labels: list[int], queries: Any) -> Any:
    """The ten nearest examples vote, nearer ones with more weight: the same for everything that gives vectors."""
    similarities = queries @ examples.T
    nearest = np.argsort(-similarities, axis=1)[:, :NEIGHBOURS]
    weights = np.exp((np.take_along_axis(similarities, nearest, axis=1) - 1) / TEMPERATURE)
    votes = np.zeros((len(queries), max(labels) + 1))
    np.add.at(votes, (np.arange(len(queries))[:, None], np.array(labels)[nearest]), weights)
    return votes.argmax(axis=1)


FROZEN = "vectors encoded once"
METHODS = {
    "quaterion.tune": Method(tune, "quaterion", "defaults: a search of 30 s at most, " + FROZEN),
    # All pairs, which is the default, would be 36,575 steps.
    "SetFit, 5 iterations": Method(
        lambda: setfit(5), "setfit", "defaults but `num_iterations=5`: 482 steps of 16 pairs"
    ),
    "SetFit, 20 iterations": Method(
        lambda: setfit(20), "setfit", "defaults but `num_iterations=20`, as in its paper: 1,925 steps of 16 pairs"
    ),
    "sentence-transformers, BatchAllTripletLoss": Method(
        lambda: sentence_transformers("BatchAllTripletLoss"),
        "sentence-transformers",
        "the whole encoder, 1 epoch, `group_by_label`",
    ),
    "sentence-transformers, BatchHardSoftMarginTripletLoss": Method(
        lambda: sentence_transformers("BatchHardSoftMarginTripletLoss"),
        "sentence-transformers",
        "the whole encoder, 1 epoch, `group_by_label`",
    ),
    "pytorch-metric-learning, MultiSimilarityLoss": Method(
        lambda: metric_learning("MultiSimilarityLoss"),
        "pytorch-metric-learning",
        "linear head, `MultiSimilarityLoss` and its miner, " + FROZEN,
    ),
    "pytorch-metric-learning, SupConLoss": Method(
        lambda: metric_learning("SupConLoss"), "pytorch-metric-learning", "linear head, `SupConLoss`, " + FROZEN
    ),
    "logistic regression": Method(lambda: logistic_regression(False), "scikit-learn", "`C=10`, " + FROZEN),
    "logistic regression with names": Method(
        lambda: logistic_regression(True), "scikit-learn", "`C=10`, the intents' names are examples too, " + FROZEN
    ),
    "nearest neighbours": Method(nearest_neighbours, "sentence-transformers", "the untouched encoder"),
}


def main() -> None:
    name, source, target = sys.argv[1:]
    method = METHODS[name]
    task = Task(**json.loads(Path(source).read_text(encoding="utf-8")))
    predict = method.prepare()
    before = os.times()
    predictions = [int(one) for one in predict(task)]
    after = os.times()
    found = {
        "predictions": predictions,
        # With what child processes took; waiting for other programs on the machine does not count.
        "cpu_seconds": sum(after[:4]) - sum(before[:4]),
        "seconds": after.elapsed - before.elapsed,
        "version": version(method.package),
    }
    Path(target).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
