"""Several encoders, concatenated and switched, frozen, cached and trained in any mix."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from quaterion import Quaterion
from quaterion.cache.prepare import BatchSource
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.loss import SupConLoss
from quaterion.train.cache import CacheConfig, CacheType
from quaterion_models import SimilarityModel
from quaterion_models.encoders import CallableEncoder, Encoder, FieldEncoder, SwitchEncoder
from quaterion_models.heads import (
    EmptyHead,
    GatedHead,
    SequentialHead,
    SkipConnectionHead,
    SoftmaxEmbeddingsHead,
    StackedProjectionHead,
    SwitchHead,
    WideningHead,
)

STEPS = 3
LR = 0.5
FROZEN, CACHED, TRAINED = "frozen", "cached", "trained"


def letters(texts):
    return torch.tensor([[text.count(letter) / 4 for letter in "aeiou"] for text in texts])


def numbers(objects):
    return torch.tensor(objects, dtype=torch.float32)


def pixels(images):
    return torch.stack([torch.from_numpy(image).float().flatten() for image in images]) / 8


INPUTS = {"text": (letters, 5), "numbers": (numbers, 3), "image": (pixels, 16)}


class Projection(Encoder):
    """A layer on features of a text, an image or numbers; counts the objects that it encodes."""

    def __init__(self, kind: str, size: int, *, trainable: bool) -> None:
        super().__init__()
        self.kind, self._size, self._trainable = kind, size, trainable
        torch.manual_seed(len(kind) * size)
        self.layer = nn.Linear(INPUTS[kind][1], size)
        self.register_buffer("encoded", torch.zeros((), dtype=torch.int64), persistent=False)

    @property
    def trainable(self):
        return self._trainable

    @property
    def embedding_size(self):
        return self._size

    def fingerprint(self):
        return f"{self.kind}-{float(self.layer.weight.sum())}"

    def get_collate_fn(self):
        return INPUTS[self.kind][0]

    def forward(self, batch):
        self.encoded += len(batch)
        return torch.tanh(self.layer(batch))


class ByKind(SwitchEncoder):
    @classmethod
    def encoder_selection(cls, record):
        return "text" if isinstance(record, str) else "numbers" if isinstance(record, tuple) else "image"


def record(number):
    """The texts repeat after 6 records and the images after 4, the numbers never do."""
    picture = np.arange(16).reshape(4, 4) % (number % 4 + 2)
    values = (number / 24, number % 5 / 5, number % 3 / 3)
    title = ["pear", "banana", "fig", "orange", "quince", "plum"][number % 6]
    return {
        "text": title,
        "image": picture,
        "numbers": values,
        "any": [title, picture, values][number % 3],
        "kind": number % 3,
    }


RECORDS = [record(number) for number in range(24)]
DATA = [SimilarityGroupSample(obj, number % 4) for number, obj in enumerate(RECORDS)]


@pytest.fixture
def trained_model(model_type, make_trainer):
    """Trains for STEPS steps of SGD on batches of all data."""

    class WithSGD(model_type):
        def configure_optimizers(self):
            return torch.optim.SGD([p for p in self.parameters() if p.requires_grad], lr=LR)

    def train(encoders, head, caches, data=DATA):
        model = WithSGD(encoders=encoders, head=lambda size: head(size), loss=SupConLoss(), caches=caches)
        before = copy.deepcopy(model.model)
        loader = GroupSimilarityDataLoader(data, batch_size=len(data))
        Quaterion.fit(model, make_trainer(max_epochs=STEPS), loader)
        return model.model, before

    return train


def cache_of(mix):
    cached = {name: CacheType.CPU for name, way in mix.items() if way == CACHED}
    return CacheConfig(CacheType.NONE, mapping=cached) if cached else None


def vector_of(encoder, obj):
    """What an encoder must compute for one object."""
    if isinstance(encoder, FieldEncoder):
        return vector_of(encoder.encoder, obj[encoder.field])
    if isinstance(encoder, SwitchEncoder):
        return vector_of(encoder.options[encoder.encoder_selection(obj)], obj)
    vector = torch.tanh(encoder.layer(INPUTS[encoder.kind][0]([obj])))[0]
    return vector if encoder.trainable else vector.detach()


def train_in_a_plain_loop(model, meta):
    """The same training, record by record, without any of what is tested."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = torch.tensor([sample.group for sample in DATA])
    for _ in range(STEPS):
        rows = [torch.cat([vector_of(encoder, obj) for encoder in model.encoders.values()]) for obj in RECORDS]
        embeddings = torch.stack(
            [model.head(row[None], [meta(obj)])[0] for row, obj in zip(rows, RECORDS, strict=True)]
        )
        loss = SupConLoss()(embeddings, groups)
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.data -= LR * gradient


def assert_same_weights(model, expected):
    for (name, weight), wanted in zip(model.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(weight, wanted, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("ways", list(itertools.product([FROZEN, CACHED, TRAINED], repeat=3)), ids="-".join)
def test_concatenated_encoders_learn_what_a_plain_loop_does_in_every_mix(ways, trained_model):
    mix = dict(zip(["text", "image", "numbers"], ways, strict=True))
    sizes = {"text": 3, "image": 4, "numbers": 2}
    encoders = {
        name: FieldEncoder(name, Projection(name, sizes[name], trainable=way == TRAINED)) for name, way in mix.items()
    }
    model, expected = trained_model(encoders, SkipConnectionHead, cache_of(mix))
    before = {name: encoder.encoder.layer.weight.clone() for name, encoder in expected.encoders.items()}
    train_in_a_plain_loop(expected, lambda obj: {})
    assert_same_weights(model, expected)
    distinct = {"text": 6, "image": 4, "numbers": 24}
    for name, way in mix.items():
        inner = model.encoders[name].encoder
        assert torch.equal(inner.layer.weight, before[name]) == (way != TRAINED)
        assert int(inner.encoded) == (distinct[name] if way == CACHED else STEPS * len(DATA))


SWITCHED = [(CACHED,) * 3, *itertools.product([FROZEN, TRAINED], repeat=3)]


@pytest.mark.parametrize("text", [FROZEN, CACHED, TRAINED])
@pytest.mark.parametrize("switched", SWITCHED, ids="-".join)
def test_a_switch_beside_an_encoder_learns_what_a_plain_loop_does_in_every_mix(text, switched, trained_model):
    options = {
        kind: Projection(kind, 4, trainable=way == TRAINED)
        for kind, way in zip(["text", "image", "numbers"], switched, strict=True)
    }
    encoders = {
        "one of them": FieldEncoder("any", ByKind(options)),
        "text": FieldEncoder("text", Projection("text", 3, trainable=text == TRAINED)),
    }
    mix = {"one of them": switched[0] if len(set(switched)) == 1 else "mixed", "text": text}

    def head(size):
        heads = {"text": GatedHead(size), "image": SkipConnectionHead(size), "numbers": EmptyHead(size)}
        return SwitchHead(heads, size)

    model, expected = trained_model(encoders, head, cache_of(mix))
    train_in_a_plain_loop(expected, lambda obj: {"encoder": ByKind.encoder_selection(obj["any"])})
    assert_same_weights(model, expected)
    for kind, way in zip(options, switched, strict=True):
        option = model.encoders["one of them"].encoder.options[kind]
        count = {"text": 2, "image": 4, "numbers": 8}[kind]  # distinct objects of this kind among the 24 records
        assert int(option.encoded) == (count if way == CACHED else STEPS * 8)


@pytest.mark.parametrize("caches", [None, CacheConfig()], ids=["uncached", "cached"])
@pytest.mark.parametrize("kind", ["text", "image", "numbers"])
def test_batches_of_one_kind_only_train_its_head_only(kind, caches, trained_model):
    options = {one: Projection(one, 4, trainable=False) for one in ("text", "image", "numbers")}
    data = [sample for sample in DATA if ByKind.encoder_selection(sample.obj["any"]) == kind]
    model, before = trained_model(
        FieldEncoder("any", ByKind(options)),
        lambda size: SwitchHead({one: GatedHead(size) for one in options}, size),
        caches,
        data,
    )
    changed = [
        name
        for name, head in model.head.options.items()
        if not torch.equal(head.gates, before.head.options[name].gates)
    ]
    assert changed == [kind]


def heads_of_every_type(size):
    return SwitchHead(
        {
            "empty": EmptyHead(size),
            "gated": GatedHead(size),
            "skip": SkipConnectionHead(size),
            "sequential": SequentialHead(nn.Linear(size, 3), nn.Tanh(), nn.Linear(3, size), output_size=size),
            "stacked": StackedProjectionHead(size, [size, size]),
            "widening": WideningHead(size, 2.0),
            "softmax": SoftmaxEmbeddingsHead(2, size // 2, size),
            "switch": SwitchHead({"switch": GatedHead(size), "other": EmptyHead(size)}, size),
        },
        size,
    )


HEADS = ["empty", "gated", "skip", "sequential", "stacked", "widening", "softmax", "switch"]


class ByFirst(SwitchEncoder):
    @classmethod
    def encoder_selection(cls, record):
        return record[0]


def first(objects):
    return [(len(name) / 9, number / 9, number % 2, 1.0) for name, number in objects]


def test_heads_of_every_type_inside_a_switch_head_are_trained_saved_and_loaded(trained_model, tmp_path):
    objects = [(name, number) for number in range(4) for name in HEADS]
    data = [SimilarityGroupSample(obj, obj[1] % 2) for obj in objects]
    models = []
    for caches in (None, CacheConfig()):
        torch.manual_seed(0)
        options = {name: CallableEncoder(first, 4, version="1", name=name) for name in HEADS}
        models.append(trained_model(ByFirst(options), heads_of_every_type, caches, data))
    (uncached, before), (cached, _) = models
    for (name, weight), other in zip(uncached.named_parameters(), cached.parameters(), strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-5, atol=1e-7)
        trained = "key_other" not in name
        assert torch.equal(weight, before.get_parameter(name)) != trained, name
    cached.save(tmp_path / "model")
    again = ByFirst({name: CallableEncoder(first, 4, version="1", name=name) for name in HEADS})
    loaded = SimilarityModel.load(tmp_path / "model", encoders={"default": again})
    together = loaded.encode(objects)
    np.testing.assert_allclose(together, cached.encode(objects), rtol=1e-6)
    np.testing.assert_allclose(np.concatenate([loaded.encode([obj]) for obj in objects]), together, rtol=1e-5)


@pytest.mark.parametrize("order", list(itertools.permutations(["text", "image", "numbers"])), ids="-".join)
def test_the_order_of_the_dict_is_the_order_of_the_vectors_and_is_kept_when_saved(order, tmp_path):
    sizes = {"text": 3, "image": 4, "numbers": 2}
    encoders = {name: FieldEncoder(name, Projection(name, sizes[name], trainable=False)) for name in order}
    model = SimilarityModel(encoders, EmptyHead(9))
    with torch.no_grad():
        expected = torch.stack([torch.cat([vector_of(encoders[name], obj) for name in order]) for obj in RECORDS])
    np.testing.assert_allclose(model.encode(RECORDS), expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(model.encode(RECORDS[5]), expected[5:6], rtol=1e-5, atol=1e-7)
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model", classes=[Projection])
    assert list(loaded.encoders) == list(order)
    np.testing.assert_allclose(loaded.encode(RECORDS), expected, rtol=1e-5, atol=1e-7)


def test_sizes_that_do_not_fit_are_named_when_training_starts(trained_model):
    encoders = {name: FieldEncoder(name, Projection(name, 4, trainable=False)) for name in ("text", "image")}
    message = r"takes vectors of size 4, but the encoders give 8 in all: \{'text': 4, 'image': 4\}"
    with pytest.raises(ValueError, match=message):
        trained_model(encoders, lambda _: EmptyHead(4), None)


@pytest.mark.parametrize("caches", [None, CacheConfig()], ids=["uncached", "cached"])
def test_options_of_unequal_sizes_are_named_when_training_starts(caches, trained_model):
    options = {"text": Projection("text", 4, trainable=False), "image": Projection("image", 5, trainable=False)}
    with pytest.raises(ValueError, match=r"must have the same embedding size, got \{'text': 4, 'image': 5\}"):
        trained_model(FieldEncoder("any", ByKind(options)), lambda _: EmptyHead(4), caches)


@pytest.mark.parametrize("caches", [None, CacheConfig()], ids=["uncached", "cached"])
def test_a_record_without_the_field_is_named(caches, trained_model):
    data = [*DATA[:7], SimilarityGroupSample({"title": "x"}, 0), *DATA[8:]]
    encoders = {"text": FieldEncoder("text", Projection("text", 4, trainable=False))}
    with pytest.raises(ValueError, match=r"Sample 7: the record has no field 'text': the dict has 'title'"):
        trained_model(encoders, GatedHead, caches, data)


class Versioned(list):
    """A data set that says by itself whether it has changed."""

    fingerprint = "1"


def test_a_kept_reading_is_not_used_for_another_field(trained_model, tmp_path):
    encoded = []
    for field in ("numbers", "other", "numbers"):
        data = Versioned(
            SimilarityGroupSample({"other": (float(obj["kind"] < 9),) * 3, **obj}, obj["kind"]) for obj in RECORDS
        )
        inner = Projection("numbers", 4, trainable=False)
        trained_model(FieldEncoder(field, inner), GatedHead, CacheConfig(save_dir=tmp_path), data)
        encoded.append(int(inner.encoded))
    assert encoded == [24, 1, 0]  # all records have the same there


def test_two_fields_of_one_encoder_share_a_folder_and_equal_contents_are_encoded_once(trained_model, tmp_path):
    data = [
        SimilarityGroupSample({"a": f"text {number % 6}", "b": f"text {number % 4 + 4}"}, number % 3)
        for number in range(12)
    ]
    encoders = {name: FieldEncoder(name, Projection("text", 4, trainable=False)) for name in "ab"}
    model, _ = trained_model(encoders, GatedHead, CacheConfig(save_dir=tmp_path), data)
    # Texts 0 to 5 for the field "a", and 6 and 7 for "b".
    assert [int(encoder.encoder.encoded) for encoder in model.encoders.values()] == [6, 2]


@pytest.mark.parametrize("folder", [True, False], ids=["on disk", "in memory"])
def test_fields_that_share_an_encoder_and_a_key_keep_their_own_vectors(folder, tmp_path):
    # The key stands for the record, so the fingerprint of the encoder in the fields does not tell their vectors apart.
    records = [{"id": i, "numbers": (float(i),) * 3, "other": (float(-i),) * 3} for i in range(4)]
    loader = GroupSimilarityDataLoader([SimilarityGroupSample(record, 0) for record in records], batch_size=4)
    config = CacheConfig(key_extractors=lambda record: record["id"], save_dir=tmp_path if folder else None)
    inner = Projection("numbers", 4, trainable=False)
    for fields in (["numbers", "other"], ["other", "numbers"]):
        encoders = dict(zip("ab", (FieldEncoder(field, copy.deepcopy(inner)) for field in fields), strict=True))
        source = BatchSource(SimilarityModel(encoders, EmptyHead(8)), config, torch.device("cpu"))
        (batch,) = source.batches(loader, source.read(loader))
        for name, field in zip("ab", fields, strict=True):
            expected = torch.tanh(inner.layer(numbers([record[field] for record in records])))
            torch.testing.assert_close(batch.features.cached[name], expected)
