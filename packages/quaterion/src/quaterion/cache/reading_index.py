"""What was read of a data set that names its content itself, kept so that a later start need not read it again."""

import io
import json
import logging
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch

from quaterion.cache.files import replace_file
from quaterion.cache.manifest import digest, folder_lock
from quaterion.dataset.reading import SampleReading
from quaterion.dataset.target_table import GroupTable, PairTable
from quaterion_models.meta import Meta

__all__ = ["ReadingIndex", "data_fingerprint"]

logger = logging.getLogger(__name__)

ENDING = ".reading"
_PLAIN = (str, int, float, bool, type(None))


def data_fingerprint(dataset: Any) -> str | None:
    """The fingerprint that a data set gives itself, and with it the promise that equal fingerprints mean equal items.

    Args:
        dataset: The data set; its `fingerprint` is a string, or a method that returns one.

    Returns:
        The fingerprint; None where it has none.

    Raises:
        TypeError: It is no string.
    """
    found = getattr(dataset, "fingerprint", None)
    found = found() if callable(found) else found
    if found is not None and not isinstance(found, str):
        raise TypeError(
            f"The data set's fingerprint is {found!r}; expected a string that changes whenever its items do, or None."
        )
    return found or None


class ReadingIndex:
    """Readings of data sets in a folder, each under a digest of all that it depends on.

    A file that is damaged, or of another version, is no reading; it is written again.

    Args:
        folder: Where the files lie.
        depends_on: Texts that tell this reading from others: the data set's fingerprint, how keys are made, and so on.
    """

    def __init__(self, folder: Path, depends_on: list[str]) -> None:
        name = blake2b(json.dumps(["1", *depends_on]).encode(), digest_size=16).hexdigest()
        self._folder, self._file = folder, folder / f"{name}{ENDING}"

    def load(self) -> SampleReading | None:
        """The reading that was saved, None where there is none that is whole."""
        try:
            checksum, _, content = self._file.read_bytes().partition(b"\n")
        except OSError:
            return None
        if digest(content).encode() != checksum:
            logger.warning("%s is damaged: the data set is read again.", self._file)
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return _reading_of(dict(arrays))

    def save(self, reading: SampleReading) -> None:
        """Saves a reading; one with labels or side information that JSON cannot hold is left out.

        Args:
            reading: A complete reading.

        Raises:
            OSError: The file could not be written.
        """
        arrays = _arrays_of(reading)
        if arrays is None:
            return
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        content = stream.getvalue()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with folder_lock(self._folder):
                for left in self._folder.glob("*.tmp"):  # of a process that died
                    left.unlink(missing_ok=True)
                replace_file(self._file, digest(content).encode() + b"\n" + content)
        except OSError as error:
            raise type(error)(
                error.errno,
                f"Cannot write what was read of the data set to the cache: {error.strerror}. Free some space, or give "
                "CacheConfig another save_dir, and start again",
                str(self._file),
            ) from error


def _arrays_of(reading: SampleReading) -> dict[str, Any] | None:
    table = reading.table
    labels = list(reading.label_names.items())
    metas = [] if reading.metas is None else reading.metas.table
    # Labels that are tuples, say, would come back as lists.
    if not all(type(label) in _PLAIN for _, label in labels) or json.loads(_json(metas)) != metas:
        return None
    about = {"labels": labels, "metas": metas, "views": reading.views, "keys": list(reading.keys)}
    arrays: dict[str, Any] = {"about": np.array(_json(about)), "offsets": reading.offsets.numpy()}
    if isinstance(table, PairTable):
        arrays |= {"scores": table.scores.numpy(), "subgroups": table.subgroups.numpy(), "ids": table.ids.numpy()}
    elif isinstance(table, GroupTable):
        arrays["groups"] = table.groups.numpy()
    if reading.metas is not None:
        arrays["metas"] = reading.metas.codes.numpy()
    for number, name in enumerate(reading.keys):
        arrays |= {f"keys {number}": reading.keys[name], f"lengths {number}": reading.lengths[name]}
    return arrays


def _reading_of(arrays: dict[str, Any]) -> SampleReading:
    about = json.loads(str(arrays["about"]))
    offsets = torch.from_numpy(arrays["offsets"])
    tensor = {
        name: torch.from_numpy(arrays[name]) for name in ("groups", "scores", "subgroups", "ids") if name in arrays
    }
    table = GroupTable(**tensor) if "groups" in tensor else PairTable(offsets, **tensor)
    return SampleReading(
        table=table,
        offsets=offsets,
        keys={name: arrays[f"keys {number}"] for number, name in enumerate(about["keys"])},
        lengths={name: arrays[f"lengths {number}"] for number, name in enumerate(about["keys"])},
        metas=Meta(about["metas"], torch.from_numpy(arrays["metas"])) if "metas" in arrays else None,
        label_names=dict(about["labels"]),
        views=about["views"],
    )


def _json(value: Any) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return "null"
