"""Find and check the files of weights that were trained on medical images (`tlmed.in_domain`)."""

from pathlib import Path

from tlmed.backbones.applications import Application
from tlmed.backbones.origins import Origin, load_file, refuse_file
from tlmed.backbones.weight_files import find_misfit, outline_graph
from tlmed.errors import InputError
from tlmed.in_domain import InDomain
from tlmed.words import listed

_SUFFIX = ".h5"


def resolve_in_domain(application: Application, entry: InDomain, weights: str, image_size: tuple[int, int]) -> Origin:
    """Find a file of weights that were trained on medical images, and check that it fits.

    Args:
        application: The backbone.
        entry: The weights' entry in the table.
        weights: What the user wrote: the entry's name, a colon, and a file or a folder of files.
        image_size: Height and width in pixels.

    Raises:
        InputError: There are no such weights of this backbone, no such file, or it does not fit.
    """
    if application.name not in entry.files:
        raise InputError(
            f"`weights` '{entry.name}:' must go with {', '.join(entry.files)}, of which {entry.title} has weights. "
            f"Received: backbone={application.name!r}."
        )
    path = _find_file(application.name, entry, weights)
    if misfit := find_misfit(path, outline_graph(entry.name, application, image_size)):
        raise refuse_file(application.name, misfit, path)
    state = f"found; images are prepared so: {entry.preparation}"
    return Origin(f"{entry.name}:{path}", entry.name, state, path, load=load_file, licence=entry.licence)


def _find_file(backbone, entry, weights) -> Path:
    text = weights.partition(":")[2]
    path = Path(text).expanduser().absolute()
    if text and path.is_file() and path.suffix == _SUFFIX:
        return path
    if not text or not path.is_dir():
        raise InputError(
            f"`weights` must be {entry.name}:PATH, a `{_SUFFIX}` file or a folder of those of {entry.title} "
            f"({entry.place}). Received: weights={weights!r}{_say_why(text, path)}."
        )
    files = sorted(file for file in path.iterdir() if file.suffix == _SUFFIX and file.is_file())
    words = [word.lower() for word in entry.files[backbone]]
    found = [file for file in files if any(word in file.name.lower() for word in words)]
    if len(found) != 1:
        named = listed(file.name for file in found or files) or f"no `{_SUFFIX}` file"
        wanted = " or ".join(entry.files[backbone])
        raise InputError(
            f"`weights` must be a folder with one `{_SUFFIX}` file whose name holds {wanted}, or that file. "
            f"Received: weights={weights!r} with {named}."
        )
    return found[0]


def _say_why(text, path) -> str:
    if not text:
        return " without a path"
    return ", a file of another format" if path.exists() else ", which does not exist"
