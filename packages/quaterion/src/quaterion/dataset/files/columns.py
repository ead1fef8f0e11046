"""Which column of a table is what."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from quaterion.dataset.files.table import Table

__all__ = ["ColumnName", "Roles", "choose_roles"]

ColumnName = str | int
NAMES: dict[str, set[str]] = {
    "text": {"text", "sentence", "query", "question", "utterance", "object", "obj", "title", "content", "message"},
    "group": {"group", "label", "category", "intent", "class", "label_text"},
    "anchor": {"anchor", "query", "question", "sentence1", "sentence_a", "text1", "text_a", "left", "obj_a", "premise"},
    "positive": {
        *{"positive", "answer", "document", "passage", "sentence2", "sentence_b", "text2", "text_b", "right", "obj_b"},
        "hypothesis",
    },
    "score": {"score", "similarity", "similarity_score"},
}
"""Names, in lower case, by which columns are found where the caller names none."""
NEGATIVES = re.compile(r"(hard_)?negatives?([ _-]?\d+)?")
GROUPS, PAIRS = ("text", "group"), ("anchor", "positive")


@dataclass(frozen=True)
class Roles:
    """The columns of a table that are read.

    Args:
        columns: Column of each role: text and group, or anchor, positive and perhaps score.
        negatives: Columns with negatives.
    """

    columns: dict[str, str]
    negatives: tuple[str, ...] = ()

    @property
    def wanted(self) -> list[str]:
        """All columns, in the order of the roles."""
        return [*self.columns.values(), *self.negatives]


def choose_roles(
    table: Table, given: dict[str, ColumnName | None], negatives: ColumnName | Sequence[ColumnName] | None
) -> tuple[Table, Roles]:
    """Decides which columns are read, as what.

    Args:
        table: The table.
        given: What the caller calls the columns of text, group, anchor, positive and score; None where it does not say.
            Numbers from 1 where the file has no header.
        negatives: Columns with negatives, likewise.

    Returns:
        The table, without a header where the caller gave numbers, and the roles.

    Raises:
        ValueError: The columns cannot be told, a column is missing or there twice, or roles exclude each other.
    """
    named = {role: str(name) for role, name in given.items() if name is not None}
    several = [negatives] if isinstance(negatives, str | int) else negatives or []
    listed = tuple(str(name) for name in several)
    asked = [*named.values(), *listed]
    if asked and table.headerless and all(name.isdecimal() and name not in table.columns for name in asked):
        table = table.headerless()
    found = {role: _find(table, role, name) for role, name in named.items()}
    negative = tuple(_find(table, "negatives", name) for name in listed)
    form = _form(table, found, negative)
    roles = {role: _told(table, role, found, form) for role in form}
    if form == PAIRS:
        taken = {*roles.values(), *negative}
        score = found.get("score") or _single(_candidates(table, "score"))
        if score is not None and score not in taken:
            roles["score"] = score
        if not negative and negatives is None:
            negative = tuple(name for name in table.columns if NEGATIVES.fullmatch(_plain(name)) and name not in taken)
    wanted = [*roles.values(), *negative]
    for name in wanted:
        if wanted.count(name) > 1:
            raise ValueError(f"The column {name!r} of {table.name} has two roles. Give each role a column of its own.")
        if table.columns.count(name) > 1:
            raise ValueError(f"{table.name} has two columns of the name {name!r}. Rename one of them.")
    return table, Roles(roles, negative)


def _form(table: Table, found: dict[str, str], negative: tuple[str, ...]) -> tuple[str, str]:
    groups = sorted({*GROUPS} & {*found})
    pairs = sorted({*PAIRS, "score"} & {*found}) + ["negatives"] * bool(negative)
    if groups and pairs:
        raise ValueError(
            f"Columns were given for {' and '.join([*groups, *pairs])}. Expected text and group, or anchor and "
            "positive (with a score or negatives): leave out what the data is not."
        )
    if groups:
        return GROUPS
    if pairs:
        return PAIRS
    fitting = [form for form in (GROUPS, PAIRS) if all(_single(_candidates(table, role)) for role in form)]
    if len(fitting) != 1:
        raise ValueError(_cannot_tell(table))
    return fitting[0]


def _told(table: Table, role: str, found: dict[str, str], form: tuple[str, str]) -> str:
    if role in found:
        return found[role]
    others = {name for other, name in found.items() if other != role}
    guess = _single([name for name in _candidates(table, role) if name not in others])
    if guess is None and len(table.columns) == len(form) and others:
        guess = _single([name for name in table.columns if name not in others])
    if guess is None:
        raise ValueError(_cannot_tell(table, role))
    return guess


def _candidates(table: Table, role: str) -> list[str]:
    return [name for name in table.columns if _plain(name) in NAMES[role]]


def _single(names: list[str]) -> str | None:
    return names[0] if len(set(names)) == 1 else None  # one that stands twice is told when all roles are known


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _find(table: Table, role: str, name: str) -> str:
    if name in table.columns:
        return name
    same = [column for column in table.columns if _plain(column) == _plain(name)]
    if len(same) == 1:
        return same[0]
    near = difflib.get_close_matches(name, table.columns, n=1)
    advice = f"Did you mean {near[0]!r}?" if near else _advice(table)
    raise ValueError(f"{table.name} has no column {name!r} for {role}. It has {_columns(table)}. {advice}")


def _cannot_tell(table: Table, role: str | None = None) -> str:
    if role is None:
        return f"Cannot tell what the columns of {table.name} are: {_columns(table)}. {_advice(table)}"
    return (
        f"Cannot tell which column of {table.name} is the {role}; it has {_columns(table)}. Name it.{_numbers(table)}"
    )


def _advice(table: Table) -> str:
    return (
        "Name the columns of text and group, or of anchor and positive (and of score or negatives, where there are "
        f"such).{_numbers(table)}"
    )


def _numbers(table: Table) -> str:
    return " If the first row is no header, give numbers instead of names: 1, 2 and so on." if table.headerless else ""


def _columns(table: Table) -> str:
    shown = [f"{name!r:.60}" for name in table.columns[:20]]
    more = len(table.columns) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
