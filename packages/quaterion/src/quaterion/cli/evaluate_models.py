"""Models that are evaluated: loading them by folder or name."""

from pathlib import Path

import torch
import typer

from quaterion.eval.embedded_model import without_head
from quaterion_models import SimilarityModel
from quaterion_models.heads import EmptyHead
from quaterion_models.saving.new_folder import find_folder

__all__ = ["load_model", "load_models"]

ENCODER_ALONE = "encoder"
"""What `--before` calls the model's own encoder without its head."""


def load_models(name: str, before: str | None) -> tuple[SimilarityModel, SimilarityModel | None]:
    """Loads a model, and the one that it is compared with.

    Args:
        name: See `load_model`.
        before: Likewise, `"encoder"` for the encoder of the model alone, or None.
    """
    typer.echo("Loading ...", err=True)  # which takes some seconds
    model = load_model(name)
    if before is None:
        return model, None
    return model, without_head(model) if before == ENCODER_ALONE else load_model(before)


def load_model(name: str) -> SimilarityModel:
    """Loads a model.

    Args:
        name: A folder that `SimilarityModel.save` wrote, or a folder or name of a sentence-transformers model, which
            then stands without a head.

    Raises:
        ValueError: There is no such model, or it is damaged.
        ImportError: sentence-transformers is needed and not installed.
    """
    folder = find_folder(Path(name))
    if folder.exists() and not (folder / "modules.json").is_file():
        model = SimilarityModel.load(folder)
    else:
        from quaterion_models.encoders import SentenceTransformerEncoder

        try:
            encoder = SentenceTransformerEncoder(name)
            model = SimilarityModel(encoder, EmptyHead(encoder.embedding_size))
        except (ValueError, OSError) as error:
            if folder.exists():
                raise
            raise ValueError(
                f"Cannot load {name!r}, neither as a folder that SimilarityModel.save wrote nor as a "
                f"sentence-transformers model: {error}"
            ) from error
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    return model
