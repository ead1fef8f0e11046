"""A model as one of sentence-transformers: its encoder's modules, and its head as dense layers behind them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from quaterion_models.encoders.prompts import default_prompt
from quaterion_models.encoders.sentence_transformer_encoder import SentenceTransformerEncoder
from quaterion_models.encoders.sentence_transformer_tokenizer import load_sentence_transformer
from quaterion_models.encoders.transformers_encoder import TransformersEncoder
from quaterion_models.encoders.transformers_library import quietly
from quaterion_models.export.check_objects import TEXTS
from quaterion_models.export.comparison import float32_copy
from quaterion_models.export.dense_layers import DenseLayer, dense_layers
from quaterion_models.export.quiet import silence
from quaterion_models.extras import require
from quaterion_models.heads.switch_head import DOCUMENT, QUERY
from quaterion_models.saving.new_folder import new_folder

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel

_EXTRA = "sentence-transformers"
_MOST_DIFFERENT = 1e-5  # of a component, in vectors of length 1
_POOLINGS = {"mean": "mean", "cls": "cls", "last_token": "lasttoken"}


def export_sentence_transformers(model: SimilarityModel, folder: str | os.PathLike[str]) -> Path:
    """Writes a model as one of sentence-transformers, for everything that is built on that library.

    `SentenceTransformer(folder)` gives the same vectors; that is checked before anything is written to its place. The
    prompts of queries and documents go along, with that of queries as the default one, as `SimilarityModel.encode` has
    it. The model is not changed.

    Needs the extra `sentence-transformers`.

    Args:
        model: A model with one text encoder (`SentenceTransformerEncoder` or `TransformersEncoder`) and a head that is
            made of dense layers: `EmptyHead`, `GatedHead`, `SkipConnectionHead`, `StackedProjectionHead`,
            `WideningHead`, or a `SequentialHead` of linear layers and activations.
        folder: Where to; it must be empty or not there.

    Returns:
        The folder.

    Raises:
        ValueError: If the encoder or the head cannot be expressed so; the message says why.
        ModelFolderError: If the folder holds files.
        ImportError: If the extra is not installed.
    """
    whole = float32_copy(model)
    encoder = _text_encoder(whole)
    layers = dense_layers(whole.required_head())
    library = require("sentence_transformers", extra=_EXTRA)
    with (
        new_folder(Path(folder), is_ours=lambda _: False, ours=()) as fresh,
        tempfile.TemporaryDirectory() as scratch,
        torch.random.fork_rng(devices=[]),  # layers are built with random weights before they get their own
    ):
        modules = _modules_of(encoder, Path(scratch), library)
        size = _size_of(modules, encoder)
        if encoder.settings["normalize"]:
            modules.append(_module(library, "Normalize")())
        modules += _dense_modules(layers, size, encoder.embedding_size, library)
        with quietly(extra=_EXTRA):
            exported = library.SentenceTransformer(modules=modules, device="cpu", prompts=_prompts(encoder))
            query = _prompts(encoder)[QUERY]
            exported.default_prompt_name = QUERY if query else None
            exported.save(str(fresh), create_model_card=False, safe_serialization=True)
        (fresh / "README.md").write_text(_card(model, layers), encoding="utf-8")
        del exported, modules
        _check(whole, load_sentence_transformer(fresh))
    return Path(folder)


def _text_encoder(model: SimilarityModel) -> SentenceTransformerEncoder | TransformersEncoder:
    """The model's only encoder.

    Raises:
        ValueError: If there are several, or it is of another class; subclasses may compute something else.
    """
    encoders = list(model.encoders.values())
    if len(encoders) > 1:
        raise ValueError(
            f"the model joins {len(encoders)} encoders ({list(model.encoders)}), and a model of sentence-transformers "
            "has one. Export it to ONNX"
        )
    for kind in (SentenceTransformerEncoder, TransformersEncoder):
        if type(encoders[0]) is kind:
            return encoders[0]
    raise ValueError(
        f"the encoder is a {type(encoders[0]).__name__}, and only SentenceTransformerEncoder and TransformersEncoder "
        "are made of modules of sentence-transformers. Export the model to ONNX"
    )


def _modules_of(encoder: SentenceTransformerEncoder | TransformersEncoder, scratch: Path, library: Any) -> list[Any]:
    """The modules of an encoder, which is in float32 on the CPU, with its weights as they are now."""
    if isinstance(encoder, SentenceTransformerEncoder):
        loaded = load_sentence_transformer(encoder.folder, max_length=encoder.settings["max_length"])
        if encoder.trainable:
            loaded.load_state_dict(encoder.loaded().state_dict())
        return list(loaded.float())
    # As files, from which sentence-transformers builds its own module.
    encoder.write_model(encoder.loaded(), scratch)
    with quietly(extra=_EXTRA), silence():
        own = encoder.get_collate_fn().tool()  # type: ignore[attr-defined]
        limit = int(min(own.model_max_length, 2**20))
        transformer = _module(library, "Transformer")(str(scratch), max_seq_length=limit)
    # Of models that have none: what the encoder pads with.
    transformer.tokenizer.pad_token, transformer.tokenizer.padding_side = own.pad_token, own.padding_side
    pooling = _module(library, "Pooling")(transformer.get_embedding_dimension(), _POOLINGS[encoder.settings["pooling"]])
    return [transformer, pooling]


def _size_of(modules: Sequence[Any], encoder: SentenceTransformerEncoder | TransformersEncoder) -> int:
    """Length of the vectors behind the modules, which a model may declare to be cut short after them."""
    sizes = [one.get_embedding_dimension() for one in modules if hasattr(one, "get_embedding_dimension")]
    return int(sizes[-1]) if sizes and sizes[-1] else encoder.embedding_size


def _dense_modules(layers: Sequence[DenseLayer], size: int, used: int, library: Any) -> list[nn.Module]:
    if not layers and used == size:
        return []
    if used != size:  # the rest of the vector does not count
        cut = torch.eye(size, dtype=torch.float64)[:used]
        first = layers[0] if layers else DenseLayer(torch.eye(used).double(), torch.zeros(used).double())
        layers = [first._replace(weight=first.weight @ cut), *layers[1:]]
    modules = []
    for layer in layers:
        out_size, in_size = layer.weight.shape
        dense: nn.Module = _module(library, "Dense")(
            in_size,
            out_size,
            activation_function=layer.activation(),
            init_weight=layer.weight.float(),
            init_bias=layer.bias.float(),
        )
        modules.append(dense)
    return modules


def _module(library: Any, name: str) -> Any:
    return getattr(library.sentence_transformer.modules, name)


def _prompts(encoder: SentenceTransformerEncoder | TransformersEncoder) -> dict[str, str]:
    if encoder.settings["prompts"]:
        return dict(encoder.settings["prompts"])
    prompt = encoder.settings["prompt"]
    if prompt is None:
        prompt = default_prompt(encoder.folder) if isinstance(encoder, SentenceTransformerEncoder) else ""
    return {QUERY: prompt, DOCUMENT: prompt}


def _check(model: SimilarityModel, exported: Any) -> None:
    """Compares vectors, as queries and as documents.

    Raises:
        ValueError: If they differ.
    """
    for side in (QUERY, DOCUMENT):
        own = np.asarray(getattr(model, f"encode_{side}")(list(TEXTS)), dtype=np.float64)
        found = getattr(exported, f"encode_{side}")(list(TEXTS), show_progress_bar=False).astype(np.float64)
        length = max(float(np.linalg.norm(own, axis=1).max()), 1e-12)
        different = float(np.abs(own - found).max()) / length if own.shape == found.shape else float("inf")
        if not different <= _MOST_DIFFERENT:
            raise ValueError(
                f"sentence-transformers gives vectors that differ by {different:.2g} of their length from the model's "
                f"own, more than {_MOST_DIFFERENT:g}. Nothing was written. Export the model to ONNX"
            )


def _card(model: SimilarityModel, layers: Sequence[DenseLayer]) -> str:
    behind = f"{len(layers)} dense layer{'s' * (len(layers) != 1)}"
    return "\n".join(
        [
            "---",
            "library_name: sentence-transformers",
            "pipeline_tag: sentence-similarity",
            "---",
            "",
            "# Similarity model",
            "",
            f"A model of Quaterion: its encoder, and its {type(model.head).__name__} as {behind}. Embeddings have "
            f"{model.output_size} numbers.",
            "",
            "```python",
            "from sentence_transformers import SentenceTransformer",
            "",
            'model = SentenceTransformer("this-folder")',
            'queries, documents = model.encode_query(["a text"]), model.encode_document(["another"])',
            "```",
            "",
        ]
    )
