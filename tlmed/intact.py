"""Check whether the files of a finished run are still those that it wrote, by the digests in its lock."""

import contextlib
import csv
import functools
import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from tlmed.digests import (
    BESIDE,
    digest_beside,
    digest_classifier,
    digest_layers,
    digest_metrics,
    digest_model,
    digest_pictures,
    list_history,
)
from tlmed.errors import InputError
from tlmed.novelty.novelty_file import digest_novelty
from tlmed.regular_files import read_regular, sha256
from tlmed.run_files import ENVIRONMENT_JSON, METRICS_JSON, PLAN_JSON, RECIPE_JSON
from tlmed.rundir import NOVELTY, RunDir
from tlmed.words import join_names

LOCK = "lock.json"
CHECKSUM = "sha256"
FORMAT = 2  # 1 held copies of `predictions.csv` and `metrics.json`: 100 MB for 1,000 classes
# Raised for JSON of another shape, a short table, a damaged archive and damaged HDF5.
_READ_ERRORS = (
    *(OSError, KeyError, IndexError, ValueError, TypeError, AttributeError, EOFError, RecursionError),
    *(RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error, csv.Error),
)


@contextlib.contextmanager
def reading(run: RunDir, name: str | None = None) -> Iterator[None]:
    """Turn any error in reading the files of a run, or one named file, into one clear error."""
    try:
        yield
    except InputError:
        raise
    except _READ_ERRORS as error:
        what = f"{f'{name}: ' if name else ''}{type(error).__name__}: {error}"
        raise InputError(f"RUN must have all its files, readable. Received: {str(run.path)!r}: {what}.") from error


def checksum(content: Mapping) -> str:
    """Return the SHA-256 of what a lock holds, which it carries itself."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_verified(path: Path) -> dict:
    """Return the content of a lock of this format without its checksum; the content is not checked further.

    Raises:
        InputError: If there is no such file, it has a newer or an older format, was edited, or is no lock at all.
    """
    return _verify(path, _read_table(path))


def _verify(path, content) -> dict:
    """Return what a lock that was read holds, without its checksum, if it is of this format and as it was written."""
    found = content.get("format")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise refuse_lock(path, f"without a format: {found!r}")
    if found > FORMAT:
        raise InputError(
            f"A lock must have format {FORMAT}, the newest that this tlmed knows; update tlmed to read it. "
            f"Received: {path} with format {found}{_say_version(content)}."
        )
    if found < FORMAT:
        raise InputError(
            f"A lock must have format {FORMAT}; `tlmed train` writes one anew. "
            f"Received: {path} with the older format {found}{_say_version(content)}."
        )
    if (said := content.pop(CHECKSUM, None)) is None:
        raise refuse_lock(path, f"without its {CHECKSUM}")
    if said != checksum(content):
        raise InputError(
            "A lock must be as it was written: do not edit it, `tlmed train` makes a new one. "
            f"Received: {path}, which was changed or cut short."
        )
    return content


def _read_table(path) -> dict:
    try:
        content = json.loads(read_regular(path))
    except FileNotFoundError as error:
        raise InputError(f"A lock must be a file that exists, or the directory of a run. Received: {path}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise refuse_lock(path, f"which is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise refuse_lock(path, "which is not a table of fields")
    return content


def refuse_lock(path: Path, why: str) -> InputError:
    """Return the error for a file that is no lock."""
    return InputError(f"A lock must be a file that `tlmed train` wrote. Received: {path}, {why}.")


def _say_version(content) -> str:
    code = content.get("code")
    return f", written by tlmed {code['version']}" if isinstance(code, dict) and "version" in code else ""


def divide_environment(environment: Mapping) -> dict:
    """Return what a lock says of `environment.json`, by the lock's parts; what decides no result is left out.

    Raises:
        KeyError, TypeError: If something is missing, or of another kind.
    """
    left = {name: value for name, value in environment.items() if name not in ("warnings", "leaks", "seed")}
    left["versions"] = dict(left["versions"])
    weights = left.pop("weights")
    return {
        "recipe": left.pop("recipe"),
        "code": {
            "version": left["versions"].pop("tlmed"),
            "git_commit": left.pop("git_commit"),
            "sha256": left.pop("code_sha256"),
        },
        "data": left.pop("data"),
        "weights": [_strip_path(source) for source in (weights if isinstance(weights, list) else [weights])],
        "environment": left,
    }


def _strip_path(source) -> dict:
    """Return the record of weights without the path, which differs from machine to machine."""
    return _leave_out(source, "path")


def list_choices(plan: Mapping) -> dict[str, dict]:
    """Return by phase whether it keeps the features of its frozen blocks, as `plan.json` records it."""
    return {phase["name"]: phase["cache"] for phase in plan["phases"]}


# For each file: what it holds now, and what the lock says it held; they are equal if nobody changed the file.


def _compare_recipe(run, lock) -> tuple[object, object]:
    return RECIPE_JSON.read(run), lock["recipe"]["resolved"]


def _compare_environment(run, lock) -> tuple[object, object]:
    parts = divide_environment(ENVIRONMENT_JSON.read(run))
    if "changed" not in lock["environment"]:
        parts["environment"].pop("changed", None)  # older versions did not lock it
    return parts, {
        **{name: lock[name] for name in parts},
        "recipe": _leave_out(lock["recipe"], "sha256", "resolved"),  # digests of other files
        "data": _leave_out(lock["data"], "sha256", "rows", "window"),
    }


def _leave_out(part, *names) -> dict:
    return {name: value for name, value in part.items() if name not in names}


def _compare_splits(run, lock) -> tuple[object, object]:
    return sha256(run / "splits.csv"), lock["data"]["sha256"]


def _compare_plan(run, lock) -> tuple[object, object]:
    plan = PLAN_JSON.read(run)
    said = lock.get("files", {}).get("plan.json")  # missing in early locks
    return (list_choices(plan), said and checksum(plan)), (lock["plan"], said)


def _compare_history(run, lock) -> tuple[object, object]:
    return list_history(run), lock["results"]["history"]


def _compare_model(run, lock) -> tuple[object, object]:
    layers = lock["results"].get("layers")  # missing in early locks
    found = digest_model(run / "model.keras"), layers and digest_layers(run / "model.keras")
    return found, (lock["results"]["weights"], layers)


def _compare_classifier(run, lock) -> tuple[object, object]:
    path = run / "classifier.skops"
    return digest_classifier(path) if path.exists() else None, lock["results"]["classifier"]


def _compare_predictions(run, lock) -> tuple[object, object]:
    return sha256(run / "predictions.csv"), lock["results"]["predictions"]["sha256"]


def _compare_pooled(run, lock) -> tuple[object, object]:
    path, said = run / "pooled.csv", lock["results"].get("pooled")  # only where scores are pooled
    return sha256(path) if path.exists() else None, said and said["sha256"]


def _compare_metrics(run, lock) -> tuple[object, object]:
    found, said = METRICS_JSON.read(run), lock["results"]["metrics"]
    if "whole" not in said:  # as in locks of older versions
        return digest_metrics(found, whole=False), said["sha256"]
    return digest_metrics(found), said["whole"]


def _compare_beside(name, run, lock) -> tuple[object, object]:
    files = lock.get("files", {})
    if name not in files:  # as in early locks
        return None, None
    pictures = digest_pictures(run) if name == "examples.json" else {}
    # A picture that was deleted misleads nobody, unlike one that was exchanged.
    return (digest_beside(run, name), pictures), (files[name], {picture: files.get(picture) for picture in pictures})


def _compare_novelty(run, lock) -> tuple[object, object]:
    if not (run / NOVELTY).exists():  # one that was deleted misleads nobody
        return None, None
    return digest_novelty(run / NOVELTY), lock.get("files", {}).get(NOVELTY)


RECORDED: Mapping[str, Callable[[RunDir, Mapping], tuple[object, object]]] = {
    "recipe.json": _compare_recipe,
    "environment.json": _compare_environment,
    "splits.csv": _compare_splits,
    "plan.json": _compare_plan,
    "history.csv": _compare_history,
    "model.keras": _compare_model,
    "classifier.skops": _compare_classifier,
    NOVELTY: _compare_novelty,
    "predictions.csv": _compare_predictions,
    "pooled.csv": _compare_pooled,
    "metrics.json": _compare_metrics,
    **{name: functools.partial(_compare_beside, name) for name in BESIDE},
}


def find_changed(run: RunDir, lock: Mapping, names: Collection[str] = tuple(RECORDED)) -> list[str]:
    """Return which files of a finished run do not hold what its lock says.

    Times, dates and what a machine keeps where do not count.

    Args:
        run: The run.
        lock: What its lock holds.
        names: The files to check, of `RECORDED`.

    Raises:
        InputError: If a file cannot be read, or the lock has another form.
    """
    changed = []
    for name in names:
        with reading(run, name):
            now, then = RECORDED[name](run, lock)
        if now != then:
            changed.append(name)
    return changed


def check_intact(run: RunDir, names: Collection[str], what: str = "RUN") -> list[str]:
    """Refuse a finished run with a file that differs from its lock: a file of another run, or an edited one.

    Args:
        run: The run.
        names: The files that the caller will rely on, of `RECORDED`.
        what: What the run was given as, for the error.

    Returns:
        A sentence if this cannot be checked, because the run has no lock or an older one; otherwise an empty list.

    Raises:
        InputError: With every such file, or if one cannot be read.
    """
    path = run / LOCK
    table = _read_table(path) if path.exists() else None
    if reason := _find_gap(table):
        name, (verb, those) = run.path.resolve().name, ("is", "it") if len(names) == 1 else ("are", "them")
        return [f"Whether {join_names(names)} of {name} {verb} as the run wrote {those} cannot be told: {reason}."]
    if changed := find_changed(run, _verify(path, table), names):
        raise InputError(
            f"{what} must have its files as `tlmed train` wrote them and its {LOCK} records them; put them back, or "
            f"train again. Received: {str(run.path)!r}, where {join_names(changed)} "
            f"{'is' if len(changed) == 1 else 'are'} not as recorded: of another run, or edited."
        )
    return []


def _find_gap(table) -> str:
    """Return why a lock (None if it is missing) does not say what files held; "" if it does."""
    if table is None:
        return f"its {LOCK} is missing"
    found = table.get("format")
    if isinstance(found, int) and not isinstance(found, bool) and 0 < found < FORMAT:
        return f"its {LOCK} has the older format {found}"
    return ""
