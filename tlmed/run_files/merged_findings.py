"""The findings of all folds of a cross-validation, each once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlmed.findings import ERROR, GROUP, WARNING
from tlmed.run_files.kept_findings import COPIES, KeptFindings
from tlmed.words import join_names


@dataclass(frozen=True)
class MergedFinding:
    """One finding in the folds of a cross-validation: copies may cross splits in one fold and not in another.

    Attributes:
        kind: Of the finding.
        text: As the first fold says it in which it weighs most; of near-copies without their splits where `places`
            gives these.
        cure: What to do.
        levels: `ERROR` or `WARNING` in each fold that has it, by the fold's name.
        places: The splits of copies in each of these folds; empty of other kinds, where all folds agree, and where no
            fold has them in several.
    """

    kind: str
    text: str
    cure: str
    levels: Mapping[str, str]
    places: Mapping[str, tuple[str, ...]]

    @property
    def level(self) -> str:
        """The level in the folds where it weighs most."""
        return ERROR if ERROR in self.levels.values() else WARNING


def merge(folds: Mapping[str, KeptFindings]) -> tuple[MergedFinding, ...]:
    """Return the findings of all folds, each once; errors of any fold first.

    Findings on copies and patients are the same if they name the same images: their words differ from fold to fold with
    the splits. Others are the same if their words are.

    Args:
        folds: What each fold's check found, by the fold's name.
    """
    same: dict[tuple, dict[str, Mapping]] = {}
    for name, kept in folds.items():
        for found in kept.content["findings"]:
            same.setdefault(_identify(found), {})[name] = found
    merged = [_merge_one(found, folds) for found in same.values()]
    return tuple(sorted(merged, key=lambda one: one.level != ERROR))


def _identify(found) -> tuple:
    files: Sequence[str] = found.get("files", [])
    by_files = found["kind"] in (*COPIES, GROUP) and files
    return found["kind"], tuple(sorted(files)) if by_files else found["text"]


def _merge_one(found: Mapping[str, Mapping], folds) -> MergedFinding:
    first = next((name for name, one in found.items() if one["level"] == ERROR), next(iter(found)))
    told, places = found[first], {}
    if told["kind"] in COPIES:
        places = {name: folds[name].place(one.get("files", [])) for name, one in found.items()}
    text = told["text"]
    if len(set(places.values())) > 1 and any(len(splits) > 1 for splits in places.values()):
        text = text.replace(f" They are in {join_names(places[first])}.", "")
    else:
        places = {}
    levels = {name: one["level"] for name, one in found.items()}
    return MergedFinding(told["kind"], text, told.get("cure", ""), levels, places)
