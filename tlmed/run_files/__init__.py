"""The files of a run directory: one reader and one writer for each, and what each holds.

`METRICS_JSON.read(run)` returns the content of `metrics.json`, `HISTORY_CSV.write(run, rows)` writes `history.csv`.
Three files are read and written elsewhere, because they need more than this: `predictions.csv`
(`tlmed.evaluation.predictions_csv`), `lock.json` (`tlmed.intact` and `tlmed.lock`) and what a stopped run continues
from (`tlmed.sealed`).
"""

from tlmed.run_files.csv_files import (
    DEGREES_CSV,
    FOLDS_CSV,
    HISTORY_CSV,
    SEARCH_CSV,
    SPLITS_CSV,
    STRENGTHS_CSV,
    CsvFile,
    append_history,
    replace_history,
)
from tlmed.run_files.examples_json import EXAMPLES_JSON, FALSE_ALARM, FOUND, KINDS, LABEL_KINDS, MISSED, Examples
from tlmed.run_files.json_files import (
    BASELINE,
    BUILDING,
    CHECK_JSON,
    ENSEMBLE_JSON,
    ENVIRONMENT_JSON,
    FREEZE_JSON,
    METRICS_JSON,
    PLAN_JSON,
    RECIPE_JSON,
    STATUS_JSON,
    TIMING_JSON,
    Check,
    Ensemble,
    Environment,
    Freeze,
    JsonFile,
    Metrics,
    Plan,
    ResolvedRecipe,
    Status,
    Timing,
)
from tlmed.run_files.novelty_json import NOVELTY_JSON, Alarms, Novelty

__all__ = [
    "BASELINE",
    "BUILDING",
    "CHECK_JSON",
    "DEGREES_CSV",
    "ENSEMBLE_JSON",
    "ENVIRONMENT_JSON",
    "EXAMPLES_JSON",
    "FALSE_ALARM",
    "FOLDS_CSV",
    "FOUND",
    "FREEZE_JSON",
    "HISTORY_CSV",
    "KINDS",
    "LABEL_KINDS",
    "METRICS_JSON",
    "MISSED",
    "NOVELTY_JSON",
    "PLAN_JSON",
    "RECIPE_JSON",
    "SEARCH_CSV",
    "SPLITS_CSV",
    "STATUS_JSON",
    "STRENGTHS_CSV",
    "TIMING_JSON",
    "Alarms",
    "Check",
    "CsvFile",
    "Ensemble",
    "Environment",
    "Examples",
    "Freeze",
    "JsonFile",
    "Metrics",
    "Novelty",
    "Plan",
    "ResolvedRecipe",
    "Status",
    "Timing",
    "append_history",
    "replace_history",
]
