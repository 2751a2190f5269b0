"""The part of each batch that the replicas of one process get."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """The replicas that one process feeds: each gets consecutive images of a batch; amounts differ by at most one.

    Attributes:
        replicas: How many replicas there are in all.
        first: The number of this process's first one.
        count: How many of them are this process's.
    """

    replicas: int = 1
    first: int = 0
    count: int = 1


ALONE = Share()  # one process with one replica
