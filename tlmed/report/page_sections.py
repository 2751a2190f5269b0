"""The sections of a run's page, in their order: the list to which a new section is added."""

from markupsafe import Markup

from tlmed.pages.amounts import name_run, title_run
from tlmed.report.calibration_section import show_calibration
from tlmed.report.checklist import show_checklist
from tlmed.report.classifier import show_classifier
from tlmed.report.cost import show_cost, show_environment
from tlmed.report.curves import show_curves
from tlmed.report.data_check import show_check
from tlmed.report.degrees import show_degrees
from tlmed.report.examples import show_examples
from tlmed.report.frame import frame
from tlmed.report.image_counts import is_synthetic, show_images, show_warnings
from tlmed.report.label_sections import (
    show_label_calibration,
    show_label_curves,
    show_label_scores,
    show_label_thresholds,
)
from tlmed.report.loaded_files import RunContent
from tlmed.report.novelty_section import show_novelty
from tlmed.report.operating_point import show_decision_curve, show_operating_point
from tlmed.report.phase_tables import show_certificate, show_history, show_phases, show_strengths
from tlmed.report.scores import show_baselines, show_scores, show_subgroups
from tlmed.report.summary import show_recipe, tell_story
from tlmed.tasks import MULTI_LABEL, read_task


def list_answers(content: RunContent) -> dict[str, Markup]:
    """Return the sections that a run and an evaluation have in common: how well questions are answered."""
    if read_task(content.metrics) == MULTI_LABEL:
        return {
            "Scores": show_label_scores(content),
            "Thresholds": show_label_thresholds(content.metrics),
            "Curves": show_label_curves(content),
            "Calibration": show_label_calibration(content),
        }
    return {
        "Scores": show_scores(content),
        "Operating point": show_operating_point(content.metrics, content.copies),
        "Curves and confusion": show_curves(content),
        "Calibration": show_calibration(content),
        "Decision curve": show_decision_curve(content),
    }


def make_page(content: RunContent) -> str:
    """Return the whole page as HTML; a section without content is left out."""
    sections = {
        "What was asked, and what was done": tell_story(content),
        **list_answers(content),
        "Compared with no transfer learning": show_baselines(content.metrics),
        "Subgroups": show_subgroups(content.metrics),
        "Examples": show_examples(content),
        "Data": show_images(content),
        "Check of the data": show_check(content.check),
        "Images unlike those of training": show_novelty(content.novelty),
        "Warnings": show_warnings(content),
        "Degrees of fine-tuning": show_degrees(content),
        "Classifier": show_classifier(content),
        "Phases": show_phases(content),
        "Strength of L2": show_strengths(content),
        "Learning curves": show_history(content),
        "Freeze certificate": show_certificate(content),
        "Cost": show_cost(content.timing),
        "Environment": show_environment(content.environment),
        "Recipe": show_recipe(content.source, content.recipe, content.environment),
    }
    sections = {title: part for title, part in sections.items() if part}
    # Last, because its answers link only to sections that the page has.
    sections["CLAIM 2024 checklist"] = show_checklist(content, sections)
    model = "classifier" if "classifier" in content.metrics else "network"
    title, run = (call(content.recipe, content.name) for call in (title_run, name_run))
    return frame(title, content.metrics, sections, is_synthetic(content), run, model)
