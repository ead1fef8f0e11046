"""An encoder of texts and images by a model like CLIP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from quaterion_models.encoders.clip_towers import ClipImageEncoder, ClipTextEncoder, ClipTower
from quaterion_models.encoders.images import is_image
from quaterion_models.encoders.pretrained_encoder import Precision
from quaterion_models.encoders.switch_encoder import SwitchEncoder

if TYPE_CHECKING:
    from quaterion_models.encoders.lora import LoraOptions

TEXT, IMAGE = "text", "image"


class ClipEncoder(SwitchEncoder):
    """Encodes texts and images into one space with a model like CLIP or SigLIP of the library transformers.

    A `str` is a text, always; an image is one of PIL, a `pathlib.Path`, a file's bytes, an array or a tensor, as for
    `ImageEncoder`. It is a `SwitchEncoder` with the options `"text"` and `"image"`, which a `SwitchHead` with these
    options follows. The vectors are those of the model's `get_text_features` and `get_image_features`, projection
    included, scaled to length 1.

    A frozen tower is loaded at its first object, and each is kept without the weights of the other; both are saved in
    one folder. To join the text and the image of one record, take the towers apart:
    `{"title": FieldEncoder("title", ClipTextEncoder(...)), "photo": FieldEncoder("photo", ClipImageEncoder(...))}`.

    Needs the extra `images`.

    Args:
        name_or_folder: A folder with the files of a model, or its name on the Hugging Face hub, such as
            `"openai/clip-vit-base-patch32"`.
        trainable: Whether training changes the model, both towers of it.
        normalize: Whether to scale the vectors to length 1.
        dtype: Precision of the weights; None for that of the module, which is float32 unless it is cast (`.half()`).
        revision: Branch, tag or commit on the hub.
        lora: Train adapters in the place of the weights, in both towers: True for rank 8 beside all linear layers, a
            dict of arguments of `peft.LoraConfig`, or one. Needs the extra `lora`.
        gradient_checkpointing: Whether a trained model computes its layers again in the backward pass: less memory,
            more time, the same gradients.

    Raises:
        ValueError: If there is no such model, or it is not one of texts and images.
        ImportError: If the extra is not installed.

    Example:
        >>> encoder = ClipEncoder("openai/clip-vit-base-patch32")  # doctest: +SKIP
        >>> model = SimilarityModel(encoder, EmptyHead(encoder.embedding_size))  # doctest: +SKIP
        >>> text, image = model.encode(["two cats", Path("cats.jpg")])  # doctest: +SKIP
    """

    def __init__(
        self,
        name_or_folder: str | os.PathLike[str],
        trainable: bool = False,
        *,
        normalize: bool = True,
        dtype: Precision | None = None,
        revision: str | None = None,
        lora: LoraOptions | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        options: dict[str, Any] = {"normalize": normalize, "dtype": dtype, "lora": lora}
        options["gradient_checkpointing"] = gradient_checkpointing
        text = ClipTextEncoder(name_or_folder, trainable, revision=revision, **options)
        image = ClipImageEncoder(text.folder, trainable, **options)
        super().__init__({TEXT: text, IMAGE: image})

    @classmethod
    def encoder_selection(cls, record: Any) -> str:
        """Chooses the tower of an object: that of texts for a `str`, that of images for an image.

        Args:
            record: An object.

        Returns:
            `"text"` or `"image"`.

        Raises:
            TypeError: If it is neither.
        """
        if isinstance(record, str):
            return TEXT
        if is_image(record):
            return IMAGE
        raise TypeError(
            f"{cls.__name__} takes texts (str) and images (of PIL, pathlib.Path, bytes, arrays or tensors), got "
            f"{type(record).__name__}. Pass one of these, or pick it out of "
            "your records with FieldEncoder"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model's files once for both towers, and the settings.

        Args:
            path: The folder; made where it does not exist.
        """
        from quaterion_models.saving.pretrained_folder import save_pretrained

        towers = [cast(ClipTower, option) for option in self.options.values()]
        trained = [tower.loaded() for tower in towers] if self.trainable else None
        save_pretrained(towers[0], Path(path), model=trained, saved_as=type(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:  # type: ignore[override]  # no classes are named in its folder
        """Builds the encoder from a folder that `save` wrote.

        Args:
            path: The folder.

        Returns:
            The encoder, on the CPU.

        Raises:
            ModelFolderError: If a file is missing, damaged, or could run code.
        """
        from quaterion_models.saving.pretrained_folder import load_pretrained

        return load_pretrained(ClipTextEncoder, Path(path), build=cls)
