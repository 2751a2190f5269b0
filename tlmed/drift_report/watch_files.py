"""The files of a check for drift: `watch.json` and `watch.html`, and where they may be written."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tlmed import targets, whole_files
from tlmed.drift_report.watch_page import make_watch_page

WATCH_JSON, WATCH_PAGE = "watch.json", "watch.html"
_COMMAND = "watch"


def check_watch_folder(folder: Path, force: bool, inputs: Sequence[str | Path]) -> None:
    """Refuse a folder that the files cannot be written to; see `targets.check_targets`.

    Args:
        folder: Where to.
        force: Write over what the same command made earlier.
        inputs: What is read, which is never written over.

    Raises:
        InputError: What is to be done.
    """
    names = (WATCH_JSON, WATCH_PAGE)
    targets.check_folder(folder, names)
    own = {folder / name: lambda file: targets.is_marked(file, _COMMAND) for name in names}
    targets.check_targets("--out", own, force, inputs)


def write_watch(folder: Path, content: Mapping, scores: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    """Write both files into a folder, which is made if it is missing, and return the path of the page.

    Args:
        folder: Where to; `check_watch_folder` allowed it.
        content: Of `watch.json`.
        scores: Of some classes: those of the test split, and those since, of which the page shows the distributions.

    Raises:
        InputError: If they cannot be written there.
    """
    with targets.writing_out(folder):
        folder.mkdir(parents=True, exist_ok=True)
        made = targets.make_mark(_COMMAND)
        whole_files.write_json(folder / WATCH_JSON, {"made": made, **content})
        whole_files.write_text(folder / WATCH_PAGE, f"{make_watch_page(content, scores)}<!-- {made} -->\n")
    return folder / WATCH_PAGE
