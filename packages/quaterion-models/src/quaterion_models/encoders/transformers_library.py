"""What the encoders share in using the library transformers."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from quaterion_models.extras import require

_TOKENIZER_FILES = {"tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json"}
# Weights that a model may lack: those of parts that are not used here.
_UNUSED = ("pooler.", "decoder.")


@contextmanager
def quietly(*, extra: str) -> Iterator[None]:
    """Silences transformers while it loads: progress bars, deprecations, reports of weights that are not used here.

    Args:
        extra: The extra that brings transformers, for the message where it is missing.
    """
    logging = require("transformers.utils.logging", extra=extra)
    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()


def has_tokenizer(folder: Path) -> bool:
    """Tells whether a folder holds the files of a tokenizer."""
    return any(
        path.name in _TOKENIZER_FILES or path.suffix in {".model", ".vocab", ".spm", ".tiktoken"}
        for path in folder.iterdir()
    )


def load_tokenizer(folder: Path, *, extra: str) -> Any:
    """Loads a tokenizer from a folder, without network and without code of its own.

    Args:
        folder: The folder of its files.
        extra: The extra that brings transformers.

    Returns:
        The tokenizer.

    Raises:
        ValueError: If the files are missing or damaged, or would run code.
        ImportError: If transformers is not installed.
    """
    transformers = require("transformers", extra=extra)
    try:
        with quietly(extra=extra):
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(folder), trust_remote_code=False, local_files_only=True
            )
    except Exception as error:
        raise ValueError(f"{folder} has no tokenizer that can be loaded: {type(error).__name__}: {error}") from error
    # Where the vocabulary is missing, transformers makes one of nothing but special tokens.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ValueError(f"{folder} has no tokenizer that can be loaded: its vocabulary is missing")
    return tokenizer


def check_room(tokenizer: Any, folder: Path) -> None:
    """Checks that a tokenizer's limit leaves room for text: below, it would cut nothing, or everything.

    Args:
        tokenizer: A tokenizer.
        folder: Where it comes from, for the message.

    Raises:
        ValueError: If it adds as many tokens to each text as it may have at the most.
    """
    limit, added = tokenizer.model_max_length, tokenizer.num_special_tokens_to_add()
    if limit <= added:
        raise ValueError(
            f"a text may have {limit} tokens at the most, but the tokenizer of {folder} adds {added} to each. "
            "Give a higher max_length"
        )


def load_text_model(folder: Path, dtype: torch.dtype, *, extra: str) -> Any:
    """Loads a text model from a folder, on the CPU, without network and without code of its own.

    Args:
        folder: The model's folder.
        dtype: Precision of the weights.
        extra: The extra that brings transformers.

    Returns:
        The model in eval mode, without a layer behind the vectors of the tokens; of an encoder with a decoder, the
        encoder.

    Raises:
        ValueError: If the files are damaged, lack weights, or would run code.
        ImportError: If transformers is not installed.
    """
    model = _load_whole_model(folder, dtype, extra=extra)
    if "add_pooling_layer" in inspect.signature(type(model).__init__).parameters:
        model.pooler = None
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    # Nothing is generated, so that keys and values need not be kept.
    for config in (model.config, model.config.get_text_config()):
        config.use_cache = False
    return model


def save_text_model(model: Any, source: Path, folder: Path, *, extra: str) -> None:
    """Writes the weights of a text model as safetensors, under the names that the whole model has for them.

    Args:
        model: What `load_text_model` returned, trained since.
        source: The folder that it was loaded from.
        folder: Where to.
        extra: The extra that brings transformers.
    """
    whole = model
    if model.config.is_encoder_decoder:  # an encoder alone would be written under names that only it knows
        whole = _load_whole_model(source, model.dtype, extra=extra)
        whole.get_encoder().load_state_dict(model.state_dict())
    with quietly(extra=extra):
        whole.save_pretrained(str(folder))


def check_texts(objects: Sequence[Any], encoder: str) -> None:
    """Checks that all objects of a batch are texts.

    Args:
        objects: The batch.
        encoder: Name of the encoder, for the message.

    Raises:
        TypeError: If one is not; the message says which, unless it is the only one.
    """
    for number, text in enumerate(objects):
        if not isinstance(text, str):
            place = f" at position {number} of the batch" if len(objects) > 1 else ""
            raise TypeError(
                f"{encoder} takes text, got {type(text).__name__}{place}. Pass strings, or pick the text out of your "
                "records with a FieldEncoder"
            )


def _load_whole_model(folder: Path, dtype: torch.dtype, *, extra: str) -> Any:
    transformers = require("transformers", extra=extra)
    options = {"trust_remote_code": False, "local_files_only": True}
    try:
        with quietly(extra=extra):
            config = transformers.AutoConfig.from_pretrained(str(folder), **options)
            model_class = transformers.AutoModel
            if _has_encoder_class(transformers, config):
                model_class = transformers.AutoModelForTextEncoding
                config.is_encoder_decoder = False
            model, report = model_class.from_pretrained(
                str(folder), config=config, dtype=dtype, output_loading_info=True, **options
            )
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{folder} cannot be loaded as a text model of Hugging Face: {reason}") from error
    # transformers fills what is missing with random numbers and only warns.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(_UNUSED))
    if missing:
        raise ValueError(
            f"the weights in {folder} lack {len(missing)} tensors of a {type(model).__name__}: "
            f"{', '.join(missing[:5])}. "
            "They are damaged, or those of another model than config.json describes"
        )
    return model.eval()


def _has_encoder_class(transformers: Any, config: Any) -> bool:
    known = transformers.MODEL_FOR_TEXT_ENCODING_MAPPING
    return type(config) in known and known[type(config)].__name__.endswith("EncoderModel")
