"""Wrote the golden model folders of format 1. Folders that are there are never written again: they are what users have.

To add one, add it to `models` and run this file; then commit the new folder.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

from quaterion_models import SimilarityModel
from quaterion_models import heads as h
from quaterion_models.class_weights import ClassWeights
from quaterion_models.encoders import FieldEncoder, SentenceTransformerEncoder, VectorEncoder

FOLDER = Path(__file__).parent / "format_1"
INPUTS = ["a", "search", "QUERY", "the audio is out of sync", ""]
RECORDS = [{"text": text, "numbers": [float(len(text)), 0.5, -1.0]} for text in INPUTS]


def models():
    """Yields names and models."""
    from golden_classes import ByCase, Scaling, Words

    yield "empty_head", SimilarityModel(Words(), h.EmptyHead(4, dropout=0.5))
    yield "gated_head", SimilarityModel(Words(), h.GatedHead(4))
    yield "skip_connection_head", SimilarityModel(Words(), h.SkipConnectionHead(4, 0.1, skip_dropout=0.2, n_layers=2))
    yield "stacked_projection_head", SimilarityModel(Words(), h.StackedProjectionHead(4, [6, 3], "gelu"))
    yield "widening_head", SimilarityModel(Words(), h.WideningHead(4, expansion_factor=1.5, activation_fn="tanh"))
    yield "softmax_embeddings_head", SimilarityModel(Words(), h.SoftmaxEmbeddingsHead(2, 3, 4))
    yield "sequential_head", SimilarityModel(Words(), sequential())
    yield (
        "switch_head",
        SimilarityModel(
            ByCase({"upper": Words(), "lower": Words()}),
            h.SwitchHead({"upper": sequential(), "lower": h.StackedProjectionHead(4, (3,))}, 4),
        ),
    )
    inner = h.SwitchHead({"upper": h.EmptyHead(4), "lower": h.SkipConnectionHead(4)}, 4)
    yield (
        "nested_switch_head",
        SimilarityModel(
            ByCase({"upper": Words(), "lower": Words()}), h.SwitchHead({"upper": inner, "lower": h.WideningHead(4)}, 4)
        ),
    )
    sides = h.SwitchHead({"query": h.EmptyHead(4), "document": h.SkipConnectionHead(4)}, 4)
    yield "two_sided", SimilarityModel(Words(), sides)
    yield "half_precision", SimilarityModel(Words(), h.StackedProjectionHead(4, [3])).to(torch.bfloat16)
    yield "no_head", SimilarityModel(Words(), None)
    yield "own_classes", own_classes(Words, Scaling)
    keys = ["", "a.b", "../up", "A", "a", "keys", "ключ", "long " * 40]
    yield "odd_encoder_keys", SimilarityModel({key: Words(2) for key in keys}, h.GatedHead(16))
    yield "class_weights", class_weights(Words)
    fields = {"text": FieldEncoder("text", Words(2)), "numbers": FieldEncoder("numbers", VectorEncoder(3))}
    yield "fields", SimilarityModel(fields, h.GatedHead(5))
    yield "sentence_transformer", SimilarityModel(sentence_transformer(), h.GatedHead(8))


def sequential():
    return h.SequentialHead(
        nn.Linear(4, 6), nn.Sequential(nn.LayerNorm(6), nn.GELU("tanh")), nn.Linear(6, 3, bias=False), output_size=3
    )


def own_classes(words, scaling):
    note = {"path": Path("a/b"), "pair": (1, 2.5), "inf": float("inf"), "dtype": torch.float16, 3: None}
    model = SimilarityModel({"one": words(3, note=note), "two": words(2)}, scaling(5, 0.5, shape=(2, (3,))))
    model.labels = {"cat": 0, ("a", 1): 1, 2: "two"}
    return model


def class_weights(words):
    model = SimilarityModel(words(), h.GatedHead(4))
    model.labels = ["cat", 7, ("a", "b")]
    model.class_weights = ClassWeights(["cat", 7, None, ("a", "b")], torch.randn(8, 4))
    return model


def sentence_transformer():
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "search", "query", "the", "audio", "is", "out", "of", "sync", "a"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))  # noqa: S106  # no password
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    with tempfile.TemporaryDirectory() as folder:
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **names).save_pretrained(f"{folder}/t")
        BertModel(config).save_pretrained(f"{folder}/t")
        SentenceTransformer(modules=[Transformer(f"{folder}/t"), Pooling(8, "mean")]).save(f"{folder}/m")
        # Kept beyond the temporary folder: the encoder reads its files when it is saved.
        kept = Path(tempfile.mkdtemp()) / "m"
        Path(f"{folder}/m").rename(kept)
    return SentenceTransformerEncoder(kept)


def expected(model, inputs):
    """Everything that a loaded model must give again."""
    found = {"inputs": inputs, "labels": repr(model.labels)}
    if model.head is not None:
        found["encode_query"] = model.encode_query(inputs, to_numpy=False).tolist()
        found["encode_document"] = model.encode_document(inputs, to_numpy=False).tolist()
    if model.class_weights is not None:
        found["classify"] = [[repr(one.label), one.similarity] for one in model.classify(inputs)]
    return found


def main():
    torch.manual_seed(0)
    for name, model in models():
        folder = FOLDER / name
        if folder.exists():
            print(f"{name} is there and stays as it is")
            continue
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_()
        model.eval().save(folder / "model")
        inputs = RECORDS if name == "fields" else INPUTS
        (folder / "expected.json").write_text(json.dumps(expected(model, inputs), indent=1) + "\n")
        print(f"{name} is new")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
