"""A run directory as one page that stands alone: no network, no model, nothing beside the file."""

from pathlib import Path

from tlmed import rundir
from tlmed.evaluation.page import make_document, text
from tlmed.report.classifier import show_classifier
from tlmed.report.content import REQUIRED, Content, read_content
from tlmed.report.cost import show_cost, show_environment
from tlmed.report.degrees import show_degrees
from tlmed.report.images import is_synthetic, show_images, show_warnings
from tlmed.report.schedule import show_certificate, show_history, show_phases
from tlmed.report.scores import show_headline, show_scores
from tlmed.report.story import tell_story
from tlmed.report.words import join

__all__ = ["REQUIRED", "Content", "make_page", "read_content", "write_report"]

NOT_A_DEVICE = "For research only. Not a medical device: no diagnosis or treatment may rest on these numbers."
SYNTHETIC = (
    "The images of this run are synthetic: drawn by a program (tlmed_phantoms), not taken from any person. "
    "The scores show that the software works, and nothing about medicine."
)


def write_report(run_dir: str | Path) -> Path:
    """Write `report.html` from the other files of a run directory.

    Args:
        run_dir: A run directory; every file but those in `REQUIRED` may be missing, and any optional key.

    Returns:
        The path of the report.

    Raises:
        InputError: With every file that is missing, or the first that cannot be read.
    """
    run = Path(run_dir)
    rundir.write_text(run / "report.html", make_page(read_content(run)))
    return run / "report.html"


def make_page(content: Content) -> str:
    """Return the whole page as HTML; a section without content is left out."""
    sections = {
        "What was asked, and what was done": tell_story(content),
        "Scores": show_scores(content),
        "Data": show_images(content),
        "Warnings": show_warnings(content),
        "Degrees of fine-tuning": show_degrees(content),
        "Classifier": show_classifier(content),
        "Phases": show_phases(content),
        "Learning curves": show_history(content),
        "Freeze certificate": show_certificate(content),
        "Cost": show_cost(content.timing),
        "Environment": show_environment(content.environment),
        "Recipe": f"<pre>{text(content.source)}</pre>" if content.source else "",
    }
    title = f"{join(content.recipe.get('backbone', 'Run'))}: {content.name}"
    synthetic = f'<p class="notice">{text(SYNTHETIC)}</p>' if is_synthetic(content) else ""
    body = "\n".join(f"<h2>{text(head)}</h2>\n{part}" for head, part in sections.items() if part)
    return make_document(
        title,
        f'<h1>{text(title)}</h1>\n<p class="soft">A report by tlmed. {text(NOT_A_DEVICE)}</p>\n{synthetic}\n'
        f"{show_headline(content.metrics)}\n{body}",
    )
