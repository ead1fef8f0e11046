"""A data set that names its content itself is read once; whatever else the reading depends on has it read again."""

import errno
import os

import pytest
import torch

from quaterion.cache import CacheConfig, reading_index
from quaterion.cache.prepare import BatchSource
from quaterion.cache.reading_index import data_fingerprint
from quaterion.dataset import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    SimilarityPairSample,
)
from quaterion_models import SimilarityModel
from quaterion_models.content_key import content_key
from quaterion_models.heads import EmptyHead

TEXTS = ["ab", "AB", "b", "ccc", "", "ab", "dd ab"]
LABELS = ["x", "y", "x", 3, 2.5, "3", True]


class Named:
    """A data set with a fingerprint, which counts how often it is read."""

    def __init__(self, samples, fingerprint="first edition"):
        self.samples, self.fingerprint, self.reads = samples, fingerprint, 0

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        self.reads += 1
        return self.samples[index]


def groups(labels=LABELS):
    return [SimilarityGroupSample(text, label) for text, label in zip(TEXTS, labels, strict=True)]


def expected(texts=TEXTS):
    return torch.tensor([[text.count(letter) for letter in "abcd"] for text in texts]).float()


@pytest.fixture
def run(letter_counts, tmp_path):
    """One pass over a data set through a cache: its reading and batch, how much was read, and what was encoded."""

    def once(data, *, encoder=None, loader_type=GroupSimilarityDataLoader, **options):
        encoder, before = encoder or letter_counts(), data.reads
        config = CacheConfig(**{"save_dir": tmp_path / "stores"} | options)
        source = BatchSource(SimilarityModel(encoder, EmptyHead(4)), config, torch.device("cpu"))
        loader = loader_type(data, batch_size=len(data))
        reading = source.read(loader)
        (batch,) = source.batches(loader, reading)
        return reading, batch, data.reads - before, [text for batch in encoder.batches for text in batch]

    return once


def test_a_second_run_reads_no_item_and_has_the_same_vectors_and_targets(run):
    first, first_batch, read, encoded = run(Named(groups()))
    assert read > len(TEXTS) and sorted(encoded) == sorted(set(TEXTS))
    again, batch, read, encoded = run(Named(groups()))
    assert read == 0 and not encoded
    assert torch.equal(batch.features.cached["default"], expected())
    assert torch.equal(batch.targets.groups, first_batch.targets.groups)
    names = [again.label_names[group] for group in batch.targets.groups.tolist()]
    assert list(map(repr, names)) == list(map(repr, LABELS))  # 3 is no "3", and True is no 1
    assert again.label_names == first.label_names and again.complete


def test_pairs_with_scores_subgroups_and_negatives_come_back_too(run):
    samples = [
        SimilarityPairSample("ab", "c", score=0.25, subgroup=4),
        SimilarityPairSample("d", "ab", subgroup="s", negatives=["cc", "b"]),
    ]
    (_, first, _, _), (_, again, read, _) = [
        run(Named(samples), loader_type=PairsSimilarityDataLoader) for _ in range(2)
    ]
    assert read == 0
    for one, other in zip(again.targets, first.targets, strict=True):
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(other))
    assert torch.equal(again.features.cached["default"], expected(["ab", "d", "c", "ab", "cc", "b"]))


def test_side_information_comes_back_too(run, letter_counts):
    class Kinds(letter_counts):
        @classmethod
        def extract_meta(cls, batch):
            return [{"kind": "long" if len(text) > 2 else "short"} for text in batch]

    (_, first, _, _), (_, again, read, _) = [run(Named(groups()), encoder=Kinds()) for _ in range(2)]
    assert read == 0
    assert list(again.features.meta) == list(first.features.meta)
    assert list(again.features.meta)[3] == {"kind": "long"}


def test_without_a_fingerprint_every_run_reads_everything(run):
    for fingerprint in (None, ""):
        for _ in range(2):
            assert run(Named(groups(), fingerprint))[2] >= len(TEXTS)


def test_without_a_folder_nothing_is_kept(run):
    for _ in range(2):
        assert run(Named(groups()), save_dir=None)[2] >= len(TEXTS)


def test_another_fingerprint_has_the_data_set_read_again_and_only_what_is_new_encoded(run):
    run(Named(groups()))
    edited = [SimilarityGroupSample("new", "x"), *groups()]
    _, batch, read, encoded = run(Named(edited, "second edition"))
    assert read >= len(edited) and encoded == ["new"]
    assert torch.equal(batch.features.cached["default"], expected(["new", *TEXTS]))
    for data in (Named(groups()), Named(edited, "second edition")):
        assert run(data)[2] == 0


def folded(text):
    return text.lower()


def as_it_is(text):
    return text


def test_another_key_extractor_has_the_data_set_read_again(run):
    for extractor, distinct in ((folded, 5), (as_it_is, 6), (None, 6)):
        options = {} if extractor is None else {"key_extractors": extractor}
        _, batch, read, encoded = run(Named(groups()), **options)
        assert read >= len(TEXTS) and len(encoded) == distinct
        same = [text.lower() if extractor is folded else text for text in TEXTS]
        assert torch.equal(batch.features.cached["default"], expected(same))
        assert run(Named(groups()), **options)[2] == 0


class Folding:
    """A key extractor with a setting."""

    def __init__(self, fold):
        self.fold = fold

    def key(self, text):
        return text.lower() if self.fold else text


def test_another_setting_of_a_key_extractor_has_the_data_set_read_again(run):
    for fold in (True, False):
        _, batch, read, _ = run(Named(groups()), key_extractors=Folding(fold).key)
        same = [text.lower() if fold else text for text in TEXTS]
        assert torch.equal(batch.features.cached["default"], expected(same))
        assert read >= len(TEXTS)


def test_another_cache_key_has_the_data_set_read_again(run, letter_counts):
    class Folded(letter_counts):
        def fingerprint(self):
            return "folded".ljust(32, "-")

        def cache_key(self, obj):
            return content_key(obj.lower())

    run(Named(groups()), encoder=Folded())
    _, batch, read, encoded = run(Named(groups()))
    assert read >= len(TEXTS) and sorted(encoded) == sorted(set(TEXTS))
    assert torch.equal(batch.features.cached["default"], expected())


def test_another_setting_that_a_cache_key_depends_on_has_the_data_set_read_again(run, letter_counts):
    class Folded(letter_counts):
        def __init__(self, fold):
            super().__init__()
            self.fold = fold

        def fingerprint(self):
            return f"folded {self.fold}".ljust(32, "-")

        def cache_key(self, obj):
            return content_key(obj.lower() if self.fold else obj)

    run(Named(groups()), encoder=Folded(fold=True))
    _, batch, read, _ = run(Named(groups()), encoder=Folded(fold=False))
    assert torch.equal(batch.features.cached["default"], expected())
    assert read >= len(TEXTS)


def test_another_class_setting_that_side_information_depends_on_has_the_data_set_read_again(run, letter_counts):
    class Kinds(letter_counts):
        kind = "first"

        @classmethod
        def extract_meta(cls, batch):
            return [{"kind": cls.kind} for _ in batch]

    class Others(Kinds):
        kind = "second"

    for encoder in (Kinds(), Others()):
        _, batch, _, _ = run(Named(groups()), encoder=encoder)
        assert list(batch.features.meta) == [{"kind": encoder.kind}] * len(TEXTS)


def test_another_kind_of_loader_has_the_data_set_read_again(run):
    class Reversed(GroupSimilarityDataLoader):
        @classmethod
        def collate_labels(cls, batch):
            return {"groups": -super().collate_labels(batch)["groups"]}

    _, first, _, _ = run(Named(groups()))
    _, batch, read, _ = run(Named(groups()), loader_type=Reversed)
    assert read >= len(TEXTS)
    assert torch.equal(batch.targets.groups, -first.targets.groups)


def test_labels_that_json_cannot_hold_are_not_saved_but_read_each_time(run, tmp_path):
    labels = [("a", 1), ("a", 2), "x", "x", "y", "y", "z"]
    for _ in range(2):
        reading, batch, read, _ = run(Named(groups(labels)))
        assert read >= len(TEXTS)
        assert [reading.label_names[group] for group in batch.targets.groups.tolist()] == labels
    assert not list((tmp_path / "stores").rglob("*.reading"))


def test_a_damaged_file_is_read_anew_and_written_again(run, tmp_path):
    run(Named(groups()))
    (file,) = (tmp_path / "stores").rglob("*.reading")
    whole = file.read_bytes()
    for content in (b"", b"\n", whole[:-1], whole[:40], bytes(len(whole)), b"\xff" + whole[1:], b"{}"):
        file.write_bytes(content)
        _, batch, read, encoded = run(Named(groups()))
        assert read >= len(TEXTS) and not encoded
        assert torch.equal(batch.features.cached["default"], expected())
        assert file.read_bytes() == whole
        assert run(Named(groups()))[2] == 0


def test_a_full_disk_is_one_clear_error(run, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(reading_index, "replace_file", full)
    with pytest.raises(OSError, match=r"Cannot write .*No space left on device.*another save_dir.*stores"):
        run(Named(groups()))


def test_an_object_that_the_store_lost_is_read_again_by_itself(run, tmp_path):
    run(Named(groups()))
    for file in (tmp_path / "stores").rglob("part-0.vectors"):
        file.unlink()
    _, batch, read, encoded = run(Named(groups()))
    assert read == len(encoded) == len(set(TEXTS))
    assert torch.equal(batch.features.cached["default"], expected())


def test_a_fingerprint_may_be_a_method(run):
    class Method(Named):
        def __init__(self, samples):
            super().__init__(samples)
            self.fingerprint = lambda: "edition of a method"

    assert run(Method(groups()))[2] > 0
    assert run(Method(groups()))[2] == 0


def test_a_fingerprint_that_is_no_text_is_refused(run):
    with pytest.raises(TypeError, match="The data set's fingerprint is 3; expected a string that changes whenever"):
        run(Named(groups(), 3))
    assert data_fingerprint([]) is None


def test_splits_that_share_a_fingerprint_by_their_class_are_told_apart_by_their_length(run):
    texts = ["ab", "c", "dd"]
    for count in (3, 2):
        data = Named([SimilarityGroupSample(text, text) for text in texts[:count]])
        reading, batch, _, _ = run(data)
        assert len(reading.table) == count
        assert torch.equal(batch.features.cached["default"], expected(texts[:count]))


class Shouting:
    """Puts something before an object, on one side only."""

    def __init__(self, before):
        self.before = before

    def __call__(self, obj, side):
        return self.before + obj if side == "query" else obj


def test_another_preparation_of_sides_has_the_data_set_read_again(run, letter_counts):
    class Sided(letter_counts):  # with a fingerprint of its own, which says nothing of that
        before = "a"

        def get_side_fn(self):
            return Shouting(self.before)

    samples = [SimilarityPairSample("b", "c"), SimilarityPairSample("d", "b")]
    for before in ("a", "aa"):
        for reads_again in (True, False):
            encoder = Sided()
            encoder.before = before
            _, batch, read, _ = run(Named(samples), encoder=encoder, loader_type=PairsSimilarityDataLoader)
            assert bool(read) == reads_again
            assert torch.equal(batch.features.cached["default"], expected([before + "b", before + "d", "c", "b"]))
