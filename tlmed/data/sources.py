"""Open any form of `--data`."""

from pathlib import Path

from tlmed.columns import BY_NAME, Grouping
from tlmed.data.archives import open_archive
from tlmed.data.folders import open_folder
from tlmed.data.kinds import find_kind
from tlmed.data.listings import open_listing
from tlmed.data.table import Table
from tlmed.errors import InputError
from tlmed.regular_files import FORMS, check_exists


def open_source(source: str | Path, grouping: Grouping = BY_NAME) -> Table:
    """Read what a source says about its images: paths, labels, groups and given splits. No image is decoded.

    Args:
        source: A folder of class folders; a folder of train, val and test folders of class folders; a `.csv`
            with the columns path,label and optionally group,split; a MedMNIST `.npz`; or `tfds:NAME`.
        grouping: Which column of a CSV, or which feature of a TensorFlow data set, names the groups.

    Returns:
        The table, in canonical order (sorted by path).

    Raises:
        InputError: The source cannot be used; all of its faults at once.
    """
    text = str(source)
    if text.startswith("tfds:"):
        from tlmed.data.builders import open_builder  # takes seconds to import, and no other form needs it

        return open_builder(text.removeprefix("tfds:"), grouping)
    path = Path(text).expanduser()
    check_exists(path)
    # A folder may be called x.csv too.
    if path.suffix.lower() == ".csv" and not path.is_dir():
        return open_listing(path, grouping)
    if grouping.column is not None:
        raise InputError(
            "`--group` must go with a source that has columns: a .csv, or tfds:NAME. "
            f"Received: group={grouping.column!r} with data={text}."
        )
    if path.is_dir():
        return open_folder(path, grouping.use)
    if path.suffix.lower() == ".npz":
        return open_archive(path)
    cure = f"; {kind.advice}" if (kind := find_kind(path)) else ""
    raise InputError(f"The data must be {FORMS}{cure}. Received: data={text}.")
