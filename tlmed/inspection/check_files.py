"""The files of an inspection: `check.json` and `check.html`, and where they may be written."""

from dataclasses import dataclass
from pathlib import Path

from tlmed import targets, whole_files
from tlmed.data.table_rows import WHY
from tlmed.errors import InputError
from tlmed.gate import Findings
from tlmed.gate.corrected_table import name_left_out
from tlmed.inspection.check_page import make_check_page
from tlmed.inspection.subjects import Subject

CHECK_JSON, CHECK_PAGE = "check.json", "check.html"
_COMMAND = "data check"


@dataclass(frozen=True)
class Targets:
    """Where an inspection writes.

    Attributes:
        out: The folder of `check.json` and `check.html`; None: they are not written.
        write: The corrected table; None: it is not written.
        force: Write over what the same command made earlier.
    """

    out: Path | None = None
    write: Path | None = None
    force: bool = False


def check_targets(asked: Targets, source: str) -> None:
    """Refuse places where files cannot be written, or hold files of these names; see `targets.check_targets`.

    Args:
        asked: The places.
        source: What is read, which is never written over.

    Raises:
        InputError: What is to be done.
    """
    if asked.out is not None:
        targets.check_folder(asked.out, [CHECK_JSON, CHECK_PAGE])
        own = {asked.out / name: lambda file: targets.is_marked(file, _COMMAND) for name in (CHECK_JSON, CHECK_PAGE)}
        targets.check_targets("--out", own, asked.force, [source])
    if asked.write is not None:
        _check_table(asked.write, asked.force, source)


def _check_table(file: Path, force: bool, source: str) -> None:
    if file.suffix.lower() != ".csv":
        raise InputError(f"`--write` must be a file that ends in .csv. Received: {file}.")
    if not file.parent.is_dir():
        raise InputError(f"`--write` must lie in a folder that exists. Received: {file}.")
    own = {place: lambda table: WHY in targets.read_header(table) for place in (file, name_left_out(file))}
    targets.check_targets("--write", own, force, [source])


def write_check(folder: Path, subject: Subject, found: Findings) -> Path:
    """Write what was found into a folder, which is made if it is missing.

    Args:
        folder: Where to; `check_targets` allowed it.
        subject: The images, of which the page shows pictures.
        found: What was found.

    Returns:
        The path of the page.

    Raises:
        InputError: If they cannot be written there.
        RunFailed: If an image changed while it was read.
    """
    with targets.writing_out(folder):
        folder.mkdir(parents=True, exist_ok=True)
        content = {"made": targets.make_mark(_COMMAND), **found.to_json(), "notes": list(subject.notes)}
        whole_files.write_json(folder / CHECK_JSON, content)
        page = f"{make_check_page(subject, found)}<!-- {targets.make_mark(_COMMAND)} -->\n"
        whole_files.write_text(folder / CHECK_PAGE, page)
    return folder / CHECK_PAGE
