import itertools
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder, SwitchEncoder
from quaterion_models.heads import EmptyHead, GatedHead, SwitchHead
from quaterion_models.saving.files import ModelFolderError


def letters(batch):
    return torch.tensor([[float(len(text)), float(text.count("a")), 1.0] for text in batch])


class Texts(Encoder):
    trainable = False
    embedding_size = 4

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def get_collate_fn(self):
        return letters

    def forward(self, batch):
        return self.layer(batch)

    @classmethod
    def extract_meta(cls, batch):
        return [{"length": len(text)} for text in batch]


class Vectors(Encoder):
    def __init__(self, size=4, trainable=True):
        super().__init__()
        self._size = size
        self._trainable = trainable
        self.layer = nn.Linear(5, size)

    @property
    def trainable(self):
        return self._trainable

    @property
    def embedding_size(self):
        return self._size

    def forward(self, batch):
        return self.layer(batch.float())

    def length(self, obj):
        return 7


class Either(SwitchEncoder):
    @classmethod
    def encoder_selection(cls, record):
        return "text" if isinstance(record, str) else "vec.tor"


class Made(Either):
    """Makes its options itself, and has a weight of its own."""

    def __init__(self, size=4):
        super().__init__({"text": Texts(), "vec.tor": Vectors(size)})
        self.own = nn.Parameter(torch.zeros(2))


def make():
    torch.manual_seed(0)
    return Either({"text": Texts(), "vec.tor": Vectors()})


RECORDS = {"t": "banana", "v": np.arange(5.0)}


def encode(encoder, records):
    return encoder(encoder.get_collate_fn()(records))


def test_every_mix_of_kinds_keeps_the_order():
    encoder = make()
    one_by_one = {kind: encode(encoder, [record]) for kind, record in RECORDS.items()}
    for kinds in itertools.chain(*(itertools.product("tv", repeat=n) for n in range(1, 5))):
        got = encode(encoder, [RECORDS[kind] for kind in kinds])
        torch.testing.assert_close(got, torch.cat([one_by_one[kind] for kind in kinds]))


def test_meta_names_the_encoder_and_keeps_what_that_one_extracts():
    metas = make().get_meta_extractor()(["ab", np.zeros(5), "abc"])
    assert metas == [{"encoder": "text", "length": 2}, {"encoder": "vec.tor"}, {"encoder": "text", "length": 3}]


def test_collate_and_meta_functions_are_picklable():
    encoder = make()
    collate = pickle.loads(pickle.dumps(encoder.get_collate_fn()))
    assert torch.equal(collate(["ab"]).inputs["text"], letters(["ab"]))
    assert pickle.loads(pickle.dumps(encoder.get_meta_extractor()))(["ab"])[0]["encoder"] == "text"


def test_one_option_is_frozen_while_the_other_trains():
    encoder = make()
    encoder.disable_gradients_if_required()
    encoder.train()
    assert encoder.trainable
    assert not encoder.options["text"].training
    assert encoder.options["vec.tor"].training
    encode(encoder, ["a", np.ones(5)]).sum().backward()
    assert encoder.options["text"].layer.weight.grad is None
    assert encoder.options["vec.tor"].layer.weight.grad is not None


def test_is_frozen_when_all_options_are():
    encoder = Either({"text": Texts(), "vec.tor": Vectors(trainable=False)})
    assert not encoder.trainable
    assert not any(part.training for part in encoder.train().modules())


def test_keys_and_lengths_come_from_the_objects_own_encoder():
    encoder = make()
    assert encoder.length("abc") == 3
    assert encoder.length(np.zeros(5)) == 7
    assert encoder.cache_key("abc") != encoder.options["text"].cache_key("abc")
    assert encoder.cache_key("abc") == make().cache_key("abc")


def test_the_fingerprint_covers_every_option():
    prints = {make().fingerprint(), make().fingerprint()}
    for name in ("text", "vec.tor"):
        changed = make()
        with torch.no_grad():
            changed.options[name].layer.weight[0, 0] += 1
        prints.add(changed.fingerprint())
    assert len(prints) == 3


def test_a_model_routes_each_kind_to_its_own_head():
    heads = {"text": EmptyHead(4), "vec.tor": GatedHead(4)}
    encoder = make()
    model = SimilarityModel(encoder, SwitchHead(heads, 4))
    records = ["banana", np.ones(5), "a"]
    vectors = encode(encoder, records)
    expected = torch.stack([vectors[0], vectors[1] * torch.tanh(torch.tensor(2.0)), vectors[2]])
    torch.testing.assert_close(model.encode(records, to_numpy=False), expected)


def test_is_saved_and_loaded_within_a_model(tmp_path):
    model = SimilarityModel(make(), GatedHead(4))
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model", classes=[Either, Texts, Vectors])
    records = ["banana", np.ones(5)]
    assert np.array_equal(loaded.encode(records), model.encode(records))


def test_a_subclass_that_makes_its_options_itself_is_saved_and_loaded(tmp_path):
    encoder = Made()
    nn.init.normal_(encoder.own)
    encoder.save(tmp_path)
    loaded = Made.load(tmp_path, classes=[Texts, Vectors])
    assert torch.equal(loaded.own, encoder.own)
    records = ["banana", np.ones(5)]
    assert torch.equal(encode(loaded, records), encode(encoder, records))


def test_a_built_one_gets_its_state_from_the_folder(tmp_path):
    model = SimilarityModel(make(), GatedHead(4))
    model.save(tmp_path / "model")
    torch.manual_seed(1)
    built = Either({"text": Texts(), "vec.tor": Vectors()})
    loaded = SimilarityModel.load(tmp_path / "model", encoders={"default": built})
    records = ["banana", np.ones(5)]
    assert np.array_equal(loaded.encode(records), model.encode(records))


def test_a_built_one_with_other_options_is_refused(tmp_path):
    SimilarityModel(make(), GatedHead(4)).save(tmp_path / "model")
    with pytest.raises(ModelFolderError, match=r"has the options \['text', 'vec\.tor'\], the encoder given has"):
        SimilarityModel.load(tmp_path / "model", encoders={"default": Either({"text": Texts()})})


def shout(text, side):
    return text.upper() + "!" if side == "query" else text


class Shouted(Texts):
    def get_side_fn(self):
        return shout


class ByCase(SwitchEncoder):
    """Would send a query that has been prepared to the other encoder."""

    @classmethod
    def encoder_selection(cls, record):
        return "upper" if record.isupper() else "lower"


def test_the_choice_made_before_an_object_is_prepared_for_its_side_stays():
    torch.manual_seed(0)
    encoder = ByCase({"lower": Shouted(), "upper": Texts()})
    prepare = pickle.loads(pickle.dumps(encoder.get_side_fn()))
    prepared = [prepare("banana", "query"), prepare("FIG", "query"), prepare("banana", "document")]
    options = encoder.options
    expected = torch.cat(
        [
            options["lower"](letters(["BANANA!"])),
            options["upper"](letters(["FIG"])),
            options["lower"](letters(["banana"])),
        ]
    )
    torch.testing.assert_close(encode(encoder, prepared), expected)
    assert [encoder.length(obj) for obj in prepared] == [7, 3, 6]
    assert encoder.cache_key(prepared[2]) == encoder.cache_key("banana") != encoder.cache_key(prepared[0])
    model = SimilarityModel(encoder, EmptyHead(4))
    torch.testing.assert_close(model.encode_query(["banana", "FIG"], to_numpy=False), expected[:2].detach())
    torch.testing.assert_close(model.encode_document(["banana"], to_numpy=False), expected[2:].detach())


def test_without_prompts_there_is_nothing_to_prepare():
    assert make().get_side_fn() is None


def test_unequal_sizes_are_named():
    encoder = Either({"text": Texts(), "vec.tor": Vectors(3)})
    message = r"same embedding size, got \{'text': 4, 'vec\.tor': 3\}"
    with pytest.raises(ValueError, match=message):
        encoder.check_sizes()
    with pytest.raises(ValueError, match=message):
        SimilarityModel(encoder, EmptyHead(4)).check_sizes()
    with pytest.raises(ValueError, match=message):
        encode(encoder, ["a"])


def test_an_unknown_selection_is_named():
    encoder = Either({"text": Texts()})
    for function in (encoder.get_collate_fn(), encoder.get_meta_extractor()):
        with pytest.raises(ValueError, match=r"encoder_selection returned 'vec\.tor', expected one of \['text'\]"):
            function([np.zeros(5)])
    with pytest.raises(ValueError, match="Add an option of that name"):
        encoder.cache_key(np.zeros(5))


def test_a_missing_selection_is_named():
    with pytest.raises(TypeError, match=r"override the classmethod encoder_selection\(record\)"):
        SwitchEncoder({"text": Texts()}).get_collate_fn()(["a"])


@pytest.mark.parametrize("options", [{}, None, [1]])
def test_no_options_are_refused(options):
    with pytest.raises(ValueError, match="a dict of at least one encoder"):
        SwitchEncoder(options)


def test_options_that_are_no_encoders_are_refused():
    with pytest.raises(TypeError, match="option 'a' must be an Encoder, got Linear"):
        SwitchEncoder({"a": nn.Linear(1, 1)})


@pytest.mark.parametrize("objects", [["a", "b", np.arange(5.0)], ["a", "b"]])
def test_an_option_that_gives_another_number_of_vectors_is_named(objects):
    class OneMore(Texts):
        def forward(self, batch):
            return torch.cat([super().forward(batch), torch.zeros(1, 4)])

    encoder = Either({"text": OneMore(), "vec.tor": Vectors()})
    with pytest.raises(ValueError, match="option 'text' gave 3 vectors for 2 objects, expected one each"):
        encode(encoder, objects)


def test_a_frozen_option_gives_vectors_without_gradients_even_before_a_model_freezes_it():
    encoder = make()
    assert not encode(encoder, ["a"]).requires_grad
    assert encode(encoder, [np.arange(5.0)]).requires_grad


def test_what_the_class_says_of_an_object_counts_more_than_what_its_option_says():
    class Own(Either):
        @classmethod
        def extract_meta(cls, batch):
            return [{**meta, "length": -1} for meta in super().extract_meta(batch)]

    extract = Own({"text": Texts(), "vec.tor": Vectors()}).get_meta_extractor()
    assert extract(["banana"]) == [{"length": -1, "encoder": "text"}]
