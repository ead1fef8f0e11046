import importlib
import sys
import types

import pytest
from torch import nn

from quaterion_models.encoders import Encoder, SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead, EncoderHead, GatedHead, SwitchHead
from quaterion_models.saving import registry
from quaterion_models.saving.files import ModelFolderError
from quaterion_models.saving.registry import find_type, own_classes, type_name


class Mine(EmptyHead):
    class Inner(EmptyHead):
        pass


def find(name, base=EncoderHead, classes=()):
    return find_type(name, base, classes, where="config.json")


def test_every_built_in_name_leads_to_its_class_and_back():
    for name in registry._BUILT_IN:
        cls = find(name, nn.Module)
        assert type_name(cls) == name


def test_built_in_names_are_stable():
    # These stand in saved folders: they may be added to, never changed.
    assert set(registry._BUILT_IN) >= {
        "EmptyHead/1",
        "GatedHead/1",
        "SkipConnectionHead/1",
        "SequentialHead/1",
        "StackedProjectionHead/1",
        "WideningHead/1",
        "SoftmaxEmbeddingsHead/1",
        "SwitchHead/1",
        "SwitchEncoder/1",
        "CallableEncoder/1",
        "FieldEncoder/1",
        "VectorEncoder/1",
        "FasttextEncoder/1",
        "SentenceTransformerEncoder/1",
        "ImageEncoder/1",
        "ClipEncoder/1",
        "ClipTextEncoder/1",
        "ClipImageEncoder/1",
        "TimmEncoder/1",
        "TransformersEncoder/1",
    }


def test_a_users_class_is_found_among_imported_modules():
    assert type_name(Mine) == f"{__name__}:Mine"
    assert find(type_name(Mine)) is Mine
    assert find(type_name(Mine.Inner)) is Mine.Inner


def test_a_class_that_is_given_is_found_even_when_it_has_moved():
    class Local(GatedHead):
        pass

    assert find(type_name(Local), classes=[Local]) is Local
    assert find("old.module:Local", classes=[Mine, Local]) is Local
    assert find("old.module:Mine", classes=[Mine, Local]) is Mine


def test_two_given_classes_of_one_name_are_refused():
    one = types.new_class("Same", (EmptyHead,))
    other = types.new_class("Same", (EmptyHead,))
    with pytest.raises(ModelFolderError, match="classes holds several of that name"):
        find("old:Same", classes=[one, other])


def test_nothing_is_imported_by_a_name(monkeypatch, make_module):
    module = make_module("user_heads", "from quaterion_models.heads import EmptyHead\nclass H(EmptyHead): pass")
    assert find("user_heads:H") is module.H
    sys.modules.pop("user_heads")

    asked = []

    class Recorder:
        def find_spec(self, name, path=None, target=None):
            asked.append(name)

    # Every import of a module that is not there asks this one first.
    monkeypatch.setattr(sys, "meta_path", [Recorder(), *sys.meta_path])
    with pytest.raises(ModelFolderError, match=r"has not imported .*Import its module before loading, or pass"):
        find("user_heads:H")
    assert asked == []
    importlib.import_module("user_heads")
    assert asked == ["user_heads"]


def test_a_lazy_attribute_of_a_module_is_not_triggered(monkeypatch):
    lazy = types.ModuleType("lazy_module")
    lazy.__getattr__ = lambda name: pytest.fail("asked")
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    with pytest.raises(ModelFolderError, match="has not imported"):
        find("lazy_module:Head")


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "builtins:eval",
        "subprocess:Popen",
        "torch.nn.modules.linear:Linear",
        "quaterion_models.heads.encoder_head:EncoderHead",
        f"{SentenceTransformerEncoder.__module__}:SentenceTransformerEncoder",
    ],
)
def test_what_is_no_head_is_refused(name):
    with pytest.raises(ModelFolderError, match="is not a class of kind EncoderHead that can be built"):
        find(name)


@pytest.mark.parametrize(
    "name", ["", ":", "os", "os:", ":system", "EmptyHead", "EmptyHead/2", "os:path.join.__globals__"]
)
def test_names_that_lead_nowhere_are_refused(name):
    with pytest.raises(ModelFolderError, match=r"config\.json names"):
        find(name)


def test_a_head_is_no_encoder():
    with pytest.raises(ModelFolderError, match="not a class of kind Encoder"):
        find("GatedHead/1", Encoder)


def test_classes_of_ones_own_in_a_model_are_listed_once():
    switch = SwitchHead({"a": Mine(2), "b": Mine.Inner(2), "c": Mine(2), "d": GatedHead(2)}, 2)
    assert own_classes(switch) == [Mine, Mine.Inner]
    assert own_classes(GatedHead(2)) == []
