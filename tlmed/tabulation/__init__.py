"""One kind of table, for pages, Markdown and the terminal; and texts as the last two show them."""

from tlmed.tabulation.grid import NUMBER, TEXT, Column, Table, numbers, texts

__all__ = ["NUMBER", "TEXT", "Column", "Table", "numbers", "texts"]
