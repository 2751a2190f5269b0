"""What the gate found in the images of a run before it was trained."""

from collections.abc import Mapping

from markupsafe import Markup

from tlmed.findings import ERROR
from tlmed.pages.templating import render
from tlmed.run_files import Check

_MOST = 12  # findings that stand open; the others are folded


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
