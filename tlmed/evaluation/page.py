"""Pieces of a web page that stands alone: every text escaped, pictures inside, no script, no network."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from matplotlib.figure import Figure

# Light and dark by the reader's setting; one column that a phone can show, tables scroll within it.
STYLE = """
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5a6675; --page: #ffffff; --card: #f4f6f8;
  --line: #d5dbe1; --accent: #0072B2; --warn: #D55E00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --soft: #a3afbb; --page: #14191f;
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
td:first-child small { white-space: normal; }
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
.pair { display: flex; flex-wrap: wrap; gap: 0 1.5rem; align-items: flex-start; }
.pair figure { flex: 1 1 20rem; }
summary { cursor: pointer; color: var(--accent); margin: .6rem 0; }
pre { background: var(--card); border-radius: .5rem; padding: .8rem; overflow-x: auto; font-size: .85rem; }
code { background: var(--card); border-radius: .25rem; padding: .05rem .3rem; }
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


def picture(figure: Figure, alt: str, caption: str) -> str:
    """Return a figure as an image inside the page."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
    data, width = base64.b64encode(file.getvalue()).decode("ascii"), round(96 * figure.get_figwidth())
    return (
        f'<figure><img src="data:image/png;base64,{data}" width="{width}" alt="{text(alt)}">'
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
