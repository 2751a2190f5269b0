"""What every report has around its sections: title, notices, the scores that papers report, a table of contents."""

from collections.abc import Mapping

from tlmed.evaluation.page import join_sections, make_document, text
from tlmed.report.glossary import list_terms
from tlmed.report.scores import show_headline

NOT_A_DEVICE = "For research only. Not a medical device: no diagnosis or treatment may rest on these numbers."
SYNTHETIC = (
    "The images of this run are synthetic: drawn by a program (tlmed_phantoms), not taken from any person. "
    "The scores show that the software works, and nothing about medicine."
)


def frame(title: str, metrics: Mapping, sections: Mapping[str, str], synthetic: bool, run: str) -> str:
    """Return a whole page.

    Args:
        title: Plain text.
        metrics: `metrics.json`.
        sections: Titles to HTML; a section without content is left out.
        synthetic: Whether the images were drawn by tlmed.
        run: What the run is without a title of its own, plain text.
    """
    about = "" if run == title else f" of <b>{text(run)}</b>"
    notice = f'<p class="notice">{text(SYNTHETIC)}</p>' if synthetic else ""
    headline = show_headline(metrics)
    return make_document(
        title,
        f'<h1>{text(title)}</h1>\n<p class="soft">A report by tlmed{about}. {text(NOT_A_DEVICE)}</p>\n{notice}\n'
        f"{headline}\n{join_sections(add_terms(sections, headline))}",
    )


def add_terms(sections: Mapping[str, str], *others: str) -> dict[str, str]:
    """Return the sections that have content, and as the last one what the words in them mean.

    Args:
        sections: Titles to HTML.
        others: HTML that stands outside of sections and uses such words.
    """
    found = {head: part for head, part in sections.items() if part}
    terms = list_terms("".join([*others, *found.values()]))
    return found | ({"Terms": terms} if terms else {})
