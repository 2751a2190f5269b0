"""Images that cannot be read: named all at once, or left out."""

from collections import defaultdict

from tlmed.data.table import Table
from tlmed.errors import InputError
from tlmed.words import count, listed

_ALIKE = 20  # images that a message names with the same reason; it counts the others


def check_broken(table: Table, broken: dict[int, str], skip_bad: bool) -> None:
    """Name the images that cannot be read, unless they may be left out and other images remain.

    Args:
        table: The images.
        broken: Row and reason of every broken one.
        skip_bad: Whether broken ones are to be left out.

    Raises:
        InputError: One sentence that names them.
    """
    if broken and not (skip_bad and len(broken) < len(table)):
        alike = defaultdict(list)
        for row, reason in broken.items():
            alike[reason].append(f"'{table.paths[row]}'")
        named = listed(f"{listed(paths, _ALIKE)} ({reason})" for reason, paths in alike.items())
        raise InputError(
            f"Every image must be readable; repair or remove what is not, or leave it out with --skip-bad. "
            f"{count(len(broken), 'image')} of {len(table):,} cannot be read. Received: {named}."
        )
