"""What a finished cell leaves in the ledger and in the tables of its study."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from tlmed.errors import InputError
from tlmed.evaluation.measures import Scoring, measure
from tlmed.evaluation.pooled_csv import read_units
from tlmed.recipe import Cell
from tlmed.run_files import ENVIRONMENT_JSON, METRICS_JSON, PLAN_JSON, SPLITS_CSV, TIMING_JSON
from tlmed.run_files.study_files import RUNS
from tlmed.rundir import RunDir
from tlmed.split_names import UNUSED
from tlmed.studies.ledger import Entry
from tlmed.tasks import PRIMARY, read_task
from tlmed.words import count

COSTS = ("training_seconds", "total_seconds", "parameters")  # metrics of a cell that are no scores
_SECONDS = "total_seconds"
DRAW = "draw"  # the column of a search
_SPLITS = {UNUSED: "train"}


def read_result(run: RunDir, draw: int | None = None) -> dict:
    """Return what a study keeps of a finished run.

    Args:
        run: The run.
        draw: Which draw of validation images judges it, as in a search; None: its test images do. What a run scores on
            test images is left out where validation images judge it, so that nothing can be chosen by them.

    Returns:
        `metrics`: name to value, low, high; `n`: how many answers were scored; `primary`: the metric that decides;
        `validation`: its value on validation images, where these judge; `source`: a digest of all images with their
        labels and groups; `images`: one of them in their splits; and the costs.

    Raises:
        InputError: If a file of the run cannot be read, the score that judges could not be measured, or the weights
            were trained on some of the validation images that judge.
    """
    found, timing, plan = METRICS_JSON.read(run), TIMING_JSON.read(run), PLAN_JSON.read(run)
    primary = found.get("primary", PRIMARY[read_task(found)])
    return {
        **(_list_tested(found) if draw is None else _judge(run, found, primary)),
        "primary": primary,
        **_digest_images(run),
        "training_seconds": timing["training_seconds"],
        "total_seconds": timing["total_seconds"],
        "parameters": plan["parameters"],
    }


def _list_tested(found) -> dict:
    metrics = {
        name: {bound: measured.get(bound) for bound in ("value", "low", "high")}
        for name, measured in found["metrics"].items()
        if measured.get("value") is not None
    }
    return {"metrics": metrics, "n": found["n"]}


def _judge(run, found, primary) -> dict:
    """Return the score of the validation images, or of the files or groups that they make up, in place of metrics."""
    if taught := ENVIRONMENT_JSON.find(run).get("earlier", {}).get("taught"):
        raise InputError(
            "Validation images that judge a candidate must be new to its weights. Received: a run that gave them was "
            f"trained on {count(len(taught), 'validation image')}."
        )
    units = read_units(run.path, found).of("val")
    asked = Scoring("val", found.get("positive"))
    value = measure(units, asked, (primary,))["metrics"][primary]["value"] if units.paths else None
    if value is None:
        raise InputError(f"Validation images must have a score, which needs two classes. Received: {run.path}.")
    return {"metrics": {}, "n": len(units.paths), "validation": value}


def find_score(result: Mapping) -> float:
    """Return the score that decides: the primary metric, or the accuracy where it could not be measured."""
    if "validation" in result:
        return result["validation"]
    metrics = result["metrics"]
    held = metrics.get(result["primary"]) or metrics.get("auc") or metrics["accuracy"]
    return held["value"]


def _digest_images(run) -> dict[str, str]:
    """Return digests of the images of a run, without and with their splits: cells with others cannot be compared.

    Images that are left aside (`data.train_share`, `data.inner`) count as training images: shares may be varied.
    """
    rows = SPLITS_CSV.read(run)
    named = sorted((row["sha256"], row["label"], row["group"], _SPLITS.get(row["split"], row["split"])) for row in rows)
    alone = [row[:-1] for row in named]
    found = {"source": alone, "images": named}
    return {name: hashlib.sha256(repr(rows).encode()).hexdigest() for name, rows in found.items()}


def to_cell_row(cell: Cell, entry: Entry | None, place: str) -> dict[str, object]:
    """Return the row of `cells.csv`.

    Args:
        cell: The cell.
        entry: What the ledger says of it.
        place: Says where its run is, if another directory has it.
    """
    state, reason = (entry.state, entry.reason) if entry is not None else ("waiting", "")
    result = entry.result if entry is not None else {}
    metrics = result.get("metrics", {})
    return {
        **_describe(cell),
        "state": state,
        "reason": reason if state != "complete" else place,
        "auc": metrics.get("auc", {}).get("value", ""),
        "accuracy": metrics.get("accuracy", {}).get("value", ""),
        "seconds": result.get(_SECONDS, ""),
        "run": result.get("run", "") or (f"{RUNS}/{cell.name}" if state != "waiting" else ""),
    }


def to_score_rows(cell: Cell, entry: Entry) -> Iterator[dict[str, object]]:
    """Yield the rows of a complete cell in `study.csv`."""
    result = entry.result
    for name, measured in result["metrics"].items():
        bounds = {bound: "" if measured[bound] is None else measured[bound] for bound in ("value", "low", "high")}
        yield {**_describe(cell), "metric": name, **bounds, "n": result["n"]}
    for name in COSTS:
        yield {**_describe(cell), "metric": name, "value": result[name], "low": "", "high": "", "n": result["n"]}


def _describe(cell: Cell) -> dict[str, object]:
    return {
        "cell": cell.name,
        "recipe": cell.title,
        "backbone": cell.backbone,
        "weights": cell.weights,
        "seed": cell.seed,
        "fold": "" if cell.fold is None else cell.fold,
        DRAW: "" if cell.draw is None else cell.draw,
        **cell.varied,
    }


def list_varied(cells: Sequence[Cell]) -> list[str]:
    """Return the names of the varied fields, in order, and that of the draw where some cells are judged by one."""
    varied = list(dict.fromkeys(name for cell in cells for name in cell.varied))
    return [*varied, *([DRAW] if any(cell.draw is not None for cell in cells) else [])]
