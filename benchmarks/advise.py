"""Compare what `tlmed advise` finds with every shipped recipe, and with a search of them, on the same test images.

    python benchmarks/advise.py --data DATA --runs runs/advise --sets busi --seeds 0 1 2 --size 64 --budget 5m

DATA is as for `head_ways.py`. All images of a set, or `--most` drawn by patient, are divided anew by each seed, alike
for all ways: the advice, the recipes with MobileNetV2 and all their epochs, and `tlmed sweep --search` of these recipes
with the budget of the advice. Each is a command in a process of its own, as a user gives it, and the image size is
given to all. The advice has the experience that ships with tlmed but for the rows of the set in question. The recipes
share a store of features; the advice and the search have one each, empty at first.

Each command becomes a row of benchmarks/advise.csv when it is over, and what has a row is not run again: the script may
be stopped and started. While the run directories of a draw are there, the paired test of the advice against each other
way, that of `tlmed compare`, is added to its row. Then the tables are printed, and written into the document if it has
the two marks; without DATA nothing else is done.

Not there are recipes that ask another question (`cost_sensitive`, `ordinal_grading`, `multi_label`), that need other
weights or more images (`two_backbones`, `multi_stage`, `vit_probe`, `vgg16_blockwise`), `quickstart`, which is a
feature extractor, and `layerwise`, whose 33 trainings would make all recipes together look slow.
"""

import argparse
import csv
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from head_ways import SETS, Set, add_row, read_rows, write_list
from result_tables import replace_block, table

from tlmed.advising.experience import SHIPPED
from tlmed.cli.sweep_command import read_time
from tlmed.comparison import compare
from tlmed.run_files import METRICS_JSON
from tlmed.run_files.advice_files import read_advice_json, read_decision
from tlmed.run_files.study_files import read_cells
from tlmed.rundir import RunDir
from tlmed.whole_files import write_csv, write_text

ROWS = Path(__file__).with_suffix(".csv")
BEGIN, END = "<!-- advise: begin -->", "<!-- advise: end -->"
KEYS = ("set", "most", "size", "seed", "way")
COLUMNS = (
    *KEYS,
    *("budget", "test_images", "auc", "alone", "seconds", "processor_seconds"),
    *("difference", "low", "high", "p", "found"),
)
ADVICE, SEARCH, PLAIN = "advise", "search", "feature_extractor"
RECIPES = (
    PLAIN,
    *("feature_extractor_hybrid", "fine_tuning", "discriminative_rates", "fine_tuning_from_scratch", "incremental"),
    *("blockwise", "lora", "lp_ft", "surgical", "random_initialisation"),
)
STUDY = "from tlmed.recipe import Study\n\nstudy = Study(recipes={recipes!r}, seeds=1, first_seed={seed})\n"


@dataclass(frozen=True)
class Draw:
    """A set that a seed divides.

    Attributes:
        chosen: The set.
        source: The list of its images.
        size: Height and width of the images, in pixels.
        seed: What divides them.
        budget: Of the advice and of the search, as on the command line.
        folder: Where its commands write.
    """

    chosen: Set
    source: Path
    size: int
    seed: int
    budget: str
    folder: Path

    @property
    def settings(self) -> list[str]:
        """Return the options that all ways have."""
        # A test split is drawn for sets of few images, too: an advice has one.
        own = [setting for setting in self.chosen.settings if "KFold" not in setting]
        values = [f"data.image_size={self.size},{self.size}", *own]
        return ["--data", str(self.source), *itertools.chain(*(("--set", value) for value in values))]


@dataclass(frozen=True)
class Outcome:
    """What came of a command.

    Attributes:
        run: The directory of what answers: a run or an ensemble.
        found: What was chosen, in words.
        alone: The AUC of one network, where an ensemble answers.
    """

    run: Path
    found: str = ""
    alone: float | None = None


def call(arguments: Sequence[str], folder: Path, cache: Path) -> tuple[float, float]:
    """Run `tlmed` to its end; return the seconds on the clock and those of all processors, its children included.

    Args:
        arguments: Those of the command.
        folder: What it writes; what an earlier command left there is removed.
        cache: Its store of features.

    Raises:
        subprocess.CalledProcessError: If it failed; its last lines are printed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_suffix(".log")
    command = [str(Path(sys.executable).with_name("tlmed")), *arguments]
    begin = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, "TLMED_CACHE_DIR": str(cache.resolve())}
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)  # `wait4` does not tell it
    if process.returncode:
        print("\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]), file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, usage.ru_utime + usage.ru_stime


def list_ways(recipes: Sequence[str]) -> dict[str, Callable[[Draw, Path], tuple[list[str], Callable[[], Outcome]]]]:
    """Return each way by name: from a draw and a folder to the arguments of a command and a reader of its outcome."""
    return {ADVICE: _advise, **{name: _make_trainer(name) for name in recipes}, SEARCH: _make_searcher(recipes)}


def _advise(draw, folder):
    known = folder.with_suffix(".csv")
    with SHIPPED.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    write_csv(known, header, [row for row in rows if row[0] != draw.chosen.name])
    options = (
        "--budget",
        draw.budget,
        "--accept",
        "--no-experience",
        "--experience",
        str(known),
        "--seed",
        str(draw.seed),
    )

    def read() -> Outcome:
        answer = folder / read_advice_json(folder)["answer"]["path"]
        return Outcome(answer, read_decision(folder)["attempt"], read_auc(folder / "run"))

    return ["advise", *draw.settings, "--out", str(folder), *options], read


def _make_trainer(name):
    def train(draw, folder):
        arguments = ["train", name, *draw.settings, "--seed", str(draw.seed), "--out", str(folder)]
        return arguments, lambda: Outcome(folder)

    return train


def _make_searcher(recipes):
    def search(draw, folder):
        file = folder.with_suffix(".py")
        write_text(file, STUDY.format(recipes=tuple(recipes), seed=draw.seed))

        def read() -> Outcome:
            (cell,) = (each for each in read_cells(folder) if each["cell"].startswith("winner"))
            return Outcome(folder / cell["run"], cell["cell"])

        return ["sweep", str(file), *draw.settings, "--search", "--budget", draw.budget, "--out", str(folder)], read

    return search


def read_auc(run: Path) -> float:
    """Return the AUC of a run on its test images."""
    return METRICS_JSON.read(RunDir(run))["metrics"]["auc"]["value"]


def measure(draw: Draw, way: str, recipes: Sequence[str]) -> dict:
    """Run a way; return its row without the keys and the paired test.

    Args:
        draw: The images.
        way: Its name.
        recipes: Those that the search has.
    """
    folder = draw.folder / way
    folder.parent.mkdir(parents=True, exist_ok=True)
    arguments, read = list_ways(recipes)[way](draw, folder)
    owner = way if way in (ADVICE, SEARCH) else "recipes"
    seconds, processor = call(arguments, folder, draw.folder / f"cache-{owner}")
    outcome = read()
    return {
        "budget": round(read_time(draw.budget)) if way in (ADVICE, SEARCH) else "",
        "test_images": METRICS_JSON.read(RunDir(outcome.run))["n"],
        "auc": read_auc(outcome.run),
        "alone": "" if outcome.alone is None else outcome.alone,
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1),
        "found": outcome.found,
    }


def run_all(
    draws: Sequence[Draw], most: int | None, recipes: Sequence[str], only: Sequence[str] | None = None
) -> Iterator[dict]:
    """Run what has no row, all ways of a draw (or those named) before the next; yield each row when it is written."""
    for draw in draws:
        for way in only or list_ways(recipes):
            key = _name_row(draw, most, way)
            if any(key.items() <= row.items() for row in read_rows(ROWS)):
                continue
            try:
                row = measure(draw, way, recipes)
            except subprocess.CalledProcessError as error:
                print(f"No row: {way} of {draw.folder.name} failed ({error}).", file=sys.stderr)
                continue
            add_row(key | row, ROWS, COLUMNS)
            yield key | row


def _name_row(draw, most, way) -> dict[str, str]:
    return dict(zip(KEYS, (draw.chosen.name, str(most or ""), str(draw.size), str(draw.seed), way), strict=True))


def pair_all(draws: Sequence[Draw], most: int | None, recipes: Sequence[str]) -> None:
    """Add the paired test of the advice to each row that lacks it, where both run directories are there."""
    rows = read_rows(ROWS)
    for draw, way in itertools.product(draws, list_ways(recipes)):
        key, folder, advice = _name_row(draw, most, way), draw.folder / way, draw.folder / ADVICE
        for row in rows:
            if way == ADVICE or row["difference"] or not key.items() <= row.items():
                continue
            if not folder.exists() or not (advice / "advice.json").exists():
                continue
            answer = advice / read_advice_json(advice)["answer"]["path"]
            run = list_ways(recipes)[way](draw, folder)[1]().run
            compared = compare([answer, run]).difference(0, 1, "auc")  # refused where the test images differ
            row |= {"difference": compared["value"], **{name: compared[name] for name in ("low", "high", "p")}}
    write_csv(ROWS, COLUMNS, [[row[name] for name in COLUMNS] for row in rows])


def find_draws(rows: Sequence[dict], recipes: Sequence[str]) -> dict[tuple[str, ...], dict[str, dict[str, dict]]]:
    """Return each place (set, most, size) with its seeds, and those with the row of each way.

    A seed that lacks the advice or a recipe is left out: the best of some recipes is not the best of all.
    """
    found: dict[tuple[str, ...], dict[str, dict[str, dict]]] = {}
    for row in rows:
        place = tuple(row[name] for name in KEYS[:3])
        found.setdefault(place, {}).setdefault(row["seed"], {})[row["way"]] = row
    whole = {
        place: {seed: ways for seed, ways in seeds.items() if {ADVICE, *recipes} <= set(ways)}
        for place, seeds in found.items()
    }
    return {place: seeds for place, seeds in whole.items() if seeds}


def find_best(seeds: dict[str, dict[str, dict]], recipes: Sequence[str]) -> str:
    """Return the recipe with the highest mean AUC over the seeds."""
    return max(recipes, key=lambda name: statistics.fmean(float(ways[name]["auc"]) for ways in seeds.values()))


def rate_without_hindsight(seeds: dict[str, dict[str, dict]], recipes: Sequence[str]) -> float | None:
    """Return the mean AUC of the recipe that is best in all other draws; None of a single draw.

    The best recipe with hindsight is chosen by the test images that then say how good it is: by luck it is the better,
    the more recipes there are and the fewer images. Here other draws choose.
    """
    if len(seeds) < 2:
        return None
    chosen = {
        seed: find_best({other: rows for other, rows in seeds.items() if other != seed}, recipes) for seed in seeds
    }
    return statistics.fmean(float(seeds[seed][name]["auc"]) for seed, name in chosen.items())


def make_tables(rows: Sequence[dict], recipes: Sequence[str]) -> str:
    """Return the advice beside the best recipe with hindsight, the mean AUC of each, and the tests of each draw."""
    first, means, second = [], [], []
    for (name, _, size), seeds in find_draws(rows, recipes).items():
        best, place = find_best(seeds, recipes), f"{name}, {size} px"
        first.append((place, *_summarise(seeds, recipes, best)))
        scores = [statistics.fmean(float(ways[way]["auc"]) for ways in seeds.values()) for way in (ADVICE, *recipes)]
        means.append((place, *(f"{score:.3f}" for score in scores)))
        for seed, ways in sorted(seeds.items()):
            others = [_say_pair(ways[way]) if way in ways else "" for way in (PLAIN, best, SEARCH)]
            advice = ways[ADVICE]
            second.append((place, seed, advice["test_images"], f"{float(advice['auc']):.3f}", *others, advice["found"]))
    head = ("images", "draws", "advice", "its one network", "best recipe", "difference", "worst draw")
    seconds = (
        "without hindsight",
        "seconds",
        "of all recipes",
        "share",
        "share of processor seconds",
        "most of budget",
    )
    pairs = (f"less `{PLAIN}`", "less the best recipe", "less the search", "decided")
    return "\n\n".join(
        (
            table((*head, *seconds), first),
            table(
                ("AUC", *(line[0] for line in means)),
                list(
                    zip((f"`{ADVICE}`", *(f"`{name}`" for name in recipes)), *(line[1:] for line in means), strict=True)
                ),
            ),
            table(("images", "seed", "test images", "AUC", *pairs), second),
        )
    )


def _summarise(seeds, recipes, best) -> tuple[str, ...]:
    """Return a line: AUCs, how far the advice lies from the best recipe, and what both took."""
    rows = list(seeds.values())
    means = {name: statistics.fmean(float(ways[name]["auc"]) for ways in rows) for name in (ADVICE, best)}
    alone = statistics.fmean(float(ways[ADVICE]["alone"]) for ways in rows)
    apart = [float(ways[ADVICE]["auc"]) - float(ways[best]["auc"]) for ways in rows]
    own, whole = (
        {time: sum(float(ways[way][time]) for ways in rows for way in names) for time in COLUMNS[9:11]}
        for names in ((ADVICE,), recipes)
    )
    rated = rate_without_hindsight(seeds, recipes)
    used = max(float(ways[ADVICE]["seconds"]) / float(ways[ADVICE]["budget"]) for ways in rows)
    return (
        str(len(rows)),
        f"{means[ADVICE]:.3f}",
        f"{alone:.3f}",
        f"`{best}` {means[best]:.3f}",
        f"{statistics.fmean(apart):+.3f}",
        f"{min(apart):+.3f}",
        "" if rated is None else f"{rated:.3f}",
        *(f"{found['seconds'] / len(rows):,.0f}" for found in (own, whole)),
        *(f"{own[time] / whole[time]:.0%}" for time in own),
        f"{used:.0%}",
    )


def _say_pair(row) -> str:
    if not row["difference"]:  # the runs of one of the two are gone
        return ""
    if not row["p"]:
        return f"{float(row['difference']):+.3f}"
    low, high = (f"{float(row[name]):+.3f}" if row[name] else "?" for name in ("low", "high"))
    return f"{float(row['difference']):+.3f} ({low} to {high}; p = {float(row['p']):.2g})"


def main() -> None:
    """Run, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of the sets; without it nothing is run")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/advise"), help="for copies of images, runs and features"
    )
    names = [chosen.name for chosen in SETS]
    usual = ("busi", "cxr-pediatric", "nih-cxr-64", "ct-contrast-dicom")
    parser.add_argument("--sets", nargs="+", choices=names, default=usual)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2, 3, 4))
    parser.add_argument("--size", type=int, default=96, help="height and width of the images, in pixels")
    parser.add_argument("--most", type=int, help="images of a set, drawn by patient; by default all")
    parser.add_argument("--budget", default="30m", help="of the advice, and of the search")
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--only", nargs="+", metavar="WAY", help="run these, as part of the work")
    parser.add_argument("--out", type=Path, default=Path("docs/advise.md"), help="the document with the two marks")
    options = parser.parse_args()
    if options.data:
        draws = list_draws(options)
        for row in run_all(draws, options.most, options.recipes, options.only):
            print(row, flush=True)
        pair_all(draws, options.most, options.recipes)
    block = make_tables(read_rows(ROWS), options.recipes)
    print(block)
    if options.out.exists() and BEGIN in (document := options.out.read_text(encoding="utf-8")):
        write_text(options.out, replace_block(document, block, BEGIN, END))


def list_draws(options: argparse.Namespace) -> list[Draw]:
    """Return the draws that are asked for; the images of each set are copied where they are not there yet.

    Args:
        options: `sets`, `seeds`, `size`, `most`, `budget`, and the folders `data` and `runs`.
    """
    draws = []
    for seed, chosen in itertools.product(options.seeds, (each for each in SETS if each.name in options.sets)):
        place = f"{chosen.name}-{options.most or 'all'}"
        source = write_list(chosen, options.data, options.runs / "images" / place, options.most or sys.maxsize)
        folder = options.runs / f"{place}-{options.size}-{seed}"
        draws.append(Draw(chosen, source, options.size, seed, options.budget, folder))
    return draws


if __name__ == "__main__":
    main()
