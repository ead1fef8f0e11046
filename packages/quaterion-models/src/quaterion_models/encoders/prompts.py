"""Prompts of text encoders: what stands before queries and before documents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from quaterion_models.encoders.pretrained_files import read_optional
from quaterion_models.encoders.sentence_transformer_files import leaves_prompt_out
from quaterion_models.heads.switch_head import DOCUMENT, QUERY

# Names of the sides in config_sentence_transformers.json, the first that is there.
_NAMES = {QUERY: ("query",), DOCUMENT: ("document", "passage", "corpus")}


class SidePrompts:
    """Puts the prompt of its side before a text; what is no text stays, for the collate function to name.

    Args:
        prompts: Side to prompt.

    Example:
        >>> SidePrompts({"query": "query: ", "document": "passage: "})("a cat", "document")
        'passage: a cat'
    """

    def __init__(self, prompts: Mapping[str, str]) -> None:
        self.prompts = dict(prompts)

    def __call__(self, obj: Any, side: str) -> Any:
        """Prepares one object.

        Args:
            obj: A text.
            side: `"query"` or `"document"`.

        Returns:
            The text with its prompt.
        """
        return self.prompts[side] + obj if isinstance(obj, str) else obj


def resolve_prompts(
    prompts: Mapping[str, str] | Literal["auto"] | None, prompt: str | None, folder: Path
) -> dict[str, str] | None:
    """Checks the prompts of an encoder, and reads them from the model's files where that is asked for.

    Args:
        prompts: Side to prompt, `"auto"`, or None.
        prompt: The encoder's other prompt, the same for all texts.
        folder: The model's folder.

    Returns:
        A prompt for each side; None where there are none.

    Raises:
        ValueError: If they are not texts for exactly `query` and `document`, both kinds of prompt are given, the files
            name none, or the model leaves a prompt out of its vectors.
    """
    if prompts is None:
        return None
    if prompt:
        raise ValueError(f"got prompt {prompt!r} and prompts {prompts!r}: give one prompt for all texts, or one a side")
    if folder.joinpath("modules.json").exists() and leaves_prompt_out(folder):
        raise ValueError(
            f"the pooling of {folder} leaves the prompt out of the mean (include_prompt is false), so it cannot be "
            "part of the text: prompts are not possible with this model. Use one encoder a side, each with prompt="
        )
    if prompts == "auto":
        return _named_prompts(folder)
    if (
        not isinstance(prompts, Mapping)
        or set(prompts) != {QUERY, DOCUMENT}
        or not all(isinstance(text, str) for text in prompts.values())
    ):
        raise ValueError(
            f'prompts must be {{"{QUERY}": text, "{DOCUMENT}": text}}, or "auto" for those that the model names, got '
            f"{prompts!r}"
        )
    return {side: prompts[side] for side in (QUERY, DOCUMENT)}


def default_prompt(folder: Path) -> str:
    """Reads what a model puts before each text unless it is told otherwise; mostly nothing."""
    config = read_optional(folder / "config_sentence_transformers.json")
    return _texts(config).get(config.get("default_prompt_name") or "", "")


def _named_prompts(folder: Path) -> dict[str, str]:
    path = folder / "config_sentence_transformers.json"
    named = _texts(read_optional(path))
    # As in sentence-transformers a side that is not named has no prompt, not the default one.
    found = {side: next((named[name] for name in names if name in named), "") for side, names in _NAMES.items()}
    if not any(found.values()):
        raise ValueError(
            f'prompts is "auto", and {path} names no prompts for queries or documents, only {sorted(named)}. '
            f'Pass prompts={{"{QUERY}": ..., "{DOCUMENT}": ...}} as the model\'s card gives them'
        )
    return found


def _texts(config: dict[str, Any]) -> dict[str, str]:
    prompts = config.get("prompts")
    return {name: text for name, text in prompts.items() if isinstance(text, str)} if isinstance(prompts, dict) else {}
