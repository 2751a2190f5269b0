"""A run's model card: the model, its limits, its training data, its scores, and how to use it.

The questions are those of Mitchell et al., Model cards for model reporting, FAT* 2019, in the form of the Hugging Face
Hub: a README.md with front matter.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from tlmed.answer_units import unit_of
from tlmed.backbones.ancestry import list_weights
from tlmed.errors import InputError
from tlmed.evaluation.balanced_training import say_balanced
from tlmed.evaluation.label_lines import say_means
from tlmed.evaluation.missing_images import describe_read_units
from tlmed.export.card_facts import CardFacts, read_card_facts
from tlmed.export.earlier_runs import describe_earlier
from tlmed.export.front_matter import find_licence, write_front_matter
from tlmed.export.label_tables import count_label_images, list_places
from tlmed.export.naming import name_data, name_weights
from tlmed.export.score_section import show_score_section
from tlmed.export.training_section import show_training, tell_classifier
from tlmed.export.usage import show_usage
from tlmed.identifiers import read_identifiers
from tlmed.metrics.calibration import sort_changes
from tlmed.metrics.names import name_metric
from tlmed.pages.amounts import duration
from tlmed.pseudonyms import are_patients, name_units
from tlmed.report.image_counts import describe_splits, list_left_out, say_formats
from tlmed.run_files.check_summary import say_amounts
from tlmed.rundir import RunDir
from tlmed.split_names import SPLITS
from tlmed.tabulation import Table, numbers, texts
from tlmed.tabulation.markdown import block, bullets, code, plain
from tlmed.words import RANDOM, join_names, name_pooling, quote_commas, say_preparation, thousandths


def write_run_card(run: RunDir, shared: bool = False) -> str:
    """Return the model card of the finished run of one network, a README.md of the Hugging Face Hub.

    No path of this machine, no file name and no group is in it.

    Args:
        run: A finished run.
        shared: Whether it lies beside the network in a folder for others, who do not have the run.

    Raises:
        InputError: A file of the run is missing, cannot be read, or is not as `tlmed train` writes it.
    """
    content = read_card_facts(run)
    try:
        return _write(content, shared)
    except InputError:
        raise
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        # The files are valid JSON with other content than `tlmed train` writes: it may fail in any of these ways.
        what = f"{type(error).__name__}: {error}"
        rule = "RUN must have its files as `tlmed train` writes them"
        raise InputError(f"{rule}. Received: {str(run.path)!r}: {what}.") from error


def _write(content, shared) -> str:
    sections = {
        "What it is": _describe_model(content),
        "What it is for, and what not": _describe_use(content),
        "What it learned from": _describe_data(content),
        "How well it does": show_score_section(content),
        "How to use it": show_usage(content, shared=shared),
        "How to repeat it": _describe_run(content, shared),
    }
    parts = [write_front_matter(content), f"# {plain(content.title)}", introduce(content)]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def introduce(content: CardFacts) -> str:
    """Return what the model is, and what it must not be used for, in a paragraph each."""
    classes = ", ".join(map(plain, quote_commas(content.metrics["classes"])))
    backbones = " and ".join(plain(name_weights(name)) for name in content.backbones)
    sentences = [
        f"{backbones} as a classifier of images{', of which each may have several labels' * content.is_multi}: "
        f"{classes}. Made with tlmed.",
        "**This is not a medical device.** It must not be used to diagnose or to treat anyone.",
    ]
    if content.is_synthetic:
        sentences.append(
            "**All images are synthetic**: tlmed drew them. The numbers below say nothing about images of people."
        )
    return "\n\n".join(sentences)


def _describe_model(content) -> str:
    recipe, plan = content.recipe, content.plan
    height, width = recipe["data"]["image_size"]
    points = [f"Recipe: {plain(content.summary)}"] if content.summary else []
    points += [
        f"Input: RGB images of {height} x {width} pixels (height x width), raw values from 0 to 255. The model itself "
        "scales them as its weights expect; it does not read files (see How to use it).",
        *(_describe_backbone(*pair) for pair in zip(content.backbones, content.weights, strict=True)),
        f"Blocks of the backbone: {len(plan['blocks'])}. Parameters: {plan['parameters']:,}.",
        tell_classifier(content) if content.is_hybrid else _describe_head(recipe["head"], content.is_multi),
    ]
    return "\n\n".join([bullets(points), *_describe_phases(content), show_training(content)])


def _describe_backbone(backbone, source) -> str:
    name = name_weights(source["name"])
    start = {"none": RANDOM, "own": "the weights that it came with"}.get(name, f"weights {code(name)}")
    licence = f", licence: {plain(source['licence'])}" if source.get("licence") else ""
    unknown = "" if licence or name == "none" else ", which state no licence"
    digest = f", SHA-256 {code(source['sha256'])}" if source.get("sha256") else ""
    words = say_preparation(source["name"], source.get("graph"))
    prepared = f"; {words}" if words else ""
    return f"Backbone: {plain(name_weights(backbone))}, from {start}{licence}{unknown}{digest}{prepared}."


def _describe_head(head, several) -> str:
    given = "one probability for each label, by a sigmoid of its own" if several else "one probability for each class"
    hidden = f", hidden layers of {', '.join(map(str, head['units']))}" if head["units"] else ""
    return f"Head: {name_pooling(head['pooling'])}{hidden}, dropout {head['dropout']}, {given}."


def _describe_phases(content) -> list[str]:
    phases = content.plan["phases"]
    if not phases:
        return []
    kept = content.metrics.get("kept", {}).get("name")
    rows = [
        (
            phase["name"] + (" (kept)" if phase["name"] == kept else ""),
            str(phase["thaw"]),
            *(("solved", "") if phase.get("solver") else (str(phase["epochs"]), f"{phase['learning_rate']:g}")),
            phase["batch_norm"],
            f"{phase['trainable_parameters']:,}",
        )
        for phase in phases
    ]
    columns = (
        *(*texts("Phase"), *numbers("Blocks thawed", "Epochs, at most", "Learning rate")),
        *(*texts("BatchNorm"), *numbers("Trainable parameters")),
    )
    return [Table(columns, rows).markdown()]


def _describe_use(content) -> str:
    sizes = f"{content.metrics['n']:,} {unit_of(content.metrics)}s"
    return bullets(
        [
            "For research and teaching: to compare methods, and to start from.",
            "Not for decisions about people: no authority has examined it.",
            _say_known(content),
            f"{_say_calibration(content.metrics)} {say_balanced(content.recipe)}".rstrip(),
            "Images of another device, hospital or population may give worse results than those below, which are of "
            f"{sizes} from the same source as the training images.",
            "It was trained once, with one seed and one division of the images; another seed or division gives other "
            "numbers.",
        ]
    )


def _say_known(content) -> str:
    if content.is_multi:
        return "It knows the labels above and nothing else: any image gets some of them, or none."
    return "It knows the classes above and nothing else: any image gets one of them."


def _say_calibration(metrics) -> str:
    """Say whether the probabilities are calibrated, and how calibration changed the scores."""
    if not metrics.get("calibration"):
        return "Its probabilities were not calibrated."
    worse, better = (join_names(map(name_metric, names)) if names else "" for names in sort_changes(metrics))
    rest = f"improved {better}" if better else "changed no score"
    where = f"on the split {code(metrics['split'])}{say_means(metrics)}"
    did = f"made {worse} worse {where}" + (f", though it improved {better}" if better else "") if worse else ""
    # A hybrid's classifier comes with sigmoids that were fitted by cross-validation.
    own = (
        "calibrated inside the training split" if metrics.get("classifier") else "as they were trained, not calibrated"
    )
    found = metrics["calibration"].get("temperature")  # of several labels each has its own
    by = "a temperature for each label" if found is None else f"a temperature of {thousandths(found)}"
    return f"Its own probabilities are {own}; {by} (see below) {did or f'{rest} {where}'}."


def _describe_data(content) -> str:
    data, splits = content.environment["data"], content.splits
    identifiers = read_identifiers(data)
    licence, alone = data.get("licence"), content.recipe["data"].get("groups") is False
    of_weights = " The licence that this card begins with is that of the weights." if find_licence(content) else ""
    points = [
        f"Source: {code(name_data(content.recipe['data']['source']))}"
        + (", synthetic phantoms that tlmed draws." if content.is_synthetic else "."),
        f"Licence of the images: {plain(licence) if licence else 'not stated by the source'}.{of_weights}",
        *filter(None, [plain(say_formats(content.environment))]),
        f"Splits: {describe_splits(content.environment, content.recipe)}.",
        count_groups(splits, content.recipe["data"], identifiers.pseudonyms),
        *describe_earlier(list_weights(content.environment, content.recipe), identifiers, splits, alone),
    ]
    if left_out := list_left_out(content.environment):
        points.append(f"Left out: {plain('; '.join(left_out))}.")
    points += describe_read_units(content.metrics.get("units", {}), unit_of(content.metrics))
    if content.environment.get("warnings"):
        points.append(f"Warnings about the images or the run, listed in it: {len(content.environment['warnings'])}.")
    if content.check and (amounts := say_amounts(content.check.errors, content.check.warnings)):
        points.append(f"Check of the data: {amounts}, listed in the run.")
    counts = count_label_images if content.is_multi else _count_images
    return f"{counts(content.metrics['classes'], splits)}\n\n{bullets(points)}"


def _count_images(classes, splits) -> str:
    counts = Counter((row["label"], row["split"]) for row in splits)
    places = list_places(splits)
    rows = [(name, *(f"{counts[name, place]:,}" for place in places)) for name in classes]
    totals = [f"{sum(counts[name, place] for name in classes):,}" for place in places]
    return Table(texts("Images") + numbers(*places), [*rows, ("all", *totals)]).markdown()


def count_groups(splits: Sequence[Mapping], data: Mapping, pseudonyms: bool) -> str:
    """Say how many groups each split has.

    Args:
        splits: The rows of `splits.csv`.
        data: `data` of `recipe.json`.
        pseudonyms: Whether tlmed named the groups.
    """
    groups = {split: {row["group"] for row in splits if row["split"] == split and row["group"]} for split in SPLITS}
    if not any(groups.values()):
        # Runs of older versions recorded no such switch.
        why = "no column that names them was found" if data.get("groups", True) else "switched off in the recipe"
        return f"Groups (patients): {why}, so images of one patient may be in several splits."
    counts = ", ".join(f"{len(names):,} in {split}" for split, names in groups.items())
    names = set().union(*groups.values())
    if are_patients(names, pseudonyms):
        return f"Groups (patients): {counts}."
    units = name_units(names)
    return f"Groups ({units}; no patient is named, and one may have several {units} in several splits): {counts}."


def _describe_run(content, shared) -> str:
    environment, timing = content.environment, content.timing
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    threads = environment["threads"]
    points = [
        f"Seed: {environment['seed']}.",
        f"Code: tlmed {plain(environment['versions'].get('tlmed'))}, {_say_commit(environment.get('git_commit'))}.",
        f"Python {plain(environment['python'])} on {plain(environment['platform'])}.",
        f"Versions: {plain(versions)}.",
        f"Devices: {plain(', '.join(environment['devices']))}.{_say_processor(environment)}",
        # 0 means: as many as there are cores
        f"Threads: {threads['intra_op'] or environment['cpus']} within an operation, "
        f"{threads['inter_op'] or environment['cpus']} between operations.",
        *(f"Changed while the run was stopped: {plain(words)}." for words in environment.get("changed", [])),
        f"Training took {duration(timing['training_seconds'])}.",
    ]
    lines = (
        "tlmed export RUN --format requirements --out requirements.txt\n"
        "pip install --no-deps -r requirements.txt\n"
        "tlmed reproduce RUN"
    )
    where = "Whoever has the directory of the run, which is not in this folder:\n\n" if shared else ""
    return f"{bullets(points)}\n\n{where}{block(lines, 'bash')}"


def _say_commit(commit: str | None) -> str:
    if commit is None:
        return "commit not known"
    commit, _, changes = commit.partition("+")
    return f"commit {code(commit)}" + (", with files changed since" if changes else "")


def _say_processor(environment) -> str:
    processor = environment.get("processor")  # older runs do not say
    return f" Processor: {plain(processor['name'])}, {plain(processor['architecture'])}." if processor else ""
