"""What a run says of patients whom a run may know that gave its weights, where one of the two names no patients."""

import csv
import re
import shutil
from types import SimpleNamespace

import pytest
from PIL import Image

import tlmed
from tests.conftest import draw
from tests.run.test_run import small
from tlmed.backbones.ancestry import find_known
from tlmed.backbones.recollection import find_earlier, identify
from tlmed.columns import Grouping
from tlmed.evaluation.lines import describe_metrics
from tlmed.export import write_card
from tlmed.inference.rescoring import evaluate
from tlmed.inference.seen_images import list_undecided
from tlmed.part_names import file_of
from tlmed.regular_files import sha256
from tlmed.report.evaluations import make_evaluation_page
from tlmed.run.previewing import preview
from tlmed.run.records import _list_leaks
from tlmed.run_files import ENVIRONMENT_JSON, METRICS_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.voice import Voice

pytestmark = pytest.mark.usefixtures("empty_figures")

HIDDEN = "Runs in which the weights began cannot be read as they were: what they know is as RUN recorded it."
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
    more = add_new(folder, tmp_path / "more")
    tested = copy_tested(run, folder, tmp_path / "tested")
    before = [evaluate(run, str(place), grouping=grouping)[1] for place, grouping in list_sources(folder, more, tested)]
    leaks = ENVIRONMENT_JSON.read(run)["leaks"]
    (tmp_path / "first").rename(tmp_path / "away")
    said = []
    _, again = evaluate(run, voice=Voice(warn=said.append))
    assert again["without_leaks"]["leaked"] == leaked
    assert HIDDEN in said
    # Another source: what RUN recorded is as before, and only images that it does not have are unknown.
    for (place, grouping), there in zip(list_sources(folder, more, tested), before, strict=True):
        said, new = [], 4 * (place in (more, more / "list.csv"))
        _, found = evaluate(run, str(place), grouping=grouping, voice=Voice(warn=said.append))
        assert found["without_leaks"]["leaked"] == there["without_leaks"]["leaked"] > 0
        assert (found.get("undecided", 0), there.get("undecided", 0)) == (new, 0)
        assert any("which images they know cannot be told" in line for line in said) == bool(new)
        assert (HIDDEN in said) == (not new)
        assert found["evaluated"]["warnings"][0] == there["evaluated"]["warnings"][0]
    # A finished run says again what it knows, and not less.
    assert _list_leaks(run, Voice(warn=said.append)) == leaks
    # A run that starts from RUN hears of it through RUN.
    known, unsure = find_known(f"run:{run.path}", identify(run))
    assert unsure
    recorded = set(ENVIRONMENT_JSON.read(run)["earlier"]["known"])
    assert {file_of(row["sha256"]) for row in SPLITS_CSV.read(run) if row["path"] in recorded} <= known[
        str(run.path)
    ].digests


def add_new(folder, place):
    """Copy a folder of patients, and add two patients of two new images each."""
    shutil.copytree(folder, place)
    with (place / "list.csv").open("a", newline="") as file:
        for number in range(4):
            label = number // 2
            Image.fromarray(draw(label, 900 + number)).save(place / "ab"[label] / f"new{number}.png")
            csv.writer(file).writerow((f"{'ab'[label]}/new{number}.png", "ab"[label], f"n{label}"))
    return place


def copy_tested(run, folder, place):
    """Copy a run's test images, under other names; return the folder."""
    for number, row in enumerate(row for row in SPLITS_CSV.read(run) if row["split"] == "test"):
        (place / row["label"]).mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / row["path"], place / row["label"] / f"copy{number}.png")
    return place


def list_sources(folder, more, tested):
    alone = Grouping(use=False)
    return [(folder / "list.csv", None), (more / "list.csv", None), (more, alone), (tested, alone), (tested, None)]


def test_images_without_patients_may_be_of_patients_whom_the_weights_know(chain):
    tested = METRICS_JSON.read(chain.second)["n"]
    amount = f"be told for {tested} of {tested} test images, because nothing names their patients here."
    said = TOLD.format(chain.first.path) + amount
    assert [line for line in chain.told if "where the weights" in line] == [said]
    assert said in ENVIRONMENT_JSON.read(chain.second)["warnings"]
    assert METRICS_JSON.read(chain.second)["undecided"] == tested
    assert ENVIRONMENT_JSON.read(chain.second)["earlier"]["runs"][0]["undecided"] == tested
    whole = f"Whether training or validation knows {tested} of {tested} test images, or their patients, cannot be told."
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


@pytest.fixture
def gone(chain):
    """Move the first run away for as long as a test takes."""
    away = chain.first.path.with_name("away")
    chain.first.path.rename(away)
    yield chain.first.path
    away.rename(chain.first.path)


def mix(chain, folder, of_first, of_second):
    """Copy images of both sources into a folder of classes; some of those of the second stand in its test split."""
    for place, amount in ((chain.one, of_first), (chain.other, of_second)):
        for number in range(amount):
            name = f"{'ab'[number // 2 % 2]}/{number}.png"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(place / name, folder / name.replace("/", f"/{place.name}"))
    return folder


def test_where_a_run_that_gave_weights_is_gone_no_count_of_known_images_is_called_complete(chain, gone, tmp_path):
    folder = mix(chain, tmp_path / "new", 12, 12)
    learned = {row["sha256"] for row in SPLITS_CSV.read(chain.second) if row["split"] in ("train", "val")}
    known = sum(sha256(path) in learned for path in folder.glob("*/*.png"))
    assert 0 < known < 12
    pooled, result = evaluate(chain.second, str(folder), grouping=Grouping(use=False))
    assert (result["without_leaks"]["leaked"], result["without_leaks"]["n"]) == (known, 24 - known)
    assert result["undecided"] == 24 - known
    more = f"(of {24 - known} more this cannot be told)"
    page = make_evaluation_page(pooled.units, result)
    assert f"<b>At least {known} of 24 images" in page
    assert f"known to the network {more}</b>" in page
    assert re.search(r"<small>without <[^>]+>known leaks<", page)
    assert any(
        line.startswith(f"Without at least {known} of 24 images") and more in line for line in describe_metrics(result)
    )
    found = evaluate(chain.second, str(mix(chain, tmp_path / "old", 12, 0)), grouping=Grouping(use=False))[1]
    assert ("without_leaks" in found, found["undecided"]) == (False, 12)
    said = "Whether training or validation knows 12 of 12 images, or their patients, cannot be told."
    assert said in describe_metrics(found)


def test_where_all_runs_that_gave_weights_are_there_counts_are_complete(chain, tmp_path):
    folder = mix(chain, tmp_path / "new", 12, 12)
    learned = {
        row["sha256"]
        for run in (chain.first, chain.second)
        for row in SPLITS_CSV.read(run)
        if row["split"] in ("train", "val")
    }
    known = sum(sha256(path) in learned for path in folder.glob("*/*.png"))
    pooled, result = evaluate(chain.second, str(folder), grouping=Grouping(use=False))
    assert result["without_leaks"]["leaked"] == known
    assert "undecided" not in result
    assert re.search(r"<small>without <[^>]+>leaks<", make_evaluation_page(pooled.units, result))


@pytest.mark.slow  # it trains
def test_a_run_that_begins_where_a_run_further_back_is_gone_says_so_of_all_its_test_images(chain, gone, tmp_path):
    words = small(*QUICK, f"weights={chain.second.path}", "data.groups=false", "seed=9")
    run = RunDir(tlmed.train(words, tmp_path / "third", mix(chain, tmp_path / "new", 40, 40)).path)
    metrics, earlier = METRICS_JSON.read(run), ENVIRONMENT_JSON.read(run)["earlier"]
    assert metrics["undecided"] + metrics["without_leaks"]["leaked"] == metrics["n"]
    assert not earlier["certain"]
    assert len(earlier["undecided"]) == metrics["undecided"] > 0
    assert ENVIRONMENT_JSON.read(run)["leaks"][0].startswith("At least ")
    again = evaluate(run)[1]
    assert (again["undecided"], again["without_leaks"]["leaked"]) == (
        metrics["undecided"],
        metrics["without_leaks"]["leaked"],
    )


def test_patients_that_a_run_may_know_are_still_counted_after_it_is_gone(chain, gone):
    tested = METRICS_JSON.read(chain.second)["n"]
    assert evaluate(chain.second)[1]["undecided"] == tested
    assert len(list_undecided(chain.second, find_earlier(chain.second))) == tested


@pytest.mark.parametrize("text", [None, "", "rubbish\n", "path,label,group,split,sha256\na,a,1,train,0\n"])
def test_a_run_whose_splits_are_gone_or_damaged_is_one_line(chain, text, tmp_path):
    run = RunDir(shutil.copytree(chain.first.path, tmp_path / "run"))
    (run / "splits.csv").unlink()
    if text is not None:
        (run / "splits.csv").write_text(text)
    (said,) = list_told(f"data.source={chain.other}", f"weights={run.path}", about="Weights come from")
    assert said.startswith(f"Weights come from {run.path}; which images they know cannot be told: ")
