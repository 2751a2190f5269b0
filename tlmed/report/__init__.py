"""The report of a run: one page that stands alone, made without the network's model or any download."""

from pathlib import Path

from tlmed import whole_files
from tlmed.report.loaded_files import REQUIRED, RunContent, read_run
from tlmed.report.page_sections import make_page

__all__ = ["REQUIRED", "RunContent", "make_page", "read_run", "write_report"]


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
    whole_files.write_text(run / "report.html", make_page(read_run(run)))
    return run / "report.html"
