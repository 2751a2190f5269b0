"""Differences between the inputs of two runs: recipe, images, weights, code, environment; causes first."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tlmed.data.patients import align_rows
from tlmed.data.recorded import find_moved, read_made
from tlmed.environment.processor import name_family
from tlmed.environment_changes import find_code, find_software
from tlmed.identifiers import read_identifiers
from tlmed.lock.lock_json import read_rows
from tlmed.lock.printable import shorten, show
from tlmed.recipe import UNDECIDING, divide_fields, flatten, from_json, join_fields, to_json
from tlmed.words import listed

# The kinds of differences, by what they mean for the result.
INPUT, CODE, LIBRARY, ENVIRONMENT = "input", "code", "library", "environment"
REPORTED, NOTE = "reported", "note"
_COLUMNS = {"sha256": "content", "label": "label", "group": "group", "split": "split"}
CHANGES = "changes while the run was stopped"
CONTINUATION = "whether it went on elsewhere"  # of older locks
MOST_PATHS = 5  # so many images are named
DIGEST_DIGITS = 64  # a text of this length is taken for a SHA-256 and shortened
_OF_SPLITS = ("seed", "data.split", "data.val_seed", "data.inner", "data.train_share")
# Images and weights are compared by their content, wherever they lie.
_IGNORED_FIELDS = ("data.source", "weights", *UNDECIDING)
# These fields only add to the report; no prediction and no score depends on them.
_REPORTED_FIELDS = (
    *("baselines", "examples", "prevalence", "stated", "score_degrees", "tensorboard"),
    *("data.modality", "data.body_part", "data.subject", "augment.from_preset"),
)
_CODES = "data.codes"


@dataclass(frozen=True)
class Difference:
    """One difference between a lock (or a first run) and the state now (or a second run).

    Attributes:
        part: "recipe", "data", "weights", "seeds", "code" or "environment".
        name: What it is.
        there: The value in the lock, as text for a person.
        here: The value now, likewise.
        kind: `INPUT`: another job; `CODE`: another tlmed; `LIBRARY`: another version of one that computes;
            `ENVIRONMENT`: the last bits may differ; `REPORTED`: another job, with the same predictions and scores, and
            more or less reported beside them; `NOTE`: nothing that is known to change a number.
        why: How it affects numbers; "" where there is nothing to say.
    """

    part: str
    name: str
    there: str
    here: str
    kind: str
    why: str = ""

    def __str__(self) -> str:
        return self.describe("locked", "now")

    def describe(self, there: str, here: str) -> str:
        """Return it as a sentence, with these words for the two sides."""
        values = f"{show(self.there)} {there}, {show(self.here)} {here}"
        if self.name == CHANGES and self.there == self.here:  # of others, such as numbers of images, both are said
            values = f"{show(self.there)} in both"
        words = f"{self.part}: {show(self.name)}: {values}"
        return f"{words} ({show(self.why)})" if self.why else words


def compare_inputs(there: Mapping, here: Mapping) -> list[Difference]:
    """Return all differences between two locks' inputs; those that explain most come first.

    Args:
        there: A lock's content, or what `describe_inputs` gives.
        here: The same of another.
    """
    parts = (
        _compare_recipes,
        _compare_tasks,
        _compare_data,
        _compare_weights,
        _compare_seeds,
        _compare_code,
        _compare_environments,
    )
    return list(itertools.chain.from_iterable(compare(there, here) for compare in parts))


def find_causes(differences: Sequence[Difference]) -> list[Difference]:
    """Return those of some differences whose kind explains most.

    Inputs come first, then code, libraries and the environment. What only adds to a report is a cause only if there is
    no other difference.
    """
    for kind in (INPUT, CODE, LIBRARY, ENVIRONMENT, REPORTED):
        if found := [difference for difference in differences if difference.kind == kind]:
            return found
    return []


def _compare_recipes(there, here) -> Iterator[Difference]:
    old, new = (_leave_out(_fields(source["recipe"])) for source in (there, here))
    shared, lacking = divide_fields((old, new))
    for name in shared:
        if name in old and name in new and old[name] == new[name]:
            continue
        reported = name in _REPORTED_FIELDS and name in old and name in new
        kind = REPORTED if reported and not (name == "prevalence" and _state_costs(old, new)) else INPUT
        yield Difference("recipe", name, repr(old.get(name)), repr(new.get(name)), kind)
    for part, names in lacking.items():
        words = (join_fields(fields, names, repr) or "none" for fields in (old, new))
        only_codes = all(name.startswith(_CODES) for name in names)  # a dictionary, of which None has no parts
        yield Difference("recipe", part, *words, REPORTED if only_codes else INPUT)


def _compare_tasks(there, here) -> Iterator[Difference]:
    """Compare what was asked of each image and which metric decides; older locks name neither."""
    for name, words in {"task": "the task on these data", "primary": "the metric that decides"}.items():
        old, new = there.get(name), here.get(name)
        if old and new and old != new:
            yield Difference("recipe", words, repr(old), repr(new), INPUT)


def _state_costs(*recipes) -> bool:
    """Tell whether errors have costs, which are weighed for the prevalence that is stated."""
    return any(value is not None for fields in recipes for name, value in fields.items() if name.startswith("cost"))


def _leave_out(fields) -> dict:
    return {name: value for name, value in fields.items() if name not in _IGNORED_FIELDS}


def _fields(recipe) -> dict:
    """Return a recipe's fields by dotted name; fields that its version did not have yet get their default."""
    return recipe.get("fields") or flatten(to_json(from_json(recipe["resolved"])))


def _compare_data(there, here) -> Iterator[Difference]:
    recorded, rows = (read_rows(lock["data"]["rows"]) for lock in (there, here))
    if any(read_identifiers(lock["data"]).pseudonyms for lock in (there, here)):
        rows = align_rows(rows, recorded)
    old, new = ({row["path"]: row for row in table} for table in (recorded, rows))
    yield from _compare_paths("images", old, new)
    left_out = ([entry["path"] for entry in lock["data"]["left_out"]] for lock in (there, here))
    yield from _compare_paths("images left out as unreadable", *left_out)
    both = [path for path in old if path in new]
    changed = {name: [path for path in both if old[path][name] != new[path][name]] for name in _COLUMNS}
    same_job = set(old) == set(new) and _name_splits(there) == _name_splits(here)
    moved = find_moved(old, new, [read_made(lock["data"]) for lock in (there, here)])
    if moved or not same_job or any(changed[name] for name in _COLUMNS if name != "split"):
        # Splits that were made differ because images, given splits or the recipe do, which are named already.
        changed["split"] = moved
    for name, paths in changed.items():
        if paths:
            values = (_show(row[paths[0]][name]) for row in (old, new))
            why = f"and of {listed(map(show, paths[1:]), MOST_PATHS)}" if paths[1:] else ""
            yield Difference("data", f"{_COLUMNS[name]} of {paths[0]}", *values, INPUT, why)
    windows = (lock["data"].get("window") for lock in (there, here))
    yield from _compare_windows(*windows)
    columns = [lock["data"].get("columns") for lock in (there, here)]
    if [path for path in old if old[path]["split"] == "test"] != [path for path in new if new[path]["split"] == "test"]:
        # The digests are of the test images' values: of other test images only the names of columns can be compared.
        columns = [{} if None in columns else dict.fromkeys(found, "present") for found in columns]
    yield from _compare_columns(*columns)


def _compare_windows(old: Mapping | None, new: Mapping | None) -> Iterator[Difference]:
    """Compare what was black and white in two runs; older ones did not record it, and a repeated one keeps to it."""
    if old is not None and new is not None and old != new:
        words = (f"{found.get('kind')}, {found.get('low')} to {found.get('high')}" for found in (old, new))
        yield Difference("data", "window", *words, INPUT)


def _compare_columns(old: Mapping | None, new: Mapping | None) -> Iterator[Difference]:
    """Compare the columns that make subgroups of the same test images; older locks do not hold them."""
    if old is None or new is None:
        if old or new:
            words = ("not recorded" if found is None else listed(found) for found in (old, new))
            yield Difference("data", "further columns", *words, NOTE, "whether subgroups are the same cannot be told")
        return
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            values = (_show(found.get(name)) for found in (old, new))
            yield Difference("data", f"column {name} of the test images", *values, INPUT, "subgroups are by it")


def _compare_paths(name, old, new) -> Iterator[Difference]:
    gone, added = sorted(set(old) - set(new)), sorted(set(new) - set(old))
    parts = {"gone": gone, "new": added}
    why = "; ".join(f"{kind}: {listed(map(show, paths), MOST_PATHS)}" for kind, paths in parts.items() if paths)
    if why:
        yield Difference("data", name, str(len(old)), str(len(new)), INPUT, why)


def _name_splits(lock) -> dict:
    """Return the fields of a recipe that splits depend on; those of a cross-validation lie below `data.split`."""
    return {name: value for name, value in _fields(lock["recipe"]).items() if name.startswith(_OF_SPLITS)}


def _compare_weights(there, here) -> Iterator[Difference]:
    for i, (old, new) in enumerate(itertools.zip_longest(there["weights"], here["weights"])):
        if old is None or new is None:
            continue  # nothing is known of a user's own network before it is built
        name = f"backbone {i + 1}" if len(there["weights"]) > 1 else "backbone"
        if old["sha256"] != new["sha256"]:
            values = (f"{source['name']} {shorten(source['sha256'])}" for source in (old, new))
            yield Difference("weights", name, *values, INPUT)
        elif old["graph"] != new["graph"]:
            yield Difference("weights", f"{name}'s graph", old["graph"], new["graph"], INPUT)


def _compare_seeds(there, here) -> Iterator[Difference]:
    if there["seeds"]["seed"] != here["seeds"]["seed"]:
        return  # named already as a difference of the recipe, and all streams follow from the seed
    old, new = there["seeds"]["streams"], here["seeds"]["streams"]
    for name in old:
        if name in new and old[name] != new[name]:
            yield Difference("seeds", f"stream {name}", str(old[name]), str(new[name]), INPUT)


def _compare_code(there, here) -> Iterator[Difference]:
    old, new = there["code"], here["code"]
    # Equal files compute equal numbers, whatever version or commit they are called.
    if old["sha256"] == new["sha256"]:
        return
    if old["version"] != new["version"]:
        yield Difference("code", "tlmed", old["version"], new["version"], CODE)
    elif old["git_commit"] != new["git_commit"]:
        values = (lock["git_commit"] or f"code {shorten(lock['sha256'])}" for lock in (old, new))
        yield Difference("code", "tlmed's commit", *values, CODE)
    else:
        yield Difference("code", "tlmed's code", shorten(old["sha256"]), shorten(new["sha256"]), CODE)


def _compare_environments(there, here) -> Iterator[Difference]:
    old, new = there["environment"], here["environment"]
    # tlmed itself is compared as the code, above.
    for name in [name for name in {**old["versions"], **new["versions"]} if name != "tlmed"]:
        yield from _differ(name, old["versions"].get(name), new["versions"].get(name), kind=LIBRARY)
    yield from _compare_processors(old["processor"], new["processor"])
    threads = "sums are divided differently, which moves the last digits"
    changed = [found.get("changed", []) for found in (old, new)]  # of runs that were stopped
    cure = f"{threads}; TF_NUM_INTRAOP_THREADS={old['threads']['intra_op']} makes them the same"
    if any(word.startswith("threads") for word in changed[0]):
        cure = threads
    yield from _differ("threads inside an operation", old["threads"]["intra_op"], new["threads"]["intra_op"], cure)
    yield from _differ("cores", old["cpus"], new["cpus"], "OpenVINO and scikit-learn share work among them")
    yield from _differ("oneDNN", old["onednn"], new["onednn"], "TF_ENABLE_ONEDNN_OPTS chooses other kernels")
    yield from _differ("devices", old["devices"], new["devices"], "other kernels")
    yield from _differ("GPUs", old["gpus"], new["gpus"], "other kernels")
    yield from _differ("system", old["system"], new["system"], "other builds of every library")
    yield from _compare_strategies(old.get("strategy"), new.get("strategy"))
    yield from _compare_changes(*changed)
    if "changed" not in old or "changed" not in new:
        values = ("recorded" if "changed" in found else "not recorded" for found in (old, new))
        why = "whether such a run was stopped, and went on in another environment, is not known"
        yield Difference("environment", CONTINUATION, *values, NOTE, why)
    for name in {**old["variables"], **new["variables"]}:
        if name not in ("TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS"):  # their effects are compared above
            yield from _differ(name, old["variables"].get(name), new["variables"].get(name), "a setting of libraries")
    # Only those that both have loaded: which ones are loaded is no difference.
    for name in old["libraries"].keys() & new["libraries"].keys():
        yield from _differ(name, old["libraries"][name], new["libraries"][name], "linear algebra of NumPy and SciPy")
    yield from _differ("Python", old["python"], new["python"], kind=NOTE)
    computing = {**old["versions"], **new["versions"]}
    for name in sorted({**old["packages"], **new["packages"]}):
        if name not in computing and name != "tlmed":
            yield from _differ(name, old["packages"].get(name), new["packages"].get(name), kind=NOTE)


def _compare_processors(old, new) -> Iterator[Difference]:
    # oneDNN chooses its kernels by the family of vector instructions; names of processors say less.
    families = name_family(old["features"]), name_family(new["features"])
    if families[0] != families[1]:
        yield Difference(
            *("environment", "processor", *families, ENVIRONMENT),
            f"oneDNN on a CPU with {families[0]} against {families[1]}",
        )
    elif old != new:
        missing = sorted(set(old["features"]) ^ set(new["features"]))
        why = f"they differ in {', '.join(missing)}" if missing else f"both have {families[0]}; caches may differ"
        yield Difference("environment", "processor", old["name"], new["name"], ENVIRONMENT, why)


def _compare_changes(old, new) -> Iterator[Difference]:
    """Name a change of environment while a run was stopped: training in one environment does not repeat it.

    Of two runs with the same change, too, because the step of training at which it was is not recorded.
    """
    if not old and not new:
        return
    both = (*old, *new)
    kind = CODE if find_code(both) else LIBRARY if find_software(both) else ENVIRONMENT
    values = ("; ".join(words) or "none" for words in (old, new))
    why = "such a run was trained in more than one environment"
    yield Difference("environment", CHANGES, *values, kind, why)


def _compare_strategies(old, new) -> Iterator[Difference]:
    """Compare the number of replicas, if both recorded it; the addresses of workers decide nothing."""
    if old and new:
        yield from _differ("replicas", old["replicas"], new["replicas"], "gradients are summed in another order")


def _differ(name, old, new, why="", kind=ENVIRONMENT) -> Iterator[Difference]:
    if old != new:
        yield Difference("environment", name, _show(old), _show(new), kind, why)


def _show(value) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    text = "none" if value is None else str(value)
    return shorten(text) if len(text) == DIGEST_DIGITS else text
