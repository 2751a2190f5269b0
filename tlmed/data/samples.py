"""From files to samples: planes of volumes, tiles of slides, or files as they are."""

from tlmed.data.readers.slides import ENDINGS
from tlmed.data.series import check_no_folders
from tlmed.data.table import Table
from tlmed.data.tiles import cut_slides
from tlmed.data.volumes import cut_volumes
from tlmed.errors import InputError
from tlmed.slicing import Slicing, Tiling
from tlmed.words import count, listed

NAMED = 3


def take_samples(table: Table, slicing: Slicing | Tiling, is_settled: bool = False) -> Table:
    """Return the samples of a table of files, as a recipe asks for them.

    Args:
        table: A row per file.
        slicing: How files become samples.
        is_settled: Whether a run that is trained has settled this, so that nobody can choose it any more.

    Raises:
        InputError: Files cannot be cut so, or an extra is missing.
    """
    if isinstance(slicing, Tiling):
        check_no_folders(table)
        if table.root is None:
            raise InputError(
                "`data.tile` must be None for images that are no files of their own. "
                f"Received: tile={slicing.size} with data={table.source}."
            )
        return cut_slides(table, slicing)
    if slides := [path for path in table.paths if path.lower().endswith(ENDINGS)]:
        cure = (
            "A run that was trained without tiles takes pictures, and no slides: train one with `data.tile`. "
            if is_settled
            else "Slides must be cut into tiles: set `data.tile`, such as 224. "
        )
        raise InputError(f"{cure}Received: tile=None with {count(len(slides), 'slide')} ({listed(slides, NAMED)}).")
    return cut_volumes(table, slicing)
