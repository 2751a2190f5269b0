"""A served run answers as `tlmed predict` does, whatever else is asked at the same time."""

import base64
import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.conftest import draw
from tests.data.readers.dicom_files import make, save
from tlmed import inference
from tlmed.data.decode_and_resize import decode_resized
from tlmed.data.held_files import Limits, TooManyPixels, TooManySamples, UnknownFormat, read_held
from tlmed.evaluation.explanations import overlay
from tlmed.rundir import RunDir
from tlmed.serving.worth import find_worth
from tlmed.slicing import Slicing
from tlmed.whole_files import read_csv


def post(client, content, name="x.png", **parameters):
    return client.post("/predict", files={"file": (name, content)}, params=parameters)


def test_answers_are_those_of_predictions_csv(client, finished, images):
    rows = read_csv(finished.path / "predictions.csv")
    assert len(rows) > 10
    with ThreadPoolExecutor(8) as pool:  # so that batches are of several images
        replies = list(pool.map(lambda row: post(client, (images / row["path"]).read_bytes(), row["path"][-9:]), rows))
    for row, reply in zip(rows, replies, strict=True):
        assert reply.status_code == 200
        (answer,) = reply.json()["answers"]
        assert (answer["prediction"], answer["sample"]) == (row["prediction"], "")
        for kind in ("score", "calibrated"):
            found = answer["scores" if kind == "score" else kind]
            wanted = {name: float(row[f"{kind}_{name}"]) for name in found}
            assert found == pytest.approx(wanted, abs=1e-6)
            assert list(found) == finished.metrics["classes"]


def test_an_answer_has_the_notes_of_predict(client, finished, tmp_path):
    Image.new("RGB", (30, 30), (90, 90, 90)).save(tmp_path / "plain.png")
    pages = [Image.fromarray(draw(0, i)) for i in (98, 99)]
    pages[0].save(tmp_path / "more.tif", save_all=True, append_images=pages[1:])
    names = [tmp_path / name for name in ("plain.png", "more.tif")]
    predicted = inference.predict(RunDir(finished.path), names)
    rows = predicted[1]
    replies = [post(client, name.read_bytes(), name.name).json() for name in names]
    assert [reply["answers"][0]["note"] for reply in replies] == [row[-1] for row in rows]
    assert rows[0][-1] == "a single colour"
    assert [reply["answers"][0]["prediction"] for reply in replies] == [row[1] for row in rows]
    unusual = predicted[0].index("unusual")
    assert [reply["answers"][0]["unusual"] for reply in replies] == [row[unusual] for row in rows]
    assert [len(reply["notes"]) for reply in replies] == [0, 1]
    assert "several pages" in replies[1]["notes"][0]


def test_a_file_as_the_body_is_answered_like_one_in_a_form(client, images):
    content = next((images / "benign").iterdir()).read_bytes()
    plain = client.post("/predict", content=content, headers={"Content-Type": "image/png"}).json()
    assert plain.pop("file") == ""
    assert plain == {name: part for name, part in post(client, content).json().items() if name != "file"}


def test_an_explanation_is_of_the_class_that_was_asked_for(client, service, images):
    content = next((images / "normal").iterdir()).read_bytes()
    reply = post(client, content, explain=True).json()
    found = reply["explained"]
    assert (found["of"], found["method"]) == (reply["answers"][0]["prediction"], "grad-cam, last block")
    drawn = [np.array(Image.open(io.BytesIO(base64.b64decode(found[name])))) for name in ("image", "overlay")]
    pixels = decode_resized(content, service.run.panel.first.rule)
    np.testing.assert_array_equal(drawn[0], pixels)
    number = service.run.classes.index(found["of"])
    np.testing.assert_array_equal(drawn[1], overlay(pixels, service.run.explanations.load()(pixels[None], number)[0]))
    other = next(name for name in service.run.classes if name != found["of"])
    assert post(client, content, explain_class=other).json()["explained"]["of"] == other
    assert post(client, content).json()["explained"] is None
    wrong = post(client, content, explain_class="malignent")
    assert (wrong.status_code, "Did you mean 'malignant'?" in wrong.json()["reason"]) == (422, True)


def test_dicom_is_read_as_in_training(client, service):
    content = save(make(draw(1, 5)[..., 0].astype("uint16"), 12, WindowCenter=60, WindowWidth=200))
    reply = post(client, content, "1.2.840").json()
    scored = service.run.score([service.run.decode(content, "1.2.840")])[0]
    assert list(reply["answers"][0]["scores"].values()) == pytest.approx(scored.scores[0].tolist(), abs=1e-6)
    np.testing.assert_array_equal(
        service.run.decode(content, "x").first.pixels[0], decode_resized(content, service.run.panel.first.rule)
    )


def test_what_is_held_in_memory_is_read_with_the_limits_of_training_and_of_its_own(service):
    rule = service.run.panel.first.rule
    volume = save(make(np.stack([draw(0, i)[..., 0] for i in range(4)]), 8))
    planes = Slicing("all")
    held = read_held(volume, "x.dcm", rule, planes)
    assert held.names == tuple(f"image.dcm#plane={i}" for i in range(4))
    assert held.pixels.shape == (4, *rule.size, 3)
    with pytest.raises(TooManySamples, match="it gives 4 samples; at most 3"):
        read_held(volume, "x.dcm", rule, planes, Limits(samples=3))
    with pytest.raises(TooManyPixels, match="it has 40 x 40 pixels; at most 1,599"):
        read_held(volume, "x.dcm", rule, planes, Limits(pixels=1599))
    with pytest.raises(TooManyPixels, match="9 planes of 40 x 40 pixels; at most 12,800 pixels"):
        read_held(save(make(np.zeros((9, 40, 40), np.uint8), 8)), "x.dcm", rule, planes, Limits(pixels=1600))
    with pytest.raises(UnknownFormat, match="it is no readable picture"):
        read_held(b"%PDF-1.4 ...", "x.png", rule)


def test_what_answers_are_worth_is_what_the_run_wrote(client, finished, service):
    told, metrics = client.get("/model").json(), finished.metrics
    worth = told["worth"]
    assert (told["run"], told["classes"], told["task"]) == ("finished", metrics["classes"], "single-label")
    assert told["engine"].startswith("tensorflow ")
    assert worth["scored_on"] == f"On {metrics['n']} images of the test split"
    auc = metrics["metrics"]["auc"]
    assert worth["measured"][0] == {
        "name": "Mean AUC of 3 classes",
        **{part: auc[part] for part in ("value", "low", "high")},
    }
    assert worth["thresholds"] == {}
    assert worth["decision"] == ["Predicted is the class with the highest score."]
    calibration = metrics["calibration"]
    said = f"Probabilities are calibrated on {calibration['n']} validation images"
    assert worth["calibration"][0].startswith(said)
    assert "not a medical device" in worth["no_device"]
    assert find_worth(service.run.panel, service.run.jury) == service.worth
    assert worth["cautions"] == list(service.worth.cautions)
    assert not any("check of the data" in said or "Without" in said for said in worth["cautions"])


def leak(finished, folder):
    """Copy a run, and note there that the check found a test image in train; return the copy."""
    shutil.copytree(finished.path, folder)
    places = {row["split"]: row["path"] for row in read_csv(folder / "splits.csv")}
    check = json.loads((folder / "check.json").read_text())
    files = [places["train"], places["test"]]
    check["findings"] = [{"kind": "near-copy", "level": "error", "files": files, "text": "Two pictures are alike."}]
    (folder / "check.json").write_text(json.dumps(check))
    return RunDir(folder)


def test_cautions_say_what_the_check_of_the_data_found(finished, service, tmp_path):
    panel, jury = service.run.panel, service.run.jury
    run, sound = leak(finished, tmp_path / "leaky"), set(service.worth.cautions)
    metrics = json.loads((run / "metrics.json").read_text())
    auc = metrics["metrics"]["auc"] | {"value": 0.61, "low": 0.5, "high": 0.7}
    metrics["without_leaks"] = {"leaked": 2, "n": metrics["n"] - 2, "metrics": {"auc": auc}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    found = [said for said in find_worth(replace(panel, run=run), jury).cautions if said not in sound]
    of = f"{metrics['n']} test images"
    assert found[0].startswith(
        f"The check of the data found 1 error (near-copy 1): 1 of {of} repeats an image of train."
    )
    assert (
        found[1]
        == f"Without 2 of {metrics['n']} images that training or validation knows the AUC is 0.610 (0.500 to 0.700)."
    )
    assert len(found) == 2
    # Below guessing it is a doubt by itself, and that is said once.
    poor = metrics["metrics"]["auc"] | {"value": 0.41, "low": 0.3, "high": 0.5}
    (run / "metrics.json").write_text(
        json.dumps(metrics | {"without_leaks": {**metrics["without_leaks"], "metrics": {"auc": poor}}})
    )
    (said,) = [said for said in find_worth(replace(panel, run=run), jury).cautions if said.startswith("Without")]
    assert "the AUC is 0.410 (0.300 to 0.500), below the 0.500 of the baseline majority class" in said
    # By a shortcut a network can answer right without the finding.
    check = json.loads((run / "check.json").read_text())
    warned = {"kind": "shortcut", "level": "warning", "files": [], "text": "The class follows from the frame."}
    (run / "check.json").write_text(json.dumps(check | {"findings": [*check["findings"], warned]}))
    cautions = " ".join(find_worth(replace(panel, run=run), jury).cautions)
    assert "The check of the data has 1 warning (shortcut 1). A shortcut tells the class by something other" in cautions
    (run / "check.json").write_text(json.dumps(check))
    # An ensemble keeps no check: those of its members count.
    both = tmp_path / "both"
    shutil.copytree(finished.path, both)
    (both / "ensemble.json").write_text("{}")
    members = (panel.first, replace(panel.first, run=run))
    joint = replace(panel, run=RunDir(both), members=members, weights=np.array([0.5, 0.5]))
    (said,) = set(find_worth(joint, jury).cautions) - sound
    assert said.startswith("Of leaky: The check of the data found 1 error")
