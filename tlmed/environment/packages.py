"""The installed packages that tlmed needs, directly or through others; an exact copy of an environment pins them."""

import functools
import importlib.metadata
import json
import re
from dataclasses import dataclass
from email.parser import HeaderParser

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tlmed.errors import InputError

ROOT = "tlmed"
# Extras for developing tlmed, which are no part of a run.
DEVELOPMENT = ("docs", "test")
# A requirement of one extra and of nothing else, as most are.
_OF_AN_EXTRA = re.compile(r""";\s*extra\s*==\s*["']([^"']+)["']\s*$""")


def describe_packages() -> dict[str, dict[str, str]]:
    """Return what tlmed needs and is installed: its requirements, theirs and so on, those of its extras included.

    Returns:
        `packages`, from name to version, tlmed among them; and `hashes`, from name to "sha256:...", of those that were
        installed from one file (PEP 610). For a package from an index, nothing on the disk says which file it was.

    >>> packages = describe_packages()["packages"]
    >>> "keras" in packages, "pytest" in packages
    (True, False)
    """
    found = dict(sorted(_find_all().items()))
    hashes = {name: package.hash for name, package in found.items() if package.hash}
    return {"packages": {name: package.version for name, package in found.items()}, "hashes": hashes}


def check_installed() -> None:
    """Check that a run can record its packages, which are those that the installed tlmed requires.

    Raises:
        InputError: tlmed runs from the folder of its source without being installed.
    """
    try:
        importlib.metadata.distribution(ROOT)
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(
            "tlmed must be installed to train, so that a run can record its packages: `pip install -e .` in the folder "
            "of its source. Received: a tlmed without an installation."
        ) from error


@dataclass(frozen=True)
class _Package:
    """What is read of an installed package, once: each look at a distribution's metadata parses its file anew.

    Requirements are lines, because most of them are of extras that nobody asks for, and parsing them takes longest.
    """

    version: str
    requirements: tuple[str, ...]
    extras: tuple[str, ...]
    hash: str | None


def _find_all() -> dict[str, _Package]:
    """Follow the requirements from tlmed on; an extra of a package is followed where a requirement asks for it."""
    found, followed, waiting = {}, set(), [(ROOT, "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in followed:
            continue
        followed.add((name, extra))
        if name not in found:
            try:
                found[name] = _read_package(name)
            except importlib.metadata.PackageNotFoundError:  # of an extra that is not installed
                continue
            own = found[name].extras if name == ROOT else ()
            waiting += [(name, other) for other in own if other not in DEVELOPMENT]
        for line in found[name].requirements:
            if _is_of_another(line, extra) or (requirement := _parse(line)) is None:
                continue
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                required = canonicalize_name(requirement.name)
                waiting += [(required, asked) for asked in ("", *requirement.extras)]
    return found


def _read_package(name) -> _Package:
    distribution = importlib.metadata.distribution(name)
    text = distribution.read_text("METADATA")
    # Without the description after the first empty line, which is many times as long.
    metadata = distribution.metadata if text is None else HeaderParser().parsestr(text.partition("\n\n")[0])
    return _Package(
        metadata["Version"],
        # `requires` parses the file again; only an old package keeps its requirements elsewhere.
        tuple(metadata.get_all("Requires-Dist") or distribution.requires or ()),
        tuple(metadata.get_all("Provides-Extra", [])),
        _hash_of(distribution),
    )


def _is_of_another(line, extra) -> bool:
    """Tell whether a requirement is of another extra than the one that is asked for, and of nothing else."""
    found = _OF_AN_EXTRA.search(line)
    return found is not None and canonicalize_name(found[1]) != canonicalize_name(extra)


@functools.cache
def _parse(line) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:  # in an old package; pip installed it anyway, and a run must not fail because of it
        return None


def _hash_of(distribution) -> str | None:
    """Return the SHA-256 of the file that a distribution was installed from; None if it is not known."""
    text = distribution.read_text("direct_url.json")
    archive = json.loads(text).get("archive_info", {}) if text else {}
    digest = archive.get("hashes", {}).get("sha256")
    return f"sha256:{digest}" if digest else None
