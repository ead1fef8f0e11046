"""Stores of numbers, for the tests of what they are made of."""

import numpy as np

from quaterion.cache import EmbeddingStore


def keys_of(numbers):
    """The numbers as keys, uint8 `[n, 16]`."""
    keys = np.zeros((len(numbers), 16), dtype=np.uint8)
    keys[:, 3] = numbers
    return keys


def vectors_of(numbers):
    """Vectors `[n, 3]` that tell the numbers they belong to."""
    return np.array([[n, -n, n / 3] for n in numbers], dtype=np.float32)


def new_store(folder=None, **arguments):
    """A store of such vectors, with what lies in the folder."""
    return EmbeddingStore(**{"fingerprint": "f" * 64, "dimension": 3, "encoder": "E", "folder": folder} | arguments)


def filled(folder, *parts):
    """A store with a shard of each of the lists of numbers."""
    store = new_store(folder)
    for part in parts:
        store.add(keys_of(part), vectors_of(part))
        store.flush()
    return store


def damaged(file, damage):
    """Damages a file: "truncate", "flip" a bit, "zero", or "delete"."""
    content = bytearray(file.read_bytes())
    if damage == "truncate":
        file.write_bytes(content[:-5])
    elif damage == "flip":
        content[-2] ^= 1
        file.write_bytes(content)
    elif damage == "zero":
        file.write_bytes(bytes(len(content)))
    else:
        file.unlink()
