"""One kind of table for pages, Markdown and the terminal; and the writing of texts in Markdown and on a terminal."""

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
