"""The first job: search Python's standard library by what you want to do.

Descriptions and entries of the standard library (`corpus`, read by `walker`) are encoded once by a frozen MiniLM into a
cache; two heads (`model`) are trained over the cached vectors (`training`); descriptions that training never saw are
searched among all entries before and after (`search`). `run` puts it together, and `finished` finds what was done
before; `serve` opens a page to search with both (`search_page`, and its files in `page/`).

What reads the standard library is for other programs, too: real data that lies on every machine.
"""

from quaterion.demo.corpus import Entry, Split, read_standard_library, split_entries
from quaterion.demo.walker import module_names

__all__ = ["Entry", "Split", "module_names", "read_standard_library", "split_entries"]
