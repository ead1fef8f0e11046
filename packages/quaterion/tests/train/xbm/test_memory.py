"""Cross-batch memory in a real training."""

import pytest
import torch

from quaterion import Quaterion
from quaterion.dataset import GroupSimilarityDataLoader, PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.loss import MultipleNegativesRankingLoss, TripletLoss
from quaterion.train.cache import CacheConfig
from quaterion.train.xbm import CrossBatchMemory, XbmConfig
from quaterion_models.heads import SkipConnectionHead


def test_the_memory_holds_the_last_rows_whatever_the_batches():
    memory = CrossBatchMemory(XbmConfig(buffer_size=5), embedding_size=1)
    put = []
    for size in (2, 2, 4, 12, 1, 0, 5, 3):
        rows = torch.arange(len(put), len(put) + size)
        memory.enqueue(rows[:, None].float(), rows)
        put += rows.tolist()
        embeddings, tags = memory.read()
        assert sorted(tags.tolist()) == put[-5:] and len(memory) == min(len(put), 5)
        assert embeddings[:, 0].tolist() == tags.tolist()


def test_the_memorys_loss_counts_from_its_start_with_the_batches_before(
    model_type, group_data, make_trainer, every_step
):
    loader = GroupSimilarityDataLoader(group_data, batch_size=10)
    loss = TripletLoss()
    groups = loader.collate_labels(group_data)["groups"].split(10)
    model = model_type(
        caches=CacheConfig(),
        head=SkipConnectionHead,
        xbm=XbmConfig(weight=0.5, buffer_size=20, start_iteration=2),
        lr=0.0,
    )
    logged = []
    model.log = lambda name, value, **_: logged.append(float(value))
    Quaterion.fit(model, make_trainer(max_epochs=1, callbacks=[every_step]), loader)
    embeddings = torch.from_numpy(model.model.encode([sample.obj for sample in group_data])).split(10)
    expected = []
    for step in range(5):
        value = loss(embeddings[step], groups[step])
        if step >= 2:
            past = slice(step - 2, step)
            memory = torch.cat(embeddings[past]), torch.cat(groups[past])
            value = value + 0.5 * loss.xbm_loss(embeddings[step], groups[step], *memory)
        expected.append(float(value))
    assert logged == pytest.approx(expected, rel=1e-5)


def test_partners_of_earlier_batches_are_more_negatives_of_pairs(model_type, pair_data, make_trainer, every_step):
    data = [SimilarityPairSample(sample.obj_a, sample.obj_b) for sample in pair_data]
    loader = PairsSimilarityDataLoader(data, batch_size=10)
    xbm = XbmConfig(weight=1.0, buffer_size=20, start_iteration=0)
    loss = MultipleNegativesRankingLoss()
    model = model_type(loss=loss, caches=CacheConfig(), head=SkipConnectionHead, xbm=xbm, lr=0.0)
    logged = []
    model.log = lambda name, value, **_: logged.append(float(value))
    Quaterion.fit(model, make_trainer(max_epochs=1, callbacks=[every_step]), loader)
    a, b = (torch.from_numpy(model.model.encode([getattr(s, side) for s in data])) for side in ("obj_a", "obj_b"))
    a, b = (torch.nn.functional.normalize(vectors, dim=1) for vectors in (a, b))
    expected = []
    for step in range(4):
        own, past = slice(10 * step, 10 * step + 10), slice(max(0, 10 * step - 20), 10 * step)
        target = torch.arange(10)
        value = torch.nn.functional.cross_entropy(20 * a[own] @ b[own].T, target)
        if step:
            candidates = torch.cat([b[own], b[past]])
            value = value + torch.nn.functional.cross_entropy(20 * a[own] @ candidates.T, target)
        expected.append(float(value))
    assert logged == pytest.approx(expected, rel=1e-4)


def test_the_memory_is_resumed_from_a_checkpoint(model_type, group_data, make_trainer, tmp_path):
    def model():
        return model_type(
            caches=CacheConfig(), head=SkipConnectionHead, xbm=XbmConfig(buffer_size=30, start_iteration=0)
        )

    loader = GroupSimilarityDataLoader(group_data, batch_size=10)
    torch.manual_seed(0)
    first = model()
    trainer = make_trainer(max_epochs=1)
    Quaterion.fit(first, trainer, loader)
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    second = model()
    Quaterion.fit(second, make_trainer(max_epochs=1), loader, ckpt_path=tmp_path / "c.ckpt")
    for mine, theirs in zip(first._memory.read(), second._memory.read(), strict=True):
        assert torch.equal(mine, theirs) and len(mine) == 30


def test_the_memory_keeps_no_negatives_of_the_anchors_own_subgroup(model_type, pair_data, make_trainer):
    data = [SimilarityPairSample(s.obj_a, s.obj_b, subgroup=f"s{i % 2}") for i, s in enumerate(pair_data)]
    xbm = XbmConfig(weight=1.0, buffer_size=20, start_iteration=0)
    model = model_type(loss=MultipleNegativesRankingLoss(), head=SkipConnectionHead, xbm=xbm, lr=0.0)
    values = record_memory_losses(model)
    Quaterion.fit(model, make_trainer(max_epochs=1), PairsSimilarityDataLoader(data, batch_size=10))
    a, b = (torch.from_numpy(model.model.encode([getattr(s, side) for s in data])) for side in ("obj_a", "obj_b"))
    scores = 20 * torch.nn.functional.normalize(a, dim=1) @ torch.nn.functional.normalize(b, dim=1).T
    for step in range(1, 4):
        candidates = range(max(0, 10 * step - 20), 10 * step + 10)
        terms = []
        for i in range(10 * step, 10 * step + 10):
            allowed = [j for j in candidates if j == i or (j - i) % 2]
            terms.append(scores[i, allowed].logsumexp(0) - scores[i, i])
        assert values[step - 1] == pytest.approx(float(torch.stack(terms).mean()), rel=1e-4)


def record_memory_losses(model):
    """The losses against the memory, weighted, of the steps that have something in it."""
    values, loss = [], model.loss
    compute = loss.compute

    def record(embeddings, targets, memory=None):
        value = compute(embeddings, targets, memory=memory)
        if memory is not None:
            values.append(model.configure_xbm().weight * float(value.detach()))
        return value

    loss.compute = record
    return values


def test_a_second_training_begins_with_an_empty_memory(model_type, group_data, make_trainer):
    model = model_type(xbm=XbmConfig(buffer_size=30, start_iteration=0))
    loader = GroupSimilarityDataLoader(group_data, batch_size=10)
    Quaterion.fit(model, make_trainer(max_epochs=1), loader)
    assert len(model._memory) == 30
    values = record_memory_losses(model)
    Quaterion.fit(model, make_trainer(max_epochs=1), loader)
    assert len(values) == len(loader) - 1 and values[0] > 0  # in the first step there was nothing in it


@pytest.mark.parametrize(("filled", "size"), [(7, 3), (7, 9), (4, 3), (4, 9), (0, 9)])
def test_a_memory_of_another_size_resumes_with_the_newest_rows(filled, size):
    saved, resumed = (CrossBatchMemory(XbmConfig(buffer_size=n), embedding_size=1, num_tags=2) for n in (5, size))
    for row in range(filled):
        saved.enqueue(torch.tensor([[float(row)]]), torch.tensor([row]), torch.tensor([-row]))
    resumed.load_state_dict(saved.state_dict())
    newest = list(range(filled))[-min(5, size) :]
    assert resumed.read()[1].tolist() == newest
    resumed.enqueue(torch.tensor([[99.0]]), torch.tensor([99]), torch.tensor([-99]))
    embeddings, tags, others = resumed.read()
    assert sorted(tags.tolist()) == [*newest, 99][-size:]
    assert embeddings[:, 0].tolist() == tags.tolist() == (-others).tolist()


def test_a_gpu_for_the_memory_is_missed_before_anything_is_encoded(model_type, group_data, make_trainer):
    model = model_type(xbm=XbmConfig(device="cuda"), caches=CacheConfig())
    with pytest.raises(ValueError, match=r"XbmConfig\(device='cuda'\) wants .* a GPU, but the Trainer uses 'cpu'"):
        Quaterion.fit(model, make_trainer(max_epochs=1), GroupSimilarityDataLoader(group_data, batch_size=10))
    assert int(model.model.encoders["default"].encoded) == 0


def test_what_is_no_configuration_is_refused(model_type):
    with pytest.raises(TypeError, match="Model.configure_xbm returned 'yes'; expected an XbmConfig, or None"):
        model_type(xbm="yes")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": 0}, "weight=0; expected a positive"),
        ({"weight": "1"}, "weight='1'; expected a positive"),
        ({"buffer_size": 0}, "buffer_size=0"),
        ({"buffer_size": 1.5}, "buffer_size=1.5; expected an int"),
        ({"start_iteration": -1}, "start_iteration=-1"),
        ({"start_iteration": 0.1}, "start_iteration=0.1; expected an int"),
        ({"device": "gpu"}, "device='gpu'; expected one of 'auto', 'cpu', 'cuda'"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        XbmConfig(**arguments)
