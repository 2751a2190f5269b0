"""Escape text that someone else wrote, so that Markdown shows it as it is."""

import re
from collections.abc import Iterable

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~&$#])")


def plain(text: object) -> str:
    r"""Return text on one line, with everything escaped that Markdown or HTML would act on.

    >>> print(plain("a|b <script>\n# c"))
    a\|b \<script\> \# c
    """
    return _SPECIAL.sub(r"\\\1", one_line(text))


def one_line(text: object) -> str:
    r"""Return text without line ends, and without what cannot be written in UTF-8.

    >>> one_line("a\r\n b\udc80")
    'a b?'
    """
    return " ".join(str(text).split()).encode("utf-8", "replace").decode("utf-8")


def code(text: object) -> str:
    """Return text as code within a line; not for tables, which a `|` would break.

    >>> code("a`b")
    '`` a`b ``'
    """
    line = one_line(text)
    fence, space = _fence(line, 1), " " if "`" in line else ""  # Markdown takes one blank from each side
    return f"{fence}{space}{line}{space}{fence}"


def block(text: str, language: str) -> str:
    """Return lines of code in a language."""
    fence = _fence(text, 3)
    return f"{fence}{language}\n{text}\n{fence}"


def _fence(text, shortest) -> str:
    """Return more backticks than stand side by side in the text, so that none of it ends the code."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(shortest, longest + 1)


def bullets(points: Iterable[str]) -> str:
    """Return points that are Markdown already as a list."""
    return "\n".join(f"- {point}" for point in points)
