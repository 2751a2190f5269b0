"""Images that weights were trained or validated on, in the run that they come from and in the runs before it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tlmed.backbones.hub_presets import PREFIX, is_published
from tlmed.backbones.shared_folders import PREFIX as SHARED
from tlmed.backbones.weights import is_foreign_file, run_folder
from tlmed.data.learned import Learned, list_learned
from tlmed.errors import InputError
from tlmed.identifiers import Identifiers, read_identifiers
from tlmed.intact import check_intact
from tlmed.regular_files import sha256
from tlmed.run_files import ENVIRONMENT_JSON, RECIPE_JSON, SPLITS_CSV
from tlmed.rundir import RunDir

_CHECKED = ("splits.csv", "environment.json")  # if one was changed, the answer is uncertain


_MODEL, _UNTOLD = "model.keras", "cannot be told"


@dataclass(frozen=True)
class Start:
    """Weights that a run started from, as it recorded them.

    Attributes:
        name: Their full name.
        sha256: Of their file; None where none was recorded.
    """

    name: str
    sha256: str | None


def find_known(weights: str | Iterable[str | Start], images: Identifiers) -> tuple[dict[str, Learned], list[str]]:
    """Return the images that trained or validated the runs that weights come from, back to the first run.

    Args:
        weights: As in a recipe, from `leave_out_published`, or as a run recorded them, from `name_weights`.
        images: How those to be recognised are identified.

    Returns:
        What each run learned from, by its directory; and a sentence for each source where this is not certain: the run
        is gone or another one is in its place, a file is missing or was changed, its images come from a source of
        another form, or the weights are a file of the user's or those of the user's own network, which do not say what
        they were trained on. Where there is such a sentence, a run also counts as knowing what it recorded that the
        runs before it know.
    """
    known, unsure, asked, read = {}, [], {}, {}
    waiting = [weights] if isinstance(weights, str) else list(weights)
    while waiting:
        given = waiting.pop()
        words, digest = (given, None) if isinstance(given, str) else (given.name, given.sha256)
        folder = run_folder(words)
        # This also ends a circle of runs that name one another. An older record without a digest adds nothing.
        digests = asked.setdefault(folder or words, set())
        if digest in digests or (digest is None and digests):
            continue
        digests.add(digest)
        if folder is None:
            if words == "own" or is_foreign_file(words):
                unsure.append(_say_unknown(words))
            continue
        run = RunDir(folder)
        if _was_replaced(run, digest):
            unsure.append(
                f"Weights come from {folder}, where another network is now; which images they know {_UNTOLD}."
            )
            continue
        try:
            rows = SPLITS_CSV.read(run)
            unsure += [f"Weights come from {folder}. {said}" for said in check_intact(run, _CHECKED)]
            environment = ENVIRONMENT_JSON.read(run)
            there = read_identifiers(environment.get("data", {}))
            if gap := there.find_gap(images):
                unsure.append(f"Weights come from {folder}; which of these images they know {_UNTOLD}: {gap}.")
            known[str(folder)] = list_learned(rows, there.pseudonyms)
            read[str(folder)] = rows, environment, there.pseudonyms
            waiting += name_weights(run)
        except InputError as error:
            unsure.append(f"Weights come from {folder}; which images they know {_UNTOLD}: {error}")
    if unsure:  # a run before one of these may be the one that is gone
        known |= {name: list_learned(add_recorded(rows, told), names) for name, (rows, told, names) in read.items()}
    return known, list(dict.fromkeys(unsure))


def add_recorded(rows: Iterable[Mapping[str, str]], environment: Mapping) -> list[Mapping[str, str]]:
    """Return the rows of a run's `splits.csv` with the test images that earlier runs know as validation images.

    Its weights know them; whether an earlier run was trained or only validated on them is not recorded.

    Args:
        rows: The rows.
        environment: The content of its `environment.json`.

    >>> rows = [{"path": "a.png", "split": "test"}, {"path": "b.png", "split": "test"}]
    >>> [row["split"] for row in add_recorded(rows, {"earlier": {"known": ["b.png"]}})]
    ['test', 'val']
    """
    recorded = set(environment.get("earlier", {}).get("known", ()))
    return [{**row, "split": "val"} if row["path"] in recorded else row for row in rows]


def _was_replaced(run, digest: str | None) -> bool:
    """Tell whether a run's network is another one than that whose file was recorded; one that is gone is not."""
    file = run / _MODEL
    return digest is not None and file.is_file() and sha256(file) != digest


def describe_earlier(
    weights: Iterable[str | Start], images: Identifiers, rows: Sequence[Mapping[str, str]], alone: bool
) -> tuple[list[dict], bool]:
    """Describe the runs that gave weights, back to the first.

    Args:
        weights: As for `find_known`.
        images: As for `find_known`.
        rows: Those of the `splits.csv` of the run that started from the weights.
        alone: Whether its recipe says that each image stands alone.

    Returns:
        For each run its `name` (of the directory), the `source` of its images, how many of them are in `train` and in
        `val`, `began`: the full names of the weights that it started from, none where that cannot be read, `starts`:
        what `name_weights` says of it, by which runs further back are found where this one is gone, and `undecided`:
        for how many test images it cannot be told whether it knows the patient; and whether it is known for all weights
        what they were trained on.
    """
    known, unsure = find_known(weights, images)
    runs = [
        {**_describe_run(RunDir(Path(folder))), "undecided": _count_undecided(learned, images, rows, alone)}
        for folder, learned in known.items()
    ]
    return runs, not unsure


def _count_undecided(learned, images, rows, alone) -> int:
    digests, groups = ([row[name] for row in rows] for name in ("sha256", "group"))
    undecided = learned.find_undecided(digests, groups, images.pseudonyms, alone)
    return sum(row["split"] == "test" for row, is_undecided in zip(rows, undecided, strict=True) if is_undecided)


def _describe_run(run) -> dict:
    counts = Counter(row["split"] for row in SPLITS_CSV.read(run))
    try:
        began, starts = list_starts(ENVIRONMENT_JSON.read(run)), [asdict(start) for start in name_weights(run)]
    except InputError:  # `find_known` says that it is damaged
        began, starts = [], []
    source = RECIPE_JSON.read(run).get("data", {}).get("source")
    return {
        "name": run.path.resolve().name,
        "source": str(source),
        **{split: counts[split] for split in ("train", "val")},
        "began": began,
        "starts": starts,
    }


def _say_unknown(words) -> str:
    if words == "own":
        said = "On which images the network's own weights were trained is not known"
    else:
        place = words.removeprefix("file:").removeprefix(SHARED)
        said = f"Weights come from {place}, which does not say on which images they were trained"
    return f"{said}: if test or validation images are among them, scores are too good."


def leave_out_published(weights: str | Iterable[str], backbone: str | Iterable[str]) -> list[str]:
    """Return the weights of which tlmed may know or not know what they were trained on.

    Left out are those of presets that keras-hub publishes, which it documents by their name, as Keras does `imagenet`.

    Args:
        weights: As in a recipe, or by full names.
        backbone: The recipe's, one or several.

    >>> leave_out_published("own", "hub:vit_base_patch16_224_imagenet"), leave_out_published("own", "own:mine")
    ([], ['own'])
    """
    words, names = ([given] if isinstance(given, str) else list(given) for given in (weights, backbone))
    mine = [name for name in names if name.startswith((PREFIX, "own:"))]
    words = [word for word in words if not is_published(word)]
    return [word for word in words if word != "own" or not all(map(is_published, mine))]


def name_weights(run: RunDir) -> list[Start]:
    """Return the weights that a run started from, and those of the runs before it, for `find_known`.

    Raises:
        InputError: Its `environment.json` or `recipe.json` cannot be read.
    """
    return list_weights(ENVIRONMENT_JSON.read(run), RECIPE_JSON.read(run))


def list_weights(environment: Mapping, recipe: Mapping) -> list[Start]:
    """Return the weights that a run started from, by its records, for `find_known`.

    Before them are those that earlier runs started from, as this run recorded it: if one of these runs is gone, those
    further back may still be there. `find_known` begins with the last, so that a run that is there speaks for itself.

    Args:
        environment: The content of `environment.json`.
        recipe: The content of `recipe.json`.
    """
    kept = leave_out_published(list_starts(environment), recipe.get("backbone", []))
    digests = {str(source["name"]): source.get("sha256") for source in _list_sources(environment)}
    return [*_list_recorded(environment), *(Start(name, digests[name]) for name in kept)]


def _list_recorded(environment) -> list[Start]:
    found = []
    for run in environment.get("earlier", {}).get("runs", ()):
        # Older versions recorded no digests of these, and of other weights not which preset of a network they were.
        named = ({"name": name} for name in run["began"] if run_folder(name) is not None)
        found += [Start(it["name"], it.get("sha256")) for it in run.get("starts", named)]
    return found


def list_starts(environment: Mapping) -> list[str]:
    """Return the full names of all weights that a run started from, those of published networks too.

    Args:
        environment: The content of `environment.json`.
    """
    return [str(source["name"]) for source in _list_sources(environment)]


def _list_sources(environment) -> list[dict]:
    found = environment.get("weights")
    # A list for several backbones, one record for a single one.
    sources = found if isinstance(found, list) else [found]
    return [source for source in sources if isinstance(source, dict) and "name" in source]
