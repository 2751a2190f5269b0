"""Studies: many trainings that differ in recipe, backbone, values, seed or fold, on one machine or on many.

The process that coordinates a study loads no TensorFlow; those that train its cells do (`cell_worker`).
"""

from tlmed.studies.crew import Order
from tlmed.studies.sweeping import StudyResult, run_cells, show_plan

__all__ = ["Order", "StudyResult", "run_cells", "show_plan"]
