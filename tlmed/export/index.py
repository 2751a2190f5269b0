"""Ask pip's index for the hashes of packages."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from packaging.utils import canonicalize_name

from tlmed.errors import CheckFailed, InputError, RunFailed

# -P keeps a `pip.py` in the working directory from being run instead of pip.
PIP = (sys.executable, "-P", "-m", "pip")
# --ignore-installed, because pip otherwise reports only what is not installed yet.
_QUERY = ("install", "--dry-run", "--ignore-installed", "--no-deps", "--no-input", "--quiet", "--report", "-")


def ask_index(pins: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Return the SHA-256 of the file that pip would install for each package; nothing is installed.

    pip is used as it is configured: its index, its cache, its certificates. For a package without a wheel it runs the
    build script to learn name and version.

    Args:
        pins: The canonical name of each package to its requirement, `name==version`.
        known: The hashes of files that were installed, as "sha256:...".

    Returns:
        Canonical name to "sha256:...".

    Raises:
        InputError: The index lacks a version.
        CheckFailed: The index has another file than the known one.
        RunFailed: There is no pip, or it cannot reach its index.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins.values()))
        file.flush()
        done = subprocess.run([*PIP, *_QUERY, "--requirement", file.name], capture_output=True, text=True)
    if done.returncode:
        raise _explain(done.stderr)
    found = dict(map(_read_entry, json.loads(done.stdout)["install"]))
    moved = [name for name in pins if name in known and found[name] != known[name]]
    if moved:
        rule = "The index must have the same file as the run, for every package."
        raise CheckFailed([f"{rule} Received: {pins[name]} with {found[name]}, not {known[name]}." for name in moved])
    return found


def _read_entry(entry) -> tuple[str, str]:
    hashes = entry["download_info"]["archive_info"]["hashes"]
    return canonicalize_name(entry["metadata"]["name"]), f"sha256:{hashes['sha256']}"


def _explain(stderr: str) -> InputError | RunFailed:
    """Return the error that stands for what pip said."""
    errors = re.findall(r"^ERROR: (.*)$", stderr, re.MULTILINE) or stderr.strip().splitlines()[-1:] or ["nothing"]
    if "No module named pip" in stderr:
        return RunFailed(
            f"`--hashes` needs pip in tlmed's environment: `python -m ensurepip` installs it. Received: {errors[-1]}."
        )
    # pip says "none" when it found no file at all: then the index may be out of reach.
    if missing := re.search(r"requirement (\S+) \(from versions: (?!none\))", errors[0]):
        return InputError(
            f"`--hashes` needs an index that has every version of the run. Received: {missing[1]}, which the index "
            "does not have."
        )
    return RunFailed(
        f"`--hashes` needs an index that pip can reach and that has every package of the run. pip says: {errors[0]}"
    )
