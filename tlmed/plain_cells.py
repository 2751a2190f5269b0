"""Texts that may stand in the cells of a table: a run writes paths, labels and groups into CSV files."""

import re
import unicodedata

_CONTROLS = frozenset({"Cc", "Zl", "Zp"})  # categories of Unicode: controls, ends of lines and of paragraphs
# A program for tables takes a cell for a formula that begins with = or @, or with a sign and then calls something.
_FORMULA = re.compile(r"[=@]|[+-].*(\w\(|[|!])")
FORMULA = "must be no formula, which a program for tables would run"
RULE = "must be one line of text and no formula, which a program for tables would run"


def is_formula(text: str) -> bool:
    """Tell whether a program for tables would run a text.

    >>> is_formula("=cmd.png"), is_formula("ill/=cmd.png")
    (True, False)
    """
    return _FORMULA.match(text) is not None


def is_plain(text: str) -> bool:
    r"""Tell whether a text is one line and no formula.

    >>> [is_plain(text) for text in ("a b.png", "+", "-1.5", "a\nb.png", "=cmd|' /C calc'!A0", "+SUM(A1)")]
    [True, True, True, False, False, False]
    """
    return not is_formula(text) and not any(unicodedata.category(letter) in _CONTROLS for letter in text)
