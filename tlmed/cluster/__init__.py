"""A run of several processes: which they are, and the link over which they agree, share and watch one another."""

from tlmed.cluster.addresses import SECRET, Cluster
from tlmed.cluster.discovery import find_cluster, leave_cluster
from tlmed.cluster.joining import join
from tlmed.cluster.link import Link, end_process

__all__ = ["SECRET", "Cluster", "Link", "end_process", "find_cluster", "join", "leave_cluster"]
