"""Tokenisation for the text models of Hugging Face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quaterion_models.encoders.pretrained_files import WEIGHTS, files_in, read_optional
from quaterion_models.encoders.text_collate import TextCollate
from quaterion_models.encoders.transformers_library import check_room, check_texts, load_tokenizer

# The positions of these start behind the number of the padding token, so that many fewer are left for tokens.
_POSITIONS_AFTER_PADDING = {
    *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "camembert", "xmod", "data2vec-text"),
    *("longformer", "mpnet", "esm", "ibert", "lilt", "luke", "markuplm", "layoutlmv3"),
}
_NO_POSITIONS = {"t5", "mt5", "umt5", "longt5", "switch_transformers"}  # relative; their n_positions limits nothing
_NO_LIMIT = 10**9  # a tokenizer without a limit says 10^30
# Beside models with a size of their own for types of tokens; gpt2 would take types for words.
_USES_TYPES = {"xlnet"}


class TransformersTokenizer(TextCollate):
    """Turns texts into the input of a Hugging Face text model; the collate function of its encoder.

    Padding goes to the right, whatever the tokenizer is set to: models with absolute positions would give a text other
    vectors with padding before it. A batch without padding has no attention mask, so that the model needs none.

    Args:
        folder: The model's folder.
        max_length: Most tokens of a text; None for the model's own limit.
        prompt: What to put before each text.
    """

    def files(self) -> list[Path]:
        """Lists the files of the tokenizer, and the configuration."""
        return [path for path in files_in([self.folder]) if path.suffix not in WEIGHTS]

    def load(self) -> Any:
        """Loads the tokenizer, set to the limit and to padding on the right."""
        tokenizer = load_tokenizer(self.folder, extra="transformers")
        config = read_optional(self.folder / "config.json")
        limits = [self.settings["max_length"], most_tokens(config), tokenizer.model_max_length]
        limit = min([limit for limit in limits if limit is not None and limit < _NO_LIMIT], default=None)
        tokenizer.model_max_length = _NO_LIMIT if limit is None else limit
        tokenizer.padding_side = "right"
        if tokenizer.pad_token is None:  # any token will do: the mask says that it is none
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
        check_room(tokenizer, self.folder)
        uses_types = bool(config.get("type_vocab_size")) or config.get("model_type") in _USES_TYPES
        tokenizer.model_input_names = ["input_ids", *(["token_type_ids"] if uses_types else []), "attention_mask"]
        return tokenizer

    def collate(self, tool: Any, objects: list[str]) -> dict[str, Tensor]:
        """Tokenises texts.

        Args:
            tool: The tokenizer.
            objects: B texts.

        Returns:
            `input_ids` `[B, T]` with the longest text's T tokens, `attention_mask` where they are not all as long, and
            `token_type_ids` where the model has such.

        Raises:
            TypeError: If one is not text.
        """
        check_texts(objects, "TransformersEncoder")
        if self.settings["prompt"]:
            objects = [self.settings["prompt"] + text for text in objects]
        limited = tool.model_max_length < _NO_LIMIT
        batch = dict(tool(objects, padding=True, truncation=limited, return_tensors="pt"))
        lengths = batch["attention_mask"].sum(1)
        if not lengths.all():
            batch = _with_a_token_each(batch, lengths, tool)
        if batch["attention_mask"].all():
            del batch["attention_mask"]
        return batch

    def fast_tokenizer(self) -> Any:
        """Returns the tokenizer, where it is a fast one."""
        tokenizer = self.tool()
        return tokenizer if tokenizer.is_fast else None


def most_tokens(config: dict[str, Any]) -> int | None:
    """Reads from a model's configuration how many tokens it takes.

    Args:
        config: The content of `config.json`.

    Returns:
        The number; None where the model has no limit, or does not tell.

    Example:
        >>> most_tokens({"model_type": "bert", "max_position_embeddings": 512})
        512
        >>> most_tokens({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1})
        512
    """
    if isinstance(config.get("text_config"), dict):
        config = config["text_config"]
    kind = config.get("model_type")
    names = ("max_position_embeddings", "n_positions", "max_encoder_position_embeddings")
    positions = next((config[name] for name in names if isinstance(config.get(name), int)), -1)
    if kind in _POSITIONS_AFTER_PADDING:
        padding = config.get("pad_token_id", 1)
        positions -= (padding if isinstance(padding, int) else 1) + 1
    return positions if positions > 0 and kind not in _NO_POSITIONS else None


def check_limit(max_length: int | None, config: dict[str, Any], folder: Path) -> None:
    """Checks that a limit is not above the model's own.

    Args:
        max_length: Most tokens of a text; None for the model's limit.
        config: The content of `config.json`.
        folder: The model's folder, for the message.

    Raises:
        ValueError: If it is.
    """
    most = most_tokens(config)
    if max_length is not None and most is not None and max_length > most:
        raise ValueError(
            f"max_length is {max_length}, but the model in {folder} takes {most} tokens at the most. "
            "Give a lower one, or None for the model's own limit"
        )


def token_of_empty_text(tokenizer: Any) -> int:
    """Chooses the token that a text without tokens is given, so that there is something to pool.

    Args:
        tokenizer: The tokenizer, which has a padding token.

    Returns:
        The number of a token.
    """
    tokens = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
    return int(next(token for token in tokens if token is not None))


def _with_a_token_each(batch: dict[str, Tensor], lengths: Tensor, tokenizer: Any) -> dict[str, Tensor]:
    """Gives an empty text one token where the tokenizer adds none by itself."""
    if not batch["input_ids"].shape[1]:  # all texts are empty
        batch = {name: torch.zeros(len(lengths), 1, dtype=torch.int64) for name in batch}
    empty = lengths == 0
    batch["input_ids"][empty, 0] = token_of_empty_text(tokenizer)
    batch["attention_mask"][empty, 0] = 1
    return batch
