"""docs/how-to/several-devices.md: its block stands in the example."""

from page_blocks import blocks_of, is_excerpt


def check(run):
    (block,) = [block for block in blocks_of(run.page) if block.kind == "python"]
    assert is_excerpt(block)
