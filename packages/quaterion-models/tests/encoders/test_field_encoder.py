import pickle
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder, FieldEncoder, SwitchEncoder, VectorEncoder
from quaterion_models.heads import EmptyHead, GatedHead
from quaterion_models.saving.files import ModelFolderError


def letters(batch):
    return torch.tensor([[float(len(text)), float(text.count("a")), 1.0] for text in batch])


class Texts(Encoder):
    """Letters of a text through a layer; on the side of queries a question mark is put behind the text."""

    def __init__(self, *, trainable=False, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layer = nn.Linear(3, 4)
        self._trainable = trainable

    @property
    def trainable(self):
        return self._trainable

    @property
    def embedding_size(self):
        return 4

    def get_collate_fn(self):
        return letters

    def forward(self, batch):
        return self.layer(batch)


class Described(Texts):
    @classmethod
    def extract_meta(cls, batch):
        return [{"first": text[:1]} for text in batch]


def ask(text, side):
    return f"{text}a?" if side == "query" else text


class Asked(Described):
    def get_side_fn(self):
        return ask


class Either(SwitchEncoder):
    @classmethod
    def encoder_selection(cls, record):
        return "text" if isinstance(record, str) else "vector"


@dataclass
class Product:
    title: str
    size: tuple[float, float]

    @property
    def name(self):
        return self.title


class Slotted:
    __slots__ = ("title",)

    def __init__(self, title):
        self.title = title


class Row(NamedTuple):
    title: str | int
    count: str | int  # hides a method of tuples


def encode(encoder, records):
    return encoder(encoder.get_collate_fn()(records))


@pytest.mark.parametrize(
    ("field", "record"),
    [
        ("title", {"title": "banana", "other": 1}),
        (3, {3: "banana"}),
        ("title", Product("banana", (1.0, 2.0))),
        ("name", Product("banana", (1.0, 2.0))),
        ("title", Slotted("banana")),
        ("title", SimpleNamespace(title="banana")),
        ("title", Row("banana", 2)),
        ("count", Row(2, "banana")),
        (0, Row("banana", 2)),
        (1, ("fig", "banana")),
        (-1, ["fig", "banana"]),
    ],
)
def test_the_field_of_every_kind_of_record_is_encoded_as_on_its_own(field, record):
    plain = Described()
    encoder = FieldEncoder(field, plain)
    assert torch.equal(encode(encoder, [record]), encode(plain, ["banana"]))
    assert encoder.cache_key(record) == plain.cache_key("banana")
    assert encoder.length(record) == 6
    assert encoder.get_meta_extractor()([record]) == [{"first": "b"}]


def test_everything_else_is_what_the_inner_encoder_says():
    for plain in (Texts(), Texts(trainable=True)):
        encoder = FieldEncoder("title", plain)
        assert (encoder.trainable, encoder.embedding_size) == (plain.trainable, 4)
        assert encoder.fingerprint() == plain.fingerprint() == FieldEncoder("other", plain).fingerprint()
        assert encoder.get_side_fn() is None
        encoder.disable_gradients_if_required()
        encoder.train()
        assert plain.training == plain.layer.weight.requires_grad == plain.trainable


def test_the_frozen_options_of_a_switch_stay_frozen():
    switch = Either({"text": Texts(), "vector": Texts(trainable=True)})
    encoder = FieldEncoder("content", switch).train()
    encoder.disable_gradients_if_required()
    assert encoder.trainable
    assert [(option.training, option.layer.weight.requires_grad) for option in switch.options.values()] == [
        (False, False),
        (True, True),
    ]


def test_a_subclass_has_a_fingerprint_of_its_own():
    class Lower(FieldEncoder):
        def get_collate_fn(self):
            return lambda records: letters([record["title"].lower() for record in records])

    assert Lower("title", Texts()).fingerprint() != FieldEncoder("title", Texts()).fingerprint()


def test_the_functions_are_picklable():
    encoder = FieldEncoder("title", Asked())
    record = {"title": "banana"}
    collate, extract, prepare = pickle.loads(
        pickle.dumps((encoder.get_collate_fn(), encoder.get_meta_extractor(), encoder.get_side_fn()))
    )
    assert torch.equal(collate([record]), letters(["banana"]))
    assert extract([record]) == [{"first": "b"}]
    assert prepare(record, "document") == ("banana",)


@pytest.mark.parametrize(
    ("field", "record", "message"),
    [
        ("price", {"title": "a", "size": 2}, r"the dict has 'title', 'size'\. Give every record this field, or name"),
        ("price", Product("a", (1.0, 2.0)), "the Product has 'title', 'size'"),
        ("price", Row("a", 2), "the Row has 'title', 'count'"),
        ("price", SimpleNamespace(title="a"), "the SimpleNamespace has 'title'"),
        ("price", Slotted("a"), "it is .*Slotted"),
        ("index", ["a", "b"], "the list has 2 items"),
        ("title", "a text", "it is 'a text' of type str"),
        (0, "a text", "it is 'a text' of type str"),
        (2, ("a", "b"), "the tuple has 2 items"),
        (0, {"title": "a"}, "the dict has 'title'"),
        ("price", dict.fromkeys(range(30)), r"the dict has 0, 1, .*18, 19, …\."),
        ("price", {}, r"it is \{\} of type dict"),
    ],
)
def test_a_record_without_the_field_is_named_with_its_place_and_what_it_has(field, record, message):
    encoder = FieldEncoder(field, Texts())
    whole = {"price": "b", "title": "b", "index": "b", 0: "b", 2: "b"}
    for function in (encoder.get_collate_fn(), encoder.get_meta_extractor()):
        with pytest.raises(ValueError, match=f"record 1 of the batch has no field {field!r}: {message}"):
            function([whole, record])
    for function in (encoder.cache_key, encoder.length):
        with pytest.raises(ValueError, match=f"the record has no field {field!r}: {message}"):
            function(record)


def test_an_error_of_the_inner_encoder_tells_the_field():
    collate = FieldEncoder("b", FieldEncoder(0, VectorEncoder(2))).get_collate_fn()
    with pytest.raises(ValueError, match="object 1 of the batch holds nan at place 0") as caught:
        collate([{"b": [[1.0, 2.0]]}, {"b": [[np.nan, 2.0]]}])
    assert caught.value.__notes__ == [
        "This is about the field 0 of the records",
        "This is about the field 'b' of the records",
    ]


def test_one_encoder_may_serve_two_fields_and_the_order_is_that_of_the_dict():
    texts = Texts()
    records = [{"title": "banana", "body": "a fig"}, {"title": "fig", "body": "banana"}]
    for fields in (("title", "body"), ("body", "title")):
        model = SimilarityModel({field: FieldEncoder(field, texts) for field in fields}, EmptyHead(8))
        with torch.no_grad():
            expected = torch.cat([texts(letters([record[field] for record in records])) for field in fields], dim=1)
        torch.testing.assert_close(model.encode(records, to_numpy=False), expected)


@pytest.mark.parametrize("nested", [False, True])
def test_sides_reach_the_inner_encoder_once(nested):
    inner = FieldEncoder("title", Asked())
    encoder = FieldEncoder("product", inner) if nested else inner
    record = {"product": {"title": "fig"}} if nested else {"title": "fig"}
    prepare = encoder.get_side_fn()
    for side, text in (("query", "figa?"), ("document", "fig")):
        prepared = prepare(record, side)
        assert torch.equal(encode(encoder, [prepared]), encode(Asked(), [text]))
        assert encoder.cache_key(prepared) == Asked().cache_key(text)
        assert encoder.length(prepared) == len(text)
    model = SimilarityModel({"x": encoder, "y": encoder}, EmptyHead(8))
    assert model.two_sided
    with torch.no_grad():
        expected = Asked()(letters(["figa?"])).repeat(1, 2)
        torch.testing.assert_close(model.encode_query([record], to_numpy=False), expected)
        expected = Asked()(letters(["fig"])).repeat(1, 2)
        torch.testing.assert_close(model.encode_document([record], to_numpy=False), expected)


def test_a_model_with_fields_is_saved_and_loaded(tmp_path):
    texts = FieldEncoder("text", Texts(seed=3))
    nested = FieldEncoder(1, FieldEncoder("b", Either({"text": Texts(seed=4), "vector": VectorEncoder(4)})))
    model = SimilarityModel({"z": texts, "a": nested}, GatedHead(8))
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model", classes=[Texts, Either])
    assert list(loaded.encoders) == ["z", "a"]
    records = [{"text": "fig", 1: {"b": "banana"}}, {"text": "a", 1: {"b": np.ones(4)}}]
    assert np.array_equal(loaded.encode(records), model.encode(records))
    assert [encoder.fingerprint() for encoder in loaded.encoders.values()] == [
        encoder.fingerprint() for encoder in model.encoders.values()
    ]


class Titles(FieldEncoder):
    """Makes its encoder itself, and has a weight of its own."""

    def __init__(self):
        super().__init__("title", Texts())
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, batch):
        return super().forward(batch) * self.scale


def test_a_subclass_that_makes_its_encoder_itself_is_saved_and_loaded(tmp_path):
    encoder = Titles()
    nn.init.normal_(encoder.scale)
    nn.init.normal_(encoder.encoder.layer.weight)
    encoder.save(tmp_path)
    records = [{"title": "banana"}]
    assert torch.equal(encode(Titles.load(tmp_path, classes=[Texts]), records), encode(encoder, records))


class Given(Encoder):
    """Has an argument that cannot be saved."""

    trainable = False
    embedding_size = 2

    def __init__(self, function):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.function = function

    def get_collate_fn(self):
        return lambda objects: torch.tensor([self.function(obj) for obj in objects])

    def forward(self, batch):
        return self.layer(batch)


def test_a_built_one_gets_its_state_from_the_folder(tmp_path):
    def double(obj):
        return [obj * 2.0, 1.0]

    model = SimilarityModel(FieldEncoder("n", Given(double)), EmptyHead(2))
    model.save(tmp_path / "model")
    with pytest.raises(ModelFolderError, match="could not be saved"):
        SimilarityModel.load(tmp_path / "model", classes=[Given])
    built = FieldEncoder("n", Given(double))
    loaded = SimilarityModel.load(tmp_path / "model", encoders={"default": built})
    assert np.array_equal(loaded.encode([{"n": 3.0}]), model.encode([{"n": 3.0}]))


@pytest.mark.parametrize("field", [None, 1.0, True, ("a",)])
def test_other_fields_are_refused(field):
    with pytest.raises(TypeError, match="field must be text"):
        FieldEncoder(field, Texts())


def test_what_is_no_encoder_is_refused():
    with pytest.raises(TypeError, match="encoder must be an Encoder, got Linear"):
        FieldEncoder("a", nn.Linear(1, 1))


def test_the_lengths_of_many_records_are_those_of_their_fields():
    class Words(Texts):
        def lengths(self, objects):
            return [len(text.split()) for text in objects]

    encoder = FieldEncoder("title", Words())
    assert encoder.lengths([{"title": "two words"}, {"title": ""}]) == [2, 0]
    with pytest.raises(ValueError, match="record 1 of the batch has no field 'title'"):
        encoder.lengths([{"title": "a"}, {"name": "b"}])


def test_what_the_class_says_of_a_record_counts_more_than_what_its_field_says():
    class Kinds(Texts):
        @classmethod
        def extract_meta(cls, batch):
            return [{"kind": "field", "text": text} for text in batch]

    class Own(FieldEncoder):
        @classmethod
        def extract_meta(cls, batch):
            return [{"kind": "record"} for _ in batch]

    assert Own("title", Kinds()).get_meta_extractor()([{"title": "a"}]) == [{"kind": "record", "text": "a"}]
