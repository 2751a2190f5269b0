"""Several finished runs that answer together: their shares, their decision, and honest scores."""

import tlmed.tensorflow_start

from tlmed.ensembles.making import FITTED, MEAN, Made, gather_runs, make_ensemble
from tlmed.ensembles.writing import check_new_folder, write_ensemble

__all__ = [
    "FITTED",
    "MEAN",
    "Made",
    "check_new_folder",
    "gather_runs",
    "make_ensemble",
    "write_ensemble",
]
