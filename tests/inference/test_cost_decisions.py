"""Costs and logit adjustment decide which class is predicted, from validation to every file that a run writes."""

import dataclasses

import numpy as np
import pytest

import tlmed
from tests.cli.test_cli import here
from tests.conftest import write_images
from tests.inference.test_decisions import N, binary
from tests.run.test_run import small
from tlmed import inference
from tlmed.errors import InputError
from tlmed.evaluation.answer_rules import ExpectedCost, LogitAdjustment
from tlmed.evaluation.deciding_lines import describe_cheapest, list_deciding
from tlmed.evaluation.decision_lines import caption_choice, describe_choice
from tlmed.evaluation.decisions import apply_decision, decide, decide_anew, read_decision
from tlmed.evaluation.lines import describe_metrics
from tlmed.evaluation.measures import Scoring, score
from tlmed.evaluation.predictions import Predictions
from tlmed.evaluation.predictions_csv import read_predictions, write_predictions
from tlmed.inference.stated_costs import find_costs, find_rule
from tlmed.metrics import apply_temperature, fill_costs
from tlmed.recipe import from_json, load_recipe, override, to_json
from tlmed.report.calibration_section import show_mean_calibration
from tlmed.report.evaluations import make_evaluation_page
from tlmed.reproduce import Request, reproduce
from tlmed.rundir import RunDir
from tlmed.tasks import ORDINAL, SINGLE_LABEL
from tlmed.voice import Voice
from tlmed.whole_files import read_csv, write_json

THREE = ("a", "b", "c")


def several(n=N, seed=0):
    """Return overconfident predictions of three classes, a third of them validation images."""
    random = np.random.default_rng(seed)
    labels = random.choice(3, n, p=(0.6, 0.3, 0.1))
    logits = 2 * random.normal(np.eye(3)[labels], 0.8)
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    splits = tuple("val" if i < n // 3 else "test" for i in range(n))
    return Predictions(tuple(f"{i}.png" for i in range(n)), splits, labels, scores, scores.argmax(axis=1), THREE)


def check(predictions, rule, costs=None, positive=None, prevalence=None):
    """Return what a rule makes of predictions: them, the decision, and `metrics.json`."""
    decision = decide(predictions.of("val"), positive, rule, costs, prevalence)
    found = apply_decision(predictions, decision, positive)
    return found, decision, score(found, Scoring("test", positive, 0, decision, prevalence, costs=costs))


@pytest.mark.parametrize("ratio", [0.1, 1, 10])
def test_of_two_classes_the_threshold_is_that_of_calibrated_probabilities(ratio):
    costs = fill_costs(None, ratio, ("ill", "well"), 0)
    found, decision, result = check(binary(), ExpectedCost(costs), costs, "ill")
    calibrated = apply_temperature(found.scores, decision.temperature)
    assert ((calibrated @ costs).argmin(axis=1) == found.predictions).all()
    assert decision.operating_point["cutoff"] == pytest.approx(1 / (1 + ratio))
    assert result["threshold"] == decision.threshold
    test = found.of("test")
    assert result["metrics"]["expected_cost"]["value"] == pytest.approx(costs[test.labels, test.predictions].mean())
    half = costs[test.labels, np.where(test.scores[:, 0] >= 0.5, 0, 1)].mean()
    assert result["operating_point"]["at_half"]["expected_cost"]["value"] == pytest.approx(half)
    assert result["costs"] == {"ill": {"well": ratio}, "well": {"ill": 1.0}}
    (said,) = [line for line in describe_metrics(result) if line.startswith("Threshold of ill")]
    assert "(expected-cost: a calibrated probability of" in said


def test_of_more_classes_the_cheapest_is_predicted_and_the_highest_score_stands_beside_it(tmp_path):
    costs = fill_costs({"c": {"a": 10, "b": 10}}, None, THREE, None)
    found, decision, result = check(several(), ExpectedCost(costs), costs)
    cheapest = (apply_temperature(found.scores, decision.temperature) @ costs).argmin(axis=1)
    assert (found.predictions == cheapest).all()
    assert (found.predictions != found.scores.argmax(axis=1)).any()
    assert not found.by_scores
    plain = result["decision"]["by_score"]["expected_cost"]["value"]
    assert result["metrics"]["expected_cost"]["value"] < plain
    assert result["threshold"] is None
    assert "operating_point" not in result
    lines = describe_metrics(result)
    assert "Predicted: the class of least expected cost, by calibrated probabilities." in lines
    assert "By the highest score instead:" in lines
    assert describe_choice(result)[0].startswith("`prediction` is the class of least expected cost")
    assert caption_choice(result) == "; by expected-cost"
    page = make_evaluation_page(found.of("test"), {**result, "evaluated": {"run": "r", "data": "d", "warnings": []}})
    assert "Predicted is the class of least expected cost" in page
    assert "What errors cost" in page
    for part in (page, show_mean_calibration(result, {})):
        assert "Classes are predicted by the calibrated probabilities." in part
        assert "It changes no class" not in part
    write_json(tmp_path / "metrics.json", result)
    again = read_decision(RunDir(tmp_path))
    assert (again.choose(found.scores, None, SINGLE_LABEL) == found.predictions).all()


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_logit_adjustment_holds_frequent_classes_back(tmp_path, tau):
    priors = np.array([0.6, 0.3, 0.1])
    found, decision, result = check(several(), LogitAdjustment(priors, tau))
    adjusted = np.log(apply_temperature(found.scores, decision.temperature)) - tau * np.log(priors)
    assert (found.predictions == adjusted.argmax(axis=1)).all()
    assert (found.predictions == 2).sum() > (found.scores.argmax(axis=1) == 2).sum()
    assert "costs" not in result
    assert "expected_cost" not in result["metrics"]
    write_json(tmp_path / "metrics.json", result)
    assert (read_decision(RunDir(tmp_path)).choose(found.scores, None, SINGLE_LABEL) == found.predictions).all()
    two, decision, _ = check(binary(), LogitAdjustment(np.array([0.8, 0.2]), tau), positive="ill")
    logits = np.log(apply_temperature(two.scores, decision.temperature)) - tau * np.log([0.8, 0.2])
    assert (two.predictions == logits.argmax(axis=1)).all()


def test_costs_that_grow_with_the_distance_of_grades_decide_instead_of_the_median():
    costs = np.abs(np.subtract.outer(range(3), range(3))) * np.array([[1.0], [1.0], [9.0]])
    graded = dataclasses.replace(several(), task=ORDINAL)
    found, decision, result = check(graded, ExpectedCost(costs), costs)
    assert (found.predictions == (apply_temperature(found.scores, decision.temperature) @ costs).argmin(axis=1)).all()
    assert result["metrics"]["expected_cost"]["value"] < result["decision"]["by_score"]["expected_cost"]["value"]
    lines = describe_metrics(result)
    assert "By the median grade instead:" in lines
    assert not any("Predicted is the median grade" in line for line in lines)


def test_a_threshold_can_have_the_least_cost_on_validation_images():
    costs = fill_costs(None, 7, ("ill", "well"), 0)
    predictions = binary(300)
    _, decision, result = check(predictions, "costs", costs, "ill")
    val = predictions.of("val")
    tried = np.append(np.unique(val.scores[:, 0]), 2)
    paid = [costs[val.labels, np.where(val.scores[:, 0] >= cut, 0, 1)].mean() for cut in tried]
    chosen = costs[val.labels, np.where(val.scores[:, 0] >= decision.threshold, 0, 1)].mean()
    assert chosen == pytest.approx(min(paid))
    assert result["operating_point"]["rule"] == "costs"
    assert "decision" not in result


@pytest.mark.parametrize("prevalence", [0.01, 0.3, 0.9])
def test_costs_are_weighed_with_probabilities_at_the_stated_prevalence(tmp_path, prevalence):
    recipe = override(
        load_recipe("feature_extractor"), ["cost_ratio=6", f"prevalence={prevalence}", "data.positive=ill"]
    )
    rule, costs = find_rule(recipe, ("ill", "well"), (40, 60)), find_costs(recipe, ("ill", "well"))
    found, decision, result = check(binary(), rule, costs, "ill", prevalence)
    calibrated = apply_temperature(found.scores, decision.temperature)
    ratio = np.array([prevalence / 0.4, (1 - prevalence) / 0.6])  # Saerens et al. 2002
    posterior = calibrated * ratio / (calibrated * ratio).sum(axis=1, keepdims=True)
    assert (found.predictions == (posterior @ costs).argmin(axis=1)).all()
    assert (found.predictions != (calibrated @ costs).argmin(axis=1)).any()
    assert result["decision"]["stated"] == {"ill": prevalence, "well": 1 - prevalence}
    assert result["operating_point"]["prevalence"] == prevalence
    test = found.of("test")
    missed, alarms = (test.predictions[test.labels == own] != own for own in (0, 1))
    paid = 6 * prevalence * missed.mean() + (1 - prevalence) * alarms.mean()
    entries = result["at_prevalence"]
    assert entries["expected_cost"]["value"] == pytest.approx(paid, abs=1e-12)
    least = min(6 * prevalence, 1 - prevalence)
    assert entries["normalised_expected_cost"]["value"] == pytest.approx(paid / least, abs=1e-12)
    assert entries["expected_cost"]["low"] < paid < entries["expected_cost"]["high"]
    lines = "\n".join(describe_metrics(result))
    assert f"(expected-cost at a prevalence of {prevalence:g}: a calibrated probability of" in lines
    assert f"It is of the mix of these images; classes are predicted for a prevalence of {prevalence:g}." in lines
    beaten = f" at a prevalence of {prevalence:g}, less than the answers" in " ".join(describe_cheapest(result))
    assert beaten == (round(paid, 3) > round(least, 3))
    assert list_deciding(result) == ["auc"]
    page = make_evaluation_page(test, {**result, "evaluated": {"run": "r", "data": "d", "warnings": []}})
    assert (f" at a prevalence of {prevalence:g}, less than the answers" in page) == beaten
    assert "Predictive values and costs at the stated" in page
    assert "the expected cost of this answer is the lower one at a prevalence of" in page
    write_json(tmp_path / "metrics.json", result)
    again = read_decision(RunDir(tmp_path))
    assert again.threshold == decision.threshold
    assert again.rule.find_cutoff(0) == rule.find_cutoff(0)


def test_a_threshold_of_other_origin_is_judged_in_the_mix_of_the_images_and_at_the_stated_prevalence():
    # 44 of 48 ill and 29 of 72 well are found; a missed one costs five false alarms.
    costs = {"ill": {"well": 5.0}, "well": {"ill": 1.0}}
    result = {"classes": ["ill", "well"], "positive": "ill", "costs": costs, "confusion": [[44, 4], [43, 29]]}
    assert describe_cheapest(result) == []  # 63 / 120 against 72 / 120
    (said,) = describe_cheapest({**result, "at_prevalence": {"prevalence": 0.05}})
    paid = 0.05 * 5 * 4 / 48 + 0.95 * 43 / 72
    assert said.startswith(
        "'well' for every image would cost 0.250 per image at a prevalence of 0.05, less than the ans"
    )
    assert f"the answers, {paid:.3f}" in said


def test_a_threshold_has_the_least_cost_at_the_stated_prevalence():
    costs, predictions = fill_costs(None, 7, ("ill", "well"), 0), binary(300)
    val = predictions.of("val")

    def pay(threshold, prevalence):
        wrong = np.where(val.scores[:, 0] >= threshold, 0, 1) != val.labels
        return 7 * prevalence * wrong[val.labels == 0].mean() + (1 - prevalence) * wrong[val.labels == 1].mean()

    thresholds = []
    for prevalence in (0.01, 0.5):
        decision = check(predictions, "costs", costs, "ill", prevalence)[1]
        least = min(pay(cut, prevalence) for cut in np.append(np.unique(val.scores[:, 0]), 2))
        assert pay(decision.threshold, prevalence) == pytest.approx(least)
        assert decision.operating_point["prevalence"] == prevalence
        thresholds.append(decision.threshold)
    assert thresholds[0] > thresholds[1]


def test_nothing_is_added_where_nothing_is_stated():
    found = check(several(), "youden")[2]
    assert not {"costs", "decision"} & set(found)
    assert "expected_cost" not in found["metrics"]


def test_another_rule_of_a_newer_version_is_refused(tmp_path):
    result = check(several(), LogitAdjustment(np.array([0.6, 0.3, 0.1]), 1.0))[2]
    for change in ({"rule": "coin"}, {"priors": {"a": 1}}):
        write_json(tmp_path / "metrics.json", {**result, "decision": {**result["decision"], **change}})
        with pytest.raises(InputError, match="`decision` in `metrics"):
            read_decision(RunDir(tmp_path))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["costs.ill.well=-1"], "'ill' as 'well' costs -1.0."),
        (["costs.ill.well=inf"], "'ill' as 'well' costs inf."),
        (["costs.ill.well=nan"], "'ill' as 'well' costs nan."),
        (["costs.ill.ill=2"], "A right answer has no cost: 'ill' as 'ill'."),
        (["costs.ill.well=much"], "`costs` must be {true class: {predicted class: cost}}"),
        (["costs={}"], "`costs` must be {true class: {predicted class: cost}}"),
        (["cost_ratio=0"], "`cost_ratio` must be a number above 0, or None. Received: cost_ratio=0.0."),
        (["costs.ill.well=2", "cost_ratio=2"], "`cost_ratio` must be None with `costs`."),
        (["cost_ratio=2", "threshold=sensitivity>=0.9"], "`threshold` must be 'costs', or left out, with `cost_ratio`"),
        (["threshold=costs"], "`threshold` needs `costs` or `cost_ratio`."),
        (["cost_ratio=2", "class_weight=balanced"], "`class_weight` must be 'none' with `cost_ratio`"),
        (["logit_adjustment=1", "cost_ratio=2"], "`cost_ratio` must be None with `logit_adjustment`."),
        (["logit_adjustment=1", "threshold=0.4"], "`threshold` must be left out with `logit_adjustment`."),
        (["logit_adjustment=1", "class_weight=balanced"], "because both together correct twice"),
        (["logit_adjustment=1", "data.order=a,b,c"], "`logit_adjustment` must be None for ordered classes"),
        (["cost_ratio=2", "sampling=balanced"], "`sampling` must be 'none' with `cost_ratio`"),
        (["logit_adjustment=-1"], "`logit_adjustment` must be a number above 0, or None."),
    ],
)
def test_each_fault_of_a_recipe_is_one_sentence(settings, said):
    with pytest.raises(InputError) as raised:
        override(load_recipe("feature_extractor"), settings)
    assert len(raised.value.faults) == 1
    assert said in raised.value.faults[0]


def test_costs_are_set_one_by_one_and_survive_json():
    recipe = override(load_recipe("feature_extractor"), ["costs.ill.well=10", "costs.well.ill=2.5"])
    assert recipe.costs == {"ill": {"well": 10.0}, "well": {"ill": 2.5}}
    assert from_json(to_json(recipe)) == recipe
    assert override(recipe, ["costs=none", "cost_ratio=4"]).cost_ratio == 4
    assert override(recipe, ["costs={'a.b': {'c': 3}}"]).costs == {"a.b": {"c": 3}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Give a run of three classes whose errors have costs, and the folder of its images."""
    folder = write_images(tmp_path_factory.mktemp("costs") / "data", 20, THREE)
    # One epoch leaves errors; a head that is solved, as without dropout, makes none here.
    settings = ("phases.epochs=1", "head.dropout=0.2", "costs.c.a=20", "costs.c.b=20", "costs.a.b=0.5")
    return RunDir(tlmed.train(small(*settings), folder.parent / "run", folder).path), folder


def test_every_command_decides_by_the_costs_of_the_run(trained):
    run, folder = trained
    result, rows = run.json("metrics.json"), read_predictions(run / "predictions.csv")
    costs = fill_costs({"c": {"a": 20, "b": 20}, "a": {"b": 0.5}}, None, THREE, None)
    calibrated = apply_temperature(rows.scores, result["calibration"]["temperature"])
    assert (rows.predictions == (calibrated @ costs).argmin(axis=1)).all()
    assert (rows.predictions != rows.scores.argmax(axis=1)).any()
    test = rows.of("test")
    assert result["metrics"]["expected_cost"]["value"] == pytest.approx(costs[test.labels, test.predictions].mean())
    assert result["baselines"]["majority_class"]["normalised_expected_cost"]["value"] > 1
    said = []
    _, found, _ = inference.predict(run, [folder / path for path in rows.paths], voice=Voice(say=said.append))
    assert said[0].startswith("`prediction` is the class of least expected cost")
    assert [row[1] for row in found] == [THREE[guess] for guess in rows.predictions]
    pooled, again = inference.evaluate(run)
    assert again["metrics"]["expected_cost"] == result["metrics"]["expected_cost"]
    assert (again["costs"], again["decision"]) == (result["costs"], result["decision"])
    assert (pooled.units.of("test").predictions == test.predictions).all()


def test_a_run_is_scored_by_costs_that_it_does_not_keep(trained):
    run, _ = trained
    rows = read_predictions(run / "predictions.csv").of("test")
    temperature = run.json("metrics.json")["calibration"]["temperature"]
    calibrated = apply_temperature(rows.scores, temperature)
    costs = fill_costs({"b": {"c": 7}}, None, THREE, None)
    pooled, result = inference.evaluate(run, errors={"costs": {"b": {"c": 7}}})
    assert (pooled.units.of("test").predictions == (calibrated @ costs).argmin(axis=1)).all()
    assert result["costs"]["b"]["c"] == 7
    assert result["costs"]["c"]["a"] == 1  # not that of the run
    assert result["evaluated"]["errors"] == {"costs": {"b": {"c": 7}}}
    labels = [row["label"] for row in read_csv(run / "splits.csv") if row["split"] == "train"]
    priors = np.array([labels.count(name) for name in THREE]) / len(labels)
    pooled, result = inference.evaluate(run, errors={"logit_adjustment": 2.0})
    adjusted = np.log(calibrated.astype(float)) - 2 * np.log(priors)
    assert (pooled.units.of("test").predictions == adjusted.argmax(axis=1)).all()
    assert result["decision"]["priors"] == dict(zip(THREE, priors, strict=True))
    assert "expected_cost" not in result["metrics"]
    with pytest.raises(InputError, match="`cost_ratio` needs exactly two classes"):
        inference.evaluate(run, errors={"cost_ratio": 2})


def test_another_rule_maps_back_to_the_scores_of_two_classes():
    predictions = binary()
    before = decide(predictions.of("val"), "ill", "youden")
    rule = ExpectedCost(fill_costs(None, 5, ("ill", "well"), 0))
    again = decide_anew(before, rule, 0)
    assert again.threshold == decide(predictions.of("val"), "ill", rule).threshold
    assert again.operating_point["n"] == before.calibration["n"]


def test_the_costs_of_a_files_errors_are_measured(tmp_path):
    costs = fill_costs({"c": {"a": 5}}, None, THREE, None)
    rows = several()
    write_predictions(tmp_path / "p.csv", rows)
    _, result = inference.evaluate(None, file=tmp_path / "p.csv", errors={"costs": {"c": {"a": 5}}})
    test = rows.of("test")
    assert result["metrics"]["expected_cost"]["value"] == pytest.approx(costs[test.labels, test.predictions].mean())
    with pytest.raises(InputError, match="`costs` must name classes of the data: a, b, c"):
        inference.evaluate(None, file=tmp_path / "p.csv", errors={"costs": {"d": {"a": 5}}})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cost", "c", "a", 5), "expected_cost"),
        (("--cost", "c", "a", -5), "'c' as 'a' costs -5.0."),
        (("--cost", "c", "c", 5), "A right answer has no cost: 'c' as 'c'."),
        (("--cost-ratio", -2), "`cost_ratio` must be a number above 0, or None. Received: cost_ratio=-2.0."),
        (("--cost-ratio", 2), "`cost_ratio` needs exactly two classes"),
        (("--cost-ratio", 2, "--cost", "c", "a", 5), "Give --cost or --cost-ratio, one of the two."),
        (("--logit-adjustment", 1), "--logit-adjustment goes with a RUN"),
    ],
)
def test_the_command_takes_costs_of_a_file(tmp_path, words, said):
    write_predictions(tmp_path / "p.csv", several(60))
    status, out, err = here("evaluate", "--predictions", tmp_path / "p.csv", *words)
    assert said in out + err
    assert status == (0 if said == "expected_cost" else 2)


def test_costs_of_classes_that_are_not_there_stop_a_run_before_it_reads_images(trained, tmp_path):
    with pytest.raises(InputError) as raised:
        tlmed.train(small("costs.c.b=2", "costs.sick.a=2", "cost_ratio=none"), tmp_path / "run", trained[1])
    assert "`costs` must name classes of the data: a, b, c. Received: 'sick'." in str(raised.value)
    with pytest.raises(InputError, match="`cost_ratio` needs exactly two classes"):
        tlmed.train(small("cost_ratio=2"), tmp_path / "run", trained[1])


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["costs.c.a=20", "logit_adjustment=1"])
def test_folds_decide_each_for_itself_and_their_means_stand_above(tmp_path, setting):
    folder = write_images(tmp_path / "data", 20, THREE)
    run = RunDir(tlmed.train(small("phases.epochs=1", setting, "data.split=KFold(2)"), tmp_path / "run", folder).path)
    whole, folds = run.json("metrics.json"), [part.json("metrics.json") for part in run.folds]
    assert whole["decision"]["rule"] == folds[0]["decision"]["rule"]
    assert "priors" not in whole["decision"]
    plain = np.mean([fold["decision"]["by_score"]["accuracy"]["value"] for fold in folds])
    assert whole["decision"]["by_score"]["accuracy"]["value"] == pytest.approx(plain)
    if setting.startswith("costs"):
        assert whole["costs"]["c"]["a"] == 20
        values = [fold["metrics"]["expected_cost"]["value"] for fold in folds]
        assert whole["metrics"]["expected_cost"]["value"] == pytest.approx(np.mean(values))
    assert "Predicted is the class" in (run / "report.html").read_text()
    assert "Predicted: the class" in "\n".join(describe_metrics(whole))


@pytest.mark.slow
def test_a_run_by_costs_is_repeated(tmp_path):
    folder = write_images(tmp_path / "data", 20, THREE[:2])
    made = tlmed.train(small("phases.epochs=1", "cost_ratio=5", "prevalence=0.1"), tmp_path / "run", folder)
    assert reproduce(Request(made.path)).faults == []


@pytest.mark.slow
def test_a_prevalence_that_is_stated_later_moves_the_decisions_by_costs(tmp_path):
    folder = write_images(tmp_path / "data", 20, THREE[:2])
    settings = ("phases.epochs=1", "data.positive=b")
    run, stated = (
        RunDir(tlmed.train(small(*settings, *more), tmp_path / name, folder).path)
        for name, more in {"run": ("cost_ratio=5",), "stated": ("cost_ratio=5", "prevalence=0.1")}.items()
    )
    wanted = stated.json("metrics.json")
    assert wanted["threshold"] > run.json("metrics.json")["threshold"]
    for found in (inference.evaluate(run, prevalence=0.1)[1], inference.evaluate(stated)[1]):
        assert (found["threshold"], found["decision"]) == (wanted["threshold"], wanted["decision"])
        assert found["at_prevalence"] == wanted["at_prevalence"]
    plain = RunDir(tlmed.train(small(*settings), tmp_path / "plain", folder).path)
    found = inference.evaluate(plain, prevalence=0.1, errors={"cost_ratio": 5.0})[1]
    assert found["threshold"] == wanted["threshold"]
    assert inference.evaluate(plain, prevalence=0.1)[1]["threshold"] == plain.json("metrics.json")["threshold"]
