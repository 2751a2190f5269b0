"""The page of a search, in a single file."""

from pathlib import Path

from markupsafe import Markup

from tlmed.metrics.names import name_inline
from tlmed.pages.figures import draw
from tlmed.pages.templating import make_page, render
from tlmed.run_files.study_files import list_told
from tlmed.study_report.search_plots import KINDS, draw_course, draw_worth
from tlmed.study_report.search_scores import SearchRecord
from tlmed.study_report.search_sentences import (
    list_best,
    say_importance,
    say_tried,
    say_untried,
    say_winners,
    say_worth,
)
from tlmed.study_report.study_page import STUDY_HTML
from tlmed.tabulation import Table, numbers, texts
from tlmed.whole_files import write_text
from tlmed.words import count


def write_search_page(folder: Path, record: SearchRecord) -> Path:
    """Write `study.html` into the directory of a study that was searched, and return its path."""
    file = folder / STUDY_HTML
    write_text(file, make_search_page(record))
    return file


def make_search_page(record: SearchRecord) -> str:
    """Return the whole page as HTML."""
    said, *more = say_worth(record)
    sections = {
        "What was tried": _show_course(record),
        "Best candidates": render(
            "study/candidates.html", winners=say_winners(record), best=list_best(record), failed=_list_failed(record)
        ),
        "How far the search flatters": _show_worth(record),
        "What was chosen from": _show_space(record),
        "Images": render("list.html", items=images) if (images := list_told(record.folder)) else Markup(),
        "Notes": render("list.html", items=record.notes) if record.notes else Markup(),
    }
    lead = render("study/lead.html", said=said, more=more, doubts=record.doubts)
    return make_page(f"Search of {count(len(record.rows), 'candidate')}", lead, sections)


def _show_course(record) -> Markup:
    if not any(row["validation"] for row in record.rows):
        return render("study/pictures.html", said=say_tried(record), pictures=[], details=None)
    metric = name_inline(record.content["metric"])
    picture = draw(
        draw_course(record, metric),
        f"Validation {metric} against the number of the candidate",
        "Each candidate, and the best so far (line); filled: judged on all draws, open: given up earlier",
    )
    said = " ".join([say_tried(record), *say_untried(record), *say_importance(record)])
    return render("study/pictures.html", said=said, pictures=[picture], details=None)


def _show_worth(record) -> Markup:
    known = [search for search in record.searches if search["optimism"] is not None]
    if not known:
        return Markup()
    metric = name_inline(record.content["metric"])
    kinds = [kind for kind in KINDS if any(search[kind] is not None for search in known)]
    rows = [
        (
            str(search["fold"] or "-"),
            *("-" if search[kind] is None else f"{search[kind]:.3f}" for kind in kinds),
            f"{search['optimism']:+.3f}",
        )
        for search in known
    ]
    fresh = "Fresh draws: the winner trained on four draws of validation images that chose nothing."
    notes = [fresh] if "fresh" in kinds else []
    columns = texts("Fold") + numbers(*(KINDS[kind].capitalize() for kind in kinds), "Optimism")
    said = (
        "The highest of many validation scores is high by luck, too, and training chooses epochs by the same images. "
        "Test images chose nothing."
    )
    mean = "; gray: the mean over folds" if len(known) > 1 else ""
    picture = draw(draw_worth(known, metric), f"{metric} of the winner", f"{metric} by what is scored{mean}")
    return render("study/pictures.html", said=said, pictures=[picture], details=Table(columns, rows, notes=notes))


def _show_space(record) -> Markup:
    rows = [
        (
            each["name"],
            ", ".join(each["values"]) or f"{each['bounds'][0]:g} to {each['bounds'][1]:g}",
            ", ".join(each["recipes"]),
        )
        for each in record.content["space"]
    ]
    probes = [(f"fold {search['fold']}" if search["fold"] else "", search["probes"]) for search in record.searches]
    said = [
        f"{name}{': ' if name else ''}"
        + ", ".join(f"{backbone} {'failed' if score is None else f'{score:.3f}'}" for backbone, score in found.items())
        for name, found in probes
        if found
    ]
    return render("study/space.html", space=Table(texts("", "Values", "Recipes that have it"), rows), probes=said)


def _list_failed(record) -> list[tuple[str, str]]:
    return [(row["candidate"], row["reason"]) for row in record.rows if row["state"] == "failed"]
