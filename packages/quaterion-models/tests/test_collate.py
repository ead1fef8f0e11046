import pickle

import pytest
import torch

from quaterion_models.collate import ModelCollate


def lengths(batch):
    return torch.tensor([float(len(text)) for text in batch])


def nothing(batch):
    return [{} for _ in batch]


def first_letter(batch):
    return [{"letter": text[0]} for text in batch]


def kinds(batch):
    return [{"encoder": "long" if len(text) > 2 else None} if len(text) > 1 else {} for text in batch]


def test_every_encoder_gets_the_same_objects():
    collate = ModelCollate({"a": lengths, "b": len}, {"a": nothing, "b": first_letter})
    batch = collate(["x", "yy"])
    assert batch["data"]["a"].tolist() == [1.0, 2.0]
    assert batch["data"]["b"] == 2
    assert batch["meta"] == [{"letter": "x"}, {"letter": "y"}]


def test_is_picklable():
    collate = pickle.loads(pickle.dumps(ModelCollate({"a": lengths}, {"a": first_letter})))
    assert collate(["ab"])["meta"] == [{"letter": "a"}]


def test_sides_stand_under_encoder_unless_something_is_there():
    collate = ModelCollate({"a": lengths}, {"a": kinds})
    metas = collate(["x", "xxx", "xx"], sides=["query", "document", "document"])["meta"]
    assert metas == [{"encoder": "query"}, {"encoder": "long"}, {"encoder": None}]


def test_the_users_dicts_are_not_changed():
    own = {"k": 1}
    collate = ModelCollate({"a": lengths}, {"a": lambda batch: [own] * len(batch)})
    collate(["x"], sides=["query"])
    assert own == {"k": 1}


def test_no_objects_give_no_meta():
    assert ModelCollate({"a": len}, {"a": nothing})([])["meta"] == []


def test_encoders_that_agree_are_merged_and_those_that_do_not_are_named():
    agree = ModelCollate({"a": len, "b": len}, {"a": first_letter, "b": first_letter})
    assert agree(["x"])["meta"] == [{"letter": "x"}]
    disagree = ModelCollate(
        {"a": len, "b": len}, {"a": first_letter, "b": lambda batch: [{"letter": "?"} for _ in batch]}
    )
    with pytest.raises(ValueError, match=r"disagree about meta\['letter'\] .*'x', and '\?' by encoder 'b'"):
        disagree(["x"])


def test_wrong_numbers_of_dicts_and_sides_are_named():
    with pytest.raises(ValueError, match="extract_meta of encoder 'a' gave 0 dicts for 1 objects"):
        ModelCollate({"a": len}, {"a": lambda _: []})(["x"])
    with pytest.raises(ValueError, match="got 1 sides for 2 objects"):
        ModelCollate({"a": len}, {"a": nothing})(["x", "y"], sides=["query"])


def shout(obj, side):
    return obj.upper() if side == "document" else obj


def test_each_encoder_prepares_objects_for_their_sides_and_meta_is_taken_from_the_objects_themselves():
    collate = ModelCollate({"a": list, "b": list}, {"a": first_letter, "b": nothing}, {"b": shout}, sides_in_meta=False)
    assert collate(["x", "y"], ["query", "document"]) == {
        "data": {"a": ["x", "y"], "b": ["x", "Y"]},
        "meta": [*first_letter(["x", "y"])],
    }
    assert collate(["x"])["data"] == {"a": ["x"], "b": ["x"]}  # without sides: queries
    with pytest.raises(ValueError, match="got 1 sides for 2 objects"):
        collate(["x", "y"], ["query"])
