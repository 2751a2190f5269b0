"""Compare what `tlmed advise` finds with every shipped recipe, and with a search of them, on the same test images.

    python benchmarks/advise.py --data DATA --runs runs/advise --sets busi --seeds 0 1 2 --size 64 --shares 0.25 0.4

DATA is as for `head_ways.py`. All images of a set, or `--most` drawn by patient, are divided anew by each seed, alike
for all ways: the recipes with MobileNetV2 and all their epochs, the advice, and `tlmed sweep --search` of the recipes.
The budget of the latter two is a share of the seconds that all recipes of the draw took. Each is a command in a process
of its own, as a user gives it, and the image size is given to all. The advice has the experience that ships with tlmed
but for the rows of the set in question. The recipes share a store of features; each advice and each search has its own,
empty at first.

Each command becomes a row of benchmarks/advise.csv when it is over, and what has a row is not run again: the script may
be stopped and started. While the run directories of a draw are there, the paired test of each advice against each other
way, that of `tlmed compare`, becomes a row of benchmarks/advise_pairs.csv. Then the tables are printed, and written
into the document if it has the two marks; without DATA nothing else is done.

Not there are recipes that ask another question (`cost_sensitive`, `ordinal_grading`, `multi_label`), that need other
weights or more images (`two_backbones`, `multi_stage`, `vit_probe`, `vgg16_blockwise`), `quickstart`, which is a
feature extractor, and `layerwise`, whose 33 trainings would make all recipes together look slow.
"""

import argparse
import csv
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from advise_tables import ADVICE, PAIR_KEYS, PLACE, PLAIN, SEARCH, TIMES, make_tables
from head_ways import SETS, Set, add_row, read_rows, write_list
from result_tables import replace_block

from tlmed.advising.experience import SHIPPED
from tlmed.comparison import compare
from tlmed.run_files import METRICS_JSON
from tlmed.run_files.advice_files import read_advice_json, read_decision
from tlmed.run_files.study_files import read_cells
from tlmed.rundir import RunDir
from tlmed.whole_files import write_csv, write_text

ROWS = Path(__file__).with_suffix(".csv")
PAIRS = ROWS.with_name("advise_pairs.csv")
BEGIN, END = "<!-- advise: begin -->", "<!-- advise: end -->"
KEYS = (*PLACE, "seed", "way", "share")
COLUMNS = (*KEYS, "budget", "test_images", "auc", "alone", *TIMES, "found")
PAIR_COLUMNS = (*PAIR_KEYS, "difference", "low", "high", "p")
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
        folder: Where its commands write.
    """

    chosen: Set
    source: Path
    size: int
    seed: int
    folder: Path

    @property
    def settings(self) -> list[str]:
        """Return the options that all ways have."""
        # A test split is drawn for sets of few images, too: an advice has one.
        own = [setting for setting in self.chosen.settings if "KFold" not in setting]
        values = [f"data.image_size={self.size},{self.size}", *own]
        return ["--data", str(self.source), *itertools.chain(*(("--set", value) for value in values))]


@dataclass(frozen=True)
class Way:
    """A command that is compared.

    Attributes:
        name: Of a recipe, or one of two others.
        share: Its budget in the seconds of all recipes; "" for a recipe, which has none.
    """

    name: str
    share: str = ""

    @property
    def title(self) -> str:
        """Return how its directory and its rows are called."""
        return f"{self.name}-{self.share}" if self.share else self.name


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
    log = folder.with_name(f"{folder.name}.log")
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


def list_ways(recipes: Sequence[str], shares: Sequence[str]) -> list[Way]:
    """Return all ways, the recipes first, whose seconds the others need."""
    return [*map(Way, recipes), *(Way(name, share) for share in shares for name in (ADVICE, SEARCH))]


def make_command(draw: Draw, way: Way, folder: Path, budget: int | None, recipes: Sequence[str]) -> list[str]:
    """Return the arguments of a command, and write the file beside its folder that they name.

    Args:
        draw: The images.
        way: What is run.
        folder: What the command writes.
        budget: In seconds, for an advice or a search.
        recipes: Those that the search has.
    """
    options = [*draw.settings, "--out", str(folder)]
    if way.name == ADVICE:
        known = folder.with_name(f"{folder.name}.csv")
        with SHIPPED.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        write_csv(known, header, [row for row in rows if row[0] != draw.chosen.name])
        options += ["--budget", f"{budget}s", "--accept", "--no-experience", "--experience", str(known)]
        return ["advise", *options, "--seed", str(draw.seed)]
    if way.name == SEARCH:
        study = folder.with_name(f"{folder.name}.py")
        write_text(study, STUDY.format(recipes=tuple(recipes), seed=draw.seed))
        return ["sweep", str(study), *options, "--search", "--budget", f"{budget}s"]
    return ["train", way.name, *options, "--seed", str(draw.seed)]


def read_outcome(way: Way, folder: Path) -> Outcome:
    """Return what came of a command that wrote a folder."""
    if way.name == ADVICE:
        answer = folder / read_advice_json(folder)["answer"]["path"]
        return Outcome(answer, read_decision(folder)["attempt"], read_auc(folder / "run"))
    if way.name == SEARCH:
        (cell,) = (each for each in read_cells(folder) if each["cell"].startswith("winner"))
        return Outcome(folder / cell["run"], cell["cell"])
    return Outcome(folder)


def read_auc(run: Path) -> float:
    """Return the AUC of a run on its test images."""
    return METRICS_JSON.read(RunDir(run))["metrics"]["auc"]["value"]


def measure(draw: Draw, way: Way, budget: int | None, recipes: Sequence[str]) -> dict:
    """Run a way; return its row without the keys.

    Args:
        draw: The images.
        way: What is run.
        budget: In seconds, for an advice or a search.
        recipes: Those that the search has.
    """
    folder = draw.folder / way.title
    folder.parent.mkdir(parents=True, exist_ok=True)
    arguments = make_command(draw, way, folder, budget, recipes)
    seconds, processor = call(arguments, folder, draw.folder / f"cache-{way.title if way.share else 'recipes'}")
    outcome = read_outcome(way, folder)
    return {
        "budget": "" if budget is None else budget,
        "test_images": METRICS_JSON.read(RunDir(outcome.run))["n"],
        "auc": read_auc(outcome.run),
        "alone": "" if outcome.alone is None else outcome.alone,
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1),
        "found": outcome.found,
    }


def run_all(
    draws: Sequence[Draw], most: int | None, recipes: Sequence[str], ways: Sequence[Way]
) -> Iterator[dict[str, str]]:
    """Run what has no row, all ways of a draw before the next; yield each row when it is written."""
    for draw in draws:
        for way in ways:
            rows, key = read_rows(ROWS), _name_row(draw, most, way)
            if any(key.items() <= row.items() for row in rows):
                continue
            budget = find_budget(rows, draw, most, way, recipes) if way.share else None
            if way.share and budget is None:
                print(f"No row: {way.title} of {draw.folder.name} needs the rows of all recipes.", file=sys.stderr)
                continue
            try:
                row = measure(draw, way, budget, recipes)
            except subprocess.CalledProcessError as error:
                print(f"No row: {way.title} of {draw.folder.name} failed ({error}).", file=sys.stderr)
                continue
            add_row(key | row, ROWS, COLUMNS)
            yield key | row


def find_budget(rows: Sequence[dict], draw: Draw, most: int | None, way: Way, recipes: Sequence[str]) -> int | None:
    """Return the share of a way in the seconds of all recipes of a draw; None where one of them has no row."""
    keys = [_name_row(draw, most, Way(name)) for name in recipes]
    taken = [float(row["seconds"]) for key in keys for row in rows if key.items() <= row.items()]
    return round(float(way.share) * sum(taken)) if len(taken) == len(recipes) else None


def _name_row(draw, most, way) -> dict[str, str]:
    values = (draw.chosen.name, str(most or ""), str(draw.size), str(draw.seed), way.name, way.share)
    return dict(zip(KEYS, values, strict=True))


def pair_all(draws: Sequence[Draw], most: int | None, recipes: Sequence[str], shares: Sequence[str]) -> None:
    """Add the paired test of each advice against each other way where it is missing and both directories are there."""
    rows, pairs = read_rows(ROWS), read_rows(PAIRS)
    for draw, share in itertools.product(draws, shares):
        advice = Way(ADVICE, share)
        for other in (*map(Way, recipes), Way(SEARCH, share)):
            keys = [_name_row(draw, most, way) for way in (advice, other)]
            pair = {name: keys[0][name] for name in PAIR_KEYS[:-1]} | {"other": other.name}
            folders = [draw.folder / way.title for way in (advice, other)]
            if not all(any(key.items() <= row.items() for row in rows) for key in keys):
                continue
            if any(pair.items() <= known.items() for known in pairs) or not all(map(Path.exists, folders)):
                continue
            runs = [read_outcome(way, folder).run for way, folder in zip((advice, other), folders, strict=True)]
            compared = compare(runs).difference(0, 1, "auc")  # refused where the test images differ
            found = {"difference": compared["value"], **{name: compared[name] for name in ("low", "high", "p")}}
            add_row(pair | {name: "" if value is None else value for name, value in found.items()}, PAIRS, PAIR_COLUMNS)


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
    parser.add_argument(
        "--shares",
        nargs="+",
        default=("0.25", "0.4"),
        help="budgets of the advice and the search, of all recipes' time",
    )
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--only", nargs="+", metavar="WAY", help="run these, as part of the work")
    parser.add_argument("--out", type=Path, default=Path("docs/advise.md"), help="the document with the two marks")
    options = parser.parse_args()
    if options.data:
        draws = list_draws(options)
        ways = list_ways(options.recipes, options.shares)
        chosen = [way for way in ways if not options.only or way.name in options.only]
        for row in run_all(draws, options.most, options.recipes, chosen):
            print(row, flush=True)
        pair_all(draws, options.most, options.recipes, options.shares)
    block = make_tables(read_rows(ROWS), read_rows(PAIRS), options.recipes)
    print(block)
    if options.out.exists() and BEGIN in (document := options.out.read_text(encoding="utf-8")):
        write_text(options.out, replace_block(document, block, BEGIN, END))


def list_draws(options: argparse.Namespace) -> list[Draw]:
    """Return the draws that are asked for; the images of each set are copied where they are not there yet.

    Args:
        options: `sets`, `seeds`, `size`, `most`, and the folders `data` and `runs`.
    """
    draws = []
    for seed, chosen in itertools.product(options.seeds, (each for each in SETS if each.name in options.sets)):
        place = f"{chosen.name}-{options.most or 'all'}"
        source = write_list(chosen, options.data, options.runs / "images" / place, options.most or sys.maxsize)
        folder = options.runs / f"{place}-{options.size}-{seed}"
        draws.append(Draw(chosen, source, options.size, seed, folder))
    return draws


if __name__ == "__main__":
    main()
