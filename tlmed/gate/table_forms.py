"""Which images a corrected table of files can hold: nobody is told to write one of others."""

from tlmed.columns import is_blank
from tlmed.data.table import Table
from tlmed.part_names import split_part


def find_lacking(table: Table) -> str:
    """Return why a table of files cannot hold some images, as the end of a sentence on their source; "" if it can.

    Args:
        table: The images.
    """
    if table.root is None:
        return "which holds no files"
    if table.folders is not None or any(split_part(path)[1] for path in table.paths):
        return "whose images are parts of files, or folders"
    if table.is_multi:
        return "where an image may have several labels"
    odd = [name for name in table.classes if is_blank(name)]
    return f"with the class {odd[0]!r}, which in a table means that the label is missing" if odd else ""
