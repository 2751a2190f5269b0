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

DPI = 150
BROAD = 600  # pixels from which on a picture is scrolled on a phone, for shrunk to its width it could not be read
_NO_GLYPH = r"Glyph \d+ .*missing from font"  # how Matplotlib begins its warning of it
_SEE_TEXT = "Names in letters that the picture's font does not have stand in its text alternative."
PHOTO_SIDE = 640  # pixels that a photograph in a page is wide at most
# Light and dark by the reader's setting; one column that a phone can show, tables scroll within it. Paper is always
# light, breaks neither pictures nor rows, and keeps a heading with what follows.
STYLE = """
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5a6675; --page: #ffffff; --card: #f4f6f8;
  --line: #d5dbe1; --accent: #0072B2; --warn: #D55E00; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --soft: #a3afbb; --page: #14191f;
  --card: #1d242c; --line: #37424d; --accent: #56B4E9; --warn: #E69F00; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; color: var(--ink); background: var(--page);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .5rem 0; max-width: 46rem; }
.soft, figcaption, small { color: var(--soft); font-weight: normal; }
td small { white-space: nowrap; }
td:first-child small { display: inline-block; min-width: 9rem; white-space: normal; }
.notice { border-left: 4px solid var(--warn); background: var(--card); padding: .5rem .9rem; margin: .8rem 0; }
.headline { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; }
.headline div { flex: 1 1 9rem; background: var(--card); border-radius: .5rem; padding: .7rem .9rem; }
.headline b { display: block; font-size: 1.6rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child, .text { white-space: normal; }
th { color: var(--soft); font-weight: 600; }
th:first-child, td:first-child, .text { text-align: left; }
td:first-child { font-weight: 600; }
svg { display: inline-block; vertical-align: middle; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line); border-radius: .5rem;
  padding: .5rem; }
a { color: var(--accent); }
nav ul { columns: 15rem; margin: .5rem 0; padding-left: 1.2rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 0 1.5rem;
  align-items: start; }
.pair figure:has(.broad) { grid-column: 1 / -1; }
.examples figure:has(.broad) { grid-column: auto; }
.bar { display: inline-block; width: 120px; margin-left: .6rem; text-align: left; }
a.term { color: inherit; text-decoration: underline dotted; text-underline-offset: .2em; }
.terms dt { font-weight: 600; margin-top: .7rem; }
.terms dd { margin: 0; max-width: 46rem; }
.terms dt:target { color: var(--warn); }
.even table { table-layout: fixed; }
.even th:first-child { width: 38%; }
summary { cursor: pointer; color: var(--accent); margin: .6rem 0; }
pre { background: var(--card); border-radius: .5rem; padding: .8rem; overflow-x: auto; font-size: .85rem; }
code { background: var(--card); border-radius: .25rem; padding: .05rem .3rem; }
.label { display: none; }
@media screen and (max-width: 40rem) {
  .stacked thead { display: none; }
  .stacked tr { display: grid; grid-template-columns: 1fr 1fr; border-bottom: 1px solid var(--line); padding: .4rem 0; }
  .stacked td { border: 0; padding: .15rem 0; text-align: left; white-space: normal; }
  .stacked td:first-child { grid-column: 1 / -1; }
  .stacked .label { display: block; color: var(--soft); }
  .bar { display: block; margin: 0 0 0 auto; } figure { overflow-x: auto; }
  figure .broad { max-width: none; width: 38rem; } }
@page { size: A4; margin: 15mm; }
@media print {
  :root { color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  a, a.term { color: inherit; text-decoration: none; }
  h2, h3, thead, summary { break-after: avoid; }
  figure, tr, .headline, .notice { break-inside: avoid; }
  figure img { max-height: 230mm; }
  .pair { display: block; orphans: 1; widows: 1; }
  .pair figure { display: inline-block; width: 48%; margin-right: 1%; vertical-align: top; }
  .terms dt, .terms dd { break-inside: avoid; }
  .terms dt { break-after: avoid; }
  .wide { overflow: visible; }
  table { font-size: 8pt; }
  th, td { white-space: normal; padding-right: .4rem; }
  td small { white-space: normal; }
  td:first-child small { min-width: 0; }
  pre { white-space: pre-wrap; }
  details:not([open]) > summary::after { content: " (folded: open it on the screen before printing)"; }
}
"""


def make_document(title: str, body: str) -> str:
    """Return a whole page; `title` is plain text, `body` is HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
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


def anchor(title: str) -> str:
    """Return the name by which a link finds a heading.

    >>> anchor("What was asked, and what was done")
    'what-was-asked-and-what-was-done'
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


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
