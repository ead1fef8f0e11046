import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from quaterion_models import SimilarityModel
from quaterion_models.encode import corpus
from quaterion_models.encoders import Encoder
from quaterion_models.encoders.pretrained_collate import ToolError
from quaterion_models.heads import EmptyHead, GatedHead, SwitchHead


def characters(batch):
    return torch.tensor([[float(len(text)), float(text.count("a"))] for text in batch])


class Characters(Encoder):
    """Text to (length, number of a); notes the lengths in each batch."""

    trainable = False
    embedding_size = 2

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.batches = []

    def get_collate_fn(self):
        return characters

    def forward(self, batch):
        self.batches.append(batch[:, 0].tolist())
        return (batch * self.weight).to(self.weight.dtype)


def make(head=None):
    return SimilarityModel(Characters(), head or EmptyHead(2))


def texts(count):
    lengths = np.random.default_rng(0).integers(0, 30, count)
    return ["ab" * (length // 2) + "c" * (length % 2) for length in lengths]


def expected(given):
    return characters(given).numpy()


def joined(chunks):
    chunks = list(chunks)
    return np.concatenate([chunk.vectors for chunk in chunks]), np.concatenate([chunk.positions for chunk in chunks])


def test_a_list_of_several_portions_is_sorted_as_a_whole(monkeypatch):
    monkeypatch.setattr(corpus, "PORTION", 8)
    model, given = make(), texts(50)
    assert np.array_equal(model.encode(given, batch_size=4), expected(given))
    lengths = [length for batch in model.encoders["default"].batches for length in batch]
    assert lengths == sorted(map(len, given), reverse=True)
    assert [len(batch) for batch in model.encoders["default"].batches] == [4] * 12 + [2]


def test_the_object_that_cannot_be_read_is_told_by_its_place_in_the_list(monkeypatch):
    monkeypatch.setattr(corpus, "PORTION", 8)
    given = texts(50)
    given[17] = 3.5
    with pytest.raises(TypeError, match="has no len") as caught:
        make().encode(given, batch_size=4)
    assert caught.value.__notes__ == ["The object (float) is the one at position 17 of those to encode"]


@pytest.mark.parametrize(
    ("count", "batch_size", "devices", "size"),
    [
        (10, 32, 0, 4096),  # one process: the default
        (10**6, 100, 0, 4100),  # whole batches
        (10**6, 5000, 0, 5000),  # one batch at the least
        (10_000, 32, 2, 1280),  # 10,000 / 8 = 1,250, in whole batches
        (10**6, 32, 2, 4096),
        (0, 32, 2, 32),
    ],
)
def test_portions_are_whole_batches_and_small_enough_for_all_processes(count, batch_size, devices, size):
    assert corpus._portion_size(count, batch_size, devices) == size


@pytest.mark.parametrize("chunk_size", [1, 7, 20, 1000])
def test_a_stream_gives_the_same_in_order(chunk_size):
    given = texts(50)
    chunks = list(make().encode_stream(iter(given), batch_size=4, chunk_size=chunk_size))
    assert [len(chunk.vectors) for chunk in chunks] == [
        min(chunk_size, 50 - start) for start in range(0, 50, chunk_size)
    ]
    vectors, positions = joined(chunks)
    assert np.array_equal(vectors, expected(given))
    assert np.array_equal(positions, np.arange(50)) and positions.dtype == np.int64


def test_a_stream_is_read_no_further_than_the_chunk_that_is_asked_for():
    read = []

    def objects():
        for number in range(100):
            read.append(number)
            yield "a" * number

    stream = make().encode_stream(objects(), chunk_size=10)
    assert read == []
    next(stream)
    assert len(read) == 10
    next(stream)
    assert len(read) == 20


def test_between_two_chunks_the_model_can_be_trained():
    model = make(GatedHead(2)).train()
    stream = model.encode_stream(texts(4), chunk_size=2)
    next(stream)
    assert model.training and torch.is_grad_enabled()
    model(model.get_collate_fn()(["a"])).sum().backward()
    assert model.head.gates.grad is not None
    assert len(next(stream).vectors) == 2


def test_a_stream_skips_and_tells_what_cannot_be_read():
    given = ["a", 5, "bb", None, 7, 8, "cc"]
    first, second, third = make().encode_stream(given, batch_size=2, chunk_size=3, on_error="skip")
    assert first.positions.tolist() == [0, 2] and np.array_equal(first.vectors, expected(["a", "bb"]))
    assert first.skipped == [(1, "TypeError: object of type 'int' has no len()")]
    assert second.vectors.shape == (0, 2) and second.positions.tolist() == []
    assert [skipped.position for skipped in second.skipped] == [3, 4, 5]
    assert third.positions.tolist() == [6] and third.skipped == []


def test_a_stream_ends_with_the_error_of_an_object_by_default():
    stream = make().encode_stream(["a", "b", "c", 5], chunk_size=2)
    next(stream)
    with pytest.raises(TypeError, match="has no len") as caught:
        next(stream)
    assert caught.value.__notes__ == ["The object (int) is the one at position 3 of those to encode"]


def test_a_stream_of_a_two_sided_model_takes_a_side():
    model = make(SwitchHead({"query": EmptyHead(2), "document": GatedHead(2)}, 2))
    given = texts(5)
    for side, whole in ((None, model.encode), ("query", model.encode_query), ("document", model.encode_document)):
        assert np.array_equal(joined(model.encode_stream(given, side=side))[0], whole(given))
    assert not np.array_equal(model.encode_document(given), model.encode_query(given))
    assert np.array_equal(joined(make().encode_stream(given, side="document"))[0], expected(given))


@pytest.mark.parametrize(
    ("dtype", "whole", "array"),
    [
        (torch.float16, torch.float16, np.float16),
        (torch.bfloat16, torch.bfloat16, np.float32),
        (torch.float32, torch.float32, np.float32),
    ],
)
def test_the_precision_is_that_of_the_model_where_numpy_has_it(dtype, whole, array):
    model, given = make().to(dtype), texts(9)
    assert model.encode(given, to_numpy=False).dtype == whole
    assert model.encode(given).dtype == array
    (chunk,) = model.encode_stream(given)
    assert chunk.vectors.dtype == array
    assert np.array_equal(chunk.vectors, expected(given))


def test_a_stream_normalizes_and_shows_progress_on_request(capsys):
    vectors, _ = joined(make().encode_stream((text for text in ["aa", "b"]), normalize=True, show_progress=True))
    np.testing.assert_allclose(vectors, [[2**-0.5, 2**-0.5], [1, 0]], rtol=1e-6)
    assert "2/?" in capsys.readouterr().err


def test_an_empty_stream_gives_no_chunk():
    assert list(make().encode_stream(iter([]))) == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"chunk_size": 0}, ValueError, "chunk_size must be an integer of at least 1, got 0"),
        ({"batch_size": -1}, ValueError, "batch_size must be an integer of at least 1, got -1"),
        ({"side": "left"}, ValueError, 'side must be "query", "document" or None, got \'left\''),
        ({"on_error": "ignore"}, ValueError, 'on_error must be "raise" or "skip", got \'ignore\''),
        ({"devices": []}, ValueError, "devices must hold at least one device"),
        ({"objects": "text"}, TypeError, "takes an iterable of objects, got one object of type str"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_read(options, error, message):
    with pytest.raises(error, match=message):
        make().encode_stream(**{"objects": iter([]), **options})


def test_a_stream_needs_a_head_at_once():
    with pytest.raises(ValueError, match="has no head"):
        SimilarityModel(Characters(), None).encode_stream(iter(["a"]))


MEMORY = """
import resource, sys
import numpy as np, torch
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EmptyHead

class Wide(Encoder):
    trainable = False
    embedding_size = 1024
    def get_collate_fn(self):
        return lambda batch: torch.tensor(batch, dtype=torch.float32)
    def forward(self, batch):
        return batch[:, None].expand(-1, 1024) + torch.zeros(1024)

model = SimilarityModel(Wide(), EmptyHead(1024))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
model.encode(range(5000), batch_size=512)
before = peak()
if sys.argv[1] == "whole":
    vectors = model.encode(range(60_000), batch_size=512)
    assert vectors[:, 5].tolist() == list(range(60_000))
else:
    count = sum(len(chunk.vectors) for chunk in model.encode_stream(iter(range(60_000)), batch_size=512))
    assert count == 60_000
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("how", "expected_mib"), [("whole", 60_000 * 1024 * 4 / 2**20), ("stream", 0)])
def test_no_more_than_the_result_and_a_portion_is_in_memory(how, expected_mib):
    done = subprocess.run([sys.executable, "-c", MEMORY, how], capture_output=True, text=True, check=True)
    # A portion of 4,096 vectors is 16 MiB; three of those, and the order of the objects, come on top. Twice the
    # result, which a list of vectors that are then joined takes, would be 234 MiB more.
    assert float(done.stdout) < expected_mib + 80


def test_a_model_whose_tokenizer_is_damaged_skips_nothing():
    def damaged(objects):
        raise ToolError("the tokenizer is damaged")

    class Damaged(Characters):
        def get_collate_fn(self):
            return damaged

    with pytest.raises(ToolError, match="^the tokenizer is damaged$") as caught:
        next(SimilarityModel(Damaged(), EmptyHead(2)).encode_stream(["a", "b"], on_error="skip"))
    assert not hasattr(caught.value, "__notes__")


class Corpus(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return "a" * index


def test_a_data_set_is_encoded_up_to_its_length():
    vectors, positions = joined(make().encode_stream(Corpus(), chunk_size=2))
    assert vectors.tolist() == [[0, 0], [1, 1], [2, 2]] and positions.tolist() == [0, 1, 2]


class Prompted(str):
    """A text that can be counted."""

    __slots__ = ("__weakref__",)


def test_prompts_are_put_before_a_portion_at_a_time(monkeypatch):
    alive, most = weakref.WeakSet(), []

    def prompt(text, side):
        prompted = Prompted(side + text)
        alive.add(prompted)
        most.append(len(alive))
        return prompted

    class Sided(Characters):
        def get_side_fn(self):
            return prompt

    monkeypatch.setattr(corpus, "PORTION", 8)
    given = [str(number) * (number % 7) for number in range(100)]
    vectors = SimilarityModel(Sided(), EmptyHead(2)).encode_document(given, batch_size=4)
    assert np.array_equal(vectors, expected(["document" + text for text in given]))
    assert max(most) <= 16


def test_no_process_is_started_that_would_have_nothing_to_do(monkeypatch):
    started = []

    def encode_in_workers(model, portions, options, devices):
        started.append(len(devices))
        return iter(())

    monkeypatch.setattr(corpus, "encode_in_workers", encode_in_workers)
    for count in (1, 2, 40):
        make().encode(["a"] * count, batch_size=1, devices=["cpu"] * 3)
    assert started == [1, 2, 3]
