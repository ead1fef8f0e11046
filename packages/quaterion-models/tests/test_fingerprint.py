import copy
import functools
import os
import random
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn

SOURCE = """
import dataclasses, enum, functools, re
import torch
from torch import nn
from quaterion_models.encoders import Encoder

PREFIX = "query: "

class Mode(enum.Enum):
    FAST = 1
    SLOW = 2

@dataclasses.dataclass
class Options:
    lower: bool = True
    words: frozenset = frozenset({"a", "bb", "ccc", "dddd"})

def clean(text):
    return PREFIX + text.lower()

def scaled(factor):
    def collate(batch):
        return torch.tensor([[len(clean(text)) * factor] * 3 for text in batch])
    return collate

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("scale", torch.ones(3), persistent=False)
    def forward(self, x):
        return self.layer(x) * self.scale

class Base(Encoder):
    def half(self, x):
        return x / 2

class E(Base):
    trainable = False
    embedding_size = 3
    step = 4
    def __init__(self, factor=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(Block(), nn.GELU())
        self.options = Options()
        self.mode = Mode.FAST
        self.words = {"x", "yy", "zzz", "wwww", "vvvvv"}
        self.table = {"k": [1, (2, 3)], "l": None}
        self.part = functools.partial(clean)
        self.pattern = re.compile("a+")
        self.function = lambda text: clean(text)
        self.dtype = torch.float16
        self.factor = factor
    def get_collate_fn(self):
        return scaled(self.factor)
    def forward(self, batch):
        return self.half(self.body(batch))
"""

PRINT = "import sys; sys.path.insert(0, {folder!r}); import user_encoder; print(user_encoder.E().fingerprint())"


def output_of(code, *, hash_seed):
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def user(make_module):
    return make_module("user_encoder", SOURCE)


def test_is_the_same_for_equal_encoders_and_for_copies(user):
    encoder = user.E()
    assert len(encoder.fingerprint()) == 64
    assert user.E().fingerprint() == encoder.fingerprint() == copy.deepcopy(encoder).fingerprint()


def test_is_the_same_in_a_fresh_process_with_another_hash_seed(user):
    code = PRINT.format(folder=str(user.__file__).rpartition("/")[0])
    assert output_of(code, hash_seed="1") == user.E().fingerprint()  # this process has a random seed


def test_training_mode_gradients_and_use_do_not_count(user):
    encoder = user.E()
    before = encoder.fingerprint()
    encoder.disable_gradients_if_required()
    encoder.train()
    encoder(encoder.get_collate_fn()(["a"]).float())
    nn.Module.train(encoder)
    assert encoder.fingerprint() == before


def changes():
    def parameter(encoder):
        with torch.no_grad():
            encoder.body[0].layer.weight[1, 1] += 1e-6

    def buffer(encoder):
        encoder.body[0].scale[2] = 2

    def option(encoder):
        encoder.options.lower = False

    def deep(encoder):
        encoder.table["k"][1] = (2, 4)

    def hook(encoder):
        encoder.body.register_forward_hook(lambda module, inputs, output: output * 2)

    def monkeypatched(encoder):
        encoder.body[0].forward = lambda x: x

    return {
        "one weight": parameter,
        "a non-persistent buffer": buffer,
        "a field of a dataclass": option,
        "deep inside a dict": deep,
        "a forward hook": hook,
        "a replaced method": monkeypatched,
        "a number": lambda encoder: setattr(encoder, "factor", 1.5),
        "an enum": lambda encoder: setattr(encoder, "mode", type(encoder.mode).SLOW),
        "a set": lambda encoder: encoder.words.add("u"),
        "a function": lambda encoder: setattr(encoder, "function", lambda text: text),
        "a partial": lambda encoder: setattr(encoder, "part", functools.partial(encoder.part.func, text="a")),
        "a new attribute": lambda encoder: setattr(encoder, "new", None),
        "the dtype": lambda encoder: encoder.half() if False else encoder.to(torch.float64),
        "a dtype attribute": lambda encoder: setattr(encoder, "dtype", torch.bfloat16),
        "an added layer": lambda encoder: encoder.body.append(nn.ReLU()),
        "a layer's setting": lambda encoder: setattr(encoder.body[1], "approximate", "tanh"),
        "the same attribute as tuple": lambda encoder: setattr(encoder, "table", {"k": [1, [2, 3]], "l": None}),
    }


@pytest.mark.parametrize("name", changes())
def test_a_change_of_the_object_changes_it(user, name):
    encoder = user.E()
    before = encoder.fingerprint()
    changes()[name](encoder)
    assert encoder.fingerprint() != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.half(self.body(batch))", "self.half(self.body(batch)) + 0"),
        ("return x / 2", "return x / 3"),
        ("* self.scale", "- self.scale"),
        ("len(clean(text)) * factor", "len(clean(text)) + factor"),
        ("text.lower()", "text.upper()"),
        ('PREFIX = "query: "', 'PREFIX = "passage: "'),
        ("step = 4", "step = 5"),
        ("lower: bool = True", "lower: bool = False"),
        ("nn.GELU()", "nn.ReLU()"),
        ("lambda text: clean(text)", "lambda text: clean(text) + ''"),
        ('re.compile("a+")', 're.compile("a*")'),
        ("class E(Base)", "class E(Encoder)"),
    ],
)
def test_a_change_of_the_source_changes_it(make_module, old, new):
    assert SOURCE.count(old) == 1
    before = make_module("user_encoder", SOURCE).E().fingerprint()
    changed = SOURCE.replace(old, new)
    if "(Encoder)" in new:
        changed = changed.replace("self.half(self.body(batch))", "self.body(batch) / 2")
    assert make_module("user_encoder", changed).E().fingerprint() != before


def test_values_that_a_class_closes_over_count(make_module):
    source = SOURCE + (
        "\n\ndef make(number):\n    class Inner(E):\n        def forward(self, batch):\n"
        "            return batch * number\n    return Inner\n"
    )
    user = make_module("user_encoder", source)
    assert user.make(1)().fingerprint() == user.make(1)().fingerprint() != user.make(2)().fingerprint()


def test_a_counter_in_a_global_list_does_not_count(make_module):
    source = SOURCE.replace(
        "    def forward(self, batch):\n        return self.half",
        "    def forward(self, batch):\n        CALLS.append(1)\n        return self.half",
    )
    user = make_module("user_encoder", "CALLS = []\n" + source)
    encoder = user.E()
    before = encoder.fingerprint()
    encoder(torch.ones(1, 3))
    assert user.CALLS == [1]
    assert encoder.fingerprint() == before


def test_an_encoder_inside_gives_its_own(make_module):
    source = SOURCE + (
        "\n\nclass Outer(Base):\n    trainable = False\n    embedding_size = 3\n"
        "    def __init__(self):\n        super().__init__()\n        self.inner = Versioned()\n"
        "    def forward(self, batch):\n        return self.inner(batch)\n"
        "\nclass Versioned(E):\n    version = ['1']\n    def fingerprint(self):\n        return self.version[0]\n"
    )
    user = make_module("user_encoder", source)
    before = user.Outer().fingerprint()
    user.Versioned.version[0] = "2"
    assert user.Outer().fingerprint() != before


def test_a_cycle_is_no_trouble(user):
    encoder = user.E()
    encoder.ring = [encoder]
    encoder.ring.append(encoder.ring)
    other = user.E()
    other.ring = [other]
    other.ring.append(other.ring)
    assert encoder.fingerprint() == other.fingerprint() != user.E().fingerprint()


@pytest.mark.parametrize(
    "value",
    [
        np.arange(3),
        np.array(["a", None], dtype=object),
        np.random.default_rng(3),
        np.float32(2),
        torch.device("cpu"),
        torch.Size([2]),
        range(3),
        slice(1, 2),
        str.lower,
        "text".join,
        torch.relu,
        np.sqrt,
        functools.lru_cache(len),
        nn.Linear,
        list[int],
        threading.Lock(),
        np,
        iter,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_attributes_usually_hold_can_be_hashed(user, value):
    one, other = user.E(), user.E()
    one.value = other.value = value
    assert one.fingerprint() == other.fingerprint() != user.E().fingerprint()


@pytest.mark.parametrize("value", [iter([1]), (number for number in [1]), torch.eye(2).to_sparse(), sys.stdout])
def test_what_cannot_be_hashed_is_named_with_advice(user, value):
    encoder = user.E()
    encoder.options.bad = {"k": [value]}
    with pytest.raises(
        TypeError, match=r"fingerprint of E: self\.options\.bad\['k'\]\[0\].*[Oo]verride fingerprint\(\)"
    ):
        encoder.fingerprint()


def test_a_class_without_source_is_named_with_advice():
    namespace: dict = {}
    exec(SOURCE, namespace)  # noqa: S102  # as in an interactive session
    with pytest.raises(TypeError, match=r"the class of self is E, and its source.*Override fingerprint\(\)"):
        namespace["E"]().fingerprint()


def test_a_tokenizer_counts_by_content_and_not_by_its_last_call(user):
    tokenizers = pytest.importorskip("tokenizers")

    def make(words):
        vocabulary = {word: number for number, word in enumerate(words)}
        encoder = user.E()
        encoder.tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, "a"))
        return encoder

    encoder = make(["a", "b"])
    before = encoder.fingerprint()
    encoder.tokenizer.enable_padding()
    encoder.tokenizer.enable_truncation(3)
    assert encoder.fingerprint() == before == make(["a", "b"]).fingerprint()
    assert make(["a", "c"]).fingerprint() != before


def test_models_of_transformers_count_by_weights_and_not_by_use(make_module, minilm_folder):
    pytest.importorskip("transformers")
    source = """
from transformers import AutoModel, AutoTokenizer
from quaterion_models.encoders import Encoder

class E(Encoder):
    trainable = False
    embedding_size = 384
    def __init__(self, folder):
        super().__init__()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder)
    def get_collate_fn(self):
        return lambda texts: dict(self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt"))
    def forward(self, batch):
        return self.model(**batch).last_hidden_state[:, 0]
"""
    user = make_module("user_transformers", source)
    encoder = user.E(str(minilm_folder))
    before = encoder.fingerprint()
    encoder(encoder.get_collate_fn()(["a text", "b"]))
    assert encoder.fingerprint() == before == user.E(str(minilm_folder)).fingerprint()
    with torch.no_grad():
        encoder.model.embeddings.word_embeddings.weight[5, 5] += 1
    assert encoder.fingerprint() != before
    encoder = user.E(str(minilm_folder))
    encoder.tokenizer.add_tokens(["newword"])
    assert encoder.fingerprint() != before


def test_state_that_compiled_code_keeps_counts(user):
    prints = set()
    for seed in (1, 2, 1):
        encoder = user.E()
        encoder.random = random.Random(seed)
        prints.add(encoder.fingerprint())
    assert len(prints) == 2


def test_classes_made_while_running_count_by_their_members(make_module):
    prints = set()
    for names in ("a b", "a c", "a b"):
        source = SOURCE.replace(
            "import torch\n", f"import torch, collections\nP = collections.namedtuple('P', {names!r})\n", 1
        )
        source = source.replace("return text.lower()", "return P(1, 2) and text.lower()")
        source = source.replace("return PREFIX + text.lower()", "return P and PREFIX + text.lower()")
        prints.add(make_module("user_encoder", source).E().fingerprint())
    assert len(prints) == 2
