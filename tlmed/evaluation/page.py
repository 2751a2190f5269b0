"""Pieces of a web page that stands alone: every text escaped, pictures inside, no script, no network."""

import base64
import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from tlmed.errors import InputError
from tlmed.pages.glossary import anchor
from tlmed.pages.templating import STYLE

DPI = 150
BROAD = 600  # pixels from which on a picture is scrolled on a phone, for shrunk to its width it could not be read
_NO_GLYPH = r"Glyph \d+ .*missing from font"  # how Matplotlib begins its warning of it
_SEE_TEXT = "Names in letters that the picture's font does not have stand in its text alternative."
PHOTO_SIDE = 640  # pixels that a photograph in a page is wide at most


def make_document(title: str, body: str) -> str:
    """Return a whole page; `title` is plain text, `body` is HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def text(value: object) -> str:
    """Return a value as escaped text; nothing for None."""
    return escape("" if value is None else str(value))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: Sequence[int] = ()) -> str:
    """Return a table of cells that are HTML already; the columns `texts` stand on the left."""
    marks = [' class="text"' if column in texts else "" for column in range(len(head))]
    titles = "".join(f"<th{mark}>{cell}</th>" for mark, cell in zip(marks, head, strict=True))
    top = f"<thead><tr>{titles}</tr></thead>" if any(head) else ""
    lines = (
        "<tr>" + "".join(f"<td{mark}>{cell}</td>" for mark, cell in zip(marks, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table>{top}<tbody>{"".join(lines)}</tbody></table></div>'


def bullets(items: Iterable[str]) -> str:
    """Return a list of items that are HTML already, or nothing where there are none."""
    lines = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{lines}</ul>" if lines else ""


def fold(summary: str, inside: str) -> str:
    """Return HTML that is shown when its summary, HTML too, is clicked."""
    return f"<details><summary>{summary}</summary>{inside}</details>"


def link(title: str) -> str:
    """Return a link to a section of the same page."""
    return f'<a href="#{anchor(title)}">{text(title)}</a>'


def join_sections(sections: Mapping[str, str]) -> str:
    """Return a table of contents, and below it each section under its heading; `sections` are titles to HTML."""
    contents = f'<nav aria-label="Contents">{bullets(map(link, sections))}</nav>'
    parts = (f'<h2 id="{anchor(title)}">{text(title)}</h2>\n{inside}' for title, inside in sections.items())
    return "\n".join([contents, *parts])


def picture(figure: Figure, alt: str, caption: str) -> str:
    """Return a figure as an image inside the page, of 256 colours at most.

    Where its font lacks letters of a name, boxes stand in their place; the caption says then where to find the name.
    """
    drawn, file = io.BytesIO(), io.BytesIO()
    if _save(figure, drawn):
        caption = f"{caption}. {_SEE_TEXT}"
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return _show(file.getvalue(), "png", round(96 * figure.get_figwidth()), alt, caption)


def _save(figure, file) -> bool:
    """Write a figure as a PNG, and tell whether its font lacks letters; of all else Matplotlib warns as ever."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", _NO_GLYPH, UserWarning)
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    others = [each for each in caught if not re.match(_NO_GLYPH, str(each.message))]
    for each in others:
        warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return len(others) < len(caught)


def photo(path: Path, alt: str, caption: str) -> str:
    """Return an image file as a JPEG of at most 640 pixels in width inside the page.

    Raises:
        InputError: If it is missing or no image.
    """
    file = io.BytesIO()
    try:
        with Image.open(path) as image:
            image = image.convert("RGB")
    except OSError as error:
        raise InputError(f"A picture in a page must be an image file. Received: {path}: {error}.") from error
    image.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    image.save(file, "JPEG", quality=85)
    width = image.width
    return _show(file.getvalue(), "jpeg", width, alt, caption)


def _show(content: bytes, kind: str, width: int, alt: str, caption: str) -> str:
    data = base64.b64encode(content).decode("ascii")
    broad = ' class="broad"' if width >= BROAD else ""
    return (
        f'<figure><img{broad} src="data:image/{kind};base64,{data}" width="{width}" alt="{text(alt)}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def bar(entry: Mapping) -> str:
    """Return an interval as a small drawing from 0 to 1, if it lies there; the numbers beside it say the same."""
    if entry["value"] is None or entry["low"] is None or entry["low"] < 0 or entry["high"] > 1:
        return ""
    low, value, high = (5 + 110 * entry[key] for key in ("low", "value", "high"))
    return (
        '<svg width="120" height="14" aria-hidden="true"><g stroke="var(--line)">'
        '<line x1="5" x2="115" y1="7" y2="7"/><line x1="60" x2="60" y1="2" y2="12"/></g>'
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="7" y2="7" stroke="var(--accent)" stroke-width="4"/>'
        f'<circle cx="{value:.1f}" cy="7" r="4.5" fill="var(--accent)"/></svg>'
    )
