"""Models exported to ONNX, run by quaterion-runtime and compared with torch beside the export's own check."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder, FieldEncoder, SentenceTransformerEncoder, VectorEncoder
from quaterion_models.encoders.transformers_encoder import TransformersEncoder
from quaterion_models.export import export_onnx
from quaterion_models.heads import EmptyHead, GatedHead, SkipConnectionHead, SwitchHead, WideningHead
from quaterion_models.saving.files import ModelFolderError

pytest.importorskip("onnxscript")
pytest.importorskip("transformers")
runtime = pytest.importorskip("quaterion_runtime")

# From one word to more than the 40 tokens that the tiny models take.
TEXTS = [" ".join(f"word{(7 * row + 3 * place) % 80}" for place in range(n)) for row, n in enumerate((3, 1, 12, 5, 60))]


def trained(head, seed=1):
    """The head with weights that are nothing special."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return head


def text_model(folder, head=None, **options):
    return SimilarityModel(TransformersEncoder(folder, **options), trained(head or SkipConnectionHead(16)))


class Numbers(Encoder):
    """A user's encoder of arrays, whose collate function is torch's own."""

    trainable = True
    embedding_size = 4

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4))

    def forward(self, batch):
        return self.compute(self.layers(batch))

    def compute(self, x):
        return x


def arrays(count=5):
    return list(np.random.default_rng(0).standard_normal((count, 6)).astype(np.float32))


def test_a_text_model_gives_the_same_vectors_alone_and_in_any_batch(tiny_model, tmp_path, description):
    model = text_model(tiny_model("bert"))
    report = export_onnx(model, tmp_path / "out", check_objects=TEXTS)
    assert report.largest_difference < 1e-6
    expected = model.encode(TEXTS)
    exported = runtime.Model.load(tmp_path / "out")
    for batch_size in (1, 2, 5):
        np.testing.assert_allclose(exported.encode(TEXTS, batch_size), expected, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([exported.encode(text) for text in TEXTS]), expected, atol=1e-5)
    assert len({vector.round(3).tobytes() for vector in expected}) == len(TEXTS)
    (graph,) = description(tmp_path / "out")["graphs"]
    assert graph["inputs"][0]["max_length"] == 40
    assert report.size == sum(file.stat().st_size for file in (tmp_path / "out").iterdir() if file.name != "README.md")


def test_a_program_without_torch_runs_it(tiny_model, tmp_path):
    model = text_model(tiny_model("bert"))
    export_onnx(model, tmp_path / "out")
    code = (
        "import sys; from quaterion_runtime import Model; v = Model.load(sys.argv[1]).encode('word1 word2');"
        "assert not {'torch', 'transformers', 'quaterion_models'} & set(sys.modules); print(*map(float, v[0]))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "out"], capture_output=True, text=True, check=True)
    np.testing.assert_allclose([float(one) for one in done.stdout.split()], model.encode("word1 word2")[0], atol=1e-5)


def test_the_exporter_is_quiet_and_leaves_the_model_as_it_was(tiny_model, tmp_path, capfd, recwarn):
    model = text_model(tiny_model("bert"), trainable=True).train()
    before = copy.deepcopy(model.state_dict())
    attention = model.encoders["default"].model.config._attn_implementation
    random_state = torch.get_rng_state()
    export_onnx(model, tmp_path / "out")
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert model.training and model.encoders["default"].model.training
    assert model.encoders["default"].model.config._attn_implementation == attention
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_no_path_of_this_machine_is_in_the_files(tiny_model, tmp_path):
    folder = tiny_model("bert")
    export_onnx(text_model(folder), tmp_path / "out")
    for file in (tmp_path / "out").iterdir():
        content = file.read_bytes()
        assert str(folder).encode() not in content
        assert b"site-packages" not in content and b"quaterion_models/" not in content


def test_the_weights_of_a_trained_model_in_half_precision_are_taken_as_they_are(tiny_model, tmp_path):
    model = text_model(tiny_model("bert"), trainable=True)
    with torch.no_grad():
        for parameter in model.encoders["default"].parameters():
            parameter.mul_(1.1)
    model.to(torch.bfloat16)
    expected = copy.deepcopy(model).float().encode(TEXTS)
    export_onnx(model, tmp_path / "out")
    np.testing.assert_allclose(runtime.Model.load(tmp_path / "out").encode(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"trainable_layers": 1}, {"lora": {"use_dora": True}, "gradient_checkpointing": True}]
)
def test_what_was_trained_in_part_or_beside_the_weights_is_exported_whole(tiny_model, tmp_path, options):
    if "lora" in options:
        pytest.importorskip("peft")
    model = text_model(tiny_model("bert"), **options)
    untrained = model.encode(TEXTS)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for one in model.encoders["default"].parameters():
            if one.requires_grad:
                one.add_(torch.randn(one.shape, generator=generator) * 0.05)
    expected = model.encode(TEXTS)
    assert np.abs(expected - untrained).max() > 0.01
    export_onnx(model, tmp_path / "out")
    np.testing.assert_allclose(runtime.Model.load(tmp_path / "out").encode(TEXTS), expected, atol=1e-5)
    assert model.encoders["default"].has_adapters == ("lora" in options)
    np.testing.assert_array_equal(model.encode(TEXTS), expected)


def test_two_heads_and_prompts_make_two_sides(tiny_model, tmp_path, description):
    head = SwitchHead({"query": GatedHead(16), "document": WideningHead(16)}, 16)
    prompts = {"query": "word1 word2 ", "document": ""}
    model = text_model(tiny_model("bert"), head, prompts=prompts)
    export_onnx(model, tmp_path / "out")
    exported = runtime.Model.load(tmp_path / "out")
    assert exported.two_sided and description(tmp_path / "out")["sides"] == ["query", "document"]
    queries, documents = model.encode_query(TEXTS), model.encode_document(TEXTS)
    np.testing.assert_allclose(exported.encode_query(TEXTS), queries, atol=1e-5)
    np.testing.assert_allclose(exported.encode_document(TEXTS), documents, atol=1e-5)
    assert np.abs(queries - documents).max() > 0.1


@pytest.mark.slow
def test_encoders_of_fields_are_joined(tiny_model, tmp_path):
    encoders = {
        "title": FieldEncoder("title", TransformersEncoder(tiny_model("bert"))),
        "body": FieldEncoder("body", TransformersEncoder(tiny_model("bert"), pooling="cls", max_length=8)),
        "price": FieldEncoder("price", VectorEncoder(2, normalize=True)),
    }
    model = SimilarityModel(encoders, trained(GatedHead(34)))
    report = export_onnx(model, tmp_path / "out")
    assert report.objects > 8
    records = [{"title": text, "body": text * 2, "price": [row, 1.0]} for row, text in enumerate(TEXTS)]
    found = runtime.Model.load(tmp_path / "out").encode(records, 2)
    np.testing.assert_allclose(found, model.encode(records), atol=1e-5)
    assert len(list((tmp_path / "out").glob("tokenizer-*.json"))) == 1  # both texts have the same tokenizer


@pytest.mark.slow
def test_texts_and_images_have_a_graph_each(tiny_clip, tmp_path, description):
    from quaterion_models.encoders.clip_encoder import ClipEncoder

    encoder = ClipEncoder(tiny_clip("clip"))
    size = encoder.embedding_size
    head = trained(SwitchHead({"text": GatedHead(size), "image": SkipConnectionHead(size)}, size))
    model = SimilarityModel(encoder, head)
    export_onnx(model, tmp_path / "out", check_objects=TEXTS[:2])
    image = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    objects = ["word1", image, "word2 word3"]
    np.testing.assert_allclose(runtime.Model.load(tmp_path / "out").encode(objects), model.encode(objects), atol=1e-5)
    graphs = {one["name"]: one["accepts"] for one in description(tmp_path / "out")["graphs"]}
    assert graphs == {"text": "text", "image": "image"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    ["roberta", "mpnet", "distilbert", "modernbert", "deberta-v2", "gpt2", "llama", "t5", "bart", "opt"],
)
def test_every_family_of_text_models(tiny_model, tmp_path, kind):
    decoder = kind in {"gpt2", "llama", "opt"}
    encoder = TransformersEncoder(tiny_model(kind), pooling="last_token" if decoder else "mean")
    model = SimilarityModel(encoder, EmptyHead(encoder.embedding_size))
    export_onnx(model, tmp_path / "out", check_objects=TEXTS)
    np.testing.assert_allclose(runtime.Model.load(tmp_path / "out").encode(TEXTS), model.encode(TEXTS), atol=2e-5)


@pytest.mark.parametrize("pooling", ["mean", "last_token"])
def test_a_text_without_tokens_is_the_token_that_stands_in_for_it(tiny_model, tmp_path, pooling):
    """The tokenizers of decoders add none of their own."""
    encoder = TransformersEncoder(tiny_model("gpt2"), pooling=pooling)
    assert encoder.get_collate_fn()([""])["input_ids"].shape == (1, 1)
    model = SimilarityModel(encoder, trained(GatedHead(16)))
    export_onnx(model, tmp_path / "out")
    exported, texts = runtime.Model.load(tmp_path / "out"), ["", "word1 word2 word3", " "]
    expected = model.encode(texts)
    assert np.linalg.norm(expected[0]) > 0.1
    for batch_size in (1, 3):
        np.testing.assert_allclose(exported.encode(texts, batch_size), expected, atol=1e-5)


@pytest.mark.parametrize(("kind", "max_length"), [("bert", 3), ("gpt2", 2), ("gpt2", 1)])
def test_padding_does_not_count_where_nearly_all_texts_are_as_long_as_the_limit(tiny_model, tmp_path, kind, max_length):
    model = text_model(tiny_model(kind), max_length=max_length)
    export_onnx(model, tmp_path / "out")
    texts = ["", "word1", "word1 word2", "word3 word4 word5"]
    found = runtime.Model.load(tmp_path / "out").encode(texts)
    np.testing.assert_allclose(found, model.encode(texts), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vit", "resnet", "convnext", "swin"])
def test_every_family_of_vision_models(tiny_vision, tmp_path, kind):
    from quaterion_models.encoders.image_encoder import ImageEncoder

    encoder = ImageEncoder(tiny_vision(kind))
    model = SimilarityModel(encoder, EmptyHead(encoder.embedding_size))
    assert export_onnx(model, tmp_path / "out").largest_difference < 1e-6


@pytest.mark.slow
def test_a_model_that_pads_every_text_to_one_length(tiny_clip, tmp_path):
    from quaterion_models.encoders.clip_encoder import ClipTextEncoder

    encoder = ClipTextEncoder(tiny_clip("siglip"))
    model = SimilarityModel(encoder, EmptyHead(encoder.embedding_size))
    export_onnx(model, tmp_path / "out", check_objects=TEXTS)
    np.testing.assert_allclose(runtime.Model.load(tmp_path / "out").encode(TEXTS), model.encode(TEXTS), atol=1e-5)


def test_an_encoder_of_ones_own_takes_arrays(tmp_path, description):
    model = SimilarityModel(Numbers(), trained(GatedHead(4))).train()
    export_onnx(model, tmp_path / "out", check_objects=arrays())
    np.testing.assert_allclose(
        runtime.Model.load(tmp_path / "out").encode(arrays(7)), model.encode(arrays(7)), atol=1e-6
    )
    (described,) = description(tmp_path / "out")["graphs"][0]["inputs"]
    assert (described["kind"], described["shape"], described["dtype"]) == ("array", [6], "float32")
    with pytest.raises(ValueError, match="what Numbers takes is not known without an example: pass check_objects"):
        export_onnx(model, tmp_path / "other")


def test_vectors_that_are_looked_up_are_given_to_the_graph(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((9, 3)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    model = SimilarityModel(VectorEncoder.from_npy(tmp_path / "vectors.npy"), trained(GatedHead(3)))
    with pytest.raises(ValueError, match="cannot be made up, .* pass check_objects"):
        export_onnx(model, tmp_path / "out")
    export_onnx(model, tmp_path / "out", check_objects=[0, 5])
    found = runtime.Model.load(tmp_path / "out").encode(vectors)
    np.testing.assert_allclose(found, model.encode(list(range(9))), atol=1e-6)


def test_fields_of_tuples(tmp_path):
    fields = {"a": FieldEncoder(2, VectorEncoder(2)), "b": FieldEncoder(0, VectorEncoder(3, normalize=True))}
    model = SimilarityModel(fields, trained(GatedHead(5)))
    export_onnx(model, tmp_path / "out")
    records = [([1.0, 2.0, 2.0], "unused", [row, 4.0]) for row in range(3)]
    np.testing.assert_allclose(runtime.Model.load(tmp_path / "out").encode(records), model.encode(records), atol=1e-6)


def test_an_operator_without_a_form_in_onnx_is_named_and_nothing_is_written(tmp_path):
    class Singular(Numbers):
        def compute(self, x):
            return torch.linalg.svdvals(x[:, :, None] * x[:, None, :])

    model = SimilarityModel(Singular(), EmptyHead(4))
    with pytest.raises(
        ValueError, match=r"'default' \(Singular\) .* the operator aten\._linalg_svd has no form in ONNX"
    ):
        export_onnx(model, tmp_path / "out", check_objects=arrays())
    assert not list(tmp_path.iterdir())


def test_a_forward_that_decides_by_values_is_refused(tmp_path):
    class Deciding(Numbers):
        def compute(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match="forward decides by the values of a tensor"):
        export_onnx(SimilarityModel(Deciding(), EmptyHead(4)), tmp_path / "out", check_objects=arrays())


def test_a_model_that_the_graph_does_not_agree_with_is_refused_and_the_old_folder_stays(tmp_path):
    class Centred(Numbers):
        """Depends on the batch: what no graph of one object could reproduce."""

        def compute(self, x):
            return x - x.mean(dim=0) * (1 if len(x) > 1 else 0)

    export_onnx(SimilarityModel(Numbers(), EmptyHead(4)), tmp_path / "out", check_objects=arrays())
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    with pytest.raises(ValueError, match=r"does not agree with the model: for array.* as a query in batches of 1, .*"):
        export_onnx(SimilarityModel(Centred(), EmptyHead(4)), tmp_path / "out", check_objects=arrays())
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_older_exported_model_is_replaced_and_other_folders_are_not(tmp_path):
    model = SimilarityModel(Numbers(), EmptyHead(4))
    (tmp_path / "out").mkdir()
    export_onnx(model, tmp_path / "out", check_objects=arrays())
    (tmp_path / "out" / "notes.txt").write_text("mine")
    export_onnx(model, tmp_path / "out", check_objects=arrays(), precision="float16")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "notes.txt").write_text("mine")
    with pytest.raises(ModelFolderError, match="holds files but no saved model"):
        export_onnx(model, tmp_path / "home", check_objects=arrays())


def test_dimensions_are_cut_and_scaled_again(tiny_model, tmp_path, description):
    model = text_model(tiny_model("bert"))
    report = export_onnx(model, tmp_path / "out", dimensions=5)
    expected = model.encode(TEXTS)[:, :5]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(runtime.Model.load(tmp_path / "out").encode(TEXTS), expected, atol=1e-5)
    content = description(tmp_path / "out")
    assert (content["embedding_size"], content["normalized"], report.embedding_size) == (5, True, 5)
    with pytest.raises(ValueError, match=r"dimensions must lie in 1\.\.16, got 17"):
        export_onnx(model, tmp_path / "out", dimensions=17)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "most", "share"), [("float16", 1e-5, 0.6), ("int8", 0.05, 0.35)])
def test_smaller_weights_give_nearly_the_same_vectors(tiny_model, tmp_path, precision, most, share):
    model = text_model(tiny_model("bert", {"hidden_size": 64, "intermediate_size": 512}), SkipConnectionHead(64))
    whole = export_onnx(model, tmp_path / "whole", normalize=True, check_objects=TEXTS)
    seen = []

    def quality(one):
        seen.append(one)
        return float(one.encode_query(TEXTS, 2)[:, 0].sum())

    report = export_onnx(
        model, tmp_path / "out", precision=precision, normalize=True, check_objects=TEXTS, quality=quality
    )
    expected = model.encode(TEXTS, normalize=True)
    found = runtime.Model.load(tmp_path / "out").encode(TEXTS)
    errors = 1 - (expected * found).sum(axis=1)
    assert errors.max() < most
    assert report.largest_difference < most
    assert (tmp_path / "out" / "model.onnx").stat().st_size < share * (tmp_path / "whole" / "model.onnx").stat().st_size
    assert whole.largest_difference < 1e-6 and report.largest_difference > whole.largest_difference
    assert len(seen) == 2 and report.quality is not None and report.quality[0] != 0
    assert f"{report.quality[1]:.4f} of the exported one" in (tmp_path / "out" / "README.md").read_text()


def test_wrong_arguments_are_refused(tmp_path):
    model = SimilarityModel(VectorEncoder(3), EmptyHead(3))
    with pytest.raises(ValueError, match=r"precision must be one of \['float32', 'float16', 'int8'\], got 'int4'"):
        export_onnx(model, tmp_path / "out", precision="int4")
    with pytest.raises(ValueError, match="this model has no head"):
        export_onnx(SimilarityModel(VectorEncoder(3), None), tmp_path / "out")


@pytest.mark.slow
def test_the_real_model_on_texts_of_every_length(minilm_folder, tmp_path):
    model = SimilarityModel(SentenceTransformerEncoder(minilm_folder), trained(SkipConnectionHead(384)))
    report = export_onnx(model, tmp_path / "out")
    assert report.largest_difference < 1e-6
    texts = ["a", "Straße 12", " ".join(["word"] * 400), ""]
    np.testing.assert_allclose(runtime.Model.load(tmp_path / "out").encode(texts, 4), model.encode(texts), atol=1e-5)
