"""Tokenisation for sentence-transformers models, apart from their weights."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quaterion_models.content_key import content_key
from quaterion_models.encoders.sentence_transformer_files import files_digest, read_modules, read_optional
from quaterion_models.extras import require

# What a Transformer module's configuration may say where tokenising is nothing but calling the tokenizer.
_PLAIN_KEYS = {"max_seq_length", "do_lower_case", "transformer_task", "modality_config", "module_output_name"}


class SentenceTransformerTokenizer:
    """Turns texts into the input of a sentence-transformers model; the collate function of its encoder.

    Loads only the tokenizer where the model's first module is a plain text transformer, else the whole model, at the
    first call and in each process. Picklable, so that DataLoader workers can run it.

    Args:
        folder: The model's folder.
        max_length: Most tokens of a text; None for the model's own limit.
        prompt: What to put before each text; None for the model's default prompt.
    """

    def __init__(self, folder: Path, *, max_length: int | None = None, prompt: str | None = None) -> None:
        self.folder = folder
        self.max_length = max_length
        self.prompt = prompt
        self._loaded_prompt = ""
        self._tokenizer: Any = None
        self._model: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tokenizer": None, "_model": None}

    def __call__(self, texts: list[str]) -> dict[str, Any]:
        """Tokenises texts.

        Args:
            texts: B texts.

        Returns:
            Tensors `[B, T]` with the longest text's T tokens, and what else the model asks for.

        Raises:
            TypeError: If one is not text.
        """
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(
                    f"SentenceTransformerEncoder takes text, got {type(text).__name__} at position {number} of the "
                    "batch. Pass strings, or pick the text out of your records in a subclass's get_collate_fn"
                )
        if self._tokenizer is None and self._model is None:
            self._load()
        prompt = self._loaded_prompt
        if self._tokenizer is None:
            return dict(self._model.preprocess(list(texts), prompt=prompt or None))
        if prompt:
            texts = [prompt + text for text in texts]
        return dict(self._tokenizer(texts, padding=True, truncation="longest_first", return_tensors="pt"))

    def fingerprint(self) -> str:
        """Digests the settings and the model's files, wherever they lie, and not what has been loaded."""
        content = (self.max_length, self.prompt, files_digest(self.folder))
        return content_key(content).hex()

    def _resolved_prompt(self) -> str:
        if self.prompt is not None:
            return self.prompt
        config = read_optional(self.folder / "config_sentence_transformers.json")
        prompts = config.get("prompts") or {}
        return str(prompts.get(config.get("default_prompt_name"), "") or "")

    def _load(self) -> None:
        self._loaded_prompt = self._resolved_prompt()
        if not self._is_plain():
            self._model = load_sentence_transformer(self.folder, max_length=self.max_length)
            return
        transformers = require("transformers", extra="sentence-transformers")
        limit = self.max_length
        transformer = read_modules(self.folder)[0].folder
        if limit is None:
            limit = read_optional(transformer / "sentence_bert_config.json").get("max_seq_length")
        with quietly():
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(transformer), trust_remote_code=False, local_files_only=True
            )
        positions = read_optional(transformer / "config.json").get("max_position_embeddings", -1)
        if limit is not None:
            tokenizer.model_max_length = limit
        elif positions != -1:
            tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
        self._tokenizer = tokenizer

    def _is_plain(self) -> bool:
        modules = read_modules(self.folder)
        if not modules or modules[0].kind != "Transformer" or not (modules[0].folder / "tokenizer.json").exists():
            return False
        config = read_optional(modules[0].folder / "sentence_bert_config.json")
        counts_prompt = self._resolved_prompt() and any(
            read_optional(module.folder / "config.json").get("include_prompt") is False for module in modules
        )
        return (
            config.keys() <= _PLAIN_KEYS
            and not config.get("do_lower_case")
            and config.get("transformer_task", "feature-extraction") == "feature-extraction"
            and set(config.get("modality_config", {"text": None})) == {"text"}
            and not counts_prompt
        )


def load_sentence_transformer(folder: Path, *, max_length: int | None = None) -> Any:
    """Loads a sentence-transformers model from a folder, on the CPU, without network and without code of its own.

    Args:
        folder: The model's folder.
        max_length: Most tokens of a text; None for the model's own limit.

    Returns:
        A `SentenceTransformer` in eval mode.

    Raises:
        ValueError: If the files are damaged or name code that is not part of sentence-transformers.
    """
    read_modules(folder)  # refuses foreign code, whatever the installed version of the library would do
    library = require("sentence_transformers", extra="sentence-transformers")
    try:
        with quietly():
            model = library.SentenceTransformer(
                str(folder), device="cpu", trust_remote_code=False, local_files_only=True
            )
    except Exception as error:
        raise ValueError(
            f"{folder} cannot be loaded as a sentence-transformers model: {type(error).__name__}: {error}"
        ) from error
    if max_length is not None:
        model.max_seq_length = max_length
    return model.eval()


@contextmanager
def quietly() -> Iterator[None]:
    """Silences the progress bars and deprecation warnings of transformers while it loads."""
    logging = require("transformers.utils.logging", extra="sentence-transformers")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        if shown:
            logging.enable_progress_bar()
