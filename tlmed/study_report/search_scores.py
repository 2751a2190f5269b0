"""A search as its files say it: what was tried, and what the winner is worth on test images."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tlmed.contests import SeedMean
from tlmed.errors import InputError
from tlmed.run_files.search_files import CANDIDATE_COLUMNS, read_candidates, read_search_json
from tlmed.study_report.analysis import compare_all
from tlmed.study_report.study_scores import StudyScores, read_one_configuration
from tlmed.study_report.study_sentences import warn

_NAME = "winner of the search"


@dataclass(frozen=True, eq=False)
class SearchRecord:
    """A search as it is now.

    Attributes:
        folder: The directory of its study.
        content: `search.json`.
        rows: `search.csv`.
        scores: Those of the winner on test images, or of the winners of a nested search; None unless all are there.
        mean: Their mean with its interval.
        unseen: Of one search over folds, the mean on the only fold whose test images took no part; else None.
        doubts: What makes the test scores doubtful, such as test images that training or validation knows.
        notes: What could not be said, and what limits what is said.
    """

    folder: Path
    content: Mapping
    rows: list[dict[str, str]]
    scores: StudyScores | None
    mean: SeedMean | None
    unseen: SeedMean | None
    doubts: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def searches(self) -> list[Mapping]:
        """Return the searches: one, or one for each fold."""
        return self.content["searches"]

    @property
    def names(self) -> list[str]:
        """Return the columns of the dimensions: recipe, backbone and the others."""
        others = [name for name in (self.rows[0] if self.rows else ()) if name not in CANDIDATE_COLUMNS]
        return ["recipe", "backbone", *others]


def read_search(folder: Path) -> SearchRecord:
    """Read a search.

    Args:
        folder: The directory of its study.

    Raises:
        InputError: If `search.json` or `search.csv` cannot be read.
    """
    content, rows, notes = read_search_json(folder), read_candidates(folder), []
    cells = [name for search in content["searches"] for name in search["finals"]]
    is_whole = all(search["finals"] for search in content["searches"])
    scores = mean = unseen = None
    try:
        if is_whole and (scores := read_one_configuration(folder, _NAME, cells)) is not None:
            mean = compare_all(scores, notes)[0][0]
            if not content["nested"] and scores.has_folds:
                unseen = compare_all(_take_first_fold(scores), [])[0][0]
    except InputError as error:
        notes.append(f"Intervals of test scores are not shown: {' '.join(error.faults)}")
    notes += [each.note for each in (mean, unseen) if each is not None and each.note]
    doubts = tuple(warn(scores)) if scores is not None else ()
    return SearchRecord(folder, content, rows, scores, mean, unseen, doubts, tuple(dict.fromkeys(notes)))


def _take_first_fold(scores: StudyScores) -> StudyScores:
    """Return the scores of the first fold as those of one split."""
    first = tuple((row[0],) for row in scores.results)
    return dataclasses.replace(scores, folds=(0,), values=scores.values[:, :1], results=first, repeats=1)
