"""A changed encoder never reuses a vector; an unchanged one, in whatever process, encodes nothing again."""

import importlib
import json
import linecache
import os
import shutil
import subprocess
import sys
import textwrap

import pytest
import torch

from quaterion.cache import CacheConfig
from quaterion.cache.prepare import BatchSource
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead

TEXTS = ["a", "Bb", "ccc b", "a", "dddd a b"]
DISTINCT = len(set(TEXTS))

SOURCE = """
import torch
from torch import nn
from quaterion_models.encoders import Encoder

ENCODED = []  # a global list does not count as a part of the encoder
OFFSET = 1.0

def shifted(vectors):
    return vectors + OFFSET

class Base(Encoder):
    def stretched(self, vectors):
        return vectors * 2.0

class Letters(Base):
    trainable = False
    embedding_size = 4
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        with torch.no_grad():
            self.layer.weight.copy_(torch.arange(16.0).reshape(4, 4) / 8)
            self.layer.bias.zero_()
        self.register_buffer("scale", torch.ones(4), persistent=False)
        self.power = 1
    def get_collate_fn(self):
        return lambda texts: torch.tensor([[float(text.count(letter)) for letter in "abcd"] for text in texts])
    def forward(self, batch):
        ENCODED.extend([None] * len(batch))
        vectors = self.layer(batch.to(self.layer.weight.dtype)) * self.scale
        return shifted(self.stretched(vectors)) ** self.power
"""


def cached_vectors(encoder, config, texts=TEXTS):
    model = SimilarityModel(encoder, EmptyHead(encoder.embedding_size))
    source = BatchSource(model, config, torch.device("cpu"))
    loader = GroupSimilarityDataLoader([SimilarityGroupSample(text, 0) for text in texts], batch_size=len(texts))
    (batch,) = source.batches(loader, source.read(loader))
    return batch.features.cached["default"]


@pytest.fixture
def load_source(tmp_path, monkeypatch):
    """Imports an encoder's module from a source, under the same name each time."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(source=SOURCE):
        (folder / "user_encoder.py").write_text(source)
        linecache.clearcache()
        importlib.invalidate_caches()
        sys.modules.pop("user_encoder", None)
        return importlib.import_module("user_encoder")

    yield load
    sys.modules.pop("user_encoder", None)


@pytest.fixture
def encode(load_source, tmp_path):
    """Runs an encoder over the texts through a cache on disk; gives the vectors and how many objects it encoded."""

    def run(source=SOURCE, change=lambda encoder: None, **options):
        module = load_source(source)
        encoder = module.Letters()
        change(encoder)
        vectors = cached_vectors(encoder, CacheConfig(save_dir=tmp_path / "stores", **options))
        encoded = len(module.ENCODED)
        bare = encoder(encoder.get_collate_fn()(TEXTS)).detach().float()
        return vectors, encoded, bare

    return run


def one_weight(encoder):
    with torch.no_grad():
        encoder.layer.weight[2, 1] += 2**-10


def a_buffer(encoder):
    encoder.scale[3] = 0.5


def an_attribute(encoder):
    encoder.power = 2


def a_hook(encoder):
    encoder.layer.register_forward_hook(lambda module, inputs, output: -output)


def half(encoder):
    encoder.half()


def bfloat16(encoder):
    encoder.bfloat16()


CHANGES = {change.__name__: change for change in (one_weight, a_buffer, an_attribute, a_hook, half, bfloat16)}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_the_encoder_misses_and_the_old_one_still_hits(encode, name):
    old, encoded, bare = encode()
    assert encoded == DISTINCT
    torch.testing.assert_close(old, bare)
    vectors, encoded, bare = encode(change=CHANGES[name])
    assert encoded == DISTINCT
    torch.testing.assert_close(vectors, bare)
    again, encoded, _ = encode()
    assert encoded == 0
    assert torch.equal(again, old)
    again, encoded, _ = encode(change=CHANGES[name])
    assert encoded == 0
    assert torch.equal(again, vectors)


SOURCES = {
    "forward": ("* self.scale", "* -self.scale"),
    "the collate lambda": ('letter in "abcd"', 'letter in "abce"'),
    "a base class": ("vectors * 2.0", "vectors * 3.0"),
    "a function that forward names": ("vectors + OFFSET", "vectors - OFFSET"),
    "a constant that it names": ("OFFSET = 1.0", "OFFSET = 1.5"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_change_of_the_source_misses_and_the_old_one_still_hits(encode, name):
    old, _, _ = encode()
    changed = SOURCE.replace(*SOURCES[name])
    assert changed != SOURCE
    vectors, encoded, bare = encode(changed)
    assert encoded == DISTINCT
    torch.testing.assert_close(vectors, bare)
    assert not torch.allclose(vectors, old)
    again, encoded, _ = encode()
    assert encoded == 0
    assert torch.equal(again, old)


def test_every_compute_precision_has_vectors_of_its_own(encode):
    precisions = ["32-true", "bf16-mixed", "16-mixed"]
    for precision in precisions:
        assert encode(precision=precision)[1] == DISTINCT
    for precision in precisions:
        assert encode(precision=precision)[1] == 0


def test_two_changes_at_once_share_nothing_with_either_of_them(encode):
    def both(encoder):
        one_weight(encoder)
        a_buffer(encoder)

    for change in (one_weight, a_buffer, both):
        assert encode(change=change)[1] == DISTINCT


def fresh_process(code, **environment):
    """Output of code in a new interpreter, which orders its sets in another way."""
    code = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n" + textwrap.dedent(code)  # noqa: PTH120
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.slow
def test_a_fresh_process_with_nothing_changed_encodes_nothing(encode, tmp_path):
    vectors, encoded, _ = encode()
    assert encoded == DISTINCT
    code = f"""
        import json
        import test_changed_encoders as tests
        sys.path.insert(0, {str(tmp_path / "modules")!r})
        import user_encoder
        vectors = tests.cached_vectors(user_encoder.Letters(), tests.CacheConfig(save_dir={str(tmp_path / "stores")!r}))
        print(json.dumps([len(user_encoder.ENCODED), vectors.tolist()]))
    """
    assert fresh_process(code) == [0, vectors.tolist()]


LONG = " ".join(f"word {number}" for number in range(100))
MINILM_TEXTS = ["a cat", "A Dog", "what Is That?", "a cat", LONG]


@pytest.fixture(scope="module")
def minilm(minilm_folder, tmp_path_factory):
    """Runs a changed copy of the real model over texts through a cache on disk, and counts what it encodes."""
    pytest.importorskip("sentence_transformers")
    home = tmp_path_factory.mktemp("minilm")
    counts = []
    forward = SentenceTransformerEncoder.forward

    def counted(self, batch):
        counts.append(len(batch["input_ids"]))
        return forward(self, batch)

    def link(source, target):
        if source.endswith(".safetensors"):
            try:
                os.link(source, target)
            except OSError:  # another disk
                pass
            else:
                return
        shutil.copyfile(source, target)

    def run(name, change=lambda folder: None, convert=lambda encoder: None, *, options=(), **configured):
        folder = home / "models" / name
        if not folder.exists():
            shutil.copytree(minilm_folder, folder, copy_function=link)
            change(folder)
        encoder = SentenceTransformerEncoder(folder, **dict(options))
        convert(encoder)
        counts.clear()
        vectors = cached_vectors(encoder, CacheConfig(save_dir=home / "stores", **configured), MINILM_TEXTS)
        return vectors, sum(counts), encoder

    run.stores = home / "stores"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home / "file digests"))
        patch.setattr(SentenceTransformerEncoder, "forward", counted)
        yield run


@pytest.fixture(scope="module")
def minilm_vectors(minilm):
    """The vectors of the model as it is, which the cache has from then on."""
    vectors, encoded, encoder = minilm("as it is")
    assert encoded == len(set(MINILM_TEXTS))
    assert encoder._frozen.model is not None
    return vectors


def edited(name, **values):
    def change(folder):
        content = json.loads((folder / name).read_text())
        for key, value in values.items():
            inner, *path = [content, *key.split("__")]
            for part in path[:-1]:
                inner = inner[part]
            assert inner[path[-1]] != value
            inner[path[-1]] = value
        (folder / name).write_text(json.dumps(content))

    return change


def cased_tokenizer(folder):
    edited("tokenizer.json", normalizer__lowercase=False)(folder)
    edited("tokenizer_config.json", do_lower_case=False)(folder)


def first_token(folder):
    change = edited("1_Pooling/config.json", pooling_mode_mean_tokens=False, pooling_mode_cls_token=True)
    change(folder)


def one_stored_weight(folder):
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    middle = len(content) // 8 * 4
    content[middle + 1] ^= 64  # a middling bit of the mantissa of one number: they are stored little-endian
    file.unlink()  # a second name of the real file
    file.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "options", "changed_texts"),
    [
        pytest.param(cased_tokenizer, {}, [1, 2], id="tokenizer"),
        pytest.param(first_token, {}, range(5), id="pooling"),
        pytest.param(edited("sentence_bert_config.json", max_seq_length=32), {}, [4], id="maximum length in the file"),
        pytest.param(lambda folder: None, {"max_length": 32}, [4], id="maximum length as an argument"),
        pytest.param(one_stored_weight, {}, [], id="one weight"),
    ],
)
def test_a_change_of_a_ready_made_encoder_misses_and_the_old_one_hits_without_its_weights(
    minilm, minilm_vectors, request, change, options, changed_texts
):
    name = request.node.callspec.id
    old = minilm_vectors
    new, encoded, encoder = minilm(name, change, options=options)
    assert encoded == len(set(MINILM_TEXTS))
    torch.testing.assert_close(new[:1], encoder(encoder.get_collate_fn()(MINILM_TEXTS[:1])), atol=1e-6, rtol=1e-5)
    different = [row for row in range(len(old)) if not torch.allclose(old[row], new[row], atol=1e-3)]
    assert different == list(changed_texts)
    for vectors, run in ((old, lambda: minilm("as it is")), (new, lambda: minilm(name, options=options))):
        again, encoded, encoder = run()
        assert encoded == 0 and torch.equal(again, vectors)
        assert encoder._frozen.model is None


@pytest.mark.slow
def test_every_precision_of_a_ready_made_encoder_has_vectors_of_its_own(minilm, minilm_vectors):
    ways = [
        {"precision": "bf16-mixed"},
        {"convert": lambda encoder: encoder.bfloat16()},
        {"convert": lambda encoder: encoder.half()},
    ]
    found = [minilm("as it is", **way) for way in ways]
    assert [encoded for _, encoded, _ in found] == [len(set(MINILM_TEXTS))] * len(ways)
    for vectors, way in zip([minilm_vectors, *(vectors for vectors, _, _ in found)], [{}, *ways], strict=True):
        again, encoded, encoder = minilm("as it is", **way)
        assert encoded == 0 and torch.equal(again, vectors)
        assert encoder._frozen.model is None


@pytest.mark.slow
def test_a_fresh_process_reads_a_ready_made_encoders_vectors_without_its_weights_and_its_library(
    minilm, minilm_vectors
):
    code = f"""
        import json
        import test_changed_encoders as tests
        encoder = tests.SentenceTransformerEncoder({str(minilm("as it is")[2].folder)!r})
        config = tests.CacheConfig(save_dir={str(minilm.stores)!r})
        vectors = tests.cached_vectors(encoder, config, tests.MINILM_TEXTS)
        loaded = [name for name in ("sentence_transformers", "transformers") if name in sys.modules]
        print(json.dumps([encoder._frozen.model is None, loaded, vectors.tolist()]))
    """
    assert fresh_process(code) == [True, [], minilm_vectors.tolist()]
