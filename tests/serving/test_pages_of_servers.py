"""The page of a server, its description for programs, and what it counts."""

import dataclasses
import importlib.util
import itertools
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.conftest import LIMITS
from tests.serving.test_answers import post
from tests.serving.test_uploads import GOOD
from tlmed.errors import InputError
from tlmed.rundir import RunDir
from tlmed.serving.converting import convert_network
from tlmed.serving.graph_engines import choose_engine, load_graph
from tlmed.serving.service import Asked
from tlmed.serving.web_page import open_page


class Reader(HTMLParser):
    """Collect the tags of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_code_of_its_own(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    tags = Reader(page.text).tags
    assert not [tag for tag, attributes in tags if any(name.startswith("on") or name == "style" for name in attributes)]
    scripts = [attributes for tag, attributes in tags if tag == "script"]
    assert scripts == [{"src": "serve.js", "defer": None}]
    links = {attributes[name] for _, attributes in tags for name in ("src", "href") if name in attributes}
    for link in links - {"data:,"}:
        assert link.startswith("#") or client.get(f"/{link}").status_code == 200, link
    assert not re.findall(
        r"https?:|//\w", client.get("/serve.css").text + client.get("/serve.js").text.replace("// ", "")
    )
    assert "innerHTML" not in client.get("/serve.js").text


def test_the_page_says_what_answers_are_worth_and_can_be_used_without_a_mouse(client, finished):
    page = client.get("/").text
    tags = Reader(page).tags
    auc = finished.metrics["metrics"]["auc"]
    for words in ("Not a medical device", "calibrated", "benign, malignant and normal", f"{auc['value']:.3f}"):
        assert words in page
    labels = {attributes["for"] for tag, attributes in tags if tag == "label"}
    inputs = [attributes for tag, attributes in tags if tag == "input"]
    assert [attributes["id"] for attributes in inputs] == list(labels)
    assert ("p", {"id": "status", "role": "status", "aria-live": "polite"}) in tags
    ids = {attributes.get("id") for _, attributes in tags}
    for _, attributes in tags:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name) in {None, *ids}
    assert dict(tags)["html"] == {"lang": "en"}
    headings = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))


def test_names_on_the_page_are_text(served, service, finished, tmp_path):
    evil = tmp_path / "<img src=x onerror=alert(1)>"
    shutil.copytree(finished.path, evil)
    other = dataclasses.replace(served, panel=dataclasses.replace(served.panel, run=RunDir(evil)))
    page = open_page(other, service.worth, LIMITS)
    assert "&lt;img src=x" in page
    assert "img" not in {tag for tag, _ in Reader(page).tags}


def test_the_description_names_every_answer(client):
    found = client.get("/openapi.json").json()
    assert set(found["paths"]) == {"/predict", "/model", "/health", "/metrics"}
    statuses = set(found["paths"]["/predict"]["post"]["responses"])
    assert statuses == {"200", *map(str, (400, 401, 403, 408, 413, 415, 421, 422, 503))}
    assert set(found["paths"]["/predict"]["post"]["requestBody"]["content"]) == {
        "multipart/form-data",
        "application/octet-stream",
    }
    assert client.get("/docs").status_code == 404  # its page loads scripts from elsewhere


def count(client):
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def test_what_is_asked_is_counted(client):
    before = count(client)
    answer = post(client, GOOD).json()["answers"][0]["prediction"]
    post(client, b"words")
    after = count(client)

    def grown(*name):
        return after[name] - before.get(name, 0)

    assert grown("tlmed_requests_total", "/predict", "200") == grown("tlmed_requests_total", "/predict", "415") == 1
    assert grown("tlmed_predictions_total", answer) == grown("tlmed_refusals_total", "format") == 1
    assert grown("tlmed_predict_seconds_count") == grown("tlmed_batch_images_count") == 1
    assert after[("tlmed_waiting",)] == 0
    assert after[("process_resident_memory_bytes",)] > 10**8
    assert client.get("/health").json() == {"status": "ok"}


def test_a_server_with_no_place_left_refuses_politely(client, service):
    with service.places.lease() as enter:
        enter(service.places.most)
        reply = post(client, GOOD)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert "try again" in reply.json()["reason"]
    assert service.places.held == 0
    assert post(client, GOOD).status_code == 200


def test_without_an_explanation_there_is_a_reason(service, client, monkeypatch):
    def refuse(*arguments):
        raise InputError("It needs one network.")

    monkeypatch.setattr(type(service.run), "explain", refuse)
    reply = post(client, GOOD, explain=True).json()
    assert (reply["explained"], reply["not_explained"]) == (None, "It needs one network.")
    assert Asked().explain is False


@pytest.mark.parametrize("name", ["openvino", pytest.param("onnxruntime", marks=pytest.mark.slow), "tensorflow"])
def test_engines_give_the_same_scores(served, images, name):
    voter, scorer = served.voters[0], served.explanations.scorer
    if name != "tensorflow":
        voter = dataclasses.replace(voter, engine=load_graph(name, convert_network(scorer.joint, name)))
    assert voter.engine.name == name
    pixels = served.decode(next((images / "benign").iterdir()).read_bytes(), "x.png").first.pixels
    several = np.concatenate([np.roll(pixels, 3 * shift, axis=1) for shift in range(40)])
    wanted = scorer.network.predict(several, verbose=0)
    for amount in (1, 3, 40):
        features, scores = voter(several[:amount])
        assert scores == pytest.approx(wanted[:amount], abs=1e-6)
        assert features.shape == (amount, voter.width)


def test_the_engine_is_the_fastest_that_is_installed(monkeypatch):
    there = {"openvino", "onnxruntime", "onnx", "tf2onnx"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in there or None)
    assert choose_engine("auto") == "openvino"
    there.remove("openvino")
    assert choose_engine("auto") == "onnxruntime"
    with pytest.raises(InputError, match=r"pip install 'tlmed\[fast\]'. Received: no openvino"):
        choose_engine("openvino")
    there.remove("onnx")
    assert choose_engine("auto") == choose_engine("keras") == "keras"
