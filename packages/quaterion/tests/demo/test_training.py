"""Training keeps the epoch that validated best."""

from contextlib import nullcontext
from pathlib import Path

import torch

from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.demo.model import SearchModel
from quaterion.demo.training import train_best_epoch


class Recorded(SearchModel):
    """Notes validation scores and weights after each epoch."""

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        score = float(self.trainer.callback_metrics["mrr_validation"])
        self.__dict__.setdefault("history", []).append((score, self.weights()))

    def weights(self) -> torch.Tensor:
        return torch.cat([parameter.detach().flatten().clone() for parameter in self.model.parameters()])


def test_the_best_epoch_is_kept(minilm_folder: Path, tmp_path: Path) -> None:
    texts = ["sort a list", "open a file", "join two paths", "wait a second", "send a mail", "count the words"]
    names = ["sorted", "open", "os.path.join", "time.sleep", "smtplib.SMTP.sendmail", "collections.Counter"]
    pairs = [SimilarityPairSample(text, name) for text, name in zip(texts, names, strict=True)]
    torch.manual_seed(0)
    model = Recorded(minilm_folder, tmp_path, lr=0.3)  # so large that later epochs are worse
    advanced: list[int] = []
    train_best_epoch(
        model,
        PairsSimilarityDataLoader(pairs, batch_size=3, shuffle=True),
        PairsSimilarityDataLoader(pairs[::-1], batch_size=6),
        epochs=6,
        bar=lambda description, total: nullcontext(advanced.append),
    )
    history = model.__dict__["history"]
    assert sum(advanced) == len(history) == 6
    best = max(score for score, _ in history)
    assert best in [score for score, weights in history if torch.equal(weights, model.weights())]
