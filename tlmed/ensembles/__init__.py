"""Several finished runs that answer together: their shares, their decision, and honest scores."""

import tlmed.tensorflow_start

from tlmed.ensembles.fold_networks import score_put_aside
from tlmed.ensembles.joint_network import check_network_target, join_networks, write_network
from tlmed.ensembles.making import FITTED, MEAN, Made, gather_runs, make_ensemble
from tlmed.ensembles.writing import check_new_folder, write_ensemble

__all__ = [
    "FITTED",
    "MEAN",
    "Made",
    "check_network_target",
    "check_new_folder",
    "gather_runs",
    "join_networks",
    "make_ensemble",
    "score_put_aside",
    "write_ensemble",
    "write_network",
]
