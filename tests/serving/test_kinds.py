"""Runs of every kind are served, and answer as `tlmed predict` does."""

import shutil

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import tlmed
from tests.conftest import SMALL, draw
from tests.data.readers.dicom_files import make, save
from tests.data.test_series import make_slice
from tests.ensembles.test_ensembles import ensemble
from tests.run.test_multi_label_run import make_recipe, source
from tests.serving.conftest import KERAS, LIMITS
from tests.serving.test_answers import post
from tlmed import inference
from tlmed.data.held_files import Limits
from tlmed.errors import InputError
from tlmed.recipe import override
from tlmed.rundir import RunDir
from tlmed.serving.answering import MOST_SAMPLES
from tlmed.serving.application import make_application
from tlmed.serving.conversions import preparing
from tlmed.serving.guarding import Rules
from tlmed.serving.served_runs import open_served
from tlmed.serving.service import open_service
from tlmed.words import join_names

__all__ = ["ensemble", "source"]  # fixtures of other modules
pytestmark = pytest.mark.slow


def train(recipe, settings, data, out):
    return RunDir(tlmed.train(override(tlmed.load_recipe(recipe), [*SMALL, *settings]), out, data).path)


@pytest.fixture(params=["keras", "openvino"])
def open_client(request, here):
    """Give a function that serves a run, and returns it with a client; from graphs that an earlier start has kept."""
    services = []

    def start(run):
        said = []
        for _ in range(2):
            with preparing(run, request.param, said.append) as prepared:
                served = open_served(run, prepared, Limits(10**6, MOST_SAMPLES), said.append)
        services.append(open_service(served, LIMITS))
        return served, TestClient(make_application(services[-1], Rules()), base_url="http://localhost:8000")

    yield start
    for service in services:
        service.stop()


def compare(run, client, files):
    """Ask for each file alone; return the answers, after comparing them with the table of `predict`."""
    columns, rows, _ = inference.predict(run, files)
    answers = [answer for file in files for answer in post(client, file.read_bytes(), file.name).json()["answers"]]
    assert len(answers) == len(rows)
    for answer, row in zip(answers, rows, strict=True):
        cells = dict(zip(columns, row, strict=True))
        for name, score in answer["scores"].items():
            assert score == pytest.approx(cells[f"score_{name}"], abs=1e-6)
            assert answer["calibrated"][name] == pytest.approx(cells[f"calibrated_{name}"], abs=1e-6)
        if isinstance(answer["prediction"], list):
            assert answer["prediction"] == [name for name in answer["scores"] if cells[f"prediction_{name}"]]
        else:
            assert answer["prediction"] == cells["prediction"]
        wanted = cells.get("unusual")
        assert answer["unusual"] == (wanted if wanted is None else pytest.approx(wanted, abs=1e-9))
        assert answer["note"] == cells["image_note"]
    return answers


def pick(images):
    return sorted(images.rglob("*.png"))[::7]


def test_a_hybrid_is_explained_by_occlusion(open_client, images, tmp_path):
    run = train("feature_extractor_hybrid", ("head.folds=3", "data.image_size=16,16"), images, tmp_path / "run")
    _, client = open_client(run)
    compare(run, client, pick(images))
    found = post(client, pick(images)[0].read_bytes(), explain=True).json()["explained"]
    assert found["method"] == "occlusion"


def test_several_labels_each_have_a_threshold(open_client, source, tmp_path):
    run = RunDir(tlmed.train(make_recipe(source), tmp_path / "run").path)
    served, client = open_client(run)
    files = sorted(source.parent.glob("*.png"))[:12]
    answers = compare(run, client, files)
    assert len({len(answer["prediction"]) for answer in answers}) > 1
    told = client.get("/model").json()
    assert told["task"] == "multi-label"
    assert list(told["worth"]["thresholds"]) == ["red", "green"]
    assert told["worth"]["decision"][0].count("Youden") == 2
    assert "a temperature for each of 2 labels" in told["worth"]["calibration"][0]
    found = post(client, files[0].read_bytes(), explain=True).json()
    above = {name: found["answers"][0]["scores"][name] - told["worth"]["thresholds"][name] for name in ("red", "green")}
    assert found["explained"]["of"] == max(above, key=above.get)
    assert join_names(served.classes) in client.get("/").text


def test_grades_are_predicted_by_the_median(open_client, images, tmp_path):
    run = train("feature_extractor", ("data.order=normal,benign,malignant",), images, tmp_path / "run")
    _, client = open_client(run)
    compare(run, client, pick(images))
    worth = client.get("/model").json()["worth"]
    assert "median grade" in worth["decision"][0]
    assert "uadratic" in worth["measured"][1]["name"]


def test_the_folds_of_a_cross_validation_answer_together(open_client, images, tmp_path):
    run = train("feature_extractor", ("data.split=KFold(3)",), images, tmp_path / "run")
    served, client = open_client(run)
    assert len(served.voters) == 3
    compare(run, client, pick(images))
    found = post(client, pick(images)[0].read_bytes(), explain=True).json()
    assert found["explained"] is None
    assert "needs one network" in found["not_explained"]
    worth = client.get("/model").json()["worth"]
    assert worth["scored_on"].startswith("On average over the folds")
    assert worth["decision"][0].startswith("3 networks answer together")


def test_the_members_of_an_ensemble_each_see_an_image_by_their_own_rule(open_client, ensemble):
    run, folder = ensemble
    served, client = open_client(run)
    assert len({voter.rule for voter in served.voters}) == 2
    compare(run, client, sorted((folder / "images").rglob("*.png")))
    worth = client.get("/model").json()["worth"]
    assert len(worth["thresholds"]) == 1


def test_a_volume_has_one_answer_where_the_run_pools_and_one_for_each_plane_where_it_does_not(open_client, tmp_path):
    rows = ["path,label"]
    for number in range(24):
        label = number % 2
        volume = np.stack([draw(label, 10 * number + i)[..., 0] for i in range(3)])
        (tmp_path / f"{number:02}.dcm").write_bytes(save(make(volume, 8)))
        rows.append(f"{number:02}.dcm,{'ab'[label]}")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    files = sorted(tmp_path.glob("*.dcm"))[:4]
    settings = ("data.planes=all", "phases.epochs=1")
    pooled = train("fine_tuning", settings, tmp_path / "list.csv", tmp_path / "pooled")
    _, client = open_client(pooled)
    assert len(compare(pooled, client, files)) == 4
    assert "One answer per file" in " ".join(client.get("/model").json()["worth"]["decision"])
    single = train("fine_tuning", (*settings, "data.pool=none"), tmp_path / "list.csv", tmp_path / "single")
    _, client = open_client(single)
    assert [answer["sample"] for answer in compare(single, client, files)] == [f"plane={i}" for i in range(3)] * 4
    Image.fromarray(draw(0, 0)).save(tmp_path / "flat.png")
    compare(single, client, [tmp_path / "flat.png"])
    plane = make_slice(draw(0, 0)[..., 0], 3.0)
    assert "one plane of a series" in post(client, plane, "IM1").json()["notes"][0]
    assert post(client, files[0].read_bytes()).json()["notes"] == []


def test_a_run_that_is_deleted_meanwhile_is_answered_by_as_before(open_client, finished, images, tmp_path):
    shutil.copytree(finished.path, tmp_path / "run")
    served, client = open_client(RunDir(tmp_path / "run"))
    shutil.rmtree(tmp_path / "run")
    reply = post(client, pick(images)[0].read_bytes(), explain=True)
    assert (reply.status_code, len(reply.json()["answers"])) == (200, 1)
    if served.explanations.scorer is None:  # Keras has not loaded the network
        assert "`model.keras` must be there as it was when the server started" in reply.json()["not_explained"]
    else:
        assert reply.json()["explained"]["method"] == "grad-cam, last block"
    assert client.get("/model").status_code == 200


def test_a_run_of_tiles_and_a_changed_run_are_refused(finished, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(finished.path, other)
    text = (other / "recipe.json").read_text()
    assert '"tile": null' in text
    (other / "recipe.json").write_text(text.replace('"tile": null', '"tile": 224'))
    with pytest.raises(InputError, match="slides are read from files"):
        open_served(RunDir(other), KERAS, Limits(), lambda said: None)
