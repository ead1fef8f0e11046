"""Models that cost nothing, which tell what they encode, and the process that is killed."""

import json
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from quaterion.indexing import Destination, build_index, read_corpus
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EmptyHead
from quaterion_models.types import CollateFnType


class Letters(Encoder):
    """Counts of letters; remembers how many objects it has encoded."""

    def __init__(self, size: int = 26, pause: float = 0.0) -> None:
        super().__init__()
        self.size, self.pause, self.encoded = size, pause, 0

    @property
    def trainable(self) -> bool:
        return False

    @property
    def embedding_size(self) -> int:
        return self.size

    def fingerprint(self) -> str:
        return f"letters {self.size}"

    def get_collate_fn(self) -> CollateFnType:
        return lambda texts: torch.tensor(
            [[float(text.count(chr(97 + place))) for place in range(self.size)] for text in texts]
        )

    def forward(self, batch: Tensor) -> Tensor:
        self.encoded += len(batch)
        time.sleep(self.pause * len(batch))
        return batch


def letters_model(size: int = 26, pause: float = 0.0) -> SimilarityModel:
    return SimilarityModel(Letters(size, pause), EmptyHead(size))


def encoded_by(model: SimilarityModel) -> int:
    encoder = model.encoders["default"]
    assert isinstance(encoder, Letters)
    return encoder.encoded


def main() -> None:
    """Indexes a file slowly; prints how many objects were encoded."""
    data, kind, folder, rebuild, size = sys.argv[1:]
    model = letters_model(int(size), pause=0.002)
    counts = build_index(
        model,
        read_corpus(Path(data)),
        Destination(folder, kind),  # type: ignore[arg-type]
        rebuild=rebuild == "rebuild",
        batch_size=1,
        save_every=0.05,
        progress=lambda count: print(count, flush=True),
    )
    print(json.dumps(counts._asdict()))


if __name__ == "__main__":
    main()
