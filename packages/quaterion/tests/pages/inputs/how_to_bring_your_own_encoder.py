"""docs/how-to/bring-your-own-encoder.md: its blocks stand in the example."""

from page_blocks import blocks_of, is_excerpt


def check(run):
    blocks = [block for block in blocks_of(run.page) if block.kind == "python"]
    assert len(blocks) >= 5 and all(map(is_excerpt, blocks))
