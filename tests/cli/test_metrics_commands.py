"""`tlmed metrics advise`: answers from a run, from labels, from options, from a person."""

import json
import re
import shutil
import sys

import pytest
from PIL import Image

from tests.cli.test_cli import here

REST = ("--prevalence", "same", "--costs", "equal", "--use", "class")


def test_what_a_run_tells_is_not_asked_and_its_values_are_shown(finished):
    status, out, err = here("metrics", "advise", finished.path, "--order", "no", *REST)
    assert (status, err) == (0, "")
    entry = json.loads((finished.path / "metrics.json").read_text())["metrics"]["accuracy"]
    assert f"accuracy, metrics.accuracy: {entry['value']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})" in out
    rows = {line[:28].rstrip(): " ".join(line.split()[-6:]) for line in out.splitlines()}
    assert rows["How many classes are there?"].endswith("3 the run's test images")
    assert "[Maier-Hein 2024]" in out
    assert "\nMaier-Hein 2024: Maier-Hein, Reinke et al." in out


def test_labels_tell_classes_and_balance(images, tmp_path):
    table = tmp_path / "labels.csv"
    names = sorted(path.relative_to(images) for path in images.glob("*/*.png"))
    rows = [name for name in names if name.parts[0] == "benign"] + [n for n in names if n.parts[0] == "normal"][:9]
    table.write_text("path,label\n" + "".join(f"{name},{name.parts[0]}\n" for name in rows))
    for name in rows:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((images / name).read_bytes())
    status, out, err = here("metrics", "advise", "--data", table, *REST)
    assert (status, err) == (0, "")
    assert "unbalanced  the data\n" in out
    assert "Do the classes have an order?" in out
    assert "  mcc, metrics.mcc\n" in out
    lines = table.read_text().splitlines()
    splits = ["split", *("test" if i % 2 and (i > 19 or i % 4 == 1) else "train" for i in range(len(rows)))]
    table.write_text("".join(f"{line},{split}\n" for line, split in zip(lines, splits, strict=True)))
    assert re.search(r"  balanced +the data's test images\n", here("metrics", "advise", "--data", table, *REST)[1])


FAULTS = {
    "nothing": ([], "Received: none for --findings one|several, --classes NUMBER, --order no|yes, --balance"),
    "one left": (
        ["--findings", "several", "--balance", "balanced", "--prevalence", "same", "--costs", "equal"],
        "Received: none for --use class|ranking|probability.",
    ),
    "both": (["RUN", "--data", "x"], "Give RUN or --data SOURCE, one of the two."),
    "classes": (
        ["RUN", "--classes", "4"],
        "`--classes` must be what the labels say, 3, or be left out. Received: --cl",
    ),
    "findings": (["RUN", "--findings", "several"], "`--findings` must be what the labels say, one, or be left out."),
    "classes of findings": (["--findings", "several", "--classes", "5"], "`--classes` must be 2, or left out"),
    "settings": (["RUN", "--set", "data.label_columns=a,b"], "--set goes with --data SOURCE"),
    "no run": (["nowhere"], "nowhere"),
    "no data": (["--data", "nowhere.csv"], "nowhere.csv"),
    "wrong answer": (["--use", "all"], "'all' is not one of 'class', 'ranking', 'probability'"),
}


@pytest.mark.parametrize(("words", "said"), FAULTS.values(), ids=FAULTS)
def test_faults_are_one_line(words, said, finished):
    status, out, err = here("metrics", "advise", *(finished.path if word == "RUN" else word for word in words))
    assert (status, out) == (2, "")
    assert err.startswith("Error: ")
    assert said in err
    assert err.count("\n") == 1


def test_no_option_contradicts_what_a_run_says(finished, tmp_path):
    run = shutil.copytree(finished.path, tmp_path / "run")
    recipe = json.loads((run / "recipe.json").read_text())
    stated = {"order": [*json.loads((run / "metrics.json").read_text())["classes"]]}
    recipe |= {"cost_ratio": 5.0, "prevalence": 0.2, "data": recipe["data"] | stated}
    (run / "recipe.json").write_text(json.dumps(recipe))
    agree = ("--order", "yes", "--costs", "unequal", "--prevalence", "other", "--use", "class")
    assert here("metrics", "advise", run, *agree)[0] == 0
    status, out, err = here("metrics", "advise", run, "--order", "no", *REST)
    assert (status, out) == (2, "")
    lines = [line.removeprefix("Error: ").strip() for line in err.splitlines()]
    assert lines == [
        "`--order` must be what the run's recipe says, yes, or be left out. Received: --order no.",
        "`--prevalence` must be what the run's recipe says, other, or be left out. Received: --prevalence same.",
        "`--costs` must be what the run's recipe says, unequal, or be left out. Received: --costs equal.",
    ]


def test_labels_of_several_columns_or_of_one_tell_findings_and_balance(tmp_path):
    for i in range(12):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i}.png")
    table = tmp_path / "labels.csv"
    rows = [f"{i}.png,{i % 2},{int(i < 2) if i else ''}" for i in range(12)]
    table.write_text("\n".join(["path,edema,mass", *rows]))
    call = ("metrics", "advise", "--data", table, *REST)
    status, out, err = here(*call, "--set", "data.label_columns=edema,mass")
    assert (status, err) == (0, "")
    assert "unbalanced  the data\n" in out
    assert "  mcc, per_class.<label>.mcc\n" in out
    assert "take these metrics for each" in out
    assert "  hamming_loss\n" in out.partition("Do not decide by:")[2]
    names = ("edema|mass", "mass", "edema", "No Finding")
    table.write_text("path,label\n" + "".join(f"{i}.png,{names[i % 4]}\n" for i in range(12)))
    assert "  accuracy, per_class.<label>.accuracy\n" in here(*call)[1]


class Typed:
    """Stands for a terminal on which a person has typed lines."""

    def __init__(self, *lines):
        self.lines = list(lines)

    @staticmethod
    def isatty():
        return True

    def readline(self, *_):
        return f"{self.lines.pop(0)}\n" if self.lines else ""


def test_a_person_is_asked_what_is_open_and_again_after_a_wrong_answer(monkeypatch):
    monkeypatch.setattr(
        sys, "stdin", Typed("one", "x", "5", "yes", "unbalanced", "same", "equal", "class, luck", "class")
    )
    status, out, err = here("metrics", "advise")
    assert (status, err) == (0, "")
    assert out.count("How many classes are there?") == 2  # when it is asked, and in the table of answers
    assert "'luck' is not one of class, ranking, probability." in out
    assert "  quadratic_kappa, metrics.quadratic_kappa\n" in out


def test_the_end_of_the_input_is_no_answer(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Typed("one"))
    status, _, err = here("metrics", "advise")
    assert status == 2
    assert err == "Error: Every question must have an answer. Received: the end of the input.\n"


def test_a_run_that_knows_test_images_says_so_beside_its_values(finished, tmp_path):
    run = shutil.copytree(finished.path, tmp_path / "run")
    content = json.loads((run / "metrics.json").read_text())
    content["without_leaks"] = {"leaked": 4, "n": 5, "metrics": {}}
    (run / "metrics.json").write_text(json.dumps(content))
    _, out, _ = here("metrics", "advise", run, "--order", "no", *REST)
    assert "4 of 9 test images are known from training or validation, so that these values may be too good" in out
    assert "are known from" not in here("metrics", "advise", finished.path, "--order", "no", *REST)[1]
