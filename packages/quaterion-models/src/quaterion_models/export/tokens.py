"""What a program without transformers needs to know to tokenise as a text encoder does."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from quaterion_models.encoders.clip_towers import ClipTokenizer
from quaterion_models.encoders.pretrained_collate import PretrainedCollate
from quaterion_models.encoders.pretrained_encoder import PretrainedEncoder
from quaterion_models.encoders.sentence_transformer_tokenizer import SentenceTransformerTokenizer
from quaterion_models.encoders.transformers_tokenizer import TransformersTokenizer, token_of_empty_text

_NO_LIMIT = 2**20  # tokens; of models whose positions are relative


def describe_tokenizer(encoder: PretrainedEncoder) -> tuple[dict[str, Any], str]:
    """Describes the tokenising of a text encoder.

    Args:
        encoder: A text encoder of this library.

    Returns:
        The entries of `runtime.json`, and the content of the tokenizer's file.

    Raises:
        ValueError: If tokenising takes more than a tokenizer's file.
    """
    tokenizer, prompt, limit = _tools(encoder)
    if not tokenizer.is_fast:
        raise ValueError(
            f"the tokenizer of {encoder.folder} is a {type(tokenizer).__name__}, which is code and no tokenizer.json. "
            "Save a fast one beside the model"
        )
    if tokenizer.truncation_side != "right":
        raise ValueError(
            f"the tokenizer of {encoder.folder} cuts texts on the left, an exported model cuts them on the right. "
            'Set truncation_side to "right" in its tokenizer_config.json'
        )
    prompts = encoder.settings.get("prompts") or {"query": prompt, "document": prompt}
    described = {
        "max_length": int(min(limit, _NO_LIMIT)),
        "pad_id": tokenizer.pad_token_id or 0,
        "pad_type_id": tokenizer.pad_token_type_id,
        "padding_side": tokenizer.padding_side,
        "prompts": dict(prompts),
    }
    if isinstance(encoder.get_collate_fn(), TransformersTokenizer):
        described["empty_id"] = token_of_empty_text(tokenizer)
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    # What the last call has set, and what the program that runs the graph sets itself.
    content |= {"truncation": None, "padding": None}
    return described, json.dumps(content, ensure_ascii=False)


def padded_length(encoder: PretrainedEncoder) -> int | None:
    """Tells to which length a text encoder pads every text; None where it pads to the longest of a batch."""
    collate = encoder.get_collate_fn()
    if isinstance(collate, ClipTokenizer) and collate.tool().keywords["padding"] == "max_length":
        length: int = collate.tool().keywords["max_length"]
        return length
    return None


def _tools(encoder: PretrainedEncoder) -> tuple[Any, str, int]:
    """The tokenizer, what is put before every text, and the most tokens."""
    collate = encoder.get_collate_fn()
    if not isinstance(collate, PretrainedCollate):
        raise ValueError(  # noqa: TRY004 - a ValueError like all that cannot be exported
            f"{type(encoder).__name__} has a collate function of its own, whose code an exported model cannot run. Do "
            "what it does to the objects before they are encoded"
        )
    tool = collate.tool()
    if isinstance(collate, SentenceTransformerTokenizer):
        if tool.tokenizer is None:
            raise ValueError(
                f"{encoder.folder} does more with a text than to call its tokenizer (a pooling without the prompt, "
                "static embeddings, lower case outside of the tokenizer or the like), which is not exported"
            )
        return tool.tokenizer, tool.prompt, tool.tokenizer.model_max_length
    if isinstance(collate, ClipTokenizer):
        calling: partial[Any] = tool
        tokenizer: Any = calling.func
        tokenizer.padding_side = calling.keywords["padding_side"]
        return tokenizer, "", calling.keywords["max_length"]
    return tool, collate.settings["prompt"] or "", tool.model_max_length
