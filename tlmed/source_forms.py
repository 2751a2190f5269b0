"""The forms that data come in, told by the name alone: a source of a run may be gone by now."""

from pathlib import Path

FOLDER, TABLE, ARCHIVE, TFDS, MEDMNIST = "folder", "table", "archive", "tfds", "medmnist"
TABLE_ENDINGS = (".csv", ".tsv", ".txt")
_SCHEMES = {f"{form}:": form for form in (TFDS, MEDMNIST)}


def find_form(source: str | Path) -> str:
    """Return the form of a source; what has no ending of a table or an archive is a folder.

    >>> [find_form(source) for source in ("tfds:tlmed_phantoms", "medmnist:breastmnist", "scans.TSV", "x/mnist.npz")]
    ['tfds', 'medmnist', 'table', 'archive']
    >>> [find_form(source) for source in ("scans/", "x.zip")]
    ['folder', 'folder']
    """
    text = str(source)
    if form := next((form for scheme, form in _SCHEMES.items() if text.startswith(scheme)), None):
        return form
    path = Path(text).expanduser()
    if path.is_dir():  # a folder may be called x.csv too
        return FOLDER
    ending = path.suffix.lower()
    return TABLE if ending in TABLE_ENDINGS else ARCHIVE if ending == ".npz" else FOLDER


def is_path(source: str | Path) -> bool:
    """Tell whether a source is a file or folder of its own, and no name of a public data set.

    >>> is_path("tfds:tlmed_phantoms"), is_path("scans.csv")
    (False, True)
    """
    return not str(source).startswith(tuple(_SCHEMES))
