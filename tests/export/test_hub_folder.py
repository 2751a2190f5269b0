"""A run as a folder for others: what is in it, what must not be, and that the library of the Hub takes it."""

import base64
import http.server
import json
import re
import shutil
import socket
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tests.cli.test_cli import here
from tests.conftest import CLASSES, draw
from tests.ensembles.test_ensembles import divide, make, network, write_member
from tlmed.conversion import reference_reader
from tlmed.ensembles import write_ensemble
from tlmed.errors import InputError
from tlmed.evaluation.answer_rules import ExpectedCost, LogitAdjustment
from tlmed.evaluation.decisions import read_decision
from tlmed.evaluation.pooling import read_pooling
from tlmed.export.hub_folder import write_hub_folder
from tlmed.export.shared_facts import _describe_answer
from tlmed.export.traces import list_names, read_texts, refuse_traces
from tlmed.inference.panel import open_panel
from tlmed.regular_files import sha256
from tlmed.rundir import RunDir
from tlmed.tabulation.markdown import plain
from tlmed.whole_files import read_csv, write_json

FILES = ["README.md", "metrics.json", "model.keras", "preprocessing.json"]
PIXELS = np.stack([draw(label, i, 32) for label in range(3) for i in range(2)]).astype("float32")


def read_json(path):
    return json.loads(path.read_text())


def unpack(path):
    """Yield the bytes of a file and, of an archive, of all files in it."""
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from map(archive.read, archive.namelist())


def test_a_shared_folder_has_a_network_its_card_its_preparation_and_its_scores(finished, shared):
    assert sorted(path.name for path in shared.iterdir()) == FILES
    model, own = (keras.saving.load_model(path / "model.keras", safe_mode=True) for path in (shared, finished.path))
    np.testing.assert_array_equal(model.predict(PIXELS, verbose=0), own.predict(PIXELS, verbose=0))
    # Neither the optimizer nor the loss is in it, which would need memory and classes.
    assert not model.compiled
    with zipfile.ZipFile(shared / "model.keras") as archive:
        assert json.loads(archive.read("config.json"))["compile_config"] == {}
    said, metrics = (read_json(shared / name) for name in ("preprocessing.json", "metrics.json"))
    before = json.loads((finished.path / "metrics.json").read_text())
    assert metrics == before
    images, answer, net = said["images"], said["answer"], said["network"]
    assert (images["size"], images["values"], images["fit"], images["window"]["kind"]) == (
        [32, 32],
        [0, 255],
        "stretch",
        "auto",
    )
    assert (answer["classes"], answer["task"], answer["threshold"]) == (list(CLASSES), "single-label", None)
    assert answer["temperature"] == before["calibration"]["temperature"]
    assert net == {
        "file": "model.keras",
        "sha256": sha256(shared / "model.keras"),
        "gives": "probabilities",
        "members": 1,
        "backbones": [{"name": "CifarNet", "graph": "keras", "weights": "none", "licence": None}],
    }
    card = (shared / "README.md").read_text()
    assert '`weights="hf:FOLDER"`' in card
    assert "tlmed predict RUN" not in card
    assert "Whoever has the directory of the run, which is not in this folder:" in card


def test_no_path_file_name_or_machine_is_in_any_file_of_a_shared_folder(finished, shared, images):
    rows = read_csv(finished.path / "splits.csv")
    names = {str(finished.path), str(finished.path.parent), str(images), str(images.parent), str(Path.home())}
    names |= {row["path"] for row in rows} | {Path(row["path"]).name for row in rows} | {row["sha256"] for row in rows}
    names |= {host} if len(host := socket.gethostname()) > 6 else set()  # a short one may be in any word
    assert len(names) > 150
    contents = [content for path in shared.iterdir() for content in unpack(path)]
    assert len(contents) == 4 + 3
    # The search finds what is there.
    assert any(b"conv1" in content for content in contents)
    assert [name for name in names if any(name.encode() in content for content in contents)] == []


# --- how scores become an answer


COSTS = np.array([[0, 1, 1], [5, 0, 1], [9, 2, 0.0]])
ODD = {name: {"threshold": point, "temperature": heat} for name, point, heat in zip(
    CLASSES, (0.31, 0.33, 0.36), (0.4, 1.7, 2.5), strict=True)}  # fmt: skip
MANY = {"operating_point": None, "calibration": {"method": "temperature", "temperature": 0.3}}
KINDS = {
    "classes": MANY,
    "grades": MANY | {"task": "ordinal"},
    "costs": MANY | {"decision": ExpectedCost(COSTS).describe(CLASSES)},
    "costs for a prevalence": MANY | {"decision": ExpectedCost(
        COSTS, np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.3, 0.1])).describe(CLASSES)},
    "logit adjustment": MANY | {"decision": LogitAdjustment(np.array([0.2, 0.3, 0.5]), 1.5).describe(CLASSES)},
    "labels": {"task": "multi-label", "per_class": {name: {
        "operating_point": {"rule": "youden", "threshold": it["threshold"]},
        "calibration": {"method": "temperature", "temperature": it["temperature"]},
    } for name, it in ODD.items()}},
}  # fmt: skip


def follow_words(scores, answer):
    """Do what `preprocessing.json` says in words, for one image: its answer and its calibrated probabilities."""
    rule, words, formula = answer["decision"], answer["decision_in_words"], answer["calibration_in_words"]
    names, heats = answer["classes"], np.array(answer["calibration"]["temperature"])
    logs = np.log(np.maximum(scores, 1e-12))
    if answer["task"] == "multi-label":
        assert "1 / (1 + exp((log(1 - score) - log(score)) / temperature))" in formula
        assert "own score, before calibration, is at least its own threshold" in words
        has = [score >= point for score, point in zip(scores, rule["thresholds"], strict=True)]
        found = [name for name, there in zip(names, has, strict=True) if there]
        return found, 1 / (1 + np.exp((np.log(np.maximum(1 - scores, 1e-12)) - logs) / heats))
    assert "the softmax of log(score) / temperature over all classes" in formula
    q = np.exp(logs / heats - (logs / heats).max())
    q /= q.sum()
    if rule["rule"] == "highest":
        assert "the class with the highest score" in words
        return names[np.argmax(scores)], q
    if rule["rule"] == "median":
        assert "the last one for which its calibrated probability and those of all later grades sum to more" in words
        return names[max([0, *(j for j in range(1, len(q)) if sum(q[j:]) > 0.5)])], q
    if rule["rule"] == "expected-cost":
        assert "the smallest sum over all classes t of q[t] * costs[t][p]" in words
        sums = [sum(q[t] * rule["costs"][t][p] for t in range(len(q))) for p in range(len(q))]
        return names[np.argmin(sums)], q
    assert "the largest log(q) - tau * log(prior)" in words
    return names[np.argmax(np.log(np.maximum(q, 1e-12)) - rule["tau"] * np.log(rule["priors"]))], q


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_shared_folder_says_of_answers_gives_those_of_the_run(kind):
    """Compare with the decision by which `tlmed predict` answers, read from `metrics.json`."""
    metrics = {"task": "single-label", "classes": list(CLASSES), "positive": None, **KINDS[kind]}
    panel = open_like(metrics)
    answer = json.loads(json.dumps(_describe_answer(panel)))
    scores = np.random.default_rng(3).dirichlet(np.ones(3), 300)
    decided = panel.decision.choose(scores, None, metrics["task"])
    if kind == "labels":
        decided = [[name for name, has in zip(CLASSES, row, strict=True) if has] for row in decided]
        assert answer["labels"] == ODD
    else:
        decided = [CLASSES[i] for i in decided]
    followed = [follow_words(row, answer) for row in scores]
    assert [found for found, _ in followed] == decided
    np.testing.assert_allclose([q for _, q in followed], panel.decision.calibrate(scores), rtol=0, atol=1e-12)
    # The names are those of `model.json`, so that its reader answers by them, too.
    assert reference_reader.answer(scores, answer) == decided
    highest = [CLASSES[i] for i in scores.argmax(axis=1)]
    assert (highest == decided) == (kind == "classes")


def open_like(metrics):
    """Give what is asked of a panel, with the decision that `metrics.json` holds."""
    run = SimpleNamespace(path=Path("run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlmed.evaluation.decisions.METRICS_JSON", SimpleNamespace(read=lambda run: metrics))
        decision = read_decision(run)
    first = SimpleNamespace(classes=CLASSES)
    return SimpleNamespace(metrics=metrics, decision=decision, first=first, pooling=read_pooling(metrics))


@pytest.mark.parametrize("kind", ["grades", "costs", "labels"])
def test_a_shared_folder_says_how_predict_answers(kind, run, images, tmp_path):
    metrics = read_json(run / "metrics.json")
    more = KINDS[kind]
    if kind == "labels":
        more = more | {"per_class": {name: metrics["per_class"][name] | more["per_class"][name] for name in CLASSES}}
    write_json(run / "metrics.json", metrics | more)
    answer = _describe_answer(open_panel(RunDir(run)))
    status, _, said = here("predict", run, images, "--out", tmp_path / "out.csv")
    assert status == 0, said
    rows = read_csv(tmp_path / "out.csv")
    for row in rows:
        found, q = follow_words(np.array([float(row[f"score_{name}"]) for name in CLASSES]), answer)
        if kind == "labels":
            assert [name for name in CLASSES if row[f"prediction_{name}"] == "1"] == found
        else:
            assert row["prediction"] == found
        np.testing.assert_allclose([float(row[f"calibrated_{name}"]) for name in CLASSES], q, atol=1e-5)
    assert len(rows) > 20


def test_names_that_would_leave_are_found_as_words_of_their_own():
    for name in ("p-17", "a (1).png", "/home/me/runs/a", "Doe^Jane"):
        with pytest.raises(InputError, match=rf"README\.md with {re.escape(name)}\."):
            refuse_traces({"model.keras": "conv1", "README.md": f"# of {name}: a network"}, ["p-99", name])
        refuse_traces({"README.md": f"# of {name}8 or x{name}"}, [name])


def test_names_are_found_whatever_a_format_makes_of_them(tmp_path):
    name = 'a_b (1) & "c".png'
    (tmp_path / "README.md").write_text(f"# {plain(name)}")
    write_json(tmp_path / "metrics.json", {"note": name, "value": 0.123456})
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"layers": [{"name": name}]}))
    for file in ("README.md", "metrics.json", "model.keras"):
        with pytest.raises(InputError, match=re.escape(f"Received: {file} with {name}.")):
            refuse_traces({file: read_texts(tmp_path / file)}, [name])
    assert plain(name) != name
    refuse_traces({"metrics.json": read_texts(tmp_path / "metrics.json")}, ["123456"])  # a number is no name


@pytest.fixture
def run(finished, tmp_path):
    """Give a copy of a finished run to change, without the lock that would tell."""
    return Path(shutil.copytree(finished.path, tmp_path / "copy", ignore=shutil.ignore_patterns("lock.json")))


def group_rows(run, groups):
    lines = (run / "splits.csv").read_text().splitlines()
    fields = [line.split(",") for line in lines]
    place = fields[0].index("group")
    for i, row in enumerate(fields[1:]):
        row[place] = groups[i % len(groups)]
    (run / "splits.csv").write_text("\n".join(map(",".join, fields)) + "\n")


def test_a_run_whose_title_is_a_group_is_refused_and_nothing_stays(run, tmp_path):
    group_rows(run, ["7", "images", "mri-0042", "998877"])
    recipe = read_json(run / "recipe.json")
    write_json(run / "recipe.json", recipe | {"name": "Head of mri-0042, 998877 images in 7 groups"})
    with pytest.raises(InputError, match=r"rename .* Received: README\.md with 998877, mri-0042\.$"):
        write_hub_folder(run, tmp_path / "hub")
    write_json(run / "recipe.json", recipe)
    write_hub_folder(run, tmp_path / "hub")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "hub"]


def test_names_that_any_text_may_hold_are_not_searched_for(run):
    from tlmed.export.card_facts import read_card_facts

    group_rows(run, ["7", "images", "2017", "mri-0042", "998877", "Doe^Jane"])
    names = list_names(run, read_card_facts(RunDir(run)))
    assert names >= {"mri-0042", "998877", "Doe^Jane", str(run), "benign/benign (0).png", "benign (0).png"}
    assert not names & {"7", "images", "2017", "benign"}


def test_a_folder_is_written_whole_or_not_at_all_and_never_over_others(run, tmp_path, monkeypatch):
    out = tmp_path / "hub"
    with monkeypatch.context() as patch:
        patch.setattr("tlmed.export.hub_folder.describe_shared", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_hub_folder(run, out)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    out.mkdir()  # an empty one is as good as none
    write_hub_folder(run, out)
    with pytest.raises(InputError, match=r"new or empty folder; --force .* holds README\.md, metrics\.json"):
        write_hub_folder(run, out)
    (out / "README.md").write_text("edited")
    write_hub_folder(run, out, force=True)
    assert (out / "README.md").read_text().startswith("---\n")
    (out / "mine.txt").write_text("x")
    with pytest.raises(InputError, match=r"nothing but what the same command wrote\. Received: .*hub with mine\.txt\."):
        write_hub_folder(run, out, force=True)
    with monkeypatch.context() as patch:
        (out / "mine.txt").unlink()
        patch.setattr("tlmed.export.hub_folder.refuse_traces", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_hub_folder(run, out, force=True)
    assert sorted(path.name for path in out.iterdir()) == FILES
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "README.md").write_text("mine")
    with pytest.raises(InputError, match=r"Received: .*foreign with README\.md\."):
        write_hub_folder(run, foreign, force=True)
    with pytest.raises(InputError, match="must not be in the directory of a run"):
        write_hub_folder(run, run / "folds")


def test_the_command_says_what_is_wrong_in_one_line(finished, run, tmp_path):
    status, _, said = here("export", run, "--format", "hub")
    assert (status, "--format hub goes with --out DIR." in said) == (2, True)
    status, said, _ = here("export", finished.path, "--format", "hub", "--out", tmp_path / "hub")
    assert (status, said.splitlines()[-1]) == (0, f"Written: {tmp_path / 'hub'}")
    (run / "UNFINISHED").write_text("")
    status, _, said = here("export", run, "--format", "hub", "--out", tmp_path / "other")
    assert (status, said.count("\n"), said.startswith("Error: RUN must be complete")) == (2, 1, True)
    assert not (tmp_path / "other").exists()


def test_an_ensemble_is_shared_as_one_network(tmp_path):
    for seed, name in enumerate(("a", "b")):
        write_member(tmp_path / name, divide(), seed, model=network(16, seed))
    run = write_ensemble(tmp_path / "both", make(tmp_path / "a", tmp_path / "b"))
    write_hub_folder(run.path, tmp_path / "hub")
    parts = [keras.saving.load_model(tmp_path / name / "model.keras").predict(PIXELS[:, :16, :16], verbose=0)
             for name in ("a", "b")]  # fmt: skip
    joint = keras.saving.load_model(tmp_path / "hub" / "model.keras", safe_mode=True)
    np.testing.assert_allclose(joint.predict(PIXELS[:, :16, :16], verbose=0), np.mean(parts, axis=0), atol=1e-6)
    said, metrics = (read_json(tmp_path / "hub" / name) for name in ("preprocessing.json", "metrics.json"))
    assert said["network"]["members"] == 2
    assert metrics["ensemble"] == {"weights": [0.5, 0.5]}
    point = run.json("metrics.json")["operating_point"]
    assert (said["answer"]["threshold"], said["answer"]["positive"]) == (point["threshold"], "well")
    named = {"rule": "threshold", "threshold": point["threshold"], "chosen_by": point["rule"], "of": "scores"}
    assert said["answer"]["decision"] == named
    assert "is at least the threshold" in said["answer"]["decision_in_words"]
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "it gives the probabilities, the weighted mean of 2 networks." in card
    assert "hf:FOLDER" not in card
    assert not any(
        str(tmp_path).encode() in content for path in (tmp_path / "hub").iterdir() for content in unpack(path)
    )


@pytest.fixture
def hub():
    """Give a small server that takes a commit as the Hugging Face Hub does, and what was sent to it."""
    got = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            content = self.rfile.read(int(self.headers["Content-Length"]))
            answer = {}
            if self.path.endswith("/preupload/main"):
                files = json.loads(content)["files"]
                answer = {"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                                    for file in files]}  # fmt: skip
            elif self.path.endswith("/commit/main"):
                lines = [json.loads(line) for line in content.splitlines()]
                got[self.path] = {
                    line["value"]["path"]: base64.b64decode(line["value"]["content"])
                    for line in lines
                    if line["key"] == "file"
                }
                answer = {"commitUrl": "http://127.0.0.1/me/net/commit/1", "commitOid": "1" * 40, "hookOutput": ""}
            elif self.path == "/api/validate-yaml":
                got["card"] = json.loads(content)
                answer = {"errors": [], "warnings": []}
            text = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *parts):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()


def test_the_library_of_the_hub_uploads_the_folder_as_it_is(shared, hub):
    library = pytest.importorskip("huggingface_hub", reason="huggingface-hub is not installed: pip install '.[test]'")
    address, got = hub
    library.HfApi(endpoint=address, token="hf_test").upload_folder(repo_id="me/net", folder_path=shared)
    assert got["/api/models/me/net/commit/main"] == {path.name: path.read_bytes() for path in shared.iterdir()}
    assert got["card"]["repoType"] == "model"
    data = library.ModelCard(got["card"]["content"], ignore_metadata_errors=False).data
    assert (data.library_name, data.pipeline_tag) == ("keras", "image-classification")
    assert {result.metric_type for result in data.eval_results} > {"accuracy", "roc_auc"}
