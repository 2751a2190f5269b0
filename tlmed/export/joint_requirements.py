"""The packages of a run, or of several runs that answer together, which must have the same."""

from tlmed.errors import InputError
from tlmed.export.requirements import write_run_requirements
from tlmed.members import list_members
from tlmed.run_files import ENVIRONMENT_JSON
from tlmed.rundir import RunDir
from tlmed.words import count, listed

_NAMED = 5  # packages that an error names; it counts the others


def write_requirements(run: RunDir, hashes: bool = False) -> str:
    """Return a requirements file with the packages of a run, a cross-validation or an ensemble.

    Args:
        run: A finished one.
        hashes: As for `write_run_requirements`.

    Raises:
        InputError: As `write_run_requirements`, or if members were made with other packages than the first.
    """
    first, *others = list_members(run, ("recipe.json", "metrics.json"))
    known = ENVIRONMENT_JSON.read(first.run).get("packages", {})
    faults = []
    for member in others:
        found = ENVIRONMENT_JSON.read(member.run).get("packages", {})
        if differ := sorted(name for name in {**known, **found} if known.get(name) != found.get(name)):
            faults.append(
                "Members must be made with the same packages for one file; export each by itself. Received: "
                f"{member.run.path} with others than {first.run.path}: {listed(differ, _NAMED)}."
            )
    if faults:
        raise InputError(faults)
    whose = f"# {run.path.resolve().name}: all of its {count(len(others) + 1, 'member')} have these\n" if others else ""
    return whose + write_run_requirements(first.run, hashes)
