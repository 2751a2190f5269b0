"""Studies: many trainings that differ in recipe, backbone, values, seed or fold, on one machine or on many.

The process that coordinates a study loads no TensorFlow; those that train its cells do (`cell_worker`).
"""

from tlmed.late_names import import_late

# Where each name lives. They are imported when first used: the processes that train need no Optuna and no database.
_HOMES = {
    "Order": "tlmed.studies.crew",
    "StudyResult": "tlmed.studies.sweeping",
    "run_cells": "tlmed.studies.sweeping",
    "show_plan": "tlmed.studies.sweeping",
}
__all__ = sorted(_HOMES)
__getattr__ = import_late(__name__, _HOMES)
