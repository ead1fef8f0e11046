"""Digests of what an encoder computes: code, attributes and weights, the same in every process."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from quaterion_models.content_key import joined
from quaterion_models.digest_walker import HOOKS, MODULE_INTERNALS, DigestWalker

if TYPE_CHECKING:
    from quaterion_models.encoders.encoder import Encoder

__all__ = ["digest_beyond", "digest_of", "fingerprint"]


def fingerprint(encoder: Encoder) -> str:
    """Computes a digest of everything that an encoder's vectors depend on.

    Covers: the class and its bases below `Encoder` (names, source, code, values that their functions close over), the
    attributes, parameters and buffers (non-persistent ones too) with their dtypes, the submodules likewise, forward
    hooks, and the collate function. Functions are followed into the globals that they read: functions (through
    `lru_cache` too), classes, constants, arrays, tensors, modules of torch and other objects with what they hold; and
    into what they name of the user's own modules, imported above or inside them (a module of the user's that only a
    function imports is imported for it). Of installed libraries the version counts, not the source. The order of a
    dict counts, that of a set does not.

    Does not cover: devices, training mode, `requires_grad`; what global lists, dicts and sets hold, and locks, loggers
    and `itertools.count`; a global that a function itself sets counts by the statement of its module that sets it
    first. Nor does it see names made up while running (`getattr(module, name)`, `importlib`), and what a module
    passed on as a value is used for.

    Args:
        encoder: The encoder.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: If something cannot be hashed. The message says where it lies, and asks for an override of
            `fingerprint()`.
    """
    walker = DigestWalker(encoder)
    parts = [walker.digest(encoder, "self"), walker.digest(encoder.get_collate_fn(), "the collate function")]
    return blake2b(b"".join(parts), digest_size=32, person=b"encoder").hexdigest()


def digest_beyond(encoder: Encoder, base: type[Encoder], own: frozenset[str]) -> str:
    """Computes a digest of what an encoder adds to a ready-made class that makes a fingerprint of its own.

    Args:
        encoder: An object of the class or of a subclass.
        base: The ready-made class.
        own: The attributes, buffers and submodules that its fingerprint covers or that do not matter.

    Returns:
        32 hexadecimal digits over the code of the subclass, other attributes, hooks and a collate function of its own;
        empty for an object of the class itself that has nothing of these.

    Raises:
        TypeError: If something cannot be hashed.
    """
    inside = vars(encoder)
    kinds = ("_parameters", "_buffers", "_modules")
    added = {name: value for name, value in inside.items() if name not in MODULE_INTERNALS | own}
    added |= {f"{kind}.{name}": part for kind in kinds for name, part in inside[kind].items() if name not in own}
    added |= {name: list(inside[name].values()) for name in HOOKS if inside[name]}
    if type(encoder) is base and not added:
        return ""
    walker = DigestWalker(encoder)
    walker.is_known(encoder)
    parts = [walker.digest(type(encoder), "the class of self"), walker.digest(added, "self")]
    if type(encoder).get_collate_fn is not base.get_collate_fn or "get_collate_fn" in inside:
        parts.append(walker.digest(encoder.get_collate_fn(), "the collate function"))
    return joined(b"beyond", *parts).hex()


def digest_of(function: Callable[..., Any]) -> str:
    """Computes a digest of a function: its code, defaults and closure, and the user's functions that it names.

    Args:
        function: A function, a method, a partial or a callable object.

    Returns:
        32 hexadecimal digits.

    Raises:
        TypeError: If something that it depends on cannot be hashed.
    """
    return DigestWalker(None).digest(function, getattr(function, "__qualname__", "the function")).hex()
