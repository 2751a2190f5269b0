import json

import numpy as np
import pytest

from tests.cli.test_cli import here
from tests.drift.drift_samples import CLASSES, write_answers, write_label_run, write_run, write_splits
from tlmed.drift.drift_check import check_drift
from tlmed.drift.own_images import count_learned, count_own
from tlmed.drift_report import describe_watch
from tlmed.drift_report.watch_page import make_watch_page
from tlmed.errors import InputError
from tlmed.evaluation.label_predictions_csv import write_label_predictions
from tlmed.metrics import holm
from tlmed.run_files import SPLITS_CSV
from tlmed.screen import to_lines
from tlmed.whole_files import read_csv, write_csv


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "watched")


def find(content, kind, name="", period=0):
    return next(test for test in content["periods"][period]["tests"] if (test["kind"], test["name"]) == (kind, name))


def test_answers_like_those_of_the_test_split_show_no_drift(run, tmp_path):
    file, _ = write_answers(tmp_path / "new.csv")
    content = check_drift(run, file).content
    assert content["drift"] is False
    assert content["tests"] == 5
    assert [test["kind"] for test in content["periods"][0]["tests"]] == ["scores"] * 3 + ["classes", "unusual"]
    assert content["reference"]["n"] == 200
    share = np.mean([float(row["unusual"]) < 0.05 for row in read_csv(file)])
    assert find(content, "unusual")["here"] == pytest.approx(share)


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"labels": np.zeros(100, int)}, "classes"),
        ({"sure": 0.0}, "scores"),
        ({"unusual": [0.01] * 40 + [0.5] * 60}, "unusual"),
    ],
)
def test_each_kind_of_drift_is_found(run, tmp_path, changed, kind):
    content = check_drift(run, write_answers(tmp_path / "new.csv", **changed)[0]).content
    assert content["drift"] is True
    assert any(test["drift"] for test in content["periods"][0]["tests"] if test["kind"] == kind)


def test_all_p_values_are_corrected_together_by_months(run, tmp_path):
    days = [f"2026-0{1 + row // 40}-{1 + row % 28:02}" for row in range(100)]
    labels = np.random.RandomState(5).randint(3, size=100)
    labels[40:80] = 2
    file, _ = write_answers(tmp_path / "new.csv", labels=labels, taken=days)
    content = check_drift(run, file, date="taken").content
    names = [(period["period"], period["n"]) for period in content["periods"]]
    assert names == [("all", 100), ("2026-01", 40), ("2026-02", 40), ("2026-03", 20)]
    tests = [test for period in content["periods"] for test in period["tests"]]
    assert [test["adjusted"] for test in tests] == holm([test["p"] for test in tests])
    assert find(content, "classes", period=2)["drift"]
    assert not find(content, "classes", period=1)["drift"]


def test_small_months_are_shown_and_not_tested(run, tmp_path):
    days = ["20260131"] * 81 + ["20260201"] * 19
    content = check_drift(run, write_answers(tmp_path / "new.csv", taken=days)[0], date="taken").content
    assert [len(period["tests"]) for period in content["periods"]] == [5, 5, 0]
    assert content["periods"][2]["reason"] == "19 images; it takes 20 to test"
    # A file of which nothing can be tested must not end like one without drift.
    with pytest.raises(InputError, match=r"must name 20 images .* Received: .*few.csv', with 6\."):
        check_drift(run, write_answers(tmp_path / "few.csv", n=6)[0])
    grouped = write_answers(tmp_path / "one.csv", n=60, group=["a"] * 60)[0]
    with pytest.raises(InputError, match=r"with 1\."):
        check_drift(run, grouped)
    with pytest.raises(InputError, match="The test split of RUN must have 20 images"):
        check_drift(write_run(tmp_path / "small", n=15), write_answers(tmp_path / "new.csv")[0])


def test_notes_say_what_makes_an_answer_doubtful(run, tmp_path):
    own = check_drift(run, run / "predictions.csv").content
    assert "200 of 200 rows are test images of the run, in which there is no drift to find." in own["notes"]
    named = ["p"] * 30 + ["q"] * 10 + [""] * 60
    file, _ = write_answers(tmp_path / "new.csv", group=named, prediction=["ill"] * 100)
    content = check_drift(run, file).content
    assert content["periods"][0]["groups"] == 62
    notes = " ".join(content["notes"])
    assert "60 rows name no group: each counts by itself." in notes
    assert "patients (200 in the test split, 62 now): each counts once" in notes
    right = np.array([[float(row[f"score_{name}"]) for name in CLASSES] for row in read_csv(file)]).argmax(1)
    assert f"{(right != 0).sum()} of 100 rows have another predicted class than the run's rule gives" in notes
    clean = check_drift(run, write_answers(tmp_path / "clean.csv")[0]).content
    assert not any("another predicted class" in note or "test images of the run" in note for note in clean["notes"])


def test_own_test_images_are_known_in_another_folder_and_under_other_names(run, tmp_path):
    own, new = read_csv(run / "predictions.csv"), read_csv(write_answers(tmp_path / "new.csv", n=300)[0])

    def find_note(rows, names, form=str):
        columns = ["prediction", *(f"score_{name}" for name in CLASSES)]
        cells = [[name, *(form(row[column]) for column in columns)] for name, row in zip(names, rows, strict=True)]
        write_csv(tmp_path / "renamed.csv", ["path", *columns], cells)
        return [note for note in check_drift(run, tmp_path / "renamed.csv").content["notes"] if "test images" in note]

    names = [row["path"] for row in own]
    assert "200 of 200 rows are test images" in find_note(own, [f"C:\\mine\\{name}" for name in names])[0]
    rounded = find_note(own, [f"x{name}" for name in names], lambda cell: cell[:8])
    assert "200 of 200 rows have the scores of test images of the run, under other names" in rounded[0]
    # Other images of the same names are others; and a few that have the scores of a test image may be others, too.
    assert find_note(new[:200], names) == []
    assert find_note([*new, *own[:50]], [f"y{row}.png" for row in range(350)]) == []


def test_images_that_the_run_learned_from_are_told(run, tmp_path):
    def find_note(names):
        file, _ = write_answers(tmp_path / "known.csv", path=names)
        return [note for note in check_drift(run, file).content["notes"] if "learned" in note]

    rows = [f"ill/{row}.png" for row in range(60)]
    said = "40 training images and 20 validation images are among the 100 rows, by their paths: the run learned from "
    said += "these, and its scores on them say nothing of new images."
    new = [f"new{row}.png" for row in range(40)]
    for names in (rows, [f"/data/{name}" for name in rows], [f"C:\\{name}".replace("/", "\\") for name in rows]):
        assert find_note(names + new) == [said]
    one = find_note(["flat.png", *(f"day/{row}.png" for row in range(99))])
    assert one[0].startswith("1 training image is among the 100 rows, by its path: the run learned from it, and its")
    # A file name alone, of the same folder or another, is no path of the run's; nor is that of a test image.
    assert find_note([*(f"{row}.png" for row in range(60)), "day/flat.png", *(f"x{row}" for row in range(39))]) == []


def test_a_run_without_its_list_of_images_is_watched_and_says_so(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "splits.csv").unlink()
    notes = check_drift(run, write_answers(tmp_path / "new.csv")[0]).content["notes"]
    assert any(note.startswith("Whether rows are training or validation images of the run is not") for note in notes)


def test_an_ensemble_learned_from_what_its_members_learned_from(tmp_path):
    runs = [write_run(tmp_path / name, n=3) for name in "ab"]
    for run, split in zip(runs, ("val", "train"), strict=True):
        write_splits(run, {"ill/1.png": split, "ill/2.png": "test"})
    assert count_learned(["ill/1.png", "ill/2.png", "3.png"], map(SPLITS_CSV.read, runs)) == {"train": 1, "val": 0}


def test_scores_that_many_test_images_have_tell_none(run):
    sure = np.repeat([[1.0, 0.0], [0.0, 1.0]], 30, axis=0)
    names = [f"{row}.png" for row in range(60)]
    assert count_own([f"b/{name}" for name in names], sure, [f"a/{name}" for name in names], sure) == (0, 0)
    assert count_own(names, sure, names, sure) == (60, 0)
    near = np.array([[1 - 2e-9, 2e-9], [1 - 5e-8, 5e-8]])
    assert count_own(["b/1.png"], near[:1], ["a/1.png"], near[1:]) == (0, 0)


def test_rows_without_a_p_value_are_counted(run, tmp_path):
    blank = ["", *["0.5"] * 99]
    notes = check_drift(run, write_answers(tmp_path / "new.csv", unusual=blank)[0]).content["notes"]
    assert any(note.startswith("1 of 100 rows has no value in `unusual`") for note in notes)


def test_each_index_stands_beside_what_chance_reaches(run, tmp_path):
    content = check_drift(run, write_answers(tmp_path / "new.csv", n=40)[0]).content
    shown = "\n".join(to_lines(describe_watch(content), 100))
    for test in content["periods"][0]["tests"]:
        if psi := test.get("psi"):
            assert f"{psi['value']:.3f} ({psi['by_chance']:.3f})" in shown
    # Of each month the largest, on the page and the terminal alike.
    days = ["2026-01-31"] * 40 + ["2026-02-01"] * 40
    content = check_drift(run, write_answers(tmp_path / "months.csv", n=80, taken=days)[0], date="taken").content
    assert content["psi_thresholds"] == {"moderate": 0.1, "large": 0.25}
    shown = "\n".join(to_lines(describe_watch(content), 100))
    page = make_watch_page(content, {})
    for period in content["periods"][1:]:
        values = [f"{test['psi']['value']:.3f} ({test['psi']['by_chance']:.3f})" for test in period["tests"][:3]]
        assert all(any(value in text for value in values) for text in (shown, page))


def test_labels_give_metrics_and_a_test_of_the_true_class(run, tmp_path):
    labels = np.random.RandomState(6).randint(3, size=100)
    names = [CLASSES[label] for label in labels]
    content = check_drift(run, write_answers(tmp_path / "new.csv", labels=labels, label=names)[0]).content
    assert not content["drift"]
    assert content["metrics"]["all"]["n"] == 100
    assert content["metrics"]["test"]["metrics"]["auc"]["value"] == 0.9
    rows = read_csv(tmp_path / "new.csv")
    right = np.mean([row["prediction"] == row["label"] for row in rows])
    assert content["metrics"]["all"]["metrics"]["accuracy"]["value"] == pytest.approx(right)
    # Labels that have nothing to do with the scores: nothing but them tells.
    wrong = [CLASSES[(label + 1) % 3] for label in labels]
    content = check_drift(run, write_answers(tmp_path / "new.csv", labels=labels, label=wrong)[0]).content
    assert find(content, "truth")["drift"]
    assert [test["kind"] for test in content["periods"][0]["tests"] if test["drift"]] == ["truth"]
    # Some are known only.
    some = [name if row < 30 else "" for row, name in enumerate(names)]
    content = check_drift(run, write_answers(tmp_path / "new.csv", labels=labels, label=some)[0]).content
    assert content["metrics"]["all"]["n"] == 30


def test_patients_count_once(tmp_path):
    groups = tuple(f"p{row // 8}" for row in range(200))
    run = write_run(tmp_path / "grouped", groups=groups, tested=False)
    file, _ = write_answers(tmp_path / "new.csv", group=[f"q{row // 4}" for row in range(100)])
    content = check_drift(run, file).content
    assert (content["reference"]["groups"], content["periods"][0]["groups"]) == (25, 25)
    assert {test["test"] for test in content["periods"][0]["tests"]} == {
        "Kolmogorov-Smirnov by groups",
        "Chi-squared, by groups",
    }
    assert any("keeps no p-values" in note for note in content["notes"])
    # The value beside a test is what is tested: a patient with many images weighs no more than one with few.
    rows = read_csv(write_answers(tmp_path / "odd.csv", group=["big"] * 70 + [f"q{row}" for row in range(30)])[0])
    odd = check_drift(run, tmp_path / "odd.csv").content
    by_owner = {}
    for row in rows:
        by_owner.setdefault(row["group"], []).append(row)
    for name in CLASSES:
        scores = [np.mean([float(row[f"score_{name}"]) for row in owned]) for owned in by_owner.values()]
        assert find(odd, "scores", name)["here"] == pytest.approx(np.mean(scores))
        shares = [np.mean([row["prediction"] == name for row in owned]) for owned in by_owner.values()]
        assert find(odd, "classes")["here"][name] == pytest.approx(np.mean(shares))
    assert any("each counts once" in note for note in odd["notes"])
    bare = check_drift(run, write_answers(tmp_path / "bare.csv")[0]).content
    assert any("`--group COLUMN` names them" in note for note in bare["notes"])


def test_an_image_that_was_answered_twice_counts_once_and_is_said(run, tmp_path):
    once = check_drift(run, write_answers(tmp_path / "once.csv")[0]).content
    header, *lines = (tmp_path / "once.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "twice.csv").write_text("\n".join([header, *lines, *lines[:30]]) + "\n", encoding="utf-8")
    twice = check_drift(run, tmp_path / "twice.csv").content
    assert twice["periods"] == once["periods"]
    assert not any("earlier row" in note for note in once["notes"])
    assert any(note.startswith("30 rows have the path and the scores of an earlier row") for note in twice["notes"])
    # Another image may have the same name, as files of two hospitals do.
    other = [line.replace(line.split(",")[0], "a.png", 1) for line in lines]
    (tmp_path / "same.csv").write_text("\n".join([header, *other]) + "\n", encoding="utf-8")
    assert check_drift(run, tmp_path / "same.csv").content["periods"][0]["n"] == len(lines)


def test_the_test_split_itself_shows_no_drift(run):
    content = check_drift(run, run / "predictions.csv").content
    assert not content["drift"]
    assert {test["statistic"] for test in content["periods"][0]["tests"] if test["kind"] == "scores"} == {0.0}


def test_missing_predictions_follow_from_the_rule_of_the_run(run, tmp_path):
    with_them = check_drift(run, write_answers(tmp_path / "a.csv")[0]).content
    without = check_drift(run, write_answers(tmp_path / "b.csv", prediction=None, unusual=None)[0]).content
    assert find(with_them, "classes")["here"] == find(without, "classes")["here"]
    assert any("no predicted classes" in note for note in without["notes"])
    assert any("no column `unusual`" in note for note in without["notes"])


def test_each_of_several_labels_is_tested(tmp_path):
    run, found = write_label_run(tmp_path / "labels")
    content = check_drift(run, run / "predictions.csv").content
    tests = [(test["kind"], test["name"]) for test in content["periods"][0]["tests"]]
    assert tests == [("scores", "edema"), ("scores", "mass"), ("classes", "edema"), ("classes", "mass")]
    assert not content["drift"]
    assert content["metrics"]["all"]["n"] == 120
    # Only images with a mass come in.
    rows = np.flatnonzero(found.labels[:, 1] == 1)
    write_label_predictions(tmp_path / "new.csv", found.take(rows))
    content = check_drift(run, tmp_path / "new.csv").content
    assert {test["name"] for test in content["periods"][0]["tests"] if test["drift"]} == {"mass"}
    page = make_watch_page(content, {})
    assert "predicted mass" in page
    rows = [{**row, "label_mass": "yes"} for row in read_csv(tmp_path / "new.csv")]
    write_csv(tmp_path / "odd.csv", list(rows[0]), (row.values() for row in rows))
    with pytest.raises(InputError, match=r"must hold 1, 0 or nothing in each row \(`label_mass`\)"):
        check_drift(run, tmp_path / "odd.csv")


def change(rows, **cells):
    return [{**row, **cells} if place == 1 else row for place, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda rows: [], "must have one row or more below its header"),
        (lambda rows: change(rows, score_ill="1.5"), "Scores must be numbers from 0 to 1. Received: {}, line 3."),
        (lambda rows: change(rows, score_ill="much"), "Scores must be numbers from 0 to 1"),
        (lambda rows: change(rows, score_ill="0", score_odd="0", score_well="0.5"), "must sum to 1"),
        (lambda rows: change(rows, prediction="cat"), "`prediction` must be a class of RUN (ill, odd, well)"),
        (lambda rows: change(rows, unusual="7"), "`unusual` must be a number above 0 to 1, or nothing"),
        (lambda rows: [{**row, "label": "cat"} for row in rows], "`label` must be a class of RUN"),
        (
            lambda rows: [{name.replace("odd", "cat"): cell for name, cell in row.items()} for row in rows],
            "each class of RUN, and no other: ill, odd, well. Received: {}without `score_odd` and with `score_cat`.",
        ),
    ],
)
def test_bad_files_are_refused_in_a_line(run, tmp_path, alter, said):
    file, _ = write_answers(tmp_path / "new.csv", n=30)
    rows = read_csv(file)
    header = list((alter(rows) or rows)[0])
    write_csv(file, header, ([row[name] for name in header] for row in alter(rows)))
    with pytest.raises(InputError) as caught:
        check_drift(run, file)
    assert said.format(f"{file}, " if "without" in said else file) in str(caught.value)
    assert len(caught.value.faults) == 1


def test_dates_that_cannot_be_read_are_refused(run, tmp_path):
    file, _ = write_answers(tmp_path / "new.csv", n=30, taken=["2026-01-31"] * 28 + ["31/1/26", "soon"])
    with pytest.raises(
        InputError, match=r"written as 2026-01-31 or 20260131\. Received: .*, lines 30, 31: '31/1/26'\.$"
    ):
        check_drift(run, file, date="taken")
    long = write_answers(tmp_path / "long.csv", n=30, taken=["soon\n" * 50] * 30)[0]
    with pytest.raises(InputError, match=r"lines .*: 'soon\\nsoon[^ ]*\.\.\. \(302 characters\)\.$"):
        check_drift(run, long, date="taken")
    empty, _ = write_answers(tmp_path / "empty.csv", n=2, taken=["2026-01-31", " "])
    with pytest.raises(InputError, match=r"names? dates written as .*Received: .*line 3: it is empty\."):
        check_drift(run, empty, date="taken")
    with pytest.raises(InputError, match=r"`--date` must name a column.*'day'"):
        check_drift(run, file, date="day")
    with pytest.raises(InputError, match="`--group` must name a column"):
        check_drift(run, file, group="patient")


def test_what_is_no_table_is_refused(run, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.csv").write_text("path;score_ill\n")
    for name, said in {"a.csv": "CSV file in UTF-8", "b.csv": "separated by commas", "c.csv": "No such file"}.items():
        with pytest.raises(InputError, match=said):
            check_drift(run, tmp_path / name)


def test_the_command_ends_with_1_where_there_is_drift(run, tmp_path, drawing):
    file, _ = write_answers(tmp_path / "same.csv", taken=["2026-01-05"] * 60 + ["2026-02-05"] * 40)
    out = tmp_path / "out"
    status, text, err = here("watch", run.path, "--predictions", file, "--out", out, "--date", "taken")
    assert (status, err.count("Error")) == (0, 0)
    assert "No drift found (15 tests, corrected by Holm at 0.05)" in text
    content = json.loads((out / "watch.json").read_text())
    assert content["drift"] is False
    assert max(map(len, to_lines(describe_watch(content), 80))) <= 80
    page = (out / "watch.html").read_text()
    assert "Month by month" in page
    assert "2026\N{NON-BREAKING HYPHEN}02" in page
    changed, _ = write_answers(tmp_path / "changed.csv", labels=np.zeros(100, int))
    status, text, err = here("watch", run.path, "--predictions", changed, "--out", out)
    assert status == 2  # written over with --force only
    status, text, err = here("watch", run.path, "--predictions", changed, "--out", out, "--force")
    assert status == 1
    assert "Drift: " in err
    assert "predicted classes" in err
    assert json.loads((out / "watch.json").read_text())["drift"] is True
    assert "<b>Drift</b>" in (out / "watch.html").read_text()


def test_drift_is_seldom_found_where_there_is_none(run, tmp_path, monkeypatch):
    """benchmarks/watching.py makes the 400 draws of docs/watching.md; here are a few, most of them quiet."""
    monkeypatch.setattr("tlmed.drift.stability_index._DRAWS", 99)
    alarms = [
        check_drift(run, write_answers(tmp_path / "new.csv", n=60, seed=100 + seed)[0]).content["drift"]
        for seed in range(8)
    ]
    assert sum(alarms) <= 2
