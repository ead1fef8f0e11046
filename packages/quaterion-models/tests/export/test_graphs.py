"""Which graphs a model is exported as, and what is said where one cannot be."""

import warnings

import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder, SwitchEncoder, VectorEncoder
from quaterion_models.export.graphs import plan_graphs, trace
from quaterion_models.export.quiet import silence
from quaterion_models.heads import EmptyHead, EncoderHead, GatedHead, SwitchHead


class Words(Encoder):
    trainable = False
    embedding_size = 1

    def get_collate_fn(self):
        return lambda texts: {"text": texts}

    def forward(self, batch):
        return torch.zeros(len(batch["text"]), 1)


class Either(SwitchEncoder):
    @classmethod
    def encoder_selection(cls, record):
        return "small" if len(record) == 2 else "large"


def test_the_error_names_the_encoder_of_the_model():
    model = SimilarityModel({"v": VectorEncoder(2), "own": Words()}, EmptyHead(3))
    with pytest.raises(ValueError, match="encoder 'own' cannot be exported: the collate function of Words"):
        plan_graphs(model, ["a"])


def test_options_of_one_kind_cannot_be_told_apart():
    model = SimilarityModel(Either({"small": VectorEncoder(2), "large": VectorEncoder(2)}), EmptyHead(2))
    with pytest.raises(ValueError, match="options of Either take the same kind of objects"):
        plan_graphs(model, [])


def test_a_head_that_chooses_by_side_information_is_refused():
    head = SwitchHead({"a": EmptyHead(2), "b": EmptyHead(2)}, 2)
    with pytest.raises(
        ValueError, match=r"a SwitchHead with the options \['a', 'b'\] chooses by what extract_meta says"
    ):
        plan_graphs(SimilarityModel(VectorEncoder(2), head), [])


class Kinds(SwitchEncoder):
    @classmethod
    def encoder_selection(cls, record):
        return "vector"


def test_each_option_has_a_graph_with_the_head_of_its_name():
    heads = {"vector": GatedHead(2), "other": EmptyHead(2)}
    model = SimilarityModel(Kinds({"vector": VectorEncoder(2)}), SwitchHead(heads, 2))
    (plan,) = plan_graphs(model, [])
    assert (plan.name, plan.accepts, plan.heads) == ("vector", "vector", {"output_embedding": heads["vector"]})
    missing = SimilarityModel(Kinds({"vector": VectorEncoder(2)}), SwitchHead({"other": EmptyHead(2)}, 2))
    with pytest.raises(ValueError, match="the SwitchHead has no option 'vector' for the encoder's, only \\['other'\\]"):
        plan_graphs(missing, [])


def test_inputs_of_several_encoders_have_names_of_their_own():
    model = SimilarityModel({"a": VectorEncoder(2), "b": VectorEncoder(3)}, EmptyHead(5))
    (plan,) = plan_graphs(model, [])
    assert (plan.tensor_names("a"), plan.tensor_names("b")) == ({"array": "array_0"}, {"array": "array_1"})


def test_what_else_goes_wrong_is_told_in_one_line():
    pytest.importorskip("onnxscript")

    class Broken(EncoderHead):
        output_size = 2

        def transform(self, input_vectors):
            raise RuntimeError("this head is\nbroken")

    (plan,) = plan_graphs(SimilarityModel(VectorEncoder(2), Broken(2)).eval(), [])
    with pytest.raises(
        ValueError, match=r"'default' \(VectorEncoder\) with Broken cannot be exported: .*this head is$"
    ):
        trace(plan, normalize=False, dimensions=None)


def test_silence_ends_with_its_block(capsys):
    with silence():
        print("not shown")
        warnings.warn("neither", UserWarning, stacklevel=1)
    print("shown")
    assert capsys.readouterr().out == "shown\n"
    with pytest.warns(UserWarning, match="again"):
        warnings.warn("again", UserWarning, stacklevel=1)
