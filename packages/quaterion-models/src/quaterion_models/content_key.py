"""128-bit keys of objects by their content: equal content, equal key, in every process."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import struct
import uuid
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np
import torch

_MAX_DEPTH = 64
# Kinds of numpy arrays whose memory is their content: booleans, numbers, fixed-width text and bytes, times.
_FLAT_KINDS = frozenset("biufcSUMm")

# Never updated itself: a copy costs less than a new one.
_TEXT_HASHER = blake2b(digest_size=16, person=b"str")


def content_key(obj: Any) -> bytes:
    """Computes a 128-bit BLAKE2 digest of what an object holds.

    Two objects have the same key exactly when they have the same type and the same content (up to collisions of a
    128-bit hash): ``"1"``, ``1``, ``1.0``, ``True``, ``b"1"``, ``(1,)`` and ``[1]`` all differ. Keys are the same
    in every process and on every machine, whatever ``PYTHONHASHSEED`` is.

    * Floats are compared by their bits: ``0.0`` and ``-0.0`` have different keys, and a NaN has the key of every
      NaN of the same bits, unlike with ``==``.
    * Arrays and tensors: dtype, shape and values. The memory layout, the byte order and the device do not count.
    * Dicts and sets: the order does not count.
    * ``numpy.str_`` and ``numpy.bytes_`` count as ``str`` and ``bytes``; other numpy scalars keep their dtype.
    * PIL images: mode, size, pixels and palette.
    * Dataclasses: the class and its fields. Subclasses of the built-in types: the class, the value and attributes.

    Args:
        obj: Text, bytes, None, bool, int, float, complex, Decimal, UUID, dates and times, enum members, numpy scalars
            and arrays, dense tensors, PIL images, and tuples, lists, dicts, sets and dataclasses of them.

    Returns:
        16 bytes.

    Raises:
        TypeError: If the object is, or holds, something whose content is not known.

    Example:
        >>> content_key("a text").hex()
        '...'
        >>> content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
        True
        >>> content_key("1") == content_key(1)
        False
    """
    # The path of nearly all calls, kept free of everything else.
    if type(obj) is str:
        hasher = _TEXT_HASHER.copy()
        try:
            hasher.update(obj.encode())
        except UnicodeEncodeError:  # half a surrogate pair
            hasher.update(obj.encode("utf-8", "surrogatepass"))
        return hasher.digest()
    return _key(obj, 0)


def content_id(obj: Any) -> int:
    """Computes a 64-bit signed integer from an object's content: the first half of its `content_key`.

    Args:
        obj: As for `content_key`.

    Returns:
        An integer that fits ``torch.int64``.

    Example:
        >>> content_id("a text") == content_id("a text")
        True
    """
    return int.from_bytes(content_key(obj)[:8], "little", signed=True)


def joined(tag: bytes, *parts: bytes) -> bytes:
    """Joins digests to one of 16 bytes, apart by kind of object.

    Args:
        tag: The kind, 16 bytes at most.
        parts: Digests of 16 bytes, or one of any size.
    """
    return _digest(tag, b"".join(parts))


def _digest(tag: bytes, payload: Any) -> bytes:
    # BLAKE2's personalisation keeps the tags apart, so that no payload of one type can imitate another type.
    return blake2b(payload, digest_size=16, person=tag).digest()


def _key(obj: Any, depth: int) -> bytes:
    if depth > _MAX_DEPTH:
        raise TypeError(
            f"cannot make a content key: the object contains itself, or is nested more than {_MAX_DEPTH} levels deep. "
            "Pass flatter objects, or override Encoder.cache_key"
        )
    known = _KEYS.get(type(obj))
    return known(obj, depth + 1) if known is not None else _key_of_other(obj, depth + 1)


def _str(obj: str, _: int) -> bytes:
    return _digest(b"str", obj.encode("utf-8", "surrogatepass"))


def _int(obj: int, _: int) -> bytes:
    return _digest(b"int", obj.to_bytes(obj.bit_length() // 8 + 1, "little", signed=True))


def _sequence(tag: bytes) -> Callable[[Any, int], bytes]:
    # Every child is a digest of 16 bytes, so that the boundaries between children are never in doubt.
    return lambda obj, depth: _digest(tag, b"".join([_key(item, depth) for item in obj]))


def _unordered(tag: bytes) -> Callable[[Any, int], bytes]:
    return lambda obj, depth: _digest(tag, b"".join(sorted([_key(item, depth) for item in obj])))


def _dict(obj: dict[Any, Any], depth: int) -> bytes:
    items = [_key(key, depth) + _key(value, depth) for key, value in obj.items()]
    return _digest(b"dict", b"".join(sorted(items)))


def _as_repr(tag: bytes) -> Callable[[Any, int], bytes]:
    return lambda obj, _: _digest(tag, repr(obj).encode())


def _array(obj: np.ndarray[Any, Any], depth: int) -> bytes:
    dtype = obj.dtype
    shape = _key(obj.shape, depth)
    if dtype.names is not None:  # a record dtype: its memory has gaps, its fields have not
        fields = [_key(name, depth) + _array(obj[name], depth) for name in dtype.names]
        return _digest(b"record array", shape + b"".join(fields))
    if dtype.kind in "OT":
        items = [_key(item, depth) for item in obj.ravel().tolist()]
        return _digest(b"object array", shape + b"".join(items))
    if dtype.kind not in _FLAT_KINDS or dtype.char in "gG":  # a long double has undefined bytes of padding
        raise _unkeyable(obj, f"an array of dtype {dtype}")
    little = dtype.newbyteorder("<")
    hasher = blake2b(_key(little.str, depth) + shape, digest_size=16, person=b"array")
    if obj.size:
        hasher.update(np.ascontiguousarray(obj, dtype=little).reshape(-1).view(np.uint8).data)
    return hasher.digest()


def _tensor(obj: torch.Tensor, depth: int) -> bytes:
    if obj.layout != torch.strided or obj.is_quantized or obj.is_meta:
        raise _unkeyable(obj, f"a tensor of layout {obj.layout}, dtype {obj.dtype} on {obj.device}")
    plain = obj.detach().cpu().resolve_conj().resolve_neg().contiguous()
    hasher = blake2b(_key(str(obj.dtype), depth) + _key(tuple(obj.shape), depth), digest_size=16, person=b"tensor")
    if plain.numel():
        hasher.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return hasher.digest()


def _image(obj: Any, depth: int) -> bytes:
    palette = obj.getpalette("RGBA") if obj.mode in {"P", "PA"} else None
    transparency = obj.info.get("transparency")
    about = (obj.mode, tuple(obj.size), palette, transparency)
    return _digest(b"image", _key(about, depth) + _digest(b"pixels", obj.tobytes()))


def _class_name(cls: type) -> bytes:
    return _digest(b"class", f"{cls.__module__}:{cls.__qualname__}".encode())


def _attributes(obj: Any, depth: int) -> bytes:
    found = dict(getattr(obj, "__dict__", {}))
    for cls in type(obj).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in {"__dict__", "__weakref__"} and hasattr(obj, name):
                found[name] = getattr(obj, name)
    return _dict(found, depth)


def _key_of_other(obj: Any, depth: int) -> bytes:
    cls = type(obj)
    if isinstance(obj, np.generic):
        return _digest(b"numpy scalar", _array(np.asarray(obj), depth))
    if isinstance(obj, enum.Enum):
        return _digest(b"enum", _class_name(cls) + _key(obj.name, depth) + _key(obj.value, depth))
    if isinstance(obj, torch.Tensor):
        return _tensor(obj, depth)
    if isinstance(obj, np.memmap):
        return _array(obj, depth)
    if any(base.__module__.startswith("PIL.") for base in cls.__mro__) and hasattr(obj, "tobytes"):
        return _image(obj, depth)
    if dataclasses.is_dataclass(obj):
        fields = {field.name: getattr(obj, field.name) for field in dataclasses.fields(obj)}
        return _digest(b"dataclass", _class_name(cls) + _dict(fields, depth))
    for base, base_key in _KEYS.items():
        if isinstance(obj, base) and base in _SUBCLASSABLE:
            return _digest(b"subclass", _class_name(cls) + base_key(obj, depth) + _attributes(obj, depth))
    raise _unkeyable(obj, "an object")


def _unkeyable(obj: Any, what: str) -> TypeError:
    cls = type(obj)
    hint = (
        " (a path may point to other content tomorrow: pass the text, or key on the file's bytes)"
        if hasattr(obj, "__fspath__")
        else ""
    )
    return TypeError(
        f"cannot make a content key of {what} of type {cls.__module__}.{cls.__qualname__}{hint}. Known are text, "
        "bytes, None, numbers, dates, numpy arrays and scalars, dense tensors, PIL images, and tuples, lists, dicts, "
        "sets and dataclasses of them. Pass such an object, or override Encoder.cache_key, or give the cache a key "
        "extractor"
    )


_KEYS: dict[type, Callable[[Any, int], bytes]] = {
    str: _str,
    np.str_: _str,
    bool: lambda obj, _: _digest(b"bool", b"1" if obj else b"0"),
    int: _int,
    float: lambda obj, _: _digest(b"float", struct.pack("<d", obj)),
    complex: lambda obj, _: _digest(b"complex", struct.pack("<dd", obj.real, obj.imag)),
    type(None): lambda _obj, _: _digest(b"None", b""),
    bytes: lambda obj, _: _digest(b"bytes", obj),
    np.bytes_: lambda obj, _: _digest(b"bytes", obj),
    bytearray: lambda obj, _: _digest(b"bytearray", obj),
    tuple: _sequence(b"tuple"),
    list: _sequence(b"list"),
    dict: _dict,
    set: _unordered(b"set"),
    frozenset: _unordered(b"frozenset"),
    np.ndarray: _array,
    torch.Tensor: _tensor,
    decimal.Decimal: _as_repr(b"decimal"),
    uuid.UUID: _as_repr(b"uuid"),
    dt.datetime: _as_repr(b"datetime"),
    dt.date: _as_repr(b"date"),
    dt.time: _as_repr(b"time"),
    dt.timedelta: _as_repr(b"timedelta"),
}
_SUBCLASSABLE = frozenset({str, int, float, complex, bytes, bytearray, tuple, list, dict, set, frozenset})
