"""Runs of several labels are compared by label and in their means; costs and errors in grades are compared, too."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tests.comparison.test_comparison import edit, noted, write_folds, write_means, write_run
from tlmed import whole_files
from tlmed.comparison import compare, conclude, describe_comparison, make_comparison_page, write_comparison
from tlmed.errors import InputError
from tlmed.evaluation.measures import Scoring, measure
from tlmed.evaluation.predictions import Predictions
from tlmed.label_vectors import write_labels
from tlmed.metrics import compare_areas, holm, mcnemar
from tlmed.metrics.definitions import make_case
from tlmed.metrics.influences import influence_of_all
from tlmed.metrics.label_differences import compare_label_pairs, measure_label_pairs
from tlmed.metrics.label_metrics import as_two_classes, evaluate_labels
from tlmed.metrics.paired_means import compare_image_means
from tlmed.screen import to_lines

NAMES = ("edema", "mass", "nodule")
N = 120


def draw_labels(n=N, shares=(0.4, 0.3, 0.2), unknown=0.1, seed=1):
    random = np.random.default_rng(seed)
    labels = (random.random((n, len(shares))) < shares).astype(int)
    labels[random.random(labels.shape) < unknown] = -1
    labels[(labels < 0).all(axis=1), 0] = 0
    return labels


def draw_scores(labels, skill, seed):
    random = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-(skill * np.maximum(labels, 0) + random.normal(size=labels.shape) - 0.5)))
    return scores, (scores >= 0.5).astype(int)


def write_labelled(folder, skill, seed, labels=None, names=NAMES, groups=False):
    """Write the files of a run of several labels that a comparison reads."""
    labels = draw_labels() if labels is None else labels
    scores, guesses = draw_scores(labels, skill, seed)
    order = [NAMES.index(name) for name in names]
    labels, scores, guesses = labels[:, order], scores[:, order], guesses[:, order]
    folder.mkdir(parents=True)
    owners = [f"p{i // 3}" if groups else "" for i in range(len(labels))]
    texts = write_labels(labels, names)
    rows = [(f"{i:03}.png", text, owners[i], "test", f"{i:0>64}") for i, text in enumerate(texts)]
    rows += [(f"t{i}.png", names[0], "", "train", f"{i:0>63}a") for i in range(20)]
    whole_files.write_csv(folder / "splits.csv", ("path", "label", "group", "split", "sha256"), rows)
    columns = [f"{kind}_{name}" for kind in ("label", "prediction", "score") for name in names]
    cells = [["" if cell < 0 else cell for cell in row] for row in labels.tolist()]
    table = [
        (f"{i:03}.png", "test", *known, *guess, *map(repr, row))
        for i, (known, guess, row) in enumerate(zip(cells, guesses.tolist(), scores.tolist(), strict=True))
    ]
    whole_files.write_csv(folder / "predictions.csv", ("path", "split", *columns), table)
    found = evaluate_labels(labels, scores, guesses, names, owners if groups else None)
    files = {
        "recipe.json": {"data": {"source": "/data"}, "backbone": "VGG16", "weights": "imagenet", "seed": 0},
        "plan.json": {"weights": "imagenet/keras", "phases": []},
        "environment.json": {"cpus": 2, "devices": ["CPU"]},
        "timing.json": {"training_seconds": 10.0, "peak_memory_mb": 900, "images_per_second": 80.5},
        "metrics.json": {**found, "task": "multi-label", "primary": "auc", "threshold": None},
    }
    for name, content in files.items():
        whole_files.write_json(folder / name, content)
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Give three runs of three labels, from worse to better."""
    folder = tmp_path_factory.mktemp("labelled")
    return [write_labelled(folder / name, skill, seed) for seed, (name, skill) in enumerate(SKILLS.items())]


SKILLS = {"poor": 0.2, "good": 1.5, "better": 2.5}


def test_labels_get_tests_of_their_own_and_holm_over_labels_and_pairs(labelled):
    comparison = compare(labelled)
    labels, tables = draw_labels(), [draw_scores(draw_labels(), skill, i) for i, skill in enumerate(SKILLS.values())]
    p_values = []
    for pair in comparison.pairs:
        for own, name in enumerate(NAMES):
            known = labels[:, own] >= 0
            areas = [tables[place][0][known, own] for place in (pair.first, pair.second)]
            expected = compare_areas(labels[known, own] == 1, *areas)
            entry = pair.labels[name]["auc"]
            for key in ("value", "low", "high", "p"):
                assert entry[key] == pytest.approx(expected[key], abs=1e-12)
            p_values.append(expected["p"])
            right = [(tables[place][1] == labels)[known, own] for place in (pair.first, pair.second)]
            assert pair.labels[name]["accuracy"]["p"] == pytest.approx(mcnemar(*right)["p"], abs=1e-12)
    found = [entry["auc"]["p_holm"] for pair in comparison.pairs for entry in pair.labels.values()]
    ranked, largest = sorted(range(9), key=p_values.__getitem__), 0.0
    for rank, place in enumerate(ranked):  # Holm by hand
        largest = max(largest, min(1.0, (9 - rank) * p_values[place]))
        assert found[place] == pytest.approx(largest, abs=1e-12)
    means = [pair.questions["auc"] for pair in comparison.pairs]
    assert [entry["p_holm"] for entry in means] == holm([entry["p"] for entry in means])


def test_a_difference_of_means_is_combined_from_those_of_the_labels(labelled):
    comparison, labels = compare(labelled[:2]), draw_labels()
    tables = [draw_scores(labels, skill, i) for i, skill in enumerate([0.2, 1.5])]
    entry, parts, moves = comparison.pairs[0].questions["auc"], [], []
    for own, name in enumerate(NAMES):
        known = labels[:, own] >= 0
        cases = [make_case(labels[known, own], as_two_classes(s[known, own]), g[known, own], 1) for s, g in tables]
        moved = np.zeros(N)
        moved[known] = influence_of_all(cases[0], "auc") - influence_of_all(cases[1], "auc")
        parts.append(comparison.pairs[0].labels[name]["auc"])
        moves.append(moved)
    areas = [np.mean([_area(labels, scores, own) for own in range(3)]) for scores, _ in tables]
    assert entry["value"] == pytest.approx(areas[0] - areas[1], abs=1e-12)
    size = np.sqrt(np.sum(np.square(moves), axis=1))
    correlations = np.array(moves) @ np.array(moves).T / np.outer(size, size)
    for end in ("low", "high"):  # the sum of all products of two distances, with their correlation
        ways = np.array([abs(part["value"] - part[end]) / 3 for part in parts])
        assert abs(entry["value"] - entry[end]) == pytest.approx(np.sqrt(ways @ correlations @ ways), abs=1e-10)
    match = comparison.pairs[0].questions["exact_match"]
    whole = (labels >= 0).all(axis=1)
    right = [(guesses == labels).all(axis=1)[whole] for _, guesses in tables]
    assert match["value"] == pytest.approx(right[0].mean() - right[1].mean(), abs=1e-12)
    assert match["p"] == pytest.approx(mcnemar(*right)["p"], abs=1e-12)


def _area(labels, scores, own):
    known = labels[:, own] >= 0
    return roc_auc_score(labels[known, own], scores[known, own])


def test_terminal_page_and_tables_show_each_label(labelled, tmp_path):
    comparison = compare(labelled)
    said = "\n".join(map(str, to_lines(describe_comparison(comparison), 200)))
    assert "mean AUC" in said
    assert "p: corrected for 9 tests, of all labels and pairs (Holm)." in said
    assert "has the highest mean AUC of 3 runs" in conclude(comparison)[0]
    page = make_comparison_page(comparison)
    assert "that can be tested, for each metric by itself (AUC: 9 tests)" in page
    assert "Mean AUC: 3 pairs" in page
    assert ">Mean F1</a>" in page  # of the table of runs
    assert " df" not in page.split("All pairs</h2>")[0]  # each label has others
    write_comparison(tmp_path / "out", comparison)
    rows = whole_files.read_csv(tmp_path / "out" / "pairs.csv")
    assert {row["label"] for row in rows} == {"", *NAMES}
    of_mass = next(row for row in rows if (row["label"], row["metric"]) == ("mass", "auc"))
    assert float(of_mass["difference"]) == pytest.approx(comparison.pairs[0].labels["mass"]["auc"]["value"])
    assert of_mass["pairs"] == "9"
    write_comparison(tmp_path / "out", comparison, force=True)  # its own files


def test_labels_in_another_order_are_the_same_labels(labelled, tmp_path):
    turned = write_labelled(tmp_path / "turned", 1.5, 1, names=("nodule", "edema", "mass"))
    comparison = compare([labelled[1], turned])
    assert any("same scores and predictions" in note for note in comparison.notes)
    other = compare([turned, labelled[0]]).pairs[0]
    usual = compare([labelled[1], labelled[0]]).pairs[0]
    for name in NAMES:
        assert other.labels[name]["auc"]["p"] == pytest.approx(usual.labels[name]["auc"]["p"], abs=1e-12)
    assert other.questions["auc"]["low"] == pytest.approx(usual.questions["auc"]["low"], abs=1e-12)


def test_classes_in_another_order_are_the_same_classes(tmp_path):
    usual = [write_run(tmp_path / f"u{i}", ("a", "b", "c"), 0.3, i) for i in range(2)]
    turned = _turn(usual[1], tmp_path / "turned", ("c", "a", "b"))
    ours, theirs = compare(usual).pairs[0].questions, compare([usual[0], turned]).pairs[0].questions
    for name, entry in ours.items():
        for key in ("value", "p"):
            assert theirs[name][key] == pytest.approx(entry[key], abs=1e-12), name
    # The order of grades is part of the question.
    for run in (usual[0], turned):
        edit(run / "metrics.json", lambda content: content.update(task="ordinal"))
    with pytest.raises(InputError, match="must have the same classes"):
        compare([usual[0], turned])


def _turn(run, folder, classes):
    """Write a copy of a run whose classes are in another order."""
    folder.mkdir()
    for file in run.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    rows = whole_files.read_csv(run / "predictions.csv")
    columns = ("path", "split", "label", "prediction", *(f"score_{name}" for name in classes))
    whole_files.write_csv(folder / "predictions.csv", columns, ([row[name] for name in columns] for row in rows))
    edit(folder / "metrics.json", lambda content: content.update(classes=list(classes)))
    return folder


def test_other_labels_and_other_tasks_are_refused(labelled, tmp_path):
    changed = draw_labels()
    changed[0] = 1 - np.maximum(changed[0], 0)
    other = write_labelled(tmp_path / "changed", 1.0, 5, labels=changed)
    with pytest.raises(InputError, match=r"1 test image with another label \(000.png\)"):
        compare([labelled[0], other])
    with pytest.raises(InputError, match="must all be of several labels, or none"):
        compare([labelled[0], write_run(tmp_path / "single")])
    fewer = write_labelled(tmp_path / "fewer", 1.0, 5, labels=np.maximum(draw_labels(), 0), names=NAMES[:2])
    with pytest.raises(InputError, match="must have the same classes to be compared"):
        compare([labelled[0], fewer])


def test_a_label_that_cannot_be_measured_is_named(tmp_path):
    labels = draw_labels()
    labels[:, 2] = np.minimum(labels[:, 2], 0)
    runs = [write_labelled(tmp_path / f"{i}", 1.0, i, labels=labels) for i in range(2)]
    pair = compare(runs).pairs[0]
    assert pair.labels["nodule"]["auc"]["value"] is None
    assert pair.labels["nodule"]["auc"]["reason"]
    assert pair.questions["auc"]["note"].startswith("Mean without 'nodule', where it is undefined.")
    said = "\n".join(map(str, to_lines(describe_comparison(compare(runs)), 200)))
    assert "p: corrected for 2 tests, of all labels and pairs (Holm)." in said
    assert "Not tested: nodule: No image is of class 'nodule'." in said
    # Holm counts the two labels that are tested.
    tested = [entry["auc"]["p"] for entry in pair.labels.values() if entry["auc"]["p"] is not None]
    assert len(tested) == 2
    assert max(entry["auc"]["p_holm"] or 0 for entry in pair.labels.values()) <= min(1, 2 * max(tested))


def test_groups_make_intervals_of_means_wider_or_narrower_but_keep_values(tmp_path):
    grouped = [write_labelled(tmp_path / f"g{i}", 1.0 + i, i, groups=True) for i in range(2)]
    comparison = compare(grouped)
    assert comparison.groups == N // 3
    assert "by groups" in comparison.pairs[0].labels["mass"]["auc"]["method"]


def test_folds_of_several_labels_are_compared_by_their_means(tmp_path):
    runs = []
    for name, skill in (("one", 0.5), ("two", 2.0)):
        folder = tmp_path / name
        for fold in range(3):
            write_labelled(folder / "folds" / f"{fold + 1:02}", skill, 10 * fold, labels=draw_labels(seed=fold))
        folds = [json.loads(path.read_text()) for path in sorted(folder.glob("folds/*/metrics.json"))]
        content = {**folds[0], "n": 3 * N, "metrics": _average([fold["metrics"] for fold in folds])}
        content["per_class"] = {name: _average([fold["per_class"][name] for fold in folds]) for name in NAMES}
        whole_files.write_json(folder / "metrics.json", content)
        split = {"k": 3, "repeats": 1, "val": 0.15, "fold": None}
        recipe = {"data": {"source": "/data", "split": split}, "backbone": "VGG16", "weights": "imagenet", "seed": 0}
        whole_files.write_json(folder / "recipe.json", recipe)
        whole_files.write_json(folder / "timing.json", {"training_seconds": 99.5, "peak_memory_mb": 950})
        runs.append((folder, folds))
    pair = compare([folder for folder, _ in runs]).pairs[0]
    for label in (None, *NAMES):
        entry = pair.questions["auc"] if label is None else pair.labels[label]["auc"]
        values = [
            np.mean(
                [(fold["metrics"] if label is None else fold["per_class"][label])["auc"]["value"] for fold in folds]
            )
            for _, folds in runs
        ]
        assert entry["value"] == pytest.approx(values[0] - values[1], abs=1e-12)
        assert entry["low"] < entry["value"] < entry["high"]


def _average(parts):
    return {
        name: {**entry, "value": float(np.mean([part[name]["value"] for part in parts]))}
        if isinstance(entry, dict)
        else entry
        for name, entry in parts[0].items()
    }


COSTS = {"a": {"a": 0.0, "b": 1.0, "c": 2.0}, "b": {"a": 5.0, "b": 0.0, "c": 1.0}, "c": {"a": 20.0, "b": 3.0, "c": 0.0}}


def price(run, costs=COSTS, task="single-label"):
    """Say what errors cost, and the metrics that follow, in the files of a run."""
    rows = whole_files.read_csv(run / "predictions.csv")
    classes = ("a", "b", "c")
    labels, guesses = (np.array([classes.index(row[name]) for row in rows]) for name in ("label", "prediction"))
    scores = np.array([[float(row[f"score_{name}"]) for name in classes] for row in rows])
    test = Predictions(
        tuple(row["path"] for row in rows), ("test",) * len(rows), labels, scores, guesses, classes, task=task
    )
    table = np.array([[costs[true][guess] for guess in classes] for true in classes])
    found = measure(test, Scoring("test", costs=table))
    edit(run / "metrics.json", lambda content: content.update(metrics=found["metrics"], costs=costs, task=task))
    return table[labels, guesses], np.abs(labels - guesses)


def test_expected_costs_and_errors_in_grades_are_compared_image_by_image(tmp_path):
    runs = [write_run(tmp_path / f"r{i}", ("a", "b", "c"), 0.1 + 0.2 * i, i) for i in range(2)]
    paid = [price(run)[0] for run in runs]
    comparison = compare(runs)
    entry = comparison.pairs[0].questions["expected_cost"]
    assert entry["value"] == pytest.approx(paid[0].mean() - paid[1].mean(), abs=1e-12)
    # Degrees of freedom and strata differ a little from the plain paired t test.
    assert entry["p"] == pytest.approx(stats.ttest_rel(*paid).pvalue, abs=0.01)
    assert "expected cost" in "\n".join(map(str, to_lines(describe_comparison(comparison), 200)))
    off = [price(run, task="ordinal")[1] for run in runs]
    comparison = compare(runs)
    error = comparison.pairs[0].questions["mean_absolute_error"]
    assert error["value"] == pytest.approx(off[0].mean() - off[1].mean(), abs=1e-12)
    assert error["p"] == pytest.approx(stats.ttest_rel(*off).pvalue, abs=0.01)


def test_an_interval_that_is_cut_says_so(tmp_path):
    runs = [write_folds(tmp_path / name, seed=seed, classes=("a", "b")) for seed, name in enumerate(("one", "two"))]
    for value, fold in zip((0.9, 0.1, 0.9), sorted((runs[0] / "folds").iterdir()), strict=True):
        edit(fold / "metrics.json", lambda it, value=value: it["metrics"]["specificity"].update(value=value))
    write_means(runs[0])
    entry = compare(runs).pairs[0].questions["specificity"]
    assert -1 in (entry["low"], -entry["high"])
    assert "The interval is cut at " in entry["note"]
    assert "note" not in compare(runs).pairs[0].questions["auc"]


def test_a_note_on_the_expected_cost_of_a_run_is_on_the_terminal(tmp_path):
    runs = [write_run(tmp_path / f"r{i}", ("a", "b", "c"), 0.3, i) for i in range(2)]
    for run in runs:
        price(run)
    said = "It is of the mix of these images; classes are predicted for a prevalence of 0.05."
    edit(runs[1] / "metrics.json", lambda content: content["metrics"]["expected_cost"].update(note=said))
    assert f"Note: Expected cost of r1: {said}" in describe_comparison(compare(runs))


def test_costs_that_differ_are_not_compared(tmp_path):
    runs = [write_run(tmp_path / f"r{i}", ("a", "b", "c"), 0.3, i) for i in range(2)]
    price(runs[0])
    assert "expected_cost" not in compare(runs).pairs[0].questions
    assert any("do not state the same costs: r1 states none" in note for note in noted(compare(runs)))
    price(runs[1], {**COSTS, "c": {"a": 2.0, "b": 3.0, "c": 0.0}})
    comparison = compare(runs)
    assert "expected_cost" not in comparison.questions
    assert any("they state different ones" in note for note in noted(comparison))


def test_costs_of_folds_are_compared(tmp_path):
    runs = [
        write_folds(tmp_path / name, seed=seed, classes=("a", "b", "c")) for seed, name in enumerate(("one", "two"))
    ]
    for run in runs:
        for fold in sorted((run / "folds").iterdir()):
            price(fold)
        folds = [json.loads(path.read_text()) for path in sorted(run.glob("folds/*/metrics.json"))]
        edit(
            run / "metrics.json",
            lambda content, folds=folds: content.update(metrics=_average([it["metrics"] for it in folds]), costs=COSTS),
        )
    entry = compare(runs).pairs[0].questions["expected_cost"]
    values = [json.loads((run / "metrics.json").read_text())["metrics"]["expected_cost"]["value"] for run in runs]
    assert entry["value"] == pytest.approx(values[0] - values[1], abs=1e-12)
    assert entry["low"] < entry["value"] < entry["high"]


def test_equal_classifiers_do_not_differ():
    labels = draw_labels()
    table = draw_scores(labels, 1.0, 0)
    found = compare_label_pairs(labels, [table, table], NAMES, None, ("auc", "accuracy", "brier", "exact_match"))[0, 1]
    assert {name: (entry["value"], entry["p"]) for name, entry in found.means.items()} == dict.fromkeys(
        ("auc", "accuracy", "brier", "exact_match"), (0.0, 1.0)
    )
    spreads = measure_label_pairs(labels, [table, table], NAMES, None, ("auc", "exact_match"))[0, 1]
    assert {spread.variance for spread in spreads.means.values()} == {0.0}
    assert compare_image_means(np.ones(5), np.ones(5), np.arange(5) % 2)["p"] == 1.0
    with pytest.raises(InputError, match="must be finite"):
        compare_image_means(np.array([np.nan, 1.0]), np.ones(2), np.arange(2))


@pytest.mark.slow
@pytest.mark.parametrize("shares", [(0.4, 0.3, 0.1), (0.1, 0.1, 0.1), (0.5, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1)])
@pytest.mark.parametrize(("n", "per_group"), [(60, 1), (400, 1), (200, 5)])
def test_few_equal_classifiers_of_several_labels_are_found_to_differ(n, per_group, shares):
    random, found, asked = np.random.default_rng(n), [], ("auc", "accuracy", "brier", "exact_match")
    owners = np.arange(n) // per_group
    groups = None if per_group == 1 else [str(owner) for owner in owners]

    def vary(shape, size):
        return (
            random.normal(size=shape)
            + (per_group > 1) * size * random.normal(size=(owners.max() + 1, shape[1]))[owners]
        )

    for _ in range(600):
        labels = (random.random((n, len(shares))) < shares).astype(int)
        own = (random.random((owners.max() + 1, len(shares))) < shares).astype(int)[owners]
        labels = np.where(random.random(labels.shape) < 0.7 * (per_group > 1), own, labels)
        both = vary(labels.shape, 0.5)
        tables = []
        for _ in range(2):
            scores = 1 / (1 + np.exp(-(1.2 * (2 * labels - 1) + both + vary(labels.shape, 0.7))))
            tables.append((scores, (scores >= 0.5).astype(int)))
        labels[random.random(labels.shape) < 0.1] = -1
        names = [f"label {i}" for i in range(len(shares))]
        found.append(compare_label_pairs(labels, tables, names, groups, asked)[0, 1].means)
    for name in asked:
        p_values = [means[name]["p"] for means in found if means[name]["p"] is not None]
        assert len(p_values) > 300
        assert np.mean(np.array(p_values) < 0.05) <= 0.08, name  # 0.07, and chance of 600 draws


@pytest.mark.slow
@pytest.mark.parametrize(("n", "per_group", "share"), [(60, 1, 0.5), (60, 1, 0.1), (400, 1, 0.1), (200, 5, 0.3)])
def test_few_equal_classifiers_are_found_to_cost_more(n, per_group, share):
    random, costs, p_values = np.random.default_rng(n), np.array([[0, 1.0], [10, 0]]), []
    owners = np.arange(n) // per_group
    groups = [str(owner) for owner in owners]
    for _ in range(1000):
        labels = (random.random(owners.max() + 1) < share)[owners].astype(int)
        both, paid = random.normal(size=n), []
        for _ in range(2):
            mine = random.normal(size=n) + (per_group > 1) * 0.7 * random.normal(size=owners.max() + 1)[owners]
            paid.append(costs[labels, (1.5 * (2 * labels - 1) + both + mine > -1).astype(int)])
        p_values.append(compare_image_means(*paid, labels, groups)["p"])
    tested = np.array([p for p in p_values if p is not None])
    assert len(tested) > 900
    assert np.mean(tested < 0.05) <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize(("n", "per_group", "share"), [(60, 1, 0.5), (60, 1, 0.1), (400, 1, 0.1), (200, 5, 0.3)])
def test_few_equal_classifiers_are_found_to_be_off_by_more_grades(n, per_group, share):
    random, p_values = np.random.default_rng(n), []
    owners = np.arange(n) // per_group
    groups = [str(owner) for owner in owners]
    for _ in range(1000):
        labels = random.choice(4, size=owners.max() + 1, p=[1 - share, share / 2, share / 4, share / 4])[owners]
        both, off = random.normal(size=n), []
        for _ in range(2):
            mine = random.normal(size=n) + (per_group > 1) * 0.7 * random.normal(size=owners.max() + 1)[owners]
            off.append(np.abs(labels - np.clip(np.round(labels + (both + mine) / 2), 0, 3)))
        p_values.append(compare_image_means(*off, labels, groups)["p"])
    tested = np.array([p for p in p_values if p is not None])
    assert len(tested) > 900
    assert 0.02 <= np.mean(tested < 0.05) <= 0.07
