"""Rows and sentences as lines of some width: what is too wide is broken between words, or becomes a list."""

import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells

from tlmed.errors import one_line

_MOST_LINES = 3  # lines of a row whose cells are broken; a table with longer rows becomes lists if these are short
_WHOLE = re.compile(r"\([^\s()]+ to [^\s()]+\)|\b\d+(?: x \d+)+")  # an interval or a shape, which stays on one line
_JOINT = "\0"  # stands for a blank at which a line must not break
_SECOND = "\1"  # stands for the second column of a wide letter, because `textwrap` counts letters, not columns


def lay_out(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), width: int | None = None
) -> list[str]:
    """Return a table as lines that fit a width.

    Where it is too wide, columns with the same cell in all rows become a sentence, and cells are broken between words.
    Where rows would take too many lines that way, each row becomes a list.

    Args:
        head: The titles of the columns, or none.
        rows: The cells.
        right: The numbers of the columns that are aligned right.
        width: In columns of the terminal; None for as wide as the rows are.
    """
    cells = [tuple(map(one_line, row)) for row in ([head] if head else []) + list(rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    # Two blanks stand between columns.
    if width is None or sum(widths) + 2 * (len(widths) - 1) <= width:
        return [line for row in cells for line in _lay([[cell] for cell in row], widths, right)]
    if same := _find_same(head, rows):
        return _tell_same(same, head, rows, right, width)
    least = [_narrowest(column, number in right) for number, column in enumerate(zip(*cells, strict=True))]
    if not head:
        return _fold(cells, widths, width, least, right)[0]
    stacked = _stack(cells, width)
    if sum(least) + 2 * (len(least) - 1) > width:
        return stacked
    folded, most = _fold(cells, widths, width, least, right)
    # Rows of many lines are still better than lists of twice the length.
    return folded if most <= _MOST_LINES or 2 * len(folded) <= len(stacked) else stacked


def _find_same(head, rows) -> list[int]:
    """Return the numbers of the columns, apart from the first, that hold the same in all of several rows."""
    if not head or len(rows) < 2:
        return []
    columns = list(zip(*rows, strict=True))
    return [number for number in range(1, len(columns)) if head[number] and len(set(columns[number])) == 1]


def _tell_same(same, head, rows, right, width) -> list[str]:
    """Return a table without the columns `same`, whose content becomes a sentence below."""
    rest = [number for number in range(len(head)) if number not in same]
    told = ", ".join(f"{head[number]} {rows[0][number]}" for number in same)
    left = [place for place, number in enumerate(rest) if number in right]
    lines = lay_out([head[number] for number in rest], [[row[number] for number in rest] for row in rows], left, width)
    return [*lines, *wrap(f"In all rows: {told}.", width)]


def _narrowest(column, whole) -> int:
    """Return the width of a column in which no word is broken, or, if `whole`, no cell."""
    parts = column if whole else [word for cell in column for word in _join(cell).split(" ")]
    return max((cell_len(part.replace(_JOINT, " ")) for part in parts), default=0)


def _stack(rows, width) -> list[str]:
    """Return each row as a list: its first cell that is not empty, and below it the others with their titles."""
    titles, *rest = rows
    wide = max(map(cell_len, titles[1:]), default=0)
    lines = []
    for row in rest:
        first = next((number for number, cell in enumerate(row) if cell), 0)
        lines += _break(row[first], width)
        for title, cell in list(zip(titles, row, strict=True))[first + 1 :]:
            lines += _break(cell, width, f"  {_pad(title, wide)}  ", " " * (wide + 4))
    return lines


def _fold(rows, widest, width, least, right) -> tuple[list[str], int]:
    """Return rows whose cells take several lines, and how many at most.

    The room that is left goes, one terminal column at a time, to the table columns that lack most.
    """
    widths = [min(narrow, width) for narrow in least]
    for _ in range(width - sum(widths) - 2 * (len(widths) - 1)):
        lacks = [wide - now for wide, now in zip(widest, widths, strict=True)]
        widths[lacks.index(max(lacks))] += 1
    rows = [[_break(cell, max(wide, 1)) for cell, wide in zip(row, widths, strict=True)] for row in rows]
    lines = [line for row in rows for line in _lay(row, widths, right)]
    return lines, max(len(cell) for row in rows for cell in row)


def _lay(row, widths, right) -> Iterator[str]:
    """Yield the lines of a row, whose cells are lines themselves."""
    sides = [column in right for column in range(len(widths))]
    for parts in itertools.zip_longest(*row, fillvalue=""):
        yield "  ".join(map(_pad, parts, widths, sides)).rstrip()


def wrap(line: str, width: int | None) -> list[str]:
    """Break a line between words and indent the rest; a path or a name that is longer than the width stays whole."""
    line = one_line(line)
    if width is None:
        return [line]
    inner = line[: len(line) - len(line.lstrip())] + "  "
    return _break(line, width, rest=inner, break_long_words=False, break_on_hyphens=False) or [""]


def _break(text, width, first="", rest="", break_long_words=True, **options) -> list[str]:
    """Break a text between words, but within no interval and no shape; wide letters take two columns."""
    text = _join(text)
    if break_long_words:
        text = " ".join(_chop(word, width - cell_len(first or rest)) for word in text.split(" "))
    options |= {"break_long_words": break_long_words, "initial_indent": _widen(first), "subsequent_indent": rest}
    lines = textwrap.wrap(_widen(text), width, **options)
    return [line.replace(_JOINT, " ").replace(_SECOND, "") for line in lines]


def _chop(word, room) -> str:
    """Break a word with wide letters where it is longer than its room: `textwrap` would cut letters in two."""
    if cell_len(word.replace(_JOINT, " ")) == len(word):
        return word
    return " ".join(filter(None, chop_cells(word, max(room, 2))))  # a wide letter takes two columns


def _widen(text) -> str:
    """Return a text with as many characters as it takes columns."""
    return text if text.isascii() else "".join(f"{letter}{_SECOND * (cell_len(letter) - 1)}" for letter in text)


def _pad(text, width, right=False) -> str:
    """Return a text with blanks up to a width, in columns: after it, or before it where it stands on the right."""
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks


def _join(text) -> str:
    return _WHOLE.sub(lambda found: found[0].replace(" ", _JOINT), text)
