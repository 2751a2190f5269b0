"""The runs whose networks answer together: the folds of a cross-validation, or the members of an ensemble."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlmed.errors import InputError
from tlmed.intact import checksum
from tlmed.regular_files import sha256
from tlmed.run_files import ENSEMBLE_JSON
from tlmed.rundir import ENSEMBLE, FOLDS, NOVELTY, RunDir, find_run
from tlmed.words import join_names, listed

CHECKSUM = "sha256"
# What decides how a member answers, what it has seen, and what its scores were.
DECIDING = (
    *("recipe.json", "plan.json", "splits.csv", "metrics.json"),
    *("model.keras", "classifier.skops", NOVELTY, "predictions.csv"),
)
_NAMED = 3  # members that an error names; it counts the others


@dataclass(frozen=True)
class Member:
    """A run that answers alone or with others.

    Attributes:
        run: Its directory.
        weight: Its share of the answer, 0..1; the shares of all members sum to 1.
    """

    run: RunDir
    weight: float = 1.0


def list_members(run: RunDir, names: Collection[str] = DECIDING) -> tuple[Member, ...]:
    """Return the runs that answer for a run: itself, its folds in equal shares, or the members of an ensemble.

    Args:
        run: A complete run, cross-validation or ensemble.
        names: The files of an ensemble's members that the caller will rely on, of `DECIDING`.

    Raises:
        InputError: If a member is gone or unfinished, or one of those files, or a file of the ensemble, was changed
            since `tlmed ensemble` wrote it down.
    """
    if folds := run.folds:
        return tuple(Member(find_run(fold.path), 1 / len(folds)) for fold in folds)
    if not run.is_ensemble:
        return (Member(run),)
    content = _read_verified(run)
    members = tuple(
        Member(RunDir((run.path / entry["path"]).resolve()), float(entry["weight"])) for entry in content["members"]
    )
    if gone := [str(member.run.path) for member in members if not member.run.complete]:
        raise InputError(
            "The members of an ensemble must be where they were, and complete: put them back, or make the ensemble "
            f"again. Received: {str(run.path)!r} without {listed(gone, _NAMED)}."
        )
    known = [entry["files"] for entry in content["members"]]
    changed = [
        f"{member.run.path} ({join_names(found)})"
        for member, files in zip(members, known, strict=True)
        if (found := find_changed(member.run, {name: files[name] for name in names if name in files}))
    ]
    if changed:
        raise InputError(
            "The members of an ensemble must be as they were when it was made: put their files back, or make the "
            f"ensemble again. Received: {str(run.path)!r} with other files in {listed(changed, _NAMED)}."
        )
    return members


def _read_verified(run) -> dict:
    """Return the content of `ensemble.json`, if it and the other files of the ensemble are as they were written."""
    content = dict(ENSEMBLE_JSON.read(run))
    said = content.pop(CHECKSUM, None)
    changed = [ENSEMBLE] if said != checksum(content) else find_changed(run, content["files"])
    if changed:
        raise InputError(
            "An ensemble must have its files as `tlmed ensemble` wrote them; make it again. "
            f"Received: {str(run.path)!r}, where {join_names(changed)} {'is' if len(changed) == 1 else 'are'} not."
        )
    return content


def find_changed(run: RunDir, files: dict[str, str]) -> list[str]:
    """Return which files are not as their SHA-256 says, or gone."""
    return [name for name, said in files.items() if not (run / name).is_file() or sha256(run / name) != said]


def write_members(folder: RunDir, members: Sequence[Member], weights: str, files: Collection[str]) -> None:
    """Write `ensemble.json`: the members, their shares, and the SHA-256 of all files that decide the answer.

    Args:
        folder: The directory of the ensemble.
        members: Its members.
        weights: How the shares were found, "mean" or "fitted".
        files: The other files of the ensemble, which must be there.
    """
    start = folder.path.resolve()
    content = {
        "weights": weights,
        "members": [
            {
                "path": os.path.relpath(member.run.path.resolve(), start),
                "weight": member.weight,
                "files": {name: sha256(member.run / name) for name in DECIDING if (member.run / name).exists()},
            }
            for member in members
        ],
        "files": {name: sha256(folder / name) for name in files},
    }
    ENSEMBLE_JSON.write(folder, {**content, CHECKSUM: checksum(content)})


def name_members(members: Sequence[Member]) -> list[str]:
    """Return what each member is called: as much of its path as tells it from the others."""
    return shorten([member.run.path.resolve() for member in members])


def shorten(paths: Sequence[Path]) -> list[str]:
    """Return the shortest end of each path that differs from all others; for a fold with its run.

    >>> shorten([Path("/a/one/run"), Path("/a/two/run"), Path("/a/other"), Path("/a/cv/folds/01")])
    ['one/run', 'two/run', 'other', 'cv/folds/01']
    """
    return [_shorten_one(path, [other for other in paths if other != path]) for path in paths]


def _shorten_one(path, others) -> str:
    # The end of a fold's path is RUN/folds/01: the number alone does not tell of which run.
    for count in range(3 if path.parent.name == FOLDS else 1, len(path.parts) + 1):
        ending = path.parts[-count:]
        if all(other.parts[-count:] != ending for other in others):
            return "/".join(ending)
    return str(path)
