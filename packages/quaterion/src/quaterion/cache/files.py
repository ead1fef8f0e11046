"""Files that are replaced whole or not at all."""

import os
from pathlib import Path

__all__ = ["replace_file", "write_at"]


def replace_file(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Puts new content into a file in one step: whoever reads it sees the old content or the new.

    Only one process at a time may replace a file, which is what the locks around the calls are for; so the temporary
    name is always the same, and what a dead process left under it is overwritten.

    Args:
        path: The file.
        content: Its new content.
        durable: Wait until the content has reached the disk.

    Raises:
        OSError: The content could not be written; the old content stays.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_at(path: Path, offset: int, content: memoryview) -> None:
    """Writes bytes at a place in a file, and waits until they have reached the disk.

    Args:
        path: The file; made where it does not exist.
        offset: First byte to write; the file is cut off there if the write fails.
        content: The bytes.

    Raises:
        OSError: The bytes could not be written.
    """
    with path.open("r+b" if path.exists() else "w+b", buffering=0) as stream:
        try:
            stream.seek(offset)
            while content:
                content = content[stream.write(content) :]
            os.fsync(stream.fileno())
        except BaseException:
            stream.truncate(offset)
            raise
