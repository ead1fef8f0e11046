"""Which model an index belongs to."""

from hashlib import blake2b

from quaterion_models import SimilarityModel
from quaterion_models.fingerprint import digest_of
from quaterion_models.search import VectorIndex

__all__ = ["FINGERPRINT", "check_model", "model_digest"]

FINGERPRINT = "fingerprint"
"""Where an index keeps the digest, in its `about`."""


def model_digest(model: SimilarityModel) -> str:
    """Computes a digest of everything that a model's vectors depend on: its encoders and its head.

    Args:
        model: The model.

    Returns:
        32 hexadecimal digits.

    Raises:
        TypeError: If a part cannot be hashed; see `quaterion_models.fingerprint.fingerprint`.

    Example:
        >>> from quaterion_models.encoders import VectorEncoder
        >>> from quaterion_models.heads import EmptyHead
        >>> model, other = (SimilarityModel(VectorEncoder(size), EmptyHead(size)) for size in (2, 3))
        >>> model_digest(model) == model_digest(other)
        False
    """
    parts = [f"{name} {encoder.fingerprint()}" for name, encoder in sorted(model.encoders.items())]
    parts.append("no head" if model.head is None else digest_of(model.head))
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def check_model(index: VectorIndex, model: SimilarityModel, where: str) -> None:
    """Checks that an index was made with a model.

    Args:
        index: The index; of one that does not tell its model, the dimension alone is compared.
        model: The model.
        where: What the index is called in messages.

    Raises:
        ValueError: If it was made with another one.
    """
    if index.dimension != model.output_size:
        raise ValueError(
            f"{where} holds vectors of {index.dimension} numbers, and the model makes {model.output_size}. Use the "
            "model that the index was made with, or make the index again with quaterion index --rebuild"
        )
    known = index.about.get(FINGERPRINT)
    if known is not None and known != model_digest(model):
        raise ValueError(
            f"{where} was made with another model: {index.about.get('model')!r:.100} as it was then. Use that one, or "
            "make the index again with quaterion index --rebuild"
        )
