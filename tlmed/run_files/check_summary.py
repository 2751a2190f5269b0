"""The check of a run's images in one sentence, for all that shows or compares the run's scores."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tlmed.findings import ERROR, SHORTCUT, WARNING
from tlmed.run_files.json_files import CHECK_JSON
from tlmed.run_files.kept_findings import KeptFindings, read_kept
from tlmed.run_files.merged_findings import merge
from tlmed.rundir import RunDir
from tlmed.words import count, join_names


@dataclass(frozen=True)
class CheckSummary:
    """How much the check of a run's images found, and how many of its test images that concerns.

    Attributes:
        errors: How many findings are errors, by kind; of a cross-validation, in any fold.
        warnings: The same of warnings.
        tested: How many test images there are; of a cross-validation, in all folds together.
        repeated: How many of them repeat an image of train or val, to the byte, to the pixel, or as a near-copy.
        of: The splits where these images are, in their order.
        left_out: How many of these are left out of the scores without known images.
        folds: How many folds were checked; 0 for a run of one network.
    """

    errors: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    tested: int = 0
    repeated: int = 0
    of: tuple[str, ...] = ()
    left_out: int = 0
    folds: int = 0


def read_summary(run: RunDir) -> CheckSummary | None:
    """Return what the check of a run's images found; None if no check was kept, as in runs of older versions.

    Args:
        run: A run of one network, or a cross-validation.

    Raises:
        InputError: If a file cannot be read.
    """
    if not (folds := run.folds):
        return summarise(read_kept(run))
    return summarise_folds({fold.path.name: kept for fold in folds if (kept := read_kept(fold))})


def summarise(kept: KeptFindings | None) -> CheckSummary | None:
    """Return how much was found in the images of a run of one network; None if no check was kept."""
    if kept is None:
        return None
    repeated = kept.repeated
    of = {split for splits in repeated.values() for split in splits}
    return CheckSummary(
        kept.count(ERROR),
        kept.count(WARNING),
        kept.tested,
        len(repeated),
        tuple(sorted(of)),  # "train" stands before "val"
        len(kept.known & repeated.keys()),
    )


def summarise_folds(folds: Mapping[str, KeptFindings]) -> CheckSummary | None:
    """Return how much was found in all folds of a cross-validation together, each finding once; None without a check.

    Args:
        folds: What each fold's check found, by the fold's name.
    """
    if not folds:
        return None
    merged, single = merge(folds), [summarise(kept) for kept in folds.values()]
    return CheckSummary(
        Counter(one.kind for one in merged if one.level == ERROR),
        Counter(one.kind for one in merged if one.level == WARNING),
        sum(one.tested for one in single),
        sum(one.repeated for one in single),
        tuple(sorted({split for one in single for split in one.of})),
        sum(one.left_out for one in single),
        len(folds),
    )


def say_amounts(errors: Mapping[str, int], warnings: Mapping[str, int]) -> str:
    """Return how many errors and warnings there are, of which kinds; "" if there are none.

    >>> say_amounts({"near-copy": 1}, {"near-copy": 3, "shortcut": 2})
    '1 error (near-copy 1) and 5 warnings (near-copy 3, shortcut 2)'
    """
    said = [
        f"{count(sum(kinds.values()), word)} ({', '.join(f'{kind} {amount:,}' for kind, amount in kinds.items())})"
        for word, kinds in (("error", errors), ("warning", warnings))
        if kinds
    ]
    return join_names(said) if said else ""


def say_repeated(found: CheckSummary | None) -> str:
    """Return how many test images repeat an image of train or val; "" if none does, or no check was kept.

    >>> say_repeated(CheckSummary({"near-copy": 1}, {}, 50, 1, ("val",)))
    '1 of 50 test images repeats an image of val'
    """
    if found is None or not found.repeated:
        return ""
    repeat = "repeats" if found.repeated == 1 else "repeat"
    own = " of their fold" if found.folds else ""
    return (
        f"{found.repeated:,} of {count(found.tested, 'test image')} {repeat} an image of {' or '.join(found.of)}{own}"
    )


def say_errors(found: CheckSummary | None, see: str = "") -> list[str]:
    """Return in one line which errors the check found, and what they mean for scores; nothing if there are none.

    Args:
        found: What the check found; None where no check was kept.
        see: A sentence that says where they are listed; "" for the files of the run.

    >>> print(*say_errors(CheckSummary({"near-copy": 19}, {}, 50, 20, ("train",))))
    The check of the data found 19 errors (near-copy 19): 20 of 50 test images repeat an image of \
train. Scores without them were not computed. See report.html and check.json of the run.
    """
    if found is None or not found.errors:
        return []
    said = f"The check of the data found {say_amounts(found.errors, {})}"
    see = see or _name_files(found)
    repeated = say_repeated(found)
    return [f"{said}: {repeated}. {_say_left_out(found)} {see}" if repeated else f"{said}. {see}"]


def say_warnings(found: CheckSummary | None) -> list[str]:
    """Return in one line of what the check warned, and what a shortcut means; nothing if there are no warnings.

    Args:
        found: What the check found; None where no check was kept.

    >>> print(*say_warnings(CheckSummary(warnings={"near-copy": 9, "shortcut": 2})))
    The check of the data has 11 warnings (near-copy 9, shortcut 2). A shortcut tells the class by something other \
than the finding, and a network can answer by it. See report.html and check.json of the run.
    """
    if found is None or not found.warnings:
        return []
    said = f"The check of the data has {say_amounts({}, found.warnings)}. "
    if SHORTCUT in found.warnings:
        said += "A shortcut tells the class by something other than the finding, and a network can answer by it. "
    return [said + _name_files(found)]


def say_members(
    names: Sequence[str],
    checks: Sequence[CheckSummary | None],
    say: Callable[[CheckSummary | None], list[str]] = say_errors,
) -> list[str]:
    """Return what the checks of runs found that answer together, equal ones once; nothing if they found nothing.

    Args:
        names: What each member is called.
        checks: What the check of each found, from `read_summary`.
        say: `say_errors` or `say_warnings`.
    """
    alike = {}
    for name, check in zip(names, checks, strict=True):
        for said in say(check):
            alike.setdefault(said, []).append(name)
    return [f"Of {join_names(called)}: {said}" for said, called in alike.items()]


def _name_files(found) -> str:
    if found.folds:
        return f"See report.html of the cross-validation and {CHECK_JSON.name} of each fold."
    return f"See report.html and {CHECK_JSON.name} of the run."


def _say_left_out(found) -> str:
    if not found.left_out:
        return f"Scores without {'it' if found.repeated == 1 else 'them'} were not computed."
    if found.left_out == found.repeated:
        return f"Scores without known images leave {'it' if found.repeated == 1 else 'them'} out."
    return f"Scores without known images leave out only {found.left_out:,} of them; none leave out all."
