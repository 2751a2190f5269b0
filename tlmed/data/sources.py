"""Open any form of `--data`."""

from dataclasses import replace
from pathlib import Path

from tlmed.data.archives import open_archive
from tlmed.data.folders import open_folder
from tlmed.data.header_classes import open_header_folder
from tlmed.data.kinds import find_kind
from tlmed.data.listings import open_listing
from tlmed.data.relabelling import relabel
from tlmed.data.samples import take_samples
from tlmed.data.several_labels import spread
from tlmed.data.table import Table, check_classes
from tlmed.data.walking import naming_unreadable
from tlmed.errors import InputError
from tlmed.regular_files import FORMS, check_exists
from tlmed.slicing import Slicing
from tlmed.source_forms import ARCHIVE, FOLDER, MEDMNIST, TABLE, TFDS, find_form
from tlmed.source_layout import AS_FOUND, Layout


def open_source(source: str | Path, layout: Layout = AS_FOUND, fewest: int = 2) -> Table:
    """Read what a source says about its images: paths, labels, groups and given splits. No image is decoded.

    Args:
        source: A folder of class folders; a folder of train, val and test folders of class folders; a folder of DICOM
            files whose headers name their classes, if the layout says so; a table (`.csv`, `.tsv`, `.txt`) with columns
            for path and label and optionally for group and split; a MedMNIST `.npz`; `medmnist:NAME`, one of its public
            sets; or `tfds:NAME`.
        layout: Which columns of a table, or which features of a TensorFlow data set, mean what; which labels make up
            which class; how files with several planes become samples.
        fewest: Classes that there must be: two for training, one to look at images.

    Returns:
        The table, in canonical order (sorted by path).

    Raises:
        InputError: The source cannot be used; all of its faults at once.
    """
    text, form = str(source), find_form(source)
    if faults := _find_misfits(text, form, layout):
        raise InputError(faults)
    table = replace(_open(text, form, layout), alone=not layout.grouping.use)
    check_classes(table, fewest)
    samples = take_samples(relabel(table, layout, fewest), layout.slicing, is_settled=layout.elsewhere)
    return spread(samples, layout)


def _open(text: str, form: str, layout: Layout) -> Table:
    if form == TFDS:
        from tlmed.data.builders import open_builder  # takes seconds to import, and no other form needs it

        return open_builder(text.removeprefix("tfds:"), layout)
    if form == MEDMNIST:
        from tlmed.data.medmnist_sets import open_medmnist  # asks Keras where its cache is

        slicing = layout.slicing
        return open_medmnist(text.removeprefix("medmnist:"), isinstance(slicing, Slicing) and slicing.wanted)
    with naming_unreadable(text):
        return _open_path(Path(text).expanduser(), form, layout)


def _open_path(path: Path, form: str, layout: Layout) -> Table:
    check_exists(path)
    if form == TABLE:
        return open_listing(path, layout)
    if form == ARCHIVE:
        return open_archive(path)
    if path.is_dir() and layout.label is not None:
        return open_header_folder(path, layout)
    if path.is_dir():
        return open_folder(path, layout.grouping)
    cure = f"; {kind.advice}" if (kind := find_kind(path)) else ""
    raise InputError(f"The data must be {FORMS}{cure}. Received: data={path}.")


def _find_misfits(text: str, form: str, layout: Layout) -> list[str]:
    """Return a sentence for each field that a source of this form has no use for."""
    faults = []
    if layout.grouping.column is not None and form not in (TABLE, TFDS):
        faults.append(
            "`--group` must go with a source that has columns: a .csv, or tfds:NAME. "
            f"Received: group={layout.grouping.column!r} with data={text}."
        )
    given = {f"{role}_column": name for role, name in layout.list_columns().items()}
    further = {"delimiter": layout.delimiter, "label_columns": None if form == TFDS else layout.label_columns}
    given |= {field: value for field, value in further.items() if value is not None}
    headers = form == FOLDER and layout.label is not None
    if headers:
        given.pop("label_column")
    if headers and layout.grouping.folders:
        faults.append(
            "`data.groups='folder'` must go with class folders, and not with labels from headers, which name patients. "
            f"Received: label_column={layout.label!r} with data={text}."
        )
    if form != TABLE:
        faults += [
            f"`data.{field}` must go with a table (.csv, .tsv, .txt). Received: {field}={value!r} with data={text}."
            for field, value in given.items()
        ]
    return faults
