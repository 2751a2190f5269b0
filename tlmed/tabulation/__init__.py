"""One kind of table, for pages, Markdown and the terminal; and texts as the last two show them."""

from tlmed.tabulation.grid import (
    CODE,
    EMPHASIS,
    NUMBER,
    SCALE,
    STRONG,
    TEXT,
    WHOLE,
    Cell,
    Column,
    Table,
    numbers,
    say,
    texts,
)

__all__ = [
    "CODE",
    "EMPHASIS",
    "NUMBER",
    "SCALE",
    "STRONG",
    "TEXT",
    "WHOLE",
    "Cell",
    "Column",
    "Table",
    "numbers",
    "say",
    "texts",
]
