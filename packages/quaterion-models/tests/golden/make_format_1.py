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
from quaterion_models.encoders import (
    CallableEncoder,
    ClipEncoder,
    FieldEncoder,
    ImageEncoder,
    SentenceTransformerEncoder,
    TransformersEncoder,
    VectorEncoder,
)
from quaterion_models.encoders.extras.fasttext_encoder import FasttextEncoder

FOLDER = Path(__file__).parent / "format_1"
INPUTS = ["a", "search", "QUERY", "the audio is out of sync", ""]
RECORDS = [{"text": text, "numbers": [float(len(text)), 0.5, -1.0]} for text in INPUTS]
IMAGES = [
    [[[(7 * x + 11 * y + 50 * c + 90 * n) % 256 for c in range(3)] for x in range(6)] for y in range(5)]
    for n in range(3)
]
INPUTS_OF = {"fields": RECORDS, "image_encoder": IMAGES, "clip_encoder": [*INPUTS, *IMAGES]}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "search", "query", "the", "audio", "is", "out", "of", "sync", "a"]
TOWER = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def models():
    """Yields names and models."""
    from golden_classes import ByCase, Scaling, Words, given

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
    prompts = {"query": "search ", "document": "the audio "}
    text = text_model()
    yield (
        "transformers_encoder",
        SimilarityModel(TransformersEncoder(text, pooling="cls", prompts=prompts, max_length=16), h.GatedHead(8)),
    )
    yield (
        "transformers_encoder_trained",
        SimilarityModel(TransformersEncoder(text, trainable=True, normalize=True), h.GatedHead(8)),
    )
    yield "image_encoder", SimilarityModel(ImageEncoder(image_model(), pooling="mean"), h.GatedHead(8))
    yield "clip_encoder", SimilarityModel(ClipEncoder(clip_model()), h.GatedHead(6))
    yield "fasttext_encoder", SimilarityModel(word_vectors(), h.GatedHead(6))
    yield "callable_encoder", SimilarityModel(given(CallableEncoder)["callable_encoder"], h.GatedHead(3))


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

    # Kept: the encoder reads its files when it is saved.
    kept = Path(tempfile.mkdtemp()) / "m"
    SentenceTransformer(modules=[Transformer(str(text_model())), Pooling(8, "mean")]).save(str(kept))
    return SentenceTransformerEncoder(kept)


def text_model():
    from transformers import BertConfig, BertModel

    folder = tempfile.mkdtemp()
    tokenizer().save_pretrained(folder)
    config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **TOWER)
    return random_weights(BertModel(config), folder)


def image_model():
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

    folder = tempfile.mkdtemp()
    ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(folder)
    return random_weights(ViTModel(ViTConfig(image_size=8, patch_size=4, **TOWER)), folder)


def clip_model():
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    folder = tempfile.mkdtemp()
    tokenizer().save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}).save_pretrained(folder)
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    text = TOWER | ends | {"vocab_size": len(WORDS), "max_position_embeddings": 16}
    image = TOWER | {"image_size": 8, "patch_size": 4}
    return random_weights(CLIPModel(CLIPConfig(text_config=text, vision_config=image, projection_dim=6)), folder)


def tokenizer():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    numbers = {word: number for number, word in enumerate(WORDS)}
    backend = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))  # noqa: S106  # no password
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=32, **names)


def random_weights(model, folder):
    generator = torch.Generator().manual_seed(0)  # the same whatever was made before
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5, generator=generator)
    model.save_pretrained(folder)
    return Path(folder)


def word_vectors():
    file = Path(tempfile.mkdtemp()) / "words.vec"
    words = WORDS[4:]
    lines = [f"{word} {number} {number * number % 7} -0.5" for number, word in enumerate(words)]
    file.write_text("\n".join([f"{len(words)} 3", *lines]) + "\n")
    return FasttextEncoder(file, aggregations=["avg", "max"])


def expected(model, inputs):
    """Everything that a loaded model must give again."""
    from golden_classes import as_objects

    found, objects = {"inputs": inputs, "labels": repr(model.labels)}, as_objects(inputs)
    if model.head is not None:
        found["encode_query"] = model.encode_query(objects, to_numpy=False).tolist()
        found["encode_document"] = model.encode_document(objects, to_numpy=False).tolist()
    if model.class_weights is not None:
        found["classify"] = [[repr(one.label), one.similarity] for one in model.classify(objects)]
    return found


def main():
    for name, model in models():
        folder = FOLDER / name
        if folder.exists():
            print(f"{name} is there and stays as it is")
            continue
        generator = torch.Generator().manual_seed(len(name))  # the same whichever folders are there
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(generator=generator)
        model.eval().save(folder / "model")
        indent = None if name in INPUTS_OF else 1
        text = json.dumps(expected(model, INPUTS_OF.get(name, INPUTS)), indent=indent)
        (folder / "expected.json").write_text(text + "\n")
        print(f"{name} is new")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
