"""Tokenisation for sentence-transformers models, apart from their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from quaterion_models.encoders.pretrained_files import read_optional
from quaterion_models.encoders.prompts import default_prompt
from quaterion_models.encoders.sentence_transformer_files import (
    check_modules,
    leaves_prompt_out,
    model_files,
    read_modules,
)
from quaterion_models.encoders.text_collate import TextCollate
from quaterion_models.encoders.transformers_library import check_room, check_texts, load_tokenizer, quietly
from quaterion_models.extras import require

# What a Transformer module's configuration may say where tokenising is nothing but calling the tokenizer.
_PLAIN_KEYS = {"max_seq_length", "do_lower_case", "transformer_task", "modality_config", "module_output_name"}
_EXTRA = "sentence-transformers"


class _Tools(NamedTuple):
    """What tokenises: the tokenizer alone, or the whole model where it does more than call it."""

    tokenizer: Any
    model: Any
    prompt: str


class SentenceTransformerTokenizer(TextCollate):
    """Turns texts into the input of a sentence-transformers model; the collate function of its encoder.

    Loads only the tokenizer where the model's first module is a plain text transformer, else the whole model, at the
    first call and in each process. Picklable, so that DataLoader workers can run it.

    Args:
        folder: The model's folder.
        max_length: Most tokens of a text; None for the model's own limit.
        prompt: What to put before each text; None for the model's default prompt.
    """

    def files(self) -> list[Path]:
        """Lists the model's files."""
        return model_files(self.folder)

    def load(self) -> _Tools:
        """Loads the tokenizer, or the model."""
        limit, prompt = self.settings["max_length"], self.settings["prompt"]
        prompt = default_prompt(self.folder) if prompt is None else prompt
        if not _is_plain(self.folder, prompt):
            return _Tools(None, load_sentence_transformer(self.folder, max_length=limit), prompt)
        transformer = read_modules(self.folder)[0].folder
        if limit is None:
            limit = read_optional(transformer / "sentence_bert_config.json").get("max_seq_length")
        tokenizer = load_tokenizer(transformer, extra=_EXTRA)
        positions = read_optional(transformer / "config.json").get("max_position_embeddings", -1)
        if limit is not None:
            tokenizer.model_max_length = limit
        elif positions != -1:
            tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
        check_room(tokenizer, self.folder)
        return _Tools(tokenizer, None, prompt)

    def collate(self, tool: _Tools, objects: list[str]) -> dict[str, Any]:
        """Tokenises texts.

        Args:
            tool: What `load` returned.
            objects: B texts.

        Returns:
            Tensors `[B, T]` with the longest text's T tokens, and what else the model asks for.

        Raises:
            TypeError: If one is not text.
        """
        check_texts(objects, "SentenceTransformerEncoder")
        if tool.tokenizer is None:
            return dict(tool.model.preprocess(list(objects), prompt=tool.prompt or None))
        if tool.prompt:
            objects = [tool.prompt + text for text in objects]
        return dict(tool.tokenizer(objects, padding=True, truncation="longest_first", return_tensors="pt"))

    def fast_tokenizer(self) -> Any:
        """Returns the tokenizer, where nothing but it makes the input."""
        return self.tool().tokenizer


def _is_plain(folder: Path, prompt: str) -> bool:
    modules = read_modules(folder)
    if not modules or modules[0].kind != "Transformer" or not (modules[0].folder / "tokenizer.json").exists():
        return False
    config = read_optional(modules[0].folder / "sentence_bert_config.json")
    return (
        config.keys() <= _PLAIN_KEYS
        and not config.get("do_lower_case")
        and config.get("transformer_task", "feature-extraction") == "feature-extraction"
        and set(config.get("modality_config", {"text": None})) == {"text"}
        and not (prompt and leaves_prompt_out(folder))
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
    check_modules(folder)  # whatever the installed version of the library would do, and the files may have changed
    library = require("sentence_transformers", extra=_EXTRA)
    try:
        with quietly(extra=_EXTRA):
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
