"""Wrong labels that were planted are found, and right ones are not called wrong."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.gate.made_evidence import make_evidence
from tlmed.gate.wrong_labels import check_labels, describe_estimate
from tlmed.logistic import fit_head


def draw_evidence(n=400, rate=0.1, apart=5.0, classes=2, seed=0, **fields):
    """Return evidence of separable images, some labels flipped, and which."""
    random = np.random.RandomState(seed)
    truth = np.arange(n) % classes
    features = random.normal(size=(n, 12))
    features[np.arange(n), truth] += apart
    flipped = random.permutation(n)[: round(rate * n)]
    labels = truth.copy()
    labels[flipped] = (truth[flipped] + 1) % classes
    paths = [f"{row:03}.png" for row in range(n)]
    evidence = make_evidence(paths, labels, classes=tuple("abc"[:classes]), **fields)
    return replace(evidence, features=features.astype(np.float32)), {paths[row] for row in flipped}


@pytest.mark.parametrize("classes", [2, 3])
def test_planted_labels_are_found_ranked_first_and_counted(classes):
    evidence, planted = draw_evidence(classes=classes)
    found = check_labels(evidence)
    named = {finding.files[0] for finding in found.findings}
    assert len(named & planted) >= 0.6 * len(planted)
    assert len(named - planted) <= 0.05 * len(planted)
    ranked = [entry["path"] for entry in found.figures["ranked"][: len(planted)]]
    assert len(planted.intersection(ranked)) >= 0.9 * len(planted)
    estimate = found.figures["estimate"]
    assert estimate["low"] <= len(planted) <= estimate["high"]
    assert describe_estimate(found.figures).startswith(f"About {round(estimate['wrong'])} of 400 labels are wrong (")


@pytest.mark.parametrize("n", [60, 400])
def test_there_are_no_more_findings_than_labels_that_are_wrong_by_the_lower_end_of_the_interval(n):
    evidence, _ = draw_evidence(n=n, rate=0.15, apart=2.0)
    found = check_labels(evidence)
    assert len(found.findings) <= round(found.figures["estimate"]["low"])


@pytest.mark.parametrize("apart", [1.0, 5.0])
def test_right_labels_are_not_called_wrong_however_hard_they_are(apart):
    evidence, _ = draw_evidence(rate=0, apart=apart)
    found = check_labels(evidence)
    assert found.findings == ()
    assert found.figures["estimate"]["low"] == 0


def test_a_finding_says_file_label_and_what_the_rest_suggests():
    evidence, planted = draw_evidence(rate=0.05)
    finding = check_labels(evidence).findings[0]
    row = evidence.table.paths.index(finding.files[0])
    given, other = ("a", "b") if evidence.table.labels[row] == 0 else ("b", "a")
    assert finding.files[0] in planted
    assert finding.text.startswith(f"'{finding.files[0]}' is labelled '{given}'; the other images suggest '{other}' (")
    assert (finding.kind, finding.level) == ("label", "warning")


def test_the_same_evidence_gives_the_same_figures():
    evidence, _ = draw_evidence(n=100)
    assert check_labels(evidence).figures == check_labels(evidence).figures


def test_without_features_or_with_few_images_it_is_said():
    evidence, _ = draw_evidence(n=40)
    (said,) = check_labels(replace(evidence, features=None, lacking="no weights are at hand")).unchecked
    assert said == "Wrong labels were not looked for: no weights are at hand."
    few, _ = draw_evidence(n=6, rate=0)
    found = check_labels(few)
    assert found.findings == ()
    assert any("5 independent images each" in sentence for sentence in found.unchecked)


def test_each_of_several_labels_is_asked_by_itself():
    evidence, planted = draw_evidence(n=400, rate=0.08)
    labels = np.stack([evidence.table.labels, np.random.RandomState(1).randint(2, size=400)], axis=1)
    labels[5] = -1
    table = replace(evidence.table, labels=labels, classes=("mass", "chance"))
    found = check_labels(replace(evidence, table=table))
    of_mass = {finding.files[0] for finding in found.findings if "'mass'" in finding.text}
    assert len(of_mass & planted) >= 0.6 * len(planted - {"005.png"})
    assert {entry["about"] for entry in found.figures["questions"]} == {"mass", "chance"}
    assert not any(entry["path"] == "005.png" for entry in found.figures["ranked"])


def test_a_head_is_that_of_scikit_learn():
    evidence, _ = draw_evidence(n=120, classes=3, apart=1.0)
    features, labels = evidence.features.astype(float), evidence.table.labels
    own = fit_head(features, labels, 3, 0.05).predict(features)
    theirs = (
        LogisticRegression(C=1 / (120 * 0.05), tol=1e-10, max_iter=5000).fit(features, labels).predict_proba(features)
    )
    assert own == pytest.approx(theirs, abs=1e-5)
