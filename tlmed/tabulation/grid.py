"""What a table says, apart from where it is shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tlmed.tabulation import layout, markdown

TEXT, NUMBER = "text", "number"  # kinds of columns: on the left; on the right, and never broken


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Plain text; "" for none.
        kind: `TEXT` or `NUMBER`.
    """

    title: str
    kind: str = TEXT


@dataclass(frozen=True)
class Table:
    """Rows of cells below a head.

    Attributes:
        columns: The columns; where none has a title, the rows speak for themselves.
        rows: The cells as plain text, as many in each row as there are columns.
        notes: Sentences that stand below.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    @property
    def head(self) -> list[str]:
        """The titles of the columns; empty where none has one."""
        titles = [column.title for column in self.columns]
        return titles if any(titles) else []

    def spell(self, write: Callable[[str], str]) -> "Table":
        """Return the table with every text written by a function."""
        columns = [Column(write(column.title), column.kind) for column in self.columns]
        return Table(columns, [[*map(write, row)] for row in self.rows], [*map(write, self.notes)])

    def lines(self, width: int | None = None) -> list[str]:
        """Return the table as lines for a terminal of a width, or as wide as they are; notes are lines below.

        >>> Table(texts("block") + numbers("layers"), [("block1", "2")]).lines()
        ['block   layers', 'block1       2']
        >>> Table(texts("block") + numbers("layers"), [("block1", "2")]).lines(width=12)
        ['block1', '  layers  2']
        """
        right = [place for place, column in enumerate(self.columns) if column.kind == NUMBER]
        lines = layout.lay_out(self.head, self.rows, right, width)
        return [*lines, *(line for note in self.notes for line in layout.wrap(note, width))]

    def markdown(self) -> str:
        r"""Return the table in Markdown, every text escaped; notes are a list below.

        >>> print(Table(texts("a|b", "c"), [("1", "<2>")]).markdown())
        | a\|b | c |
        | --- | --- |
        | 1 | \<2\> |
        """
        rows = [[column.title for column in self.columns], *self.rows]
        head, *cells = (f"| {' | '.join(map(markdown.plain, row))} |" for row in rows)
        sides = ["---:" if column.kind == NUMBER else "---" for column in self.columns]
        table = "\n".join([head, f"| {' | '.join(sides)} |", *cells])
        return "\n\n".join([table, *([markdown.bullets(map(markdown.plain, self.notes))] if self.notes else [])])

    def __str__(self) -> str:
        return "\n".join(self.lines())


def texts(*titles: str) -> tuple[Column, ...]:
    """Return columns of texts.

    >>> [column.title for column in texts("name", "why")]
    ['name', 'why']
    """
    return tuple(Column(title) for title in titles)


def numbers(*titles: str) -> tuple[Column, ...]:
    """Return columns of numbers.

    >>> numbers("size")
    (Column(title='size', kind='number'),)
    """
    return tuple(Column(title, NUMBER) for title in titles)
