"""An evaluation, on other images or of a file of predictions, or an ensemble, as one page that stands alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from tlmed.evaluation.decision_lines import describe_rule
from tlmed.evaluation.lines import describe_left_out
from tlmed.evaluation.predictions import Predictions
from tlmed.evaluation.unusual_lines import describe_unusual
from tlmed.pages.templating import render
from tlmed.report.frame import frame
from tlmed.report.image_counts import is_synthetic
from tlmed.report.loaded_files import RunContent
from tlmed.report.page_sections import list_answers
from tlmed.report.scores import show_subgroups
from tlmed.report.summary import list_doubts
from tlmed.tabulation import Table, numbers, texts
from tlmed.targets import make_mark, writing_out
from tlmed.whole_files import write_text
from tlmed.words import thousandths

PAGE, REPORT = "evaluation.html", "report.html"


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
    content = _fill(source, predictions, result)
    sections = {
        "What was scored": _tell(result, source),
        **list_answers(content),
        "Subgroups": show_subgroups(result),
    }
    run = Path(evaluated["run"]).name if "run" in evaluated else source
    title = f"{run} on {source}" if "run" in evaluated else f"Predictions of {source}"
    return frame(title, result, sections, is_synthetic(content), run)


def write_ensemble_page(folder: Path, predictions: Predictions, result: Mapping, said: Sequence[str]) -> Path:
    """Write the page of an ensemble into its directory, and return the file.

    Args:
        folder: The directory, which `tlmed ensemble` has just made.
        predictions: Of the test images, or of the units that they make up.
        result: The content of its `metrics.json`.
        said: How many members scored how many images, and what that means, a sentence each.
    """
    source, doubts = str(result["evaluated"]["data"]), [*list_doubts(result), *result["evaluated"]["warnings"]]
    content = _fill(source, predictions, result)
    members = [(entry["name"], thousandths(entry["weight"])) for entry in result["ensemble"]["members"]]
    table = Table(texts("Member") + numbers("Weight"), members)
    sections = {
        "Members": render("report/members.html", members=table, said=said),
        "What was scored": render("report/evaluated.html", run=None, source=f"Images of {source}", said=doubts),
        **list_answers(content),
        "Subgroups": show_subgroups(result),
    }
    name = folder.resolve().name
    page = frame(f"The ensemble {name}", result, sections, is_synthetic(content), name, "ensemble")
    with writing_out(folder):
        write_text(folder / REPORT, page)
    return folder / REPORT


def _fill(source, predictions, result) -> RunContent:
    """Return what the sections of a run's page need; what trains nothing has empty parts."""
    empty = {name: {} for name in ("recipe", "plan", "freeze", "timing", "examples")}
    rows = dict.fromkeys(("splits", "history", "degrees", "search"), ())
    return RunContent(
        name=source,
        source="",
        environment={"data": {"source": source}},
        predictions=predictions,
        metrics=result,
        path=Path(),
        **empty,
        **rows,
    )


def _tell(result, source) -> Markup:
    evaluated = result["evaluated"]
    said = [*describe_rule(result), *list_doubts(result), *describe_left_out(result), *describe_unusual(result)]
    said += [*evaluated.get("warnings", [])]
    return render("report/evaluated.html", run=evaluated.get("run"), source=source, said=said)
