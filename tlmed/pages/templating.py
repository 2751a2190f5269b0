"""Fill in Jinja2 templates: every text is escaped, and a missing name is an error."""

import functools
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tlmed.metrics.names import name_metric
from tlmed.pages.amounts import duration, interval_of, number
from tlmed.pages.glossary import TERMS, anchor, find_terms
from tlmed.words import count, join_names, listed, name_start, percent

STYLE = Path(__file__).with_name("style.css")


def mark_code(text: str) -> Markup:
    """Return a text, escaped, with what stands between backticks as code.

    >>> mark_code("Use `--set a<b`.")
    Markup('Use <code>--set a&lt;b</code>.')
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one has no partner
        return escape(text)
    marked = [Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)]
    return Markup("").join(marked)  # `join` of Markup escapes plain texts


_FILTERS = {
    "anchor": anchor,
    "code": mark_code,
    "count": count,
    "duration": duration,
    "interval": interval_of,
    "join_names": join_names,
    "listed": listed,
    "metric": name_metric,
    "number": number,
    "percent": percent,
    "start": name_start,
}


def render(template: str, **values: object) -> Markup:
    """Return a template filled in with values, without blanks around it.

    Args:
        template: Its name in the folder `templates`.
        values: The values of its names: plain text, which is escaped, or what `render` returned, which is not.

    >>> render("list.html", items=["<b>"])
    Markup('<ul><li>&lt;b&gt;</li></ul>')
    """
    return Markup(_open_templates().get_template(template).render(values).strip())


def make_page(title: str, lead: Markup, sections: Mapping[str, Markup]) -> str:
    """Return a whole page: a title, the lead, a table of contents, the sections, and the terms that they link to.

    Args:
        title: Plain text.
        lead: What `render` returned for the place below the title.
        sections: Titles to what `render` returned; a section without content is left out.
    """
    sections = {head: part for head, part in sections.items() if part}
    if terms := find_terms("".join([lead, *sections.values()])):
        sections["Terms"] = render("terms.html", terms=terms)
    return f"{render('page.html', title=title, lead=lead, sections=sections)}\n"


@functools.cache
def _open_templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("tlmed.pages"),
        autoescape=True,
        # A misspelt name in a template is an error instead of a gap in the page.
        undefined=StrictUndefined,
        finalize=_write,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    # `Markup`: this style is our own, and is not escaped.
    environment.globals.update(style=Markup(STYLE.read_text(encoding="utf-8")), glossary=TERMS)
    return environment


def _write(value) -> object:
    """Return nothing in place of None: recipes of older versions lack some fields."""
    return "" if value is None else value
