"""Lines of a text file, whatever its line ends and whether it has a byte order mark."""

import codecs
import io
from pathlib import Path

__all__ = ["byte_problem", "file_lines"]

BINARY = {
    b"PK\x03\x04": "a zip or Excel file; save the table as CSV (UTF-8)",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save the table as CSV (UTF-8)",
    b"\x1f\x8b": "packed with gzip; unpack it first",
    b"\x28\xb5\x2f\xfd": "packed with zstd; unpack it first",
    b"PAR1": 'a Parquet file; give it the suffix .parquet, or pass format="parquet"',
    b"%PDF": "a PDF; save its table as CSV (UTF-8)",
    b"<!doctype html": "a web page; download the file that it shows",
    b"<html": "a web page; download the file that it shows",
    b"version https://git-lfs": "the pointer of Git LFS to a file; fetch the file itself with: git lfs pull",
}
"""How files begin that are no table of texts, in lower case where case does not matter."""

NULL_SHARE = 0.1
"""Share of null characters above which a file is in an encoding that has not been told."""


def file_lines(path: Path) -> list[str]:
    """Reads a file's lines with their ends, which may be of any kind, or of several.

    Bytes that are not UTF-8 become lone surrogates (U+DC80 to U+DCFF), so that the row they are in can be named.

    Args:
        path: A file in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Returns:
        The lines.

    Raises:
        ValueError: It is no text, or is empty.
        OSError: It cannot be read.
    """
    content = path.read_bytes()
    for magic, what in BINARY.items():
        if content.startswith(magic) or content[: len(magic)].lower() == magic:
            raise ValueError(f"{path.name} is {what}.")
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig", "strict" if utf16 else "surrogateescape")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path.name} begins like UTF-16 text and is none ({error.reason}). Save it as UTF-8."
        ) from None
    if text.count("\0") > NULL_SHARE * len(text):
        raise ValueError(
            f"{path.name} is full of null characters, as text is in UTF-16 or UTF-32 without a byte order mark, or "
            "what is no text. Save it as UTF-8."
        )
    if not text.strip():
        raise ValueError(f"{path.name} is empty; expected a row for each sample.")
    # Not splitlines(), which ends lines at characters that are part of a text, such as U+2028.
    return io.StringIO(text, newline="").readlines()


def byte_problem(text: str) -> str | None:
    r"""Tells what is wrong with a text that is no Unicode.

    Args:
        text: A text.

    Returns:
        What is wrong; None for a good text.

    Example:
        >>> byte_problem("é"), byte_problem(b"caf\xe9".decode("utf-8", "surrogateescape"))
        (None, 'the byte 0xE9 is not UTF-8; save the file as UTF-8')
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            return f"the byte 0x{code - 0xDC00:02X} is not UTF-8; save the file as UTF-8"
        return f"half a surrogate pair (U+{code:04X}) is no character; write the whole character"
    return None
