"""The content of a table, whether a page, Markdown or a terminal shows it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tlmed.tabulation import layout, markdown

TEXT, NUMBER = "text", "number"  # kinds of columns: texts are aligned left, numbers right and never broken
STRONG, EMPHASIS, CODE, WHOLE, SCALE = "strong", "em", "code", "whole", "bar"  # how a page shows a cell


@dataclass(frozen=True)
class Cell:
    """Words of a table or a sentence that a page shows in another way than as plain text.

    Attributes:
        parts: Plain texts and cells, one after the other.
        below: Smaller lines below them.
        mark: How a page shows the words; `WHOLE` is never broken, `SCALE` heads a column of drawn intervals.
        term: The word of the glossary that they link to.
        link: The address that they link to.
        interval: Lower end, value and upper end, to be drawn on a scale from 0 to 1; nothing is drawn outside of it.
    """

    parts: Sequence["str | Cell"]
    below: Sequence["str | Cell"] = ()
    mark: str = ""
    term: str = ""
    link: str = ""
    interval: tuple[float, float, float] | None = None

    def __str__(self) -> str:
        words = "".join(map(str, self.parts))
        return f"{words} ({'; '.join(map(str, self.below))})" if self.below else words


def say(*parts: str | Cell, **shown: object) -> Cell:
    """Return words as a cell; keyword arguments go to `Cell`.

    >>> str(say("0.5", below=("0.4 to 0.6",)))
    '0.5 (0.4 to 0.6)'
    """
    return Cell(parts, **shown)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Plain text, or a cell; "" for none.
        kind: `TEXT` or `NUMBER`.
    """

    title: str | Cell
    kind: str = TEXT


@dataclass(frozen=True)
class Table:
    """Rows of cells below a head.

    Attributes:
        columns: The columns; where none has a title, the table has no head.
        rows: Plain texts and cells, as many in each row as there are columns.
        notes: Sentences that stand below.
        footnote: What stands between the rows and the notes, in small letters; "" for nothing.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Cell]]
    notes: Sequence[str | Cell] = ()
    footnote: str | Cell = ""

    @property
    def head(self) -> list[str]:
        """The titles of the columns; empty where none has one."""
        titles = [str(column.title) for column in self.columns]
        return titles if any(titles) else []

    def spell(self, write: Callable[[str], str]) -> "Table":
        """Return the table in plain texts, each written by a function."""
        columns = [Column(write(str(column.title)), column.kind) for column in self.columns]
        rows = [[write(str(cell)) for cell in row] for row in self.rows]
        return Table(columns, rows, [write(str(note)) for note in self.notes], write(str(self.footnote)))

    def lines(self, width: int | None = None) -> list[str]:
        """Return the table as lines for a terminal of some width (None: as wide as needed); notes are lines below.

        >>> Table(texts("block") + numbers("layers"), [("block1", "2")]).lines()
        ['block   layers', 'block1       2']
        >>> Table(texts("block") + numbers("layers"), [("block1", "2")]).lines(width=12)
        ['block1', '  layers  2']
        """
        right = [place for place, column in enumerate(self.columns) if column.kind == NUMBER]
        lines = layout.lay_out(self.head, [[*map(str, row)] for row in self.rows], right, width)
        return [*lines, *(line for note in self._below() for line in layout.wrap(note, width))]

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
        footnote = [markdown.plain(self.footnote)] if self.footnote else []
        return "\n\n".join(
            [table, *footnote, *([markdown.bullets(map(markdown.plain, self.notes))] if self.notes else [])]
        )

    def _below(self) -> list[str]:
        return [*([str(self.footnote)] if self.footnote else []), *map(str, self.notes)]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def texts(*titles: str | Cell) -> tuple[Column, ...]:
    """Return columns of texts.

    >>> [column.title for column in texts("name", "why")]
    ['name', 'why']
    """
    return tuple(Column(title) for title in titles)


def numbers(*titles: str | Cell) -> tuple[Column, ...]:
    """Return columns of numbers.

    >>> numbers("size")
    (Column(title='size', kind='number'),)
    """
    return tuple(Column(title, NUMBER) for title in titles)
