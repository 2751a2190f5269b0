"""What a run says of patients whom a run may know that gave its weights, where one of the two names no patients."""

import csv
import shutil
from types import SimpleNamespace

import pytest
from PIL import Image

import tlmed
from tests.conftest import draw
from tests.run.test_run import small
from tlmed.evaluation.lines import describe_metrics
from tlmed.export import write_card
from tlmed.inference import evaluate
from tlmed.run.previewing import preview
from tlmed.run_files import ENVIRONMENT_JSON, METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.voice import Voice

pytestmark = pytest.mark.usefixtures("empty_figures")

QUICK = ("phases.epochs=1", "cache=off")
TOLD = "Whether {}, where the weights come from, was trained or validated on other images of the same patients cannot "


def write_patients(folder, first):
    """Write 20 patients with two images each into class folders, and a CSV that names them."""
    rows = [("path", "label", "patient")]
    for number in range(40):
        label = number // 2 % 2
        (folder / "ab"[label]).mkdir(parents=True, exist_ok=True)
        rows.append((f"{'ab'[label]}/{number}.png", "ab"[label], f"{first}{number // 2}"))
        Image.fromarray(draw(label, first + number)).save(folder / rows[-1][0])
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Give folders and two runs: the first has patients; the second, which starts from it, has none."""
    place = tmp_path_factory.mktemp("chain")
    one, other = (write_patients(place / name, first) for name, first in (("one", 100), ("other", 300)))
    (other / "list.csv").rename(place / "other.csv")
    told, first, second = [], place / "first", place / "second"
    tlmed.train(small(*QUICK), first, one / "list.csv")
    tlmed.train(small(*QUICK, f"weights={first}"), second, other, voice=Voice(warn=told.append))
    shutil.copy(place / "other.csv", other / "list.csv")
    return SimpleNamespace(one=one, other=other, first=RunDir(first), second=RunDir(second), told=told)


def list_told(*words, about="where the weights"):
    said = preview(small(*QUICK, *words))[0]
    return [line.removeprefix("Found: ") for line in said if isinstance(line, str) and about in line]


def test_what_a_run_recorded_of_an_earlier_one_holds_after_that_is_gone(tmp_path):
    folder = write_patients(tmp_path / "one", 500)
    tlmed.train(small(*QUICK), tmp_path / "first", folder / "list.csv")
    later = small(*QUICK, f"weights={tmp_path / 'first'}", "seed=5")
    run = RunDir(tlmed.train(later, tmp_path / "second", folder / "list.csv").path)
    leaked = METRICS_JSON.read(run)["without_leaks"]["leaked"]
    assert leaked
    (tmp_path / "first").rename(tmp_path / "away")
    said = []
    _, again = evaluate(run, voice=Voice(warn=said.append))
    assert again["without_leaks"]["leaked"] == leaked
    assert "Runs in which the weights began cannot be read as they were: what they know is as RUN recorded it." in said


def test_images_without_patients_may_be_of_patients_whom_the_weights_know(chain):
    tested = METRICS_JSON.read(chain.second)["n"]
    amount = f"be told for {tested} of {tested} test images, because nothing names their patients here."
    said = TOLD.format(chain.first.path) + amount
    assert [line for line in chain.told if "where the weights" in line] == [said]
    assert said in ENVIRONMENT_JSON.read(chain.second)["warnings"]
    assert METRICS_JSON.read(chain.second)["undecided"] == tested
    assert ENVIRONMENT_JSON.read(chain.second)["earlier"]["runs"][0]["undecided"] == tested
    whole = f"Whether training or validation knows the patients of {tested} of {tested} test images cannot be told."
    assert whole in describe_metrics(METRICS_JSON.read(chain.second))
    assert whole in (chain.second / "report.html").read_text()
    card = write_card(chain.second)
    assert f"**{whole}**" in card
    assert f"Whether it knows other images of the same patients cannot be told for {tested} test images." in card
    warned = []
    assert evaluate(chain.second, voice=Voice(warn=warned.append))[1]["undecided"] == tested
    assert said in warned


def test_patients_may_be_known_to_weights_of_a_run_without_patients(chain):
    said = list_told(f"data.source={chain.one / 'list.csv'}", f"weights={chain.second.path}", "seed=3")
    # The first run names its patients, and these are them.
    assert any(f"among those on which {chain.first.path}, where" in line for line in said)
    (line,) = (line for line in said if "cannot be told" in line)
    assert line.startswith(TOLD.format(chain.second.path))
    assert line.endswith(" test images, because nothing named its patients.")


def test_images_that_stand_alone_say_nothing_of_patients(chain):
    assert list_told(f"data.source={chain.other}", f"weights={chain.first.path}", "data.groups=false") == []
    assert list_told(f"data.source={chain.other / 'list.csv'}", f"weights={chain.first.path}") == []


@pytest.mark.parametrize("text", [None, "", "rubbish\n", "path,label,group,split,sha256\na,a,1,train,0\n"])
def test_a_run_whose_splits_are_gone_or_damaged_is_one_line(chain, text, tmp_path):
    run = RunDir(shutil.copytree(chain.first.path, tmp_path / "run"))
    (run / "splits.csv").unlink()
    if text is not None:
        (run / "splits.csv").write_text(text)
    (said,) = list_told(f"data.source={chain.other}", f"weights={run.path}", about="Weights come from")
    assert said.startswith(f"Weights come from {run.path}; which images they know cannot be told: ")
