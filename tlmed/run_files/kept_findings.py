"""What the check of a run's images found before training, as the run's `check.json` keeps it."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tlmed.columns import spell
from tlmed.findings import ERROR, IDENTICAL, NEAR_COPY
from tlmed.run_files.csv_files import SPLITS_CSV
from tlmed.run_files.json_files import CHECK_JSON, Check
from tlmed.rundir import RunDir
from tlmed.split_names import LEARNED

COPIES = (IDENTICAL, NEAR_COPY)  # kinds of which a finding is a set of images that show one picture


@dataclass(frozen=True, eq=False)
class KeptFindings:
    """What was found in the images of a run of one network.

    Attributes:
        content: `check.json`.
        places: The split of each image that a finding on copies names, by its path.
        tested: How many test images there are.
        known: The paths of those of them that training or validation has by file or group: scores are also given
            without these.
    """

    content: Check
    places: Mapping[str, str]
    tested: int
    known: frozenset[str]

    def count(self, level: str) -> Counter:
        """Return how many findings of a level there are, by their kind."""
        return Counter(found["kind"] for found in self.content["findings"] if found["level"] == level)

    @property
    def sought_near_copies(self) -> bool:
        """Whether pictures that were saved anew were looked for, too."""
        return "near-copies" in self.content.get("figures", {})

    @cached_property
    def crossing(self) -> Counter:
        """How many sets of copies have images in several splits, by their kind."""
        return Counter(kind for kind, files in self._list_sets() if len(self.place(files)) > 1)

    @cached_property
    def repeated(self) -> dict[str, set[str]]:
        """The test images that repeat an image of train or val, each with the splits where that one is."""
        found: dict[str, set[str]] = {}
        for _, files in self._list_sets():
            others = {*self.place(files)} - {"test"}
            for path in files if others else ():
                if self.places.get(path) == "test":
                    found.setdefault(path, set()).update(others)
        return found

    def limit(self, tested: Collection[str]) -> "KeptFindings":
        """Return what was found, as far as it concerns some of the test images, by their paths."""
        places = {path: split for path, split in self.places.items() if split != "test" or path in tested}
        return replace(self, places=places, tested=len(tested), known=self.known & set(tested))

    def place(self, files: Sequence[str]) -> tuple[str, ...]:
        """Return the splits in which some images are, in their order."""
        present = {self.places.get(path) for path in files}
        return tuple(split for split in ("train", "val", "test") if split in present)

    def _list_sets(self) -> Iterator[tuple[str, Sequence[str]]]:
        # A warning may sum up many sets, each of one split; an error is one set.
        for found in self.content["findings"]:
            if found["level"] == ERROR and found["kind"] in COPIES:
                yield found["kind"], found.get("files", [])


def keep(content: Check | Mapping, rows: Sequence[Mapping[str, str]]) -> KeptFindings | None:
    """Return the findings of a run; None of one without `check.json`, which older versions did not write.

    Args:
        content: `check.json`, or empty.
        rows: Of `splits.csv`.
    """
    if not content:
        return None
    named = {path for found in content["findings"] if found["kind"] in COPIES for path in found.get("files", [])}
    places = {row["path"]: row["split"] for row in rows if row["path"] in named}
    tested = sum(row["split"] == "test" for row in rows)
    return KeptFindings(content, places, tested, _list_known(rows) if named else frozenset())


def _list_known(rows) -> frozenset[str]:
    """Return the test images whose file, or whose group in any spelling, is in train or val."""
    learned = [row for row in rows if row["split"] in LEARNED]
    digests, groups = {row["sha256"] for row in learned}, {spell(row["group"]) for row in learned} - {""}
    return frozenset(
        row["path"]
        for row in rows
        if row["split"] == "test" and (row["sha256"] in digests or spell(row["group"]) in groups)
    )


def read_kept(run: RunDir) -> KeptFindings | None:
    """Return the findings of a run of one network; None if it has none, as runs of older versions.

    Raises:
        InputError: If a file cannot be read.
    """
    if not (content := CHECK_JSON.find(run)):
        return None
    return keep(content, SPLITS_CSV.read(run))
