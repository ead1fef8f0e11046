"""Names: of a user's choice, made safe for submodules and folders; of objects, for messages."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from urllib.parse import quote

_LONGEST = 100


def module_name(key: str) -> str:
    """Makes a name that `nn.ModuleDict` takes, whatever the key is.

    Args:
        key: Any text, the empty one, "keys", "type" and "a.b" among them.

    Returns:
        A name without dots and with a prefix, different for different keys.

    Raises:
        TypeError: If the key is not text.

    Example:
        >>> module_name("default"), module_name("a.b"), module_name("")
        ('key_default', 'key_a%2Eb', 'key_')
    """
    return "key_" + _quoted(key)


def folder_names(keys: Iterable[str]) -> dict[str, str]:
    """Makes one folder name for each key.

    Args:
        keys: Different texts.

    Returns:
        Key to folder name. The names hold no path separators and no dots, are short, and stay different on file
        systems that ignore case.

    Example:
        >>> folder_names(["default", "../up", "A", "a"])
        {'default': 'default', '../up': '%2E%2E%2Fup', 'A': 'A-...', 'a': 'a-...'}
    """
    keys = list(keys)
    plain = {key: _quoted(key) or "%empty" for key in keys}
    folded = [name.casefold() for name in plain.values()]
    return {
        key: name if len(name) <= _LONGEST and folded.count(name.casefold()) == 1 else _hashed(key, name)
        for key, name in plain.items()
    }


def name_in_batch(what: str, position: int, count: int) -> str:
    """Names an object of a batch for a message.

    Args:
        what: What it is, such as `"object"`.
        position: Its place.
        count: Objects in the batch. The place in a batch of one tells nobody anything: whoever reads objects one by
            one, to find the one that cannot be read, knows better where it stands.

    Returns:
        The name.

    Example:
        >>> name_in_batch("record", 3, 8), name_in_batch("record", 0, 1)
        ('record 3 of the batch', 'the record')
    """
    return f"{what} {position} of the batch" if count > 1 else f"the {what}"


def _quoted(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a name must be text, got {type(key).__name__} {key!r}")
    return quote(key, safe="", errors="surrogatepass").replace(".", "%2E")


def _hashed(key: str, name: str) -> str:
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{name[:_LONGEST]}-{digest}"
