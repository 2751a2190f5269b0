"""What an advice says of the images before it looks into them."""

import shlex
from types import SimpleNamespace

import numpy as np
import pytest

from tests.advice_report.pasted_commands import parse_command
from tests.gate.made_evidence import make_evidence
from tlmed.advising.first_look import describe_images, find_asked_faults, refuse_errors
from tlmed.advising.goals import read_goal
from tlmed.advising.request import Request
from tlmed.errors import CheckFailed
from tlmed.recipe import load_recipe, override


@pytest.fixture
def request_for(tmp_path):
    """Give a request in which a class is asked for as the positive one, or none."""

    def ask(positive=None):
        return Request(override(load_recipe("feature_extractor"), (), {"data.positive": positive}), tmp_path)

    return ask


def make_images(labels, splits, groups=None, **fields):
    evidence = make_evidence([f"{row}.png" for row in range(len(labels))], labels, groups, splits, **fields)
    return SimpleNamespace(table=evidence.table, splits=evidence.splits, sha256=evidence.sha256, split_made=("val",))


def test_validation_images_are_counted_by_patient_and_by_the_rarest_class(request_for):
    labels, splits = np.arange(40) % 8 // 7, ["val" if row % 2 else "train" for row in range(40)]
    alone = describe_images(make_images(labels, splits), request_for())["validation"]
    assert alone == {"images": 20, "units": 20, "rarest": "well", "fewest": 5, "grouped": False}
    patients = tuple(f"patient {row // 8}" for row in range(40))
    grouped = describe_images(make_images(labels, splits, patients), request_for())["validation"]
    assert grouped == {"images": 20, "units": 5, "rarest": "ill", "fewest": 5, "grouped": True}


def test_a_positive_class_whose_name_sounds_healthy_is_doubted_unless_it_was_asked_for(request_for):
    images = make_images(np.arange(8) % 2, ["train"] * 8, classes=("abnormal", "normal"))
    (said,) = describe_images(images, request_for())["positive_doubts"]
    assert "`--positive abnormal`" in said
    assert describe_images(images, request_for("normal"))["positive_doubts"] == []


@pytest.mark.parametrize(
    ("settings", "goal", "said"),
    [
        ({"task": "ordinal"}, "auc", "`data.order` must name the classes from the lowest grade to the highest"),
        ({"data.order": ("a", "c", "b")}, "quadratic_kappa", None),
        ({}, "quadratic_kappa", "`--goal` quadratic_kappa needs grades"),
        ({}, "sensitivity>=0.95", "needs two classes, because it decides the threshold between them. Received: 3 cl"),
        ({}, "auc>=0.9", None),
    ],
)
def test_what_does_not_go_with_the_classes_is_said_once_and_before_the_check(settings, goal, said, tmp_path):
    table = make_images(np.arange(9) % 3, ["train"] * 9, classes=("a", "b", "c")).table
    recipe = override(load_recipe("feature_extractor"), (), settings)
    faults = find_asked_faults(Request(recipe, tmp_path, goal=read_goal(goal)), table)
    assert [said in fault for fault in faults] == [True] * (said is not None)


GATE = {"errors": 2, "error_kinds": {"near-copy": 2}}


def refuse(request, table, *options):
    source = str(request.recipe.data.source)
    command = shlex.join(["tlmed", "advise", "--data", source, "--out", "x", "--goal", "auc", *options])
    with pytest.raises(CheckFailed) as caught:
        refuse_errors(request, GATE, table, command)
    return str(caught.value)


def test_the_command_that_mends_images_reads_them_as_the_advice_does_and_writes_where_it_may(tmp_path):
    root = tmp_path / "Ann's scans"
    root.mkdir()
    recipe = override(load_recipe("feature_extractor"), (), {"data.source": str(root)})
    request, evidence = Request(recipe, tmp_path), make_evidence(["a.png", "b.png"], root=root)
    said = refuse(request, evidence.table, "--set", "data.groups=folder", "--skip-bad")
    parsed = parse_command(said.partition("`")[2].partition("`")[0])
    assert (parsed["write"], parsed["skip_bad"]) == (tmp_path / "corrected.csv", True)
    (tmp_path / "corrected.csv").touch()  # somebody's file is not written over
    parsed = parse_command(refuse(request, evidence.table).partition("`")[2].partition("`")[0])
    assert parsed["write"] == root / "corrected.csv"


def test_images_of_which_no_corrected_table_can_be_written_get_no_command(tmp_path, request_for):
    several = make_evidence(["a.png", "b.png"], [[1, 0], [0, 1]], root=tmp_path).table
    for table in (several, make_evidence(["a.png", "b.png"], root=None).table):
        assert "--write" not in refuse(request_for(), table)
