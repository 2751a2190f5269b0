"""Words of a report that lead to their explanation, as HTML."""

from tlmed.evaluation.page import text
from tlmed.metrics.names import name_metric
from tlmed.pages.glossary import TERMS, find_terms


def explain(name: str, said: str | None = None) -> str:
    """Return a word as HTML that leads to its explanation; one without an explanation as it is.

    Args:
        name: A metric's name, or a key of `WORDS`.
        said: How the page says it, plain text; by default its name.

    >>> explain("my_metric")
    'My metric'
    """
    words = text(said if said is not None else TERMS[name][0] if name in TERMS else name_metric(name))
    if name not in TERMS:
        return words
    return f'<a class="term" href="#term-{name}" title="{text(TERMS[name][1])}">{words}</a>'


def list_terms(page: str) -> str:
    """Return the explanations of the words that a page links, by name, as HTML; nothing where it links none."""
    found = find_terms(page)
    rows = "".join(
        f'<dt id="term-{name}">{text(words)}</dt><dd>{text(meaning)}</dd>' for name, (words, meaning) in found.items()
    )
    return f'<dl class="terms">{rows}</dl>' if rows else ""
