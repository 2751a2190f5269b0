"""What a run learned from, and which images of a source it has seen: by content, and by names of groups."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlmed.columns import spell
from tlmed.part_names import file_of
from tlmed.pseudonyms import names_owner


@dataclass(frozen=True)
class Learned:
    """What a run was trained or validated on.

    Attributes:
        digests: SHA-256 of those images, and of others that the run recorded in one of their groups; of each what
            tells the file (`file_of`), because a source may cut the same file into other planes or tiles.
        groups: Their groups, in one spelling.
        owners: The groups of every image that the run recorded, test images included, in one spelling, by the same.
        trained: `digests` and `groups` of the training images alone.
        pseudonyms: Whether the names of groups hold in its source alone.
    """

    digests: frozenset[str]
    groups: frozenset[str]
    owners: Mapping[str, frozenset[str]]
    trained: tuple[frozenset[str], frozenset[str]]
    pseudonyms: bool = False

    def without_validation(self) -> "Learned":
        """Return what it was trained on; images that only validated it are left out."""
        digests, groups = self.trained
        return replace(self, digests=digests, groups=groups)

    def join(self, other: "Learned") -> "Learned":
        """Return what both together know; `trained` stays that of this one."""
        owners = {
            file: self.owners.get(file, frozenset()) | other.owners.get(file, frozenset())
            for file in (*self.owners, *other.owners)
        }
        found = {"digests": self.digests | other.digests, "groups": self.groups | other.groups, "owners": owners}
        return replace(self, **found, pseudonyms=self.pseudonyms or other.pseudonyms)

    def uses_same_names(self, sha256: Sequence[str], groups: Sequence[str] | None) -> bool:
        """Tell whether some image that a source and the run have is in a group of the same name in both.

        Names of groups alone prove nothing: another hospital counts its patients from 1, too.

        Args:
            sha256: The digest of every image of the source.
            groups: The group of every image, "" for none; None if there are no groups.
        """
        pairs = zip(sha256, groups or (), strict=False)
        return any(spell(group) in self.owners.get(file_of(digest), ()) for digest, group in pairs)

    def find_same_names(self, sha256: Sequence[str], groups: Sequence[str] | None) -> np.ndarray:
        """Tell which images are in a group of a known name although no image shows that the names agree; bool [n].

        Args:
            sha256: As for `uses_same_names`, as are `groups`.
            groups: See there.
        """
        if groups is None or self.uses_same_names(sha256, groups):
            return np.zeros(len(sha256), bool)
        return np.array([spell(group) in self.groups for group in groups], bool)

    @property
    def names_owners(self) -> bool:
        """Whether it recorded groups that are more than files."""
        return any(names_owner(group) for names in self.owners.values() for group in names)

    def find_hidden(self, sha256: Sequence[str], groups: Sequence[str] | None, pseudonyms: bool) -> np.ndarray:
        """Tell for which images pseudonyms hide whether the run has other images of their group; bool [n].

        A group is not hidden if the run recorded one of its images, or if it is a file, which is known by its content.

        Args:
            sha256: As for `uses_same_names`, as are `groups`.
            groups: See there.
            pseudonyms: Whether names of groups hold in the source of these images alone.
        """
        if groups is None or not self.names_owners or not (pseudonyms or self.pseudonyms):
            return np.zeros(len(sha256), bool)
        owners = [spell(group) for group in groups]
        met = {owner for owner, digest in zip(owners, sha256, strict=True) if file_of(digest) in self.owners}
        return np.array([names_owner(owner) and owner not in met for owner in owners], bool)

    def find_unnamed(self, sha256: Sequence[str], groups: Sequence[str] | None) -> np.ndarray:
        """Tell for which images nothing shows whether the run has others of their patient, whom one side does not name.

        Where the source names none and the run some, they are the images for which the run recorded no group; where the
        run names none, those whose group the source names. Groups that are files name nobody. What is known by content
        is left out.

        Args:
            sha256: As for `uses_same_names`, as are `groups`.
            groups: See there.

        Returns:
            bool [n].
        """
        files = [file_of(digest) for digest in sha256]
        owners = [spell(group) for group in groups or [""] * len(files)]
        if any(map(names_owner, owners)) == self.names_owners:
            return np.zeros(len(files), bool)
        if self.names_owners:
            return np.array([file not in self.owners and file not in self.digests for file in files], bool)
        met = {owner for owner, file in zip(owners, files, strict=True) if file in self.digests}
        return np.array([names_owner(owner) and owner not in met for owner in owners], bool)

    def find_undecided(
        self, sha256: Sequence[str], groups: Sequence[str] | None, pseudonyms: bool, alone: bool
    ) -> np.ndarray:
        """Tell for which images it cannot be told whether the run has others of their patient; bool [n].

        Args:
            sha256: As for `uses_same_names`, as are `groups`.
            groups: See there.
            pseudonyms: As for `find_hidden`.
            alone: Whether a user says that each image stands alone.
        """
        hidden = self.find_hidden(sha256, groups, pseudonyms)
        return hidden if alone else hidden | self.find_unnamed(sha256, groups)


def list_learned(rows: Iterable[Mapping[str, str]], pseudonyms: bool = False) -> Learned:
    """Return what a run learned from.

    Args:
        rows: Of its `splits.csv`.
        pseudonyms: Whether the names of their groups hold in its source alone.

    >>> rows = [{"sha256": "a", "group": "01", "split": "train"}, {"sha256": "b", "group": "1", "split": "test"}]
    >>> sorted(list_learned(rows).digests), sorted(list_learned(rows).groups)
    (['a', 'b'], ['1'])
    """
    rows, owners = list(rows), defaultdict(set)
    for row in rows:
        if row["group"]:
            owners[file_of(row["sha256"])].add(spell(row["group"]))
    named = {digest: frozenset(names) for digest, names in owners.items()}
    return Learned(*_list_known(rows, ("train", "val")), named, _list_known(rows, ("train",)), pseudonyms)


def _list_known(rows, splits) -> tuple[frozenset[str], frozenset[str]]:
    """Return the digests and the groups that somebody knows who saw the images of these splits."""
    groups = frozenset(spell(row["group"]) for row in rows if row["group"] and row["split"] in splits)
    # An image of another split counts too if its group was seen: the patient is known.
    known = (file_of(row["sha256"]) for row in rows if row["split"] in splits or spell(row["group"]) in groups)
    return frozenset(known), groups


def recognise_images(learned: Iterable[Learned], sha256: Sequence[str], groups: Sequence[str] | None) -> np.ndarray:
    """Tell which images runs have seen.

    They are images that a run learned from, other images of a group with such images, in the run or in the source, and
    images of a group whose name a run knows, if `uses_same_names` is true.

    Args:
        learned: What each run learned from.
        sha256: The digest of every image.
        groups: The group of every image, "" for none; None if there are no groups.

    Returns:
        bool [n].

    >>> run = list_learned([{"sha256": "a", "group": "1", "split": "train"}])
    >>> recognise_images([run], ["a", "b", "c"], ["p", "p", "1"]).tolist()
    [True, True, False]
    >>> recognise_images([run], ["a", "b", "c"], ["1", "p", "1"]).tolist()
    [True, False, True]
    """
    learned = tuple(learned)
    found = np.array([any(file_of(digest) in run.digests for run in learned) for digest in sha256], bool)
    if groups is None:
        return found
    owners = [spell(group) for group in groups]
    known = {owner for owner, is_known in zip(owners, found, strict=True) if is_known and owner}
    known = known.union(*(run.groups for run in learned if run.uses_same_names(sha256, groups)))
    return found | np.array([owner in known for owner in owners], bool)
