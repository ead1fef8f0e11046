"""Whatever happens to a file of a filled cache: the next run names it, mends it, and trains on right vectors only."""

import os
import random

import pytest
import torch

from quaterion.cache import CacheConfig, CacheType, embedding_store, fill_plan
from quaterion.cache.manifest import DamagedManifestError, read_manifest
from quaterion.cache.prepare import BatchSource
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion_models import SimilarityModel
from quaterion_models.heads import EmptyHead

COUNT, BATCH, SHARD = 100, 8, 16  # 6 whole shards, and one of 4 rows
TEXTS = [f"a{n} {random.Random(n).choices('abcdx', k=n % 13)}" for n in range(COUNT)]  # no vector is all zeros
EXPECTED = torch.tensor([[text.count(letter) for letter in "abcd"] for text in TEXTS]).float()


class NamedTexts:
    """A data set that names its content itself, and counts how often it is read."""

    fingerprint = "texts, first edition"

    def __init__(self):
        self.reads = 0

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        self.reads += 1
        return SimilarityGroupSample(TEXTS[index], index % 7)


@pytest.fixture
def run(letter_counts, monkeypatch, tmp_path):
    """Fills a cache where that is needed, checks all its vectors, and tells what was encoded and how much was read."""
    for module in (embedding_store, fill_plan):
        monkeypatch.setattr(module, "SHARD_ROWS", SHARD)

    def once(placement=CacheType.CPU):
        encoder, data = letter_counts(), NamedTexts()
        config = CacheConfig(placement, save_dir=tmp_path / "stores", batch_size=BATCH)
        source = BatchSource(SimilarityModel(encoder, EmptyHead(4)), config, torch.device("cpu"))
        loader = GroupSimilarityDataLoader(data, batch_size=COUNT)
        reading = source.read(loader)
        reads = data.reads
        (batch,) = source.batches(loader, reading)
        assert torch.equal(batch.features.cached["default"], EXPECTED)
        assert [reading.label_names[group] for group in batch.targets.groups.tolist()] == [n % 7 for n in range(COUNT)]
        return sum(map(len, encoder.batches)), reads

    return once


def files_of(tmp_path):
    """All files of a cache by a short name."""
    files = [path for path in (tmp_path / "stores").rglob("*") if path.is_file()]
    return {path.name if path.parent.name != "readings" else f"readings{path.suffix}": path for path in files}


def truncated(content):
    return content[: -max(1, len(content) // 50)]  # less than the last shard of a part


def zeroed(content):
    return bytes(len(content))


def flipped(content):
    """One bit, in the middle of the file."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


DAMAGES = {"truncated": truncated, "zeroed": zeroed, "one bit flipped": flipped, "deleted": None}

LOST = {
    **{
        (f"part-0.{kind}", damage): rows
        for kind in ("keys", "vectors")
        for damage, rows in {"truncated": 4, "zeroed": COUNT, "one bit flipped": SHARD, "deleted": COUNT}.items()
    },
    **{("manifest.json", damage): COUNT for damage in DAMAGES},
    # Targets and keys are read again, and lead to the same vectors.
    **{("readings.reading", damage): 0 for damage in DAMAGES},
}
"""Objects to encode again, for each file that holds data and each damage."""

EMPTY = [".lock", "last-use", "part-0.lock", "readings"]
"""Files without content, which can only be deleted; the last one is the lock of the readings."""


def damage_file(file, damage):
    change = DAMAGES[damage]
    if change is None:
        file.unlink()
    else:
        before = file.read_bytes()
        file.write_bytes(change(before))
        assert file.read_bytes() != before


def test_these_are_all_files_of_a_cache(run, tmp_path):
    assert run() == (COUNT, COUNT + 2 * 3)  # every item once, and three of them twice to find random transforms
    assert set(files_of(tmp_path)) == {name for name, _ in LOST} | set(EMPTY)
    assert all(files_of(tmp_path)[name].stat().st_size == 0 for name in EMPTY)


@pytest.mark.parametrize("placement", [CacheType.CPU, CacheType.DISK])
@pytest.mark.parametrize(("name", "damage"), LOST)
def test_a_damaged_file_is_named_and_only_what_was_lost_with_it_is_encoded_again(
    run, tmp_path, caplog, name, damage, placement
):
    run()
    file = files_of(tmp_path)[name]
    damage_file(file, damage)
    encoded, read = run(placement)
    assert encoded == LOST[name, damage]
    assert (read > 0) == (name == "readings.reading")
    if (name, damage) != ("readings.reading", "deleted"):  # where there is none, there may never have been one
        assert str(file) in caplog.text
    caplog.clear()
    assert run(placement) == (0, 0)
    assert not caplog.text


@pytest.mark.parametrize("name", EMPTY)
def test_a_file_without_content_may_be_deleted(run, tmp_path, caplog, name):
    run()
    files_of(tmp_path)[name].unlink()
    assert run() == (0, 0)
    assert not caplog.text


def test_a_reading_with_any_part_of_it_damaged_is_read_anew(run, tmp_path):
    run()
    file = files_of(tmp_path)["readings.reading"]
    content = file.read_bytes()
    places = [0, 31, 32, 33, *range(40, len(content), len(content) // 20), len(content) - 1]
    for place in places:
        file.write_bytes(content[:place] + bytes([content[place] ^ 128]) + content[place + 1 :])
        encoded, read = run()
        assert encoded == 0 and read > 0
        assert file.read_bytes() == content


def test_no_single_bit_of_a_manifest_can_change_unnoticed(run, tmp_path):
    run()
    file = files_of(tmp_path)["manifest.json"]
    whole, content = read_manifest(file.parent), file.read_bytes()
    missed = []
    with file.open("r+b", buffering=0) as stream:
        for place, byte in enumerate(content):
            for bit in range(8):
                os.pwrite(stream.fileno(), bytes([byte ^ (1 << bit)]), place)
                try:
                    same = read_manifest(file.parent) == whole
                except DamagedManifestError:
                    continue
                except ValueError as error:
                    missed.append((place, bit, str(error)))
                else:
                    if not same:
                        missed.append((place, bit, "taken as it is"))
            os.pwrite(stream.fileno(), bytes([byte]), place)
    assert read_manifest(file.parent) == whole
    assert not missed


def test_damage_to_several_files_at_once_is_mended_in_one_run(run, tmp_path, caplog):
    run()
    files = files_of(tmp_path)
    for name, damage in (("part-0.keys", "one bit flipped"), ("part-0.vectors", "truncated")):
        damage_file(files[name], damage)
    assert run() == (SHARD + 4, 0)
    assert str(files["part-0.keys"]) in caplog.text and str(files["part-0.vectors"]) in caplog.text
    assert run() == (0, 0)


def test_a_store_that_is_deleted_is_filled_again_and_its_reading_still_serves(run, tmp_path):
    run()
    for file in files_of(tmp_path)["manifest.json"].parent.iterdir():
        file.unlink()
    assert run() == (COUNT, 0)
    assert run() == (0, 0)
