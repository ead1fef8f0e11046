"""Runs models that Quaterion exported, with numpy, onnxruntime and tokenizers only."""

from quaterion_runtime.chunk import EncodedChunk
from quaterion_runtime.folder import RuntimeFolderError
from quaterion_runtime.model import Model
from quaterion_runtime.precision import quantize
from quaterion_runtime.readable import Skipped
from quaterion_runtime.similarity import binary_similarity, cosine_similarity, int8_similarity, rescore, top_k

__all__ = [
    "EncodedChunk",
    "Model",
    "RuntimeFolderError",
    "Skipped",
    "__version__",
    "binary_similarity",
    "cosine_similarity",
    "int8_similarity",
    "quantize",
    "rescore",
    "top_k",
]

__version__ = "1.0.0"
