"""docs/how-to/unfreezing.md: the token states of the trunk are cached in half precision."""

from pathlib import Path

SLOW = True


def check(run):
    assert run.printed[-1] == "(1, 384) 1"
    (store,) = [path for path in Path("cache").iterdir() if path.is_dir()]
    assert store.name.endswith("-float16")
