"""Files of predictions of several labels per image, by any program: what they may lack, and what is wrong with them."""

import re

import numpy as np
import pytest
from sklearn.metrics import f1_score, hamming_loss, roc_auc_score

from tests.cli.test_cli import here
from tlmed import inference
from tlmed.columns import Grouping
from tlmed.errors import InputError
from tlmed.evaluation.label_predictions_csv import read_label_predictions
from tlmed.evaluation.predictions_csv import read_predictions
from tlmed.report.evaluations import make_evaluation_page
from tlmed.voice import Voice

NAMES = ("edema", "mass", "nodule")
RNG = np.random.default_rng(5)
LABELS = (RNG.random((90, 3)) < (0.5, 0.4, 0.3)).astype(int)
SCORES = np.round(1 / (1 + np.exp(-(LABELS - 0.6 + RNG.normal(size=LABELS.shape)))), 4)
KNOWN = RNG.random(LABELS.shape) < 0.9
KNOWN[:, 0] = True


def write(folder, labels=LABELS, scores=SCORES, known=KNOWN, names=NAMES, **more):
    """Write such a file; `more` are further columns."""
    columns = {"path": [f"{i}.png" for i in range(len(labels))]}
    for number, name in enumerate(names):
        columns[f"score_{name}"] = scores[:, number].tolist()
        columns[f"label_{name}"] = np.where(known[:, number], labels[:, number].astype(str), "").tolist()
    columns |= more
    rows = zip(*columns.values(), strict=True)
    file = folder / "theirs.csv"
    file.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return file


def ask(file, **options):
    """Return what is scored, the result, and what was said."""
    said = []
    made, result = inference.evaluate(None, file=file, voice=Voice(say=said.append, warn=said.append), **options)
    return made, result, said


def test_a_file_of_several_labels_needs_only_paths_labels_and_scores(tmp_path):
    made, result, said = ask(write(tmp_path))
    assert (result["task"], result["primary"], result["classes"]) == ("multi-label", "auc", list(NAMES))
    predicted = (SCORES >= 0.5).astype(int)
    np.testing.assert_array_equal(made.units.predictions, predicted)
    for number, name in enumerate(NAMES):
        rows, found = KNOWN[:, number], result["per_class"][name]
        area = roc_auc_score(LABELS[rows, number], SCORES[rows, number])
        assert found["auc"]["value"] == pytest.approx(area, abs=1e-10)
        assert found["operating_point"]["rule"] == "half"
        assert (found["n"], found["unknown"]) == (rows.sum(), (~rows).sum())
        assert "youden" in found
    area = np.mean([result["per_class"][name]["auc"]["value"] for name in NAMES])
    assert result["metrics"]["auc"]["value"] == pytest.approx(area, abs=1e-10)
    wrong = hamming_loss(LABELS[KNOWN], predicted[KNOWN])
    assert result["metrics"]["hamming_loss"]["value"] == pytest.approx(wrong, abs=1e-10)
    assert "a label is predicted where its score is 0.5 or more" in said[-1]
    page = make_evaluation_page(made.units, result)
    assert "0.5, because none was stated" in page
    assert "Youden" in page


def test_thresholds_are_stated_for_all_labels_or_for_some(tmp_path):
    file = write(tmp_path, prediction_edema=[1] * 90, prediction_mass=[0] * 90, prediction_nodule=[0] * 90)
    made, result, said = ask(file, thresholds={"mass": 0.3, None: 0.4})
    np.testing.assert_array_equal(made.units.predictions, SCORES >= (0.4, 0.3, 0.4))
    rows = KNOWN[:, 1]
    expected = f1_score(LABELS[rows, 1], SCORES[rows, 1] >= 0.3)
    assert result["per_class"]["mass"]["f1"]["value"] == pytest.approx(expected, abs=1e-10)
    assert said[-1] == "`--threshold` decides: 'edema' from 0.4 on, 'mass' from 0.3 on and 'nodule' from 0.4 on."
    assert "`prediction_<class>` is not used: `--threshold` decides." in said
    assert "--threshold" in make_evaluation_page(made.units, result)
    assert result["per_class"]["mass"]["operating_point"]["at_half"]["f1"]["value"] != pytest.approx(expected)
    with pytest.raises(InputError, match="Did you mean 'mass'"):
        ask(file, thresholds={"mas": 0.3})


def test_columns_of_predicted_labels_decide_and_their_thresholds_are_named(tmp_path):
    predicted = {f"prediction_{name}": (SCORES[:, i] >= 0.42).astype(int) for i, name in enumerate(NAMES)}
    made, result, said = ask(write(tmp_path, **predicted))
    np.testing.assert_array_equal(made.units.predictions, SCORES >= 0.42)
    assert "operating_point" not in result["per_class"]["edema"]
    assert result["evaluated"]["predicted"] is False
    assert "The columns `prediction_<class>` say which labels are predicted." in said
    below, above = SCORES[SCORES[:, 0] < 0.42, 0].max(), SCORES[SCORES[:, 0] >= 0.42, 0].min()
    assert f"A threshold of 'edema' above {below:.6g} and up to {above:.6g} explains it." in " ".join(said)
    assert "Thresholds" not in make_evaluation_page(made.units, result)


def test_splits_groups_traits_and_calibrated_scores_are_read_as_of_other_files(tmp_path):
    calibrated = {f"calibrated_{name}": SCORES[:, i] for i, name in enumerate(NAMES)}
    more = {"split": ["Training", "valid", "test"] * 30, "patient": [f"p{i // 6}" for i in range(90)]}
    file = write(tmp_path, **calibrated, **more, sex=["F", "M"] * 45)
    made, result, _ = ask(file, stated={"beta": 2.0})
    test = read_label_predictions(file).of("test")
    assert (result["n"], result["groups"], result["evaluated"]["not_scored"]) == (30, 15, {"train": 30, "val": 30})
    assert set(result["subgroups"]["sex"]) == {"F", "M"}
    assert result["per_class"]["mass"]["f_beta"]["at"] == 2.0
    same = result["per_class"]["mass"]["calibration"]["metrics"]["brier"]["value"]
    assert same == result["per_class"]["mass"]["brier"]["value"]
    assert test.groups[:2] == ("p0", "p0")
    page = make_evaluation_page(made.units, result)
    assert "How they were calibrated it does not say" in page
    assert ask(file, grouping=Grouping(use=False))[1]["groups"] is None


def test_labels_that_are_constant_or_uncertain_are_named(tmp_path):
    labels, texts = LABELS.copy(), np.where(KNOWN[:, 0], LABELS[:, 0].astype(str), "")
    labels[:, 1], labels[:, 2], texts[:4] = 0, 1, ["-1", "1.0", "0.0", "-1.0"]
    file = write(tmp_path, labels, known=np.ones_like(KNOWN), label_edema=texts.tolist())
    _, result, said = ask(file)
    assert "Labels of -1 are uncertain and count as not known: 2 in `label_edema`." in said
    assert result["per_class"]["edema"]["unknown"] == 2
    named = "In the rows that are scored 'mass' is never 1 where known and 'nodule' is always 1 where known; "
    assert f"{named}what needs both values is not measured." in said
    assert result["per_class"]["mass"]["auc"]["value"] is None
    assert "'mass'" in result["per_class"]["mass"]["auc"]["reason"] or result["per_class"]["mass"]["auc"]["reason"]
    assert "Mean without 'mass', 'nodule'" in result["metrics"]["auc"]["note"]


HEADER = "path,label_a,label_b,score_a,score_b"


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("path,score_a,score_b\nx,0.1,0.9", ["the column `label`, or `label_<class>` for each class"]),
        ("path,label_a,label_b\nx,0,1", ["`score_<class>` for every `label_<class>`.*no `score_a`, `score_b`"]),
        ("path,label_a,label_b,score_a\nx,0,1,0.5", ["`score_<class>` for every.*no `score_b`"]),
        ("path,label_a,label_b,score_a,score_b,score_c\nx,0,1,0,0,0", ["`label_<class>` for every.*no `label_c`"]),
        ("path,label_a,score_a\nx,1,0.5", ["`label_<class>` of two labels or more"]),
        (
            "path,label,score_a,score_b\nx,a|b,0.5,0.5\ny,a,0.9,0.1",
            ["`label` must be a class with scores.*; where an image may have several.*`label_<class>`.*'a|b'"],
        ),
        (HEADER, ["one row or more"]),
        (f"{HEADER},prediction\nx,0,1,0.5,0.5,a", ["`prediction_<class>` of each label for several"]),
        (f"{HEADER}\nx,yes,1,0.5,0.5\ny,0,0,0.5,0.5", ["`label_a` must be 0, 1, or blank.*line 2: 'yes'"]),
        (f"{HEADER}\nx,0,1,0.5,0.5\ny,,,0.5,0.5", ["must say 0 or 1 of one of its labels.*nothing is known.*line 3"]),
        (f"{HEADER}\nx,0,1,1.5,0.5\ny,0,1,0.5,nan", ["`score_a` must be.*line 2", "`score_b` must be.*line 3"]),
        (f"{HEADER}\nx,0,1,0.5,0.5\n./x,0,1,0.5,0.5", ["`path` must be different.*lines 2, 3"]),
        (f"{HEADER},label\nx,0,1,0.5,0.5,a", ["`label` for one class per image, or.*`label` beside `label_a`"]),
        (f"{HEADER},prediction_a\nx,0,1,0.5,0.5,1", ["`prediction_<class>` for every label, or none.*prediction_b"]),
        (f"{HEADER},calibrated_a\nx,0,1,0.5,0.5,1", ["`calibrated_<class>` for every label, or none"]),
        (f"{HEADER},prediction_a,prediction_b\nx,0,1,0.5,0.5,1,maybe", ["`prediction_b` must be 0 or 1.*'maybe'"]),
        (f"{HEADER},split\nx,0,1,0.5,0.5,tset", ["`split` must be one of train, val, test.*'tset'"]),
        (f"{HEADER},subset\nx,0,1,0.5,0.5,Train\ny,0,1,0.5,0.5,test", ["must be called `split`"]),
        (f"{HEADER},kfold\nx,0,1,0.5,0.5,1\ny,0,1,0.5,0.5,2", ["must be of one fold"]),
        (f"{HEADER},score_b\nx,0,1,0.5,0.5,0.5", ["each column once"]),
        (f"{HEADER}\nx,0,1,0.5", ["have 5 fields.*line 2"]),
    ],
)
def test_every_fault_of_a_file_of_labels_is_named_in_one_line(tmp_path, text, rules):
    file = tmp_path / "theirs.csv"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        ask(file)
    assert len(caught.value.faults) == len(rules), caught.value.faults
    for fault, rule in zip(caught.value.faults, rules, strict=True):
        assert re.search(rule, fault)
        assert f"Received: {file}" in fault


def test_a_column_beside_one_label_per_image_is_a_trait_unless_scores_have_its_name(tmp_path):
    file = tmp_path / "theirs.csv"
    file.write_text("path,label,score_a,score_b,label_source\nx,a,0.9,0.1,ward\ny,b,0.1,0.9,ward\n")
    assert read_predictions(file).traits == {"label_source": ("ward", "ward")}
    assert ask(file)[1]["task"] == "single-label"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"positive": "mass"}, "`--positive` is for one class per image only"),
        ({"order": ("edema", "mass", "nodule")}, "`--order` is for"),
        ({"prevalence": 0.1}, "`--prevalence` is for"),
        ({"errors": {"costs": {"edema": {"mass": 2.0}}}}, "`--cost` is for"),
        ({"errors": {"cost_ratio": 2.0}}, "`--cost-ratio` is for"),
    ],
)
def test_what_knows_one_class_per_image_is_refused_in_one_line(tmp_path, options, said):
    file = write(tmp_path)
    with pytest.raises(InputError) as caught:
        ask(file, **options)
    (fault,) = caught.value.faults
    assert fault.startswith(said)
    assert str(file) in fault


def test_the_command_lists_stated_numbers_of_each_label_and_takes_thresholds(tmp_path):
    call = ("evaluate", "--predictions", write(tmp_path), "--threshold")
    status, said, _ = here(*call, "mass=0.3", "--state", "beta=2")
    assert status == 0
    assert "Further metrics of nodule:" in said
    assert re.search(r"^mass .*threshold 0.300", said, re.M)
    for wrong in ("2", "mass=x", "mass=nan", "="):
        status, _, err = here(*call, wrong)
        assert (status, err.count("\n")) == (2, 1)
        assert "`--threshold` must be a score from 0 to 1" in err


def test_a_threshold_decides_between_two_classes_too(tmp_path):
    file = tmp_path / "two.csv"
    rows = [f"{i},{'ab'[i % 2]},{1 - i / 20},{i / 20},{'ab'[i % 2]}" for i in range(20)]
    file.write_text("\n".join(["path,label,score_a,score_b,prediction", *rows]))
    made, result, said = ask(file, thresholds={None: 0.3})
    np.testing.assert_array_equal(made.units.predictions, np.arange(20) / 20 >= 0.3)
    assert (result["threshold"], result["operating_point"]["rule"]) == (0.3, "stated")
    assert "`--threshold` decides: 'b' is predicted where its score is 0.3 or more, and 'a' elsewhere." in said
    assert "It was stated" in make_evaluation_page(made.units, result)
    with pytest.raises(InputError, match="must name the positive class"):
        ask(file, thresholds={"a": 0.3})
    three = tmp_path / "three.csv"
    three.write_text("path,label,score_a,score_b,score_c\nx,a,1,0,0\ny,b,0,1,0\nz,c,0,0,1\n")
    with pytest.raises(InputError, match="needs two classes, or several labels"):
        ask(three, thresholds={None: 0.3})


def test_weights_of_kappa_are_of_two_classes_for_each_label(tmp_path):
    result = ask(write(tmp_path), stated={"kappa_weights": ((0.0, 1.0), (2.0, 0.0))})[1]
    assert result["per_class"]["edema"]["weighted_kappa"]["value"] is not None
    with pytest.raises(InputError, match="for each of 2 classes"):
        ask(write(tmp_path), stated={"kappa_weights": ((0.0, 1.0, 2.0), (1.0, 0.0, 1.0), (2.0, 1.0, 0.0))})


def test_a_label_with_decisions_for_scores_is_named(tmp_path):
    scores = SCORES.copy()
    scores[:, 1] = scores[:, 1] >= 0.5
    _, _, said = ask(write(tmp_path, scores=scores))
    assert any(line.startswith("All scores of 'mass' are 0 or 1, decisions and not probabilities") for line in said)
    assert not any("decisions" in line for line in ask(write(tmp_path))[2])
