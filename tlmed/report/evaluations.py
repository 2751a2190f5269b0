"""An evaluation on other images, or of a file of predictions, as one page that stands alone."""

from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from tlmed.evaluation.decision_lines import describe_rule
from tlmed.evaluation.lines import describe_left_out
from tlmed.evaluation.predictions import Predictions
from tlmed.pages.templating import render
from tlmed.report.frame import frame
from tlmed.report.image_counts import is_synthetic
from tlmed.report.loaded_files import RunContent
from tlmed.report.page_sections import list_answers
from tlmed.report.scores import show_subgroups
from tlmed.report.summary import list_doubts
from tlmed.targets import make_mark, writing_out
from tlmed.whole_files import write_text

PAGE = "evaluation.html"


def write_evaluation_page(folder: Path, predictions: Predictions, result: Mapping) -> None:
    """Write the page of an evaluation into its folder; `check_evaluation_folder` says whether it may be written.

    Args:
        folder: The folder.
        predictions: What was scored.
        result: The content of its `metrics.json`.

    Raises:
        InputError: If it cannot be written.
    """
    page = make_evaluation_page(predictions, result)
    with writing_out(folder):
        write_text(folder / PAGE, f"{page}<!-- {make_mark('evaluate')} -->\n")


def make_evaluation_page(predictions: Predictions, result: Mapping) -> str:
    """Return the page of an evaluation as HTML."""
    evaluated = result["evaluated"]
    source = str(evaluated.get("data", evaluated.get("predictions", "")))
    # An evaluation trains nothing; with empty parts it can use the sections of a run report.
    empty = {name: {} for name in ("recipe", "plan", "freeze", "timing", "examples")}
    rows = dict.fromkeys(("splits", "history", "degrees", "search"), ())
    content = RunContent(
        name=source,
        source="",
        environment={"data": {"source": source}},
        predictions=predictions,
        metrics=result,
        path=Path(),
        **empty,
        **rows,
    )
    sections = {
        "What was scored": _tell(result, source),
        **list_answers(content),
        "Subgroups": show_subgroups(result),
    }
    run = Path(evaluated["run"]).name if "run" in evaluated else source
    title = f"{run} on {source}" if "run" in evaluated else f"Predictions of {source}"
    return frame(title, result, sections, is_synthetic(content), run)


def _tell(result, source) -> Markup:
    evaluated = result["evaluated"]
    said = [*describe_rule(result), *list_doubts(result), *describe_left_out(result)]
    said += [*evaluated.get("warnings", [])]
    return render("report/evaluated.html", run=evaluated.get("run"), source=source, said=said)
