"""Output for a person: lines that fit the terminal, and progress bars; plain lines if there is no terminal."""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TextIO

from rich.cells import cell_len, set_cell_size

from tlmed.errors import one_line
from tlmed.tabulation import Table
from tlmed.tabulation.layout import wrap

_FRAMES_PER_SECOND = 4  # a terminal over a slow line keeps up, and training is not slowed
_showing: list["Screen"] = []  # the screens that show a bar now
_BAR = (8, 40)  # characters that a bar has, at least and at most
_KEPT_FREE = 3  # columns on the right of a bar: a terminal writes ^C there, and would break a full line
_COLOURS = {"Error:": "red", "Warning:": "yellow", "Found:": "yellow"}  # of how a line begins


@dataclass
class Bar:
    """The present state of one task that a person waits for.

    Attributes:
        label: What it is.
        total: How many steps it has; None if that is not known.
        done: How many of them are done.
        note: What else to say of it, in words that can be cut off.
        begin: When it began, in seconds of `time.monotonic`.
        first: How many steps were done then, by an earlier command.
    """

    label: str
    total: int | None = None
    done: int = 0
    note: str = ""
    begin: float = field(default_factory=time.monotonic)
    first: int | None = None

    def move(self, done: int) -> None:
        """Say how many steps are done."""
        if self.first is None:
            self.begin, self.first = time.monotonic(), done  # the first step includes one-time work
        self.done = done


class Screen:
    """A terminal, or a stream that takes plain lines.

    Args:
        stream: Where to write.
        waits: Whether a stream that is no terminal gets a line for what is waited for.
    """

    def __init__(self, stream: TextIO, waits: bool = True):
        self.stream, self.waits, self.bars = stream, waits, []
        self.console = _open_console(stream) if is_terminal(stream) else None
        self.live = None

    @property
    def width(self) -> int | None:
        """How many columns the terminal has, one without a cursor too; None if there is no terminal."""
        if self.console is not None:
            return self.console.width
        return shutil.get_terminal_size().columns if self.stream.isatty() else None

    def say(self, part: str | Table) -> None:
        """Write lines or a table, above what is shown of the wait; a terminal gets them broken between words."""
        self.show([part] if isinstance(part, Table) else part.split("\n"))

    def show(self, parts: Iterable[str | Table]) -> None:
        """Write lines and tables."""
        lines = to_lines((_spell(part, self.stream) for part in parts), self.width)
        if self.console is None:
            for line in lines:
                print(line, file=self.stream, flush=True)
        else:
            for line in lines:
                self.console.print(_colour(line), soft_wrap=True)  # `to_lines` has broken lines already

    def warn(self, sentence: str) -> None:
        """Write a warning to standard error; above what is shown of the wait, where both are one terminal."""
        if self.console is not None and sys.stderr.isatty():
            self.say(f"Warning: {sentence}")
        else:
            Screen(sys.stderr, waits=False).show([f"Warning: {sentence}"])

    @contextlib.contextmanager
    def wait(self, bar: Bar) -> Iterator[Bar]:
        """Show a bar while the block runs; it leaves no trace on a terminal."""
        self.bars.append(bar)
        _showing.append(self)
        try:
            if self.console is not None and self.live is None:
                self.live = _open_live(self)
                self.live.start(refresh=True)
            yield bar
        finally:
            self.bars.remove(bar)
            _showing.remove(self)
            if not self.bars and self.live is not None:
                live, self.live = self.live, None
                live.stop()

    @contextlib.contextmanager
    def busy(self, words: str) -> Iterator[None]:
        """Say what is waited for: for as long as it lasts on a terminal, in a line elsewhere."""
        if self.console is None and self.waits:
            self.say(f"{words} ...")
        with self.wait(Bar(words)):
            yield

    def render(self):
        """Return the bars as they are now, each in lines that fit."""
        from rich.console import Group
        from rich.text import Text

        lines = [
            line for bar in list(self.bars) for line in describe_bar(bar, self.console.width, _plain(self.console))
        ]
        texts = [Text(line, no_wrap=True, overflow="crop") for line in lines]
        for text in texts:
            text.highlight_regex("━+", "cyan")
        return Group(*texts)


def wait_below(bar: Bar) -> contextlib.AbstractContextManager[Bar]:
    """Show a bar where something is waited for already, else on standard error; two at once would mix."""
    return (_showing[-1] if _showing else Screen(sys.stderr, waits=False)).wait(bar)


def to_lines(parts: Iterable[str | Table], width: int | None = None) -> list[str]:
    """Return lines and tables as lines; those that are longer than a width are broken between words."""
    lines = []
    for part in parts:
        lines += part.lines(width) if isinstance(part, Table) else wrap(part, width)
    return lines


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal in which a cursor can move."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook, which shows what is printed."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ in ("ZMQInteractiveShell", "Shell")  # Shell: that of Google's Colab


def describe_bar(bar: Bar, width: int, plain: bool = False) -> list[str]:
    """Return a bar as lines of a width.

    Args:
        bar: The bar.
        width: Characters of a line.
        plain: Use ASCII only.

    >>> describe_bar(Bar("head", total=4, done=3, note="loss 0.5000"), 30, plain=True)
    ['head  ###########----   75%', '  loss 0.5000']
    """
    last = width - _KEPT_FREE
    now = time.monotonic() - bar.begin
    if bar.total is None:
        return [_cut(f"{bar.label} ... {_clock(now)}", last, plain)]
    left = ""
    if now > 1:  # earlier, a guess of what is left would jump
        steps = 0 if bar.first is None else bar.done - bar.first
        left = f"  {_clock(now / steps * (bar.total - bar.done))} left" if steps > 0 else f"  {_clock(now)}"
    share = min(1.0, bar.done / max(1, bar.total))
    tail = f"  {share:>4.0%}{left}"
    label = _cut(bar.label, max(4, last - len(tail) - _BAR[0] - 2), plain)
    cells = max(0, min(_BAR[1], last - cell_len(label) - 2 - len(tail)))
    full = round(cells * share)
    drawn = "#" * full + "-" * (cells - full) if plain else "━" * full + "─" * (cells - full)
    lines = [_cut(f"{label}  {drawn}{tail}", last, plain)]
    return [*lines, _cut(f"  {bar.note}", last, plain)] if bar.note else lines


def _cut(text, width, plain) -> str:
    text = one_line(text)
    if plain:
        text = text.encode("ascii", "backslashreplace").decode()
    end = "..." if plain else "…"
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - len(end))) + end


def _clock(seconds) -> str:
    """Return a time as a clock shows it.

    >>> _clock(5), _clock(3725)
    ('0:05', '1:02:05')
    """
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _spell(part, stream) -> str | Table:
    """Return a line or a table in letters that a stream can write."""
    encoding = stream.encoding or "utf-8"

    def spell(text: str) -> str:
        return text.encode(encoding, "backslashreplace").decode(encoding)

    return part.spell(spell) if isinstance(part, Table) else spell(part)


def _colour(line):
    from rich.text import Text

    text, word = Text(line), line.split(" ", 1)[0]
    if word in _COLOURS:
        text.stylize(_COLOURS[word], 0, len(word))
    return text


def _plain(console) -> bool:
    return console.options.ascii_only


def _open_console(stream):
    from rich.console import Console

    if stream is sys.stderr:
        # A descriptor of its own, because `quiet_stderr` redirects descriptor 2 to hold back TensorFlow's output.
        stream = open(os.dup(stream.fileno()), "w", encoding=stream.encoding, errors="backslashreplace")  # noqa: SIM115
    return Console(file=stream, force_terminal=True, force_jupyter=False, highlight=False, markup=False, emoji=False)


def _open_live(screen):
    from rich.live import Live

    return Live(
        get_renderable=screen.render,
        console=screen.console,
        transient=True,
        refresh_per_second=_FRAMES_PER_SECOND,
        redirect_stdout=False,
        redirect_stderr=False,
    )
