"""What the gate found in the images of a run before it was trained, and in those of all folds of a cross-validation."""

from collections.abc import Mapping

from markupsafe import Markup

from tlmed.findings import ERROR, WARNING
from tlmed.pages.templating import render
from tlmed.run_files import Check
from tlmed.run_files.check_summary import say_amounts, say_repeated, summarise
from tlmed.run_files.kept_findings import KeptFindings
from tlmed.run_files.merged_findings import MergedFinding, merge
from tlmed.words import join_names, listed

SEE = 'See "Check of the data" below.'
_MOST = 12  # findings that stand open; the others are folded
_NAMED = 6  # folds that a finding names; it counts the others


def show_check(check: Check | Mapping) -> Markup:
    """Return errors and warnings, and what was not checked; nothing of a run without `check.json`.

    Args:
        check: The content of `check.json`; older versions did not write it.
    """
    if not check:
        return Markup()
    findings = check["findings"]
    return render(
        "report/data_check.html",
        images=check.get("images"),
        errors=sum(finding["level"] == ERROR for finding in findings),
        shown=findings[:_MOST],
        rest=findings[_MOST:],
        unchecked=check.get("unchecked", []),
    )


def show_fold_checks(folds: Mapping[str, KeptFindings]) -> Markup:
    """Return the findings of all folds, each once, with the folds that it concerns; nothing where none was checked.

    Args:
        folds: What the check of each fold found, by the fold's name.
    """
    if not folds:
        return Markup()
    lines = [_describe(one, len(folds)) for one in merge(folds)]
    return render(
        "folds/data_check.html",
        shown=lines[:_MOST],
        rest=lines[_MOST:],
        each=[_count(name, kept) for name, kept in folds.items()],
        unchecked=dict.fromkeys(said for kept in folds.values() for said in kept.content.get("unchecked", [])),
    )


def _describe(one: MergedFinding, of: int) -> dict[str, str]:
    """Return where a finding is an error or a warning, what it says, and where its copies are in each fold."""
    where = []
    for level in (ERROR, WARNING):
        if names := [name for name, found in one.levels.items() if found == level]:
            named = f"fold{'' if len(names) == 1 else 's'} {listed(names, _NAMED)}"
            every = "both folds" if of == 2 else f"all {of:,} folds"
            where.append(f"{level} in {every if 1 < of == len(names) else named}")
    level = ", ".join(where).capitalize()
    places = [f"fold {name} {join_names(splits)}" for name, splits in one.places.items()]
    told = f" Where they are: {listed(places, _NAMED)}." if places else ""
    return {"level": level, "text": f"{one.text}{told}", "cure": one.cure}


def _count(name: str, kept: KeptFindings) -> str:
    summary = summarise(kept)
    found = say_amounts(summary.errors, summary.warnings) or "nothing found"
    return f"Fold {name}: {'; '.join(filter(None, (found, say_repeated(summary))))}."
