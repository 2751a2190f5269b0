"""A run's packages as a requirements file of pip: exact versions, and the hashes of the files that are known."""

import platform
import re
from collections.abc import Mapping

from packaging.version import InvalidVersion, Version

from tlmed.environment_changes import find_software
from tlmed.errors import InputError
from tlmed.export.index import ask_index
from tlmed.intact import check_intact
from tlmed.run_files import ENVIRONMENT_JSON
from tlmed.rundir import RunDir
from tlmed.words import listed

OWN = "tlmed"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # canonical, as PEP 503 defines it
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


def write_run_requirements(run: RunDir, hashes: bool = False) -> str:
    """Return a requirements file with the packages of the run of one network.

    pip checks the hashes of all lines or of none. So they are options of the lines where all are known, and comments
    after them otherwise. tlmed itself is on no index, so its line is a comment.

    Args:
        run: A finished run.
        hashes: Ask pip's index for the hash of every file.

    Returns:
        The file's content.

    Raises:
        InputError: The run did not record its packages, or not in this form; with `hashes`, it was made by another
            Python or on another system, or the index lacks a version.
        CheckFailed: The index has another file than the one that was installed.
        RunFailed: pip or its index cannot be reached.
    """
    environment = ENVIRONMENT_JSON.read(run)
    unchecked = check_intact(run, ("environment.json",))
    versions, known = _read_packages(run, environment)
    pins = {name: f"{name}=={version}" for name, version in versions.items() if name != OWN}
    if hashes:
        _check_same_python(environment)
        known = ask_index(pins, known)
    known = {name: known[name] for name in pins if name in known}
    head = [*_head(run, environment, versions.get(OWN)), _say_hashes(known, pins, hashes)]
    head += [f"# {' '.join(said.split())}" for said in unchecked]
    complete = known.keys() == pins.keys()
    lines = [_write_pin(pin, known.get(name), complete) for name, pin in pins.items()]
    return "".join(f"{line}\n" for line in [*head, "", *lines])


def _write_pin(pin: str, digest: str | None, complete: bool) -> str:
    """Return the line of one package; pip can check its hash where the file is complete: where every line has one."""
    if digest is None:
        return pin
    return f"{pin} --hash={digest}" if complete else f"{pin}  # {digest}"


def _read_packages(run, environment) -> tuple[dict[str, str], dict[str, str]]:
    """Return versions and hashes; other text is refused, because pip would take it for an option."""
    if "packages" not in environment:
        raise InputError(
            "RUN must say which packages it was made with; train it again with this tlmed, which records them. "
            f"Received: {run / 'environment.json'} without `packages`."
        )
    versions, known = dict(sorted(environment["packages"].items())), environment.get("package_hashes", {})
    faults = [f"{name}=={version}" for name, version in versions.items() if not _is_pin(name, version)]
    faults += [f"{name}: {digest}" for name, digest in known.items() if not _HASH.fullmatch(str(digest))]
    if faults:
        raise InputError(
            "`environment.json` must hold names, versions and SHA-256 of packages. "
            f"Received: {run.path}: {', '.join(map(repr, faults))}."
        )
    return versions, known


def _is_pin(name: str, version: object) -> bool:
    try:
        Version(str(version))
    except InvalidVersion:
        return False
    return _NAME.fullmatch(name) is not None


def _head(run, environment, own) -> list[str]:
    sentences = [
        f"The packages of the run {run.path.resolve().name}, all of them: pip install --no-deps -r THIS_FILE",
        f"Python {environment.get('python')} on {environment.get('platform')}",
        f"tlmed is on no index: pip install --no-deps PATH, where PATH is a checkout of it{_say_commit(environment)}",
        f"{OWN}=={own}",
    ]
    if changed := find_software(environment.get("changed", [])):
        sentences.append(
            f"The run was stopped and went on with these packages; it began with others: {listed(changed)}"
        )
    return [f"# {' '.join(sentence.split())}" for sentence in sentences]  # one line each, whatever the run says


def _say_commit(environment) -> str:
    commit, _, changes = (environment.get("git_commit") or "").partition("+")
    if not commit:
        return "; the commit is not known"
    return f" at commit {commit}" + ("; files were changed since that commit" if changes else "")


def _say_hashes(known: Mapping, pins: Mapping, asked: bool) -> str:
    if not known:
        return "# No SHA-256 of a file is known; `tlmed export --hashes` asks the index for them."
    if known.keys() == pins.keys():
        where = f" The files are those for Python {_minor()} on {_system()}." if asked else ""
        return f"# pip checks the SHA-256 of every file.{where}"
    return (
        f"# The SHA-256 of {len(known)} of {len(pins)} files is known: each is a comment, because pip checks "
        "the hashes of all lines or of none."
    )


def _check_same_python(environment) -> None:
    """Refuse to ask for hashes on another Python or system, because an index has other files for those."""
    made = ".".join(str(environment.get("python")).split(".")[:2]), environment.get("system", _system())
    here = _minor(), _system()
    if made != here:
        raise InputError(
            f"`--hashes` must be used with the Python and on the system of the run, {made[0]} on {made[1]}, because an "
            f"index has other files for others. Received: {here[0]} on {here[1]}."
        )


def _minor() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _system() -> str:
    return f"{platform.system()} {platform.machine()}"
