"""Where cached vectors lie, how much of a stream is taken, and how many objects are encoded at a time."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import IterableDataset

from quaterion.cache import CacheConfig, CacheType, placed_vectors, placement
from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.fill import Filling
from quaterion.cache.placement import Placement, choose_placement, free_memory
from quaterion.cache.prepare import BatchSource
from quaterion.dataset import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    SimilarityPairSample,
    reading,
)
from quaterion.dataset.object_reading import ObjectReading
from quaterion.dataset.reading import read_data_set
from quaterion_models import SimilarityModel
from quaterion_models.collate import ModelCollate
from quaterion_models.content_key import content_key
from quaterion_models.heads import EmptyHead

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
GIB = 2**30


@pytest.fixture
def free(monkeypatch):
    """Sets how many bytes are free on the CPU and on the GPU."""

    def set_free(cpu, gpu=0):
        monkeypatch.setattr(placement, "free_memory", lambda device: gpu if device.type == "cuda" else cpu)

    return set_free


def choose(wanted=CacheType.AUTO, *, size=GIB, device=CPU, has_folder=True):
    return choose_placement(wanted, name="text", size=size, device=device, has_folder=has_folder)


@pytest.mark.parametrize(
    ("size", "device", "has_folder", "expected"),
    [
        (1 * GIB, GPU, True, (GPU, False)),
        (4 * GIB, GPU, True, (GPU, False)),  # exactly the half of 8
        (4 * GIB + 1, GPU, True, (CPU, False)),
        (8 * GIB, GPU, True, (CPU, False)),  # exactly the half of 16
        (8 * GIB + 1, GPU, True, (CPU, True)),
        (8 * GIB + 1, GPU, False, (CPU, False)),  # there is no disk to leave them on
        (1 * GIB, CPU, True, (CPU, False)),
        (8 * GIB + 1, CPU, True, (CPU, True)),
        (8 * GIB + 1, CPU, False, (CPU, False)),
    ],
)
def test_auto_takes_the_gpu_then_memory_then_the_disk_by_what_fits_with_room_to_spare(
    free, size, device, has_folder, expected
):
    free(cpu=16 * GIB, gpu=8 * GIB)
    chosen = choose(size=size, device=device, has_folder=has_folder)
    assert (chosen.device, chosen.on_disk) == expected
    assert f"{size / GIB:.1f} GiB" in chosen.reason or f"{size / 2**20:.1f} MiB" in chosen.reason


@pytest.mark.parametrize("wanted", [CacheType.CPU, CacheType.GPU, CacheType.DISK])
def test_what_is_asked_for_is_had_whatever_its_size(free, wanted):
    free(cpu=0, gpu=0)
    device, on_disk = {CacheType.GPU: (GPU, False), CacheType.DISK: (CPU, True)}.get(wanted, (CPU, False))
    assert choose(wanted, device=GPU) == Placement(device, on_disk=on_disk, reason="as configured")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (CacheType.GPU, "encoder 'text' is to lie on a GPU, but the Trainer uses the CPU. Use CacheType.AUTO, or a Tr"),
        (CacheType.DISK, "encoder 'text' is to lie on disk, but CacheConfig has no save_dir. Give it a folder"),
    ],
)
def test_what_cannot_be_had_is_refused(wanted, message):
    with pytest.raises(ValueError, match=message):
        choose(wanted, has_folder=False)


@pytest.mark.parametrize("wanted", [CacheType.GPU, CacheType.DISK])
def test_a_placement_that_cannot_be_had_is_refused_before_the_data_is_read(letter_counts, wanted):
    class Unread:
        def __len__(self):
            return 3

        def __getitem__(self, index):
            raise AssertionError("the data set was read")

    source = BatchSource(SimilarityModel(letter_counts(), EmptyHead(4)), CacheConfig(wanted), CPU)
    with pytest.raises(ValueError, match="encoder 'default' is to lie on"):
        source.read(GroupSimilarityDataLoader(Unread()))


@pytest.mark.parametrize(("room", "expected"), [([], 7000), ([3000], 3000), ([9000], 7000)])
def test_free_memory_is_that_of_the_machine_or_of_its_container_if_less(monkeypatch, room, expected):
    monkeypatch.setattr(placement.psutil, "virtual_memory", lambda: SimpleNamespace(available=7000))
    monkeypatch.setattr(placement, "_container_room", lambda: room)
    assert free_memory(CPU) == expected


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_auto_says_where_the_vectors_lie_and_gives_the_same_ones(read_batches, free, tmp_path, caplog, where):
    texts = ["ab", "c", "ab", "dd"]
    free(cpu=GIB if where == "memory" else 10)  # the vectors take 4 · 4 · 4 bytes
    caplog.set_level("INFO", logger="quaterion")
    vectors, _ = read_batches(texts, CacheConfig(save_dir=tmp_path))
    assert torch.equal(vectors, torch.tensor([[text.count(letter) for letter in "abcd"] for text in texts]).float())
    said = "The cached vectors of encoder 'default' lie " + ("in memory" if where == "memory" else "on disk")
    assert said in caplog.text


def test_vectors_on_disk_stay_there_and_those_for_memory_are_copied(letter_counts, tmp_path, monkeypatch):
    copied, copy = [], placed_vectors._copied

    def counted(store, rows, device):
        copied.append(len(rows))
        return copy(store, rows, device)

    monkeypatch.setattr(placed_vectors, "_copied", counted)
    data = [SimilarityGroupSample(text, 0) for text in ("ab", "c", "ab")]
    for wanted, copies in ((CacheType.DISK, 0), (CacheType.CPU, 1)):
        config = CacheConfig(wanted, save_dir=tmp_path)
        source = BatchSource(SimilarityModel(letter_counts(), EmptyHead(4)), config, CPU)
        loader = GroupSimilarityDataLoader(data, batch_size=3)
        placed = source.place("default", loader, source.read(loader))
        assert len(copied) == copies
        assert placed.take(torch.tensor([2, 1])).tolist() == [[1, 1, 0, 0], [0, 0, 1, 0]]


class Endless(IterableDataset):
    """Texts without an end; counts how many were taken."""

    taken = 0

    def __iter__(self):
        for number in itertools.count():
            self.taken += 1
            yield SimilarityGroupSample("a" * (number % 50) + "b", number)


@pytest.mark.parametrize(("wanted", "drop_last", "sizes"), [(300, False, [128, 128, 44]), (300, True, [128, 128])])
def test_max_objects_takes_that_many_of_an_endless_stream_and_every_epoch_has_them(
    letter_counts, wanted, drop_last, sizes
):
    encoder, stream = letter_counts(), Endless()
    source = BatchSource(SimilarityModel(encoder, EmptyHead(4)), CacheConfig(max_objects=wanted), CPU)
    loader = GroupSimilarityDataLoader(stream, batch_size=128, drop_last=drop_last)
    batches = source.batches(loader, source.read(loader))
    assert len(batches) == len(sizes)
    for _ in range(3):
        epoch = list(batches)
        assert [len(batch.targets.groups) for batch in epoch] == sizes
        vectors = torch.cat([batch.features.cached["default"] for batch in epoch])
        assert vectors.tolist() == [[number % 50, 1, 0, 0] for number in range(sum(sizes))]
    assert sum(map(len, encoder.batches)) == 50
    assert stream.taken < 2 * wanted


TEXT = {"text": ObjectReading(content_key, len)}
NO_META = ModelCollate({}, {})


@pytest.mark.parametrize(("most", "pairs", "objects"), [(1, 0, 0), (2, 1, 2), (5, 1, 2), (7, 2, 6), (10, 3, 8)])
def test_max_objects_takes_whole_samples_only(most, pairs, objects):
    class Pairs(IterableDataset):
        def __iter__(self):
            for number in itertools.count():  # of 2, 4, 2, 4, ... objects
                yield SimilarityPairSample(f"a{number}", f"b{number}", negatives=["c", "d"] * (number % 2))

    loader = PairsSimilarityDataLoader(Pairs())
    if pairs == 0:
        with pytest.raises(ValueError, match="max_objects"):
            read_data_set(loader, TEXT, NO_META, max_objects=most)
        return
    found = read_data_set(loader, TEXT, NO_META, max_objects=most)
    assert (len(found.table), int(found.offsets[-1]), len(found.keys["text"])) == (pairs, objects, objects)
    assert len(found.table.all().pairs) == pairs
    assert len(found.objects) == len(found.lengths["text"]) == objects


def test_a_stream_without_a_length_and_without_max_objects_stops_at_a_stated_limit(monkeypatch):
    monkeypatch.setattr(reading, "MOST_UNCOUNTED", 600)
    stream = Endless()
    with pytest.raises(
        ValueError, match=r"no __len__ and gave more than 600 objects.*CacheConfig\(max_objects=\.\.\.\)"
    ):
        read_data_set(GroupSimilarityDataLoader(stream), TEXT, NO_META)
    assert stream.taken < 1200


@pytest.mark.parametrize("count", [599, 600])
def test_a_stream_that_ends_before_the_limit_is_read_whole(monkeypatch, count):
    class Ending(Endless):
        def __iter__(self):
            return itertools.islice(super().__iter__(), count)

    monkeypatch.setattr(reading, "MOST_UNCOUNTED", 600)
    assert len(read_data_set(GroupSimilarityDataLoader(Ending()), TEXT, NO_META).table) == count


def test_a_stream_shorter_than_max_objects_is_taken_whole(monkeypatch):
    class Ending(Endless):
        def __iter__(self):
            return itertools.islice(super().__iter__(), 40)

    assert len(read_data_set(GroupSimilarityDataLoader(Ending()), TEXT, NO_META, max_objects=100).table) == 40


def test_a_stream_with_a_length_is_read_whole(monkeypatch):
    class Sized(Endless):
        def __len__(self):
            return 700

        def __iter__(self):
            return itertools.islice(super().__iter__(), 700)

    monkeypatch.setattr(reading, "MOST_UNCOUNTED", 600)
    assert len(read_data_set(GroupSimilarityDataLoader(Sized()), TEXT, NO_META).table) == 700


def letters_that_fit(most):
    """An encode step whose memory is full with more than a number of objects, and what it was given."""
    given = []

    def encode(texts):
        given.append(list(texts))
        if len(texts) > most:
            raise torch.OutOfMemoryError("tried to allocate 1 TiB")
        return torch.zeros(len(texts), 4)

    return encode, given


@pytest.fixture
def filling():
    """A fill of an empty store with texts of 0, 1, ... letters."""

    def make(encode, count=500):
        loader = GroupSimilarityDataLoader([SimilarityGroupSample("a" * n, 0) for n in range(count)])
        return Filling(
            name="default",
            store=EmbeddingStore(fingerprint="f", dimension=4),
            reading=read_data_set(loader, {"default": TEXT["text"]}, NO_META),
            loader=loader,
            encode=encode,
            collate=list,
            objects=TEXT["text"],
            batch_size=32,
        )

    return make


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (2, 1), (3, 1), (4, 2), (100, 32), (127, 32), (128, 64)])
def test_the_batch_size_is_half_of_the_largest_power_of_two_that_fits(filling, most, expected):
    encode, given = letters_that_fit(most)
    one = filling(encode)
    assert one.fitting_batch_size(one.plan(), GPU) == expected
    assert all(len(text) == 499 - place for batch in given for place, text in enumerate(batch))  # the longest


@pytest.mark.parametrize(("count", "tried", "expected"), [(1, 1, 1), (3, 2, 1), (100, 64, 32)])
def test_where_all_that_is_tried_fits_the_batch_size_is_half_of_it(filling, count, tried, expected):
    encode, given = letters_that_fit(10**9)
    one = filling(encode, count=count)
    assert one.fitting_batch_size(one.plan(), GPU) == expected
    assert max(map(len, given)) == tried


def test_an_object_that_does_not_fit_alone_is_an_error(filling):
    one = filling(letters_that_fit(0)[0])
    with pytest.raises(torch.OutOfMemoryError, match="1 TiB"):
        one.fitting_batch_size(one.plan(), GPU)


def test_a_cpu_takes_32_without_trying(filling):
    encode, given = letters_that_fit(0)
    one = filling(encode)
    assert one.fitting_batch_size(one.plan(), CPU) == 32
    assert not given


def test_a_fixed_batch_size_that_does_not_fit_is_one_clear_error_and_what_was_encoded_is_kept(
    letter_counts, tmp_path, read_batches
):
    class Crowded(letter_counts):
        def forward(self, batch):
            # Memory is full with 20 letters, padding included: the fill begins with the longest texts.
            if len(batch) * max(map(len, batch)) > 20:
                raise torch.OutOfMemoryError("tried to allocate 1 TiB")
            return super().forward(batch)

    texts = [letter * n for n in range(1, 6) for letter in "abcd"]
    with pytest.raises(
        torch.OutOfMemoryError,
        match=r"A batch of 8 objects of the encoder 'default' does not fit the memory \(tried to allocate 1 TiB\)\. "
        r"Set a smaller CacheConfig\(batch_size=\.\.\.\), or batch_size='auto'",
    ):
        read_batches(texts, CacheConfig(save_dir=tmp_path, batch_size=8), encoder=Crowded())
    vectors, encoded = read_batches(texts, CacheConfig(save_dir=tmp_path, batch_size=4), encoder=Crowded())
    assert vectors.tolist() == [[text.count(letter) for letter in "abcd"] for text in texts]
    assert len(encoded) == len(texts)


def test_batch_size_auto_fills_on_a_cpu(read_batches, letter_counts):
    encoder = letter_counts()
    texts = ["a" * n for n in range(70)]
    read_batches(texts, CacheConfig(batch_size="auto"), encoder=encoder)
    assert [len(batch) for batch in encoder.batches] == [32, 32, 6]
