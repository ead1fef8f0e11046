"""What is encoded, when, and that every object gets its own vector."""

import random
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from quaterion.cache import CacheConfig, EmbeddingStore


def texts_of(count, seed=0):
    rng = random.Random(seed)
    return ["".join(rng.choices("abcdx", k=rng.randint(0, 12))) for _ in range(count)]


def expected(texts):
    return torch.tensor([[text.count(letter) for letter in "abcd"] for text in texts]).float()


@pytest.mark.parametrize("workers", [0, 2])
def test_every_object_gets_its_own_vector_and_equal_ones_are_encoded_once(read_batches, workers):
    texts = texts_of(60) * 2
    vectors, encoded = read_batches(texts, num_workers=workers)
    assert torch.equal(vectors, expected(texts))
    assert sorted(encoded) == sorted(set(texts))


def test_batches_of_the_fill_hold_objects_of_like_length_the_longest_first(read_batches, letter_counts):
    encoder = letter_counts()
    texts = list(dict.fromkeys(texts_of(50)))
    read_batches(texts, CacheConfig(batch_size=8), encoder=encoder)
    lengths = [len(text) for batch in encoder.batches for text in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert [len(batch) for batch in encoder.batches][:-1] == [8] * (len(texts) // 8)


def test_the_plan_of_a_fill_does_not_depend_on_the_order_of_the_data(read_batches, letter_counts):
    texts = texts_of(50)
    encoders = letter_counts(), letter_counts()
    read_batches(texts, encoder=encoders[0])
    read_batches(texts[::-1], encoder=encoders[1])
    assert encoders[0].batches == encoders[1].batches


def test_a_second_run_encodes_nothing_and_an_edited_data_set_only_what_changed(read_batches, tmp_path):
    config = CacheConfig(save_dir=tmp_path)
    texts = texts_of(40)
    read_batches(texts, config)
    assert read_batches(texts, config)[1] == []
    for edited in (
        [*texts[:7], "new at 7", *texts[8:]],
        ["new in front", *texts],
        texts[::-1],
        texts[5:],
        [*texts, "new at the end", "new at the end"],
    ):
        vectors, encoded = read_batches(edited, config)
        assert torch.equal(vectors, expected(edited))
        assert encoded == [text for text in dict.fromkeys(edited) if text.startswith("new")]


def test_another_fingerprint_never_reuses_a_vector(read_batches, letter_counts, tmp_path):
    config = CacheConfig(save_dir=tmp_path)
    texts = texts_of(10)
    read_batches(texts, config)
    vectors, encoded = read_batches(texts, config, encoder=letter_counts(version=2))
    assert torch.equal(vectors, 2 * expected(texts)) and len(encoded) == len(set(texts))
    assert read_batches(texts, config)[1] == []


def test_an_encoder_that_changes_in_memory_between_two_readings_is_encoded_anew(letter_counts):
    from quaterion.cache.prepare import BatchSource
    from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
    from quaterion_models import SimilarityModel
    from quaterion_models.heads import EmptyHead

    encoder = letter_counts()
    source = BatchSource(SimilarityModel(encoder, EmptyHead(4)), CacheConfig(), torch.device("cpu"))
    loader = GroupSimilarityDataLoader([SimilarityGroupSample("ab", 0), SimilarityGroupSample("c", 0)], batch_size=2)
    for version in (1, 3):
        encoder.version = version
        (batch,) = source.batches(loader, source.read(loader))
        assert torch.equal(batch.features.cached["default"], version * expected(["ab", "c"]))


def test_float16_rounds_vectors_and_has_a_store_of_its_own(read_batches, tmp_path):
    texts = texts_of(10)
    vectors, _ = read_batches(texts, CacheConfig(save_dir=tmp_path, dtype="float16"))
    assert torch.equal(vectors, expected(texts)) and vectors.dtype == torch.float32
    assert len(read_batches(texts, CacheConfig(save_dir=tmp_path))[1]) == len(set(texts))
    assert {EmbeddingStore.open(folder).dtype for folder in tmp_path.iterdir()} == {torch.float16, torch.float32}


def test_a_key_extractor_decides_what_counts_as_equal(read_batches):
    texts = ["ab", "AB", "b"]
    vectors, encoded = read_batches(texts, CacheConfig(key_extractors=str.lower))
    assert sorted(encoded) == ["ab", "b"]
    assert torch.equal(vectors, expected(["ab", "ab", "b"]))


def first_letter(text):
    return text[:1]


def last_letter(text):
    return text[-1:]


def test_another_key_extractor_never_reads_the_vectors_of_the_first(read_batches, tmp_path):
    texts = ["ab", "ba"]
    for extractor in (first_letter, last_letter, None):
        config = CacheConfig(save_dir=tmp_path, **({} if extractor is None else {"key_extractors": extractor}))
        vectors, encoded = read_batches(texts, config)
        assert torch.equal(vectors, expected(texts))
        assert len(encoded) == 2
        assert read_batches(texts, config)[1] == []


def test_values_beyond_float16_are_refused(read_batches, letter_counts):
    with pytest.raises(ValueError, match=r"gave values up to 1e\+06, beyond float16. Set CacheConfig"):
        read_batches(["a", "b"], CacheConfig(dtype="float16"), encoder=letter_counts(version=10**6))


def test_a_collate_function_of_the_users_own_is_refused_rather_than_left_out(read_batches):
    with pytest.raises(ValueError, match="has a collate function of its own, which training from a cache does not"):
        read_batches(["a", "b"], collate_fn=lambda samples: ([], [], {}))


def test_an_object_without_readable_content_asks_for_a_key(read_batches, letter_counts):
    class Text(str):
        __slots__ = ("handle",)

    text = Text("ab")
    text.handle = open
    with pytest.raises(TypeError, match=r"content key .*override Encoder.cache_key, or give the cache a key extractor"):
        read_batches([text, "b"])
    vectors, _ = read_batches([text, "b"], CacheConfig(key_extractors=str.__str__))
    assert torch.equal(vectors, expected(["ab", "b"]))


def test_a_key_of_the_wrong_kind_is_refused(read_batches, letter_counts):
    class ShortKeys(letter_counts):
        def cache_key(self, obj):
            return b"short"

    with pytest.raises(ValueError, match=r"ShortKeys.cache_key returned 5 bytes .*expected 16 bytes"):
        read_batches(["a", "b"], encoder=ShortKeys())


def test_nothing_is_read_twice_of_an_iterable_data_set(read_batches, letter_counts):
    from torch.utils.data import IterableDataset

    from quaterion.cache.prepare import BatchSource
    from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
    from quaterion_models import SimilarityModel
    from quaterion_models.heads import EmptyHead

    class Once(IterableDataset):
        reads = 0

        def __iter__(self):
            Once.reads += 1
            return (SimilarityGroupSample(text, 0) for text in ["ab", "c", "ab", "d"])

    source = BatchSource(SimilarityModel(letter_counts(), EmptyHead(4)), CacheConfig(), torch.device("cpu"))
    loader = GroupSimilarityDataLoader(Once(), batch_size=3)
    batches = source.batches(loader, source.read(loader))
    for _ in range(2):
        vectors = torch.cat([batch.features.cached["default"] for batch in batches])
        assert torch.equal(vectors, expected(["ab", "c", "ab", "d"]))
    assert Once.reads == 1 and len(batches) == 2


def test_ctrl_c_in_the_middle_of_a_fill_keeps_what_was_encoded(tmp_path):
    code = textwrap.dedent("""
        import os, signal, sys
        import torch
        from quaterion.cache import CacheConfig
        from quaterion.cache.prepare import BatchSource
        from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
        from quaterion_models import SimilarityModel
        from quaterion_models.encoders import Encoder
        from quaterion_models.heads import EmptyHead

        # A job in the background of a shell ignores Ctrl-C, and its children with it.
        signal.signal(signal.SIGINT, signal.default_int_handler)

        class Slow(Encoder):
            trainable, embedding_size, calls = False, 1, 0
            def fingerprint(self): return "slow" * 8
            def get_collate_fn(self): return list
            def forward(self, batch):
                Slow.calls += len(batch)
                if Slow.calls == 50 and sys.argv[2] == "interrupt":
                    os.kill(os.getpid(), signal.SIGINT)
                return torch.tensor([[float(text)] for text in batch])

        config = CacheConfig(save_dir=sys.argv[1], batch_size=10)
        source = BatchSource(SimilarityModel(Slow(), EmptyHead(1)), config, torch.device("cpu"))
        loader = GroupSimilarityDataLoader([SimilarityGroupSample(str(i), 0) for i in range(100)], batch_size=100)
        try:
            (batch,) = source.batches(loader, source.read(loader))
            assert batch.features.cached["default"][:, 0].tolist() == list(range(100))
        except KeyboardInterrupt:
            pass
        print(Slow.calls)
    """)
    run = lambda mode: subprocess.run(  # noqa: E731
        [sys.executable, "-c", code, tmp_path, mode], capture_output=True, text=True, check=True
    )
    first, second = int(run("interrupt").stdout), int(run("whole").stdout)
    assert first in {50, 60}
    assert second == 100 - 40 if first == 50 else 100 - 50


def test_a_fingerprint_of_ones_own_may_be_any_text(read_batches, letter_counts, tmp_path):
    class Versioned(letter_counts):
        def fingerprint(self):
            return self.own

    for name in (
        "team/encoder@v1",
        "../../escaped",
        "a-very-long-name-of-an-encoder-of-ours-v1",
        "a-very-long-name-of-an-encoder-of-ours-v2",
    ):
        for expected_count in (2, 0):
            encoder = Versioned()
            encoder.own = name
            _, encoded = read_batches(["ab", "c"], CacheConfig(save_dir=tmp_path / "vectors"), encoder=encoder)
            assert len(encoded) == expected_count
    assert len(list((tmp_path / "vectors").iterdir())) == 4 and len(list(tmp_path.iterdir())) == 1


def test_filling_happens_in_eval_mode_whatever_made_the_modules(read_batches, letter_counts):
    class Noisy(letter_counts):
        def forward(self, batch):
            if not hasattr(self, "late"):
                self.late = torch.nn.Dropout(0.5)  # a new module is in training mode
            return self.late(super().forward(batch))

    texts = ["a" * n for n in range(1, 60)]
    vectors, _ = read_batches(texts, encoder=Noisy())
    assert torch.equal(vectors, expected(texts))


def test_a_relative_folder_stays_where_it_was_when_the_process_moves(read_batches, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = EmbeddingStore(fingerprint="f", dimension=1, folder="vectors")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.add(np.zeros((1, 16), np.uint8), np.ones((1, 1), np.float32))
    store.flush()
    assert len(EmbeddingStore.open(tmp_path / "vectors")) == 1


def test_a_given_store_that_does_not_fit_is_named(read_batches, letter_counts, caplog):
    from quaterion.cache.prepare import BatchSource
    from quaterion_models import SimilarityModel
    from quaterion_models.heads import EmptyHead

    encoder = letter_counts()
    for vectors, fingerprint in ((torch.ones(1, 4), "another"), (torch.ones(1, 5), encoder.fingerprint())):
        given = EmbeddingStore.from_vectors(["ab"], vectors, fingerprint=fingerprint)
        stores = {"default": given}
        source = BatchSource(SimilarityModel(encoder, EmptyHead(4)), CacheConfig(), torch.device("cpu"), stores=stores)
        caplog.clear()
        source._store("default")
        assert "store in memory for encoder 'default' is not used" in caplog.text
        assert stores["default"] is not given


def test_objects_of_a_stream_are_let_go_once_they_are_encoded(letter_counts):
    from torch.utils.data import IterableDataset

    from quaterion.cache.prepare import BatchSource
    from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
    from quaterion_models import SimilarityModel
    from quaterion_models.heads import EmptyHead

    class Stream(IterableDataset):
        def __iter__(self):
            return iter([SimilarityGroupSample("ab", 0), SimilarityGroupSample("c", 0)])

    source = BatchSource(SimilarityModel(letter_counts(), EmptyHead(4)), CacheConfig(), torch.device("cpu"))
    loader = GroupSimilarityDataLoader(Stream(), batch_size=2)
    reading = source.read(loader)
    assert reading.objects == ["ab", "c"]
    (batch,) = source.batches(loader, reading)
    assert reading.objects is None and torch.equal(batch.features.cached["default"], expected(["ab", "c"]))
