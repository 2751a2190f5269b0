"""The report of a cross-validation: its folds, their mean, and links to each fold's own report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from tlmed import rundir, whole_files
from tlmed.answer_units import unit_of
from tlmed.evaluation.decision_lines import say_median
from tlmed.evaluation.label_lines import name_mean
from tlmed.evaluation.lines import describe_size
from tlmed.evaluation.missing_images import describe_read_units
from tlmed.evaluation.pooling import say_pooling
from tlmed.identifiers import read_identifiers
from tlmed.metrics.names import name_inline
from tlmed.pages.amounts import duration, enumerate_names, join, name_run, number, title_run
from tlmed.pages.glossary import explain
from tlmed.pages.templating import render
from tlmed.pseudonyms import say_unknown
from tlmed.report.calibration_section import show_mean_calibration
from tlmed.report.cost import show_cost, show_environment
from tlmed.report.data_check import SEE, show_fold_checks
from tlmed.report.frame import frame
from tlmed.report.image_counts import is_synthetic, say_attributes, say_seeds
from tlmed.report.label_sections import show_label_thresholds, show_mean_label_calibration, tabulate_labels
from tlmed.report.operating_point import show_mean_operating_point
from tlmed.report.overlays import Fold, read_fold, show_fold_examples, show_overlays
from tlmed.report.scores import (
    compare_samples,
    list_all,
    say_one_by_one,
    show_baselines,
    show_classes,
    show_further,
    show_subgroups,
)
from tlmed.report.summary import list_doubts, name_weakest, say_earlier, say_value, show_recipe
from tlmed.run_files import ENVIRONMENT_JSON, FOLDS_CSV, METRICS_JSON, RECIPE_JSON, SPLITS_CSV, TIMING_JSON
from tlmed.run_files.check_summary import say_errors, summarise_folds
from tlmed.run_files.kept_findings import KeptFindings, read_kept
from tlmed.sections.augment_words import say_augmentation
from tlmed.tabulation import Table, numbers, say, texts
from tlmed.tasks import MULTI_LABEL, PRIMARY, read_task
from tlmed.words import count, name_start

_SHOWN = ("auc", "accuracy", "sensitivity", "specificity")  # of each fold; the fold's own report shows all metrics


@dataclass(frozen=True)
class FoldsContent:
    """The content of the report of a cross-validation.

    Attributes:
        name: The run directory's name.
        recipe: `recipe.json`.
        source: `recipe.py`.
        environment: `environment.json` of the first fold.
        groups: The groups of the images; none if they have none.
        warnings: The warnings of each fold, by its name.
        kept: What the check of the data found in each fold, by its name; older versions checked nothing.
        rows: The rows of `folds.csv`.
        metrics: `metrics.json`.
        timing: `timing.json`.
        folds: What is shown of each fold.
    """

    name: str
    recipe: Mapping
    source: str
    environment: Mapping
    groups: frozenset[str]
    warnings: Mapping[str, Sequence[str]]
    kept: Mapping[str, KeptFindings]
    rows: Sequence[Mapping]
    metrics: Mapping
    timing: Mapping
    folds: Sequence[Fold]

    @property
    def model(self) -> str:
        """What each fold trained; all classifiers of a hybrid stand on the same frozen network."""
        return "classifier" if self.classifier else "network"

    @property
    def classifier(self) -> str | None:
        """The name of a hybrid's classifier; None for a network that was trained."""
        return self.recipe.get("head", {}).get("classifier")


def write_folds_report(run_dir: str | Path) -> Path:
    """Write `report.html` of a cross-validation from the other files of its directory, and return its path."""
    run = rundir.RunDir(Path(run_dir))
    content = FoldsContent(
        name=run.path.resolve().name,
        recipe=RECIPE_JSON.read(run),
        source=(run / "recipe.py").read_text(encoding="utf-8"),
        environment=ENVIRONMENT_JSON.read(run.folds[0]),
        groups=frozenset(row["group"] for row in SPLITS_CSV.read(run.folds[0]) if row["group"]),
        warnings={part.path.name: ENVIRONMENT_JSON.read(part).get("warnings", []) for part in run.folds},
        kept={part.path.name: kept for part in run.folds if (kept := read_kept(part))},
        rows=FOLDS_CSV.read(run),
        metrics=METRICS_JSON.read(run),
        timing=TIMING_JSON.read(run),
        folds=[read_fold(part) for part in run.folds],
    )
    whole_files.write_text(run / "report.html", make_folds_page(content))
    return run / "report.html"


def make_folds_page(content: FoldsContent) -> str:
    """Return the whole page as HTML."""
    sections = {
        "What was asked, and what was done": _tell_story(content),
        "Means over the folds": _show_means(content.metrics, content.model),
        **_list_answers(content),
        "Compared with no transfer learning": show_baselines(content.metrics),
        "Subgroups": show_subgroups(content.metrics),
        "Examples": show_fold_examples(content.folds, content.model),
        "Folds": _show_folds(content.rows),
        "Check of the data": show_fold_checks(content.kept),
        "Warnings": _show_warnings(content.warnings),
        "Cost": show_cost(content.timing),
        "Environment of the first fold": show_environment(content.environment),
        "Recipe": show_recipe(content.source, content.recipe, content.environment),
    }
    title, run = (call(content.recipe, content.name, ", cross-validated") for call in (title_run, name_run))
    return frame(title, content.metrics, sections, is_synthetic(content), run, content.model)


def _list_answers(content) -> dict[str, Markup]:
    """Return the sections that differ where an image may have several labels."""
    overlays = show_overlays(content.folds, content.metrics, content.model)
    if read_task(content.metrics) == MULTI_LABEL:
        return {
            "Thresholds": show_label_thresholds(content.metrics),
            "Curves": overlays,
            "Calibration": show_mean_label_calibration(content.metrics, content.recipe),
        }
    return {
        "Curves and confusion": overlays,
        "Operating point": show_mean_operating_point(content.metrics),
        "Calibration": show_mean_calibration(content.metrics, content.recipe),
    }


def _tell_story(content) -> Markup:
    recipe, metrics, primary = content.recipe, content.metrics, PRIMARY[read_task(content.metrics)]
    return render(
        "folds/story.html",
        task=read_task(metrics),
        classes=enumerate_names(metrics["classes"]),
        metrics=metrics,
        source=recipe["data"].get("source"),
        backbone=join(recipe.get("backbone")),
        start=name_start(recipe.get("weights")),
        earlier=say_earlier(content.environment),
        attributes=say_attributes(recipe),
        changed=say_augmentation(recipe.get("augment", {})),
        classifier=content.classifier,
        model=content.model,
        seed=say_seeds(recipe),
        split=recipe["data"]["split"],
        share=recipe["data"].get("train_share", 1),
        unknown=say_unknown(
            recipe["data"].get("groups", True),
            content.groups,
            read_identifiers(content.environment.get("data", {})).pseudonyms,
        ),
        found=f"{_name_mean(metrics, count(len(content.rows), content.model))} is "
        f"{say_value(metrics['metrics'][primary])}. "
        f"{name_weakest(metrics)}",
        doubts=[*list_doubts(metrics), *say_errors(summarise_folds(content.kept), SEE)],
    )


def _name_mean(metrics, models) -> str:
    primary = PRIMARY[read_task(metrics)]
    if read_task(metrics) == MULTI_LABEL:
        return f"the {name_mean(primary, metrics)}, averaged over {models},"
    return f"the mean {name_inline(primary)} of {models}"


def _show_means(metrics, model) -> Markup:
    means, several = list_all(metrics, "Mean"), read_task(metrics) == MULTI_LABEL
    return render(
        "folds/means.html",
        model=model,
        unit=unit_of(metrics),
        means=means,
        few=[*describe_size(metrics), *describe_read_units(metrics.get("units", {}), unit_of(metrics))],
        pooling=say_pooling(metrics),
        median=say_median(metrics),
        further=show_further(metrics, "Mean"),
        samples=compare_samples(metrics),
        one_by_one=say_one_by_one(metrics),
        labels=tabulate_labels(metrics) if several else None,
        classes=None if several else show_classes(metrics),
    )


def _show_folds(rows) -> Markup:
    shown = [name for name in _SHOWN if name in rows[0]]
    cells = [
        (
            say(f"Fold {row['fold']}", link=f"{rundir.FOLDS}/{row['fold']}/report.html"),
            row["repeat"],
            *(f"{int(row[split]):,}" for split in ("train", "val", "test")),
            *(number(float(row[name]) if row[name] else None) for name in shown),
            duration(float(row["seconds"])),
        )
        for row in rows
    ]
    columns = numbers("Repeat", "Train", "Val", "Test", *map(explain, shown), "Training")
    return render("table.html", table=Table(texts("Report") + columns, cells))


def _show_warnings(warnings) -> Markup:
    """Return the warnings that all folds share; those of single folds, such as of their test images, are hidden."""
    first, *others = warnings.values()
    shared = [sentence for sentence in first if all(sentence in found for found in others)]
    single = [
        f"Fold {name}: {sentence}" for name, found in warnings.items() for sentence in found if sentence not in shared
    ]
    return render("folds/warnings.html", shared=shared, single=single)
