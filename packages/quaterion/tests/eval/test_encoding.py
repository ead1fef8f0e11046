import pytest
import torch
from torch import nn

from quaterion.dataset import SimilarityGroupSample, SimilarityPairSample
from quaterion.eval import encoding
from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.encoding import DistinctEmbeddings, content_of, samples_of, servable, undisturbed

SAMPLES = [SimilarityGroupSample(text, text) for text in "abc"]


class MapStyle:
    """Has no __iter__ and never raises IndexError."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return SAMPLES[index % 3]


@pytest.mark.parametrize("dataset", [SAMPLES, MapStyle(), iter(SAMPLES), (sample for sample in SAMPLES)])
def test_samples_come_from_any_kind_of_data_set(dataset):
    calls = []
    assert list(samples_of(dataset, SimilarityGroupSample, lambda: calls.append(1))) == SAMPLES
    assert len(calls) == 3


@pytest.mark.parametrize("dataset", [[], iter([])])
def test_an_empty_data_set_is_refused(dataset):
    with pytest.raises(UnscorableSetError, match=r"The data set is empty. Expected at least two objects"):
        list(samples_of(dataset, SimilarityGroupSample, lambda: None))


def test_an_item_of_another_kind_is_named():
    with pytest.raises(
        TypeError, match=r"Item 1 of the data set is a SimilarityPairSample; expected a SimilarityGroup"
    ):
        list(samples_of([SAMPLES[0], SimilarityPairSample("a", "b")], SimilarityGroupSample, lambda: None))


def test_what_cannot_be_read_is_refused():
    with pytest.raises(TypeError, match=r"Cannot read a int: expected a map-style data set or an iterable"):
        list(samples_of(3, SimilarityGroupSample, lambda: None))


def test_a_trainable_model_is_evaluated_by_its_model(model_of):
    model = model_of({"a": [1, 0, 0]})

    class Training(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

    assert servable(model) is model
    assert servable(Training()) is model
    with pytest.raises(TypeError, match=r"Cannot evaluate a Linear.*Expected a SimilarityModel"):
        servable(nn.Linear(1, 1))


def test_every_module_gets_its_mode_back_even_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Linear(1, 1)))
    model[1].eval()
    modes = [module.training for module in model.modules()]

    def fail_meanwhile():
        with undisturbed(model, "cpu") as device:
            assert device == torch.device("cpu")
            assert not any(module.training for module in model.modules())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_meanwhile()
    assert [module.training for module in model.modules()] == modes
    assert len(set(modes)) == 2


def test_a_model_goes_to_the_device_and_comes_back():
    model = nn.Linear(2, 2)
    weight = model.weight
    with undisturbed(model, "meta") as device:
        assert device.type == "meta"
        assert model.weight.device.type == "meta"
        model.to_empty(device="cpu")  # a meta tensor has no data that could come back
    assert model.weight.device.type == weight.device.type == "cpu"


def test_contents_are_equal_for_equal_objects_only():
    assert content_of("a") == content_of("a")
    assert content_of("1") != content_of(1)
    unreadable = open  # a function has no content
    assert content_of(unreadable) != content_of(unreadable)


def test_each_distinct_object_is_encoded_once_and_few_are_held(monkeypatch):
    monkeypatch.setattr(encoding, "CHUNK_BATCHES", 2)
    calls = []

    def encode(objects, batch_size, to_numpy):
        calls.append((list(objects), batch_size, to_numpy))
        return torch.tensor([[float(text)] for text in objects])

    embeddings = DistinctEmbeddings(encode, batch_size=2)
    texts = ["3", "1", "3", "4", "1", "5", "9", "3", "4"]
    rows = [embeddings.add(text, content_of(text)) for text in texts]
    assert calls == [(["3", "1", "4", "5"], 2, False)]
    vectors = embeddings.vectors()
    assert calls[1:] == [(["9"], 2, False)]
    assert vectors[rows].squeeze(1).tolist() == [float(text) for text in texts]
