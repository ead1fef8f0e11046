"""Large batches in chunks: the gradients of the whole batch, whatever the loss."""

from collections import UserDict
from typing import NamedTuple

import pytest
import torch

from quaterion import Quaterion
from quaterion.batch import Features, GroupTargets, PairTargets
from quaterion.dataset import GroupSimilarityDataLoader
from quaterion.loss import ArcFaceLoss, CombinedLoss, MultipleNegativesRankingLoss, SupConLoss, TripletLoss
from quaterion.train.cache import CacheConfig
from quaterion.train.chunks import in_chunks, rows_of
from quaterion.train.xbm import XbmConfig
from quaterion_models.encoders import SwitchEncoder
from quaterion_models.encoders.token_states import TokenStates
from quaterion_models.heads import EmptyHead

ROWS, CHUNK = 10, 4
INPUTS = torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(1))
GROUPS = GroupTargets(torch.arange(ROWS) // 2)
PAIRS = PairTargets(
    pairs=torch.arange(ROWS).view(2, -1).T,
    scores=torch.ones(ROWS // 2),
    subgroups=torch.zeros(ROWS, dtype=torch.int64),
    ids=torch.arange(ROWS),
    negatives=torch.zeros(0, 2, dtype=torch.int64),
)
LOSSES = [(SupConLoss, GROUPS), (TripletLoss, GROUPS), (MultipleNegativesRankingLoss, PAIRS)]


def gradients(model, embeddings, targets):
    model.zero_grad()
    loss = model.compute_loss(embeddings, targets)
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(first, second):
    torch.testing.assert_close(first[0], second[0], atol=1e-6, rtol=1e-5)
    assert first[1].keys() == second[1].keys() and first[1]
    for name, gradient in first[1].items():
        torch.testing.assert_close(second[1][name], gradient, atol=1e-6, rtol=1e-5)


def test_token_states_of_a_chunk_are_as_long_as_its_longest_object():
    mask = (torch.arange(4) < torch.tensor([[4], [1], [2]])).long()
    part = rows_of(TokenStates(torch.rand(3, 4, 2), mask), 3, 1, 3)
    assert part.states.shape == (2, 2, 2)
    assert part.mask.tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize(("loss", "targets"), LOSSES)
def test_gradients_are_those_of_the_whole_batch_without_dropout(loss, targets, model_type, encoder_type):
    model = model_type(encoders=encoder_type(trainable=True), loss=loss()).eval()
    features = Features({}, {"default": INPUTS}, [{}] * ROWS)
    plain = gradients(model, model.embed(features), targets)
    model.chunk_size = CHUNK
    assert_same(plain, gradients(model, model.embed(features), targets))


@pytest.mark.parametrize(("loss", "targets"), LOSSES)
def test_dropout_masks_are_those_of_the_first_pass(loss, targets, model_type, encoder_type):
    model = model_type(encoders=encoder_type(trainable=True), head=EmptyHead, loss=loss()).train()
    torch.manual_seed(5)
    parts = [model.model.run_encoder("default", part) for part in INPUTS.split(CHUNK)]
    plain = gradients(model, torch.cat(parts), targets)
    torch.manual_seed(5)
    model.chunk_size = CHUNK
    embeddings = model.embed(Features({}, {"default": INPUTS}, [{}] * ROWS))
    torch.rand(3)  # what comes between does not matter to the second pass
    assert_same(plain, gradients(model, embeddings, targets))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2, "gradient_clip_val": 0.5}])
def test_a_training_is_the_same_in_chunks(options, precision, group_data, model_type, encoder_type, make_trainer):
    weights = []
    for size in (None, 4):
        torch.manual_seed(0)
        encoder = encoder_type(trainable=True)
        encoder.dropout.p = 0.0
        model = model_type(encoders={"a": encoder, "b": encoder_type()}, head=EmptyHead, loss=SupConLoss())
        model.chunk_size = size
        Quaterion.fit(
            model,
            make_trainer(max_epochs=2, precision=precision, **options),
            GroupSimilarityDataLoader(group_data, batch_size=25),
        )
        weights.append(encoder.layer.weight.detach().float())
    assert not torch.equal(weights[0], encoder_type().layer.weight)
    tolerance = 1e-5 if precision == "32-true" else 2e-2
    torch.testing.assert_close(weights[1], weights[0], atol=tolerance, rtol=tolerance)


def test_memory_and_class_weights_learn_from_the_whole_batch(group_data, model_type, encoder_type, make_trainer):
    found = []
    for make in (lambda: (TripletLoss(), XbmConfig(buffer_size=30)), lambda: (ArcFaceLoss(8, 5), None)):
        for size in (None, 4):
            torch.manual_seed(0)
            encoder = encoder_type(trainable=True)
            encoder.dropout.p = 0.0
            loss, xbm = make()
            model = model_type(encoders=encoder, head=EmptyHead, loss=loss, xbm=xbm)
            model.process_results = lambda **_: None  # which would give labels, not classes, to ArcFaceLoss
            model.chunk_size = size
            Quaterion.fit(model, make_trainer(max_epochs=3), GroupSimilarityDataLoader(group_data, batch_size=25))
            found.append([*loss.parameters(), encoder.layer.weight])
    for plain, chunked in (found[:2], found[2:]):
        for one, other in zip(plain, chunked, strict=True):
            torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-5)


class BySign(SwitchEncoder):
    @classmethod
    def encoder_selection(cls, record):
        return "trained" if record[0] > 0 else "frozen"


def test_switched_encoders_take_chunks_of_their_own_objects(model_type, encoder_type):
    switch = BySign({"trained": encoder_type(trainable=True), "frozen": encoder_type(seed=1)})
    objects = [tuple(row) for row in INPUTS.tolist()]
    objects[4:8] = sorted(objects[4:8])  # some chunk may be of one option only
    features = Features({}, {"default": switch.get_collate_fn()(objects)}, [{}] * ROWS)
    model = model_type(encoders=switch, head=EmptyHead, loss=SupConLoss()).eval()
    plain = gradients(model, model.embed(features), GROUPS)
    whole = model.embed(features)
    for size in (1, 2, CHUNK):
        model.chunk_size = size
        chunked = model.embed(features)
        torch.testing.assert_close(chunked, whole)
        assert_same(plain, gradients(model, chunked, GROUPS))


def test_combined_losses_over_a_chunked_encoder_beside_a_cached_one(group_data, model_type, encoder_type, make_trainer):
    weights, logged = [], []
    for size in (None, 4):
        torch.manual_seed(0)
        trained, cached = encoder_type(trainable=True), encoder_type(seed=1)
        trained.dropout.p = 0.0
        loss = CombinedLoss({"near": (TripletLoss(), 1.0), "groups": (SupConLoss(), 0.5)})
        model = model_type(
            encoders={"trained": trained, "cached": cached}, head=EmptyHead, loss=loss, caches=CacheConfig()
        )
        model.chunk_size = size
        trainer = make_trainer(max_epochs=2)
        Quaterion.fit(model, trainer, GroupSimilarityDataLoader(group_data, batch_size=25))
        assert int(cached.encoded) == 45  # each distinct object once; no step ran it
        weights.append(trained.layer.weight.detach())
        logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    assert not torch.equal(weights[0], encoder_type().layer.weight)
    torch.testing.assert_close(weights[1], weights[0], atol=1e-5, rtol=1e-5)
    assert {"train_loss_near", "train_loss_groups"} <= logged[0].keys()
    assert logged[1] == pytest.approx(logged[0], rel=1e-4)


def test_no_more_than_a_chunk_is_in_the_encoder_at_once():
    seen = []
    weight = torch.ones(4, 2, requires_grad=True)

    def run(rows):
        seen.append(len(rows))
        return rows @ weight

    in_chunks(run, INPUTS, ROWS, CHUNK).sum().backward()
    assert seen[:3] == [4, 4, 2] and sorted(seen[3:]) == [2, 4, 4]


class Pixels(NamedTuple):
    pixels: torch.Tensor
    size: int


def test_rows_of_every_form_that_collate_functions_return():
    tensor = torch.arange(6).view(3, 2)
    cut = rows_of(UserDict(a=tensor, b=[tensor, None], c=Pixels(tensor, 7), d=("x", "y", "z")), 3, 1, 3)
    assert torch.equal(cut["a"], tensor[1:]) and torch.equal(cut["b"][0], tensor[1:]) and cut["b"][1] is None
    assert torch.equal(cut["c"].pixels, tensor[1:]) and cut["c"].size == 7 and cut["d"] == ("y", "z")


def test_padding_that_only_other_chunks_need_is_left_out():
    mask = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]])
    ids, other = torch.arange(12).view(3, 4), torch.arange(3)
    cut = rows_of({"input_ids": ids, "attention_mask": mask, "other": other}, 3, 0, 2)
    assert torch.equal(cut["input_ids"], ids[:2, :2]) and torch.equal(cut["attention_mask"], mask[:2, :2])
    assert torch.equal(cut["other"], other[:2])
    left = {"input_ids": ids, "attention_mask": mask.flip(1)}  # positions would shift
    assert rows_of(left, 3, 0, 2)["input_ids"].shape == (2, 4)
    assert rows_of({"input_ids": ids, "attention_mask": torch.zeros_like(mask)}, 3, 0, 2)["input_ids"].shape == (2, 1)


def test_numbers_with_a_fraction_are_features_and_no_tokens():
    mask, features = torch.tensor([[1, 0, 0], [1, 1, 1]]), torch.rand(2, 3)
    cut = rows_of({"attention_mask": mask, "features": features}, 2, 0, 1)
    assert cut["attention_mask"].shape == (1, 1) and torch.equal(cut["features"], features[:1])


def test_lists_with_a_tensor_for_each_object_are_cut_by_object():
    pictures = [torch.rand(1, size) for size in (2, 3, 4)]
    assert [one.shape[1] for one in rows_of(pictures, 3, 1, 3)] == [3, 4]
    several = [torch.rand(2, 5), torch.rand(2)]  # of all objects each
    assert [one.shape for one in rows_of(several, 2, 0, 1)] == [(1, 5), (1,)]


def test_rows_that_are_not_of_objects_are_noticed():
    pictures = [torch.rand(2, 8), torch.rand(2, 8)]  # as many lines as pictures: it could be either
    with pytest.raises(ValueError, match="gave 4 vectors for 2 objects.*what was cut are not rows of objects"):
        in_chunks(lambda batch: torch.stack([one.sum(dim=0) for one in batch]), pictures, 2, 1)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_dropout_is_repeated_where_inputs_are_texts(device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("a GPU draws random numbers of its own")
    weight = torch.ones(1, 64, device=device, requires_grad=True)
    drawn = []

    def run(texts):
        drawn.append(torch.nn.functional.dropout(weight.expand(len(texts), -1), 0.5))
        return drawn[-1]

    in_chunks(run, ["a", "b", "c"], 3, 2, device).sum().backward()
    torch.testing.assert_close(weight.grad[0], torch.cat(drawn[:2]).sum(dim=0))


@pytest.mark.parametrize("inputs", [torch.zeros(4, 2), torch.tensor(1.0), {"a": object()}])
def test_what_has_no_rows_is_refused(inputs):
    with pytest.raises(ValueError, match="chunk_size cannot cut a .* into rows of 3 objects"):
        rows_of(inputs, 3, 0, 2)


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "8"])
def test_a_chunk_is_a_number_of_objects(size, group_data, model_type, encoder_type, make_trainer):
    model = model_type(encoders=encoder_type(trainable=True))
    model.chunk_size = size
    with pytest.raises(ValueError, match="expected a whole number of objects, 1 or more, or None"):
        Quaterion.fit(model, make_trainer(max_epochs=1), GroupSimilarityDataLoader(group_data, batch_size=25))
