"""A server in a process of its own, asked over sockets: by rude clients, by many, by a browser; and its end."""

import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import write_images
from tests.processes import until
from tests.serving.browser import CHROMIUM, Browser
from tests.serving.test_uploads import GOOD, JPEG, bomb
from tlmed.whole_files import read_csv

pytestmark = pytest.mark.slow

TLMED = [sys.executable, "-c", "import sys; from tlmed.cli import main; sys.exit(main())"]


class Served:
    """A server that runs."""

    def __init__(self, run, *options, port="0"):
        self.process = subprocess.Popen(
            [*TLMED, "serve", str(run), "--port", port, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"COLUMNS": "200"},
        )
        self.said = b""
        try:
            until(self._tells, 240)
        except BaseException:
            self.close()
            raise
        self.port = int(re.search(rb"http://\S+?:(\d+)/", self.said)[1])
        self.address = f"http://127.0.0.1:{self.port}"

    def _tells(self):
        if select.select([self.process.stdout], [], [], 0.1)[0]:
            self.said += os.read(self.process.stdout.fileno(), 2**16)
        assert self.process.poll() is None, self.said
        return b"Ctrl-C ends it" in self.said

    def ask(self, method="GET", path="/health", body=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Content-Type": "application/octet-stream", **dict(headers)})
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())

    def open(self):
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def read(self, name, file):
        text = Path(f"/proc/{self.process.pid}/{file}").read_text()
        return int(re.search(rf"{name}:\s+(\d+)", text)[1])

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        said = self.process.stdout.read()
        return self.process.wait(30), (self.said + said).decode()


@pytest.fixture(scope="module")
def run(finished):
    return finished.path


@pytest.fixture(scope="module")
def server(run):
    server = Served(run)
    try:
        yield server
        status, said = server.end()
    finally:
        server.close()
    assert (status, said.count("\n")) == (0, 2)  # it said where it is, and that it ended, and nothing else
    assert said.endswith("Ended.\n")


HEAD = (
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
)


def test_a_client_that_hangs_up_harms_nobody(server):
    for sent in (0, 10, len(GOOD)):
        for _ in range(20):
            with server.open() as line:
                line.sendall(HEAD % len(GOOD) + GOOD[:sent])
    with server.open() as line:  # in the middle of a head
        line.sendall(HEAD[:30])
    assert server.ask("POST", "/predict", GOOD)[0] == 200


def test_slow_clients_are_refused_and_keep_nobody_waiting(server):
    half = server.open()
    half.sendall(HEAD[:30])  # a head that never ends
    lines = [server.open() for _ in range(80)]  # more than there are places
    for line in lines:
        line.sendall(HEAD % 1000 + b"x")
    begun = time.monotonic()
    assert server.ask("POST", "/predict", GOOD)[0] == 200
    assert time.monotonic() - begun < 5
    answers = [line.recv(2**16) for line in lines]
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 408"}
    assert 5 < time.monotonic() - begun < 30
    assert half.recv(2**16) == b""
    assert time.monotonic() - begun < 40
    for line in (half, *lines):
        line.close()


def test_50_clients_at_once_are_answered(server):
    rows = read_csv_of(server)
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda number: server.ask("POST", "/predict", rows[number % len(rows)][0]), range(200)))
    assert {status for status, _ in found} == {200}
    for number, (_, reply) in enumerate(found):
        assert reply["answers"][0]["prediction"] == rows[number % len(rows)][1]


def read_csv_of(server):
    """Return the images of a run's predictions, and what was predicted of them."""
    run = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().split(b"\0")[4].decode()
    data = json.loads(Path(run, "recipe.json").read_text())["data"]["source"]
    return [(Path(data, row["path"]).read_bytes(), row["prediction"]) for row in read_csv(Path(run, "predictions.csv"))]


def test_200_megabytes_are_refused_with_a_reason_that_arrives(server):
    before = server.read("VmRSS", "status")
    status, reply = server.ask("POST", "/predict", bytes(200_000_000))
    assert (status, "at most 64 MB" in reply["reason"]) == (413, True)
    assert server.read("VmRSS", "status") - before < 50_000  # kilobytes
    status, reply = server.ask("POST", "/predict", bomb(20_000))
    assert (status, "100,000,000 pixels" in reply["reason"]) == (413, True)
    status, reply = server.ask("POST", "/predict", bomb(9_000))
    assert (status, "50,000,000" in reply["reason"]) == (413, True)
    assert server.read("VmRSS", "status") - before < 50_000


def read_answer(line):
    """Return the status and the content of an answer, which may come in parts."""
    reply = http.client.HTTPResponse(line)
    reply.begin()
    return reply.status, reply.read()


def test_a_length_beyond_the_limit_is_refused_at_once_and_the_next_request_is_answered(server):
    with server.open() as line:
        begun = time.monotonic()
        line.sendall(HEAD % 200_000_000)
        assert read_answer(line)[0] == 413
        assert time.monotonic() - begun < 8  # a body may pause for 10
        for _ in range(200):
            line.sendall(bytes(1_000_000))
        line.sendall(HEAD % len(GOOD) + GOOD)
        assert read_answer(line)[0] == 200
    with server.open() as line:  # a client that sends all before it reads, and wants the connection to end
        line.sendall((HEAD % 200_000_000).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        for _ in range(200):
            line.sendall(bytes(1_000_000))
        assert b"at most 64 MB" in read_answer(line)[1]


def test_a_connection_that_was_idle_for_some_seconds_is_answered(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.auto_open = 0  # a new connection would hide that this one was closed
    with contextlib.closing(connection):
        connection.connect()
        for pause in (0, 6):
            time.sleep(pause)
            connection.request("GET", "/health")
            assert connection.getresponse().read() == b'{"status":"ok"}'


def test_a_request_that_ends_at_two_places_is_refused_and_nothing_after_it_is_answered(server):
    two = HEAD.replace(b"\r\n", b"\r\nTransfer-Encoding: chunked\r\n", 1) % 4
    with server.open() as line:
        line.sendall(two + b"0\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = b"".join(iter(lambda: line.recv(2**16), b""))
    assert said.startswith(b"HTTP/1.1 400")
    assert b"and not both" in said
    assert said.count(b"HTTP/1.1") == 1


def test_memory_stays_and_nothing_is_written_to_a_disk(server):
    def send(times):
        for _ in range(times):
            for content in (GOOD, JPEG, JPEG[:200], b"words"):
                server.ask("POST", "/predict", content)

    send(50)
    memory, written = server.read("VmRSS", "status"), server.read("write_bytes", "io")
    send(150)
    assert server.read("VmRSS", "status") < 1.05 * memory
    assert server.read("write_bytes", "io") == written
    kinds = [os.readlink(entry) for entry in Path(f"/proc/{server.process.pid}/fd").iterdir() if entry.is_symlink()]
    assert not [kind for kind in kinds if "deleted" in kind or "/tmp/tmp" in kind]


def test_a_broken_request_is_refused(server):
    for sent in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, b"\x16\x03\x01" * 50 + b"\r\n\r\n"):
        with server.open() as line:
            line.sendall(sent)
            assert line.recv(2**16).startswith(b"HTTP/1.1 400")
    assert server.ask()[0] == 200


def test_a_port_in_use_is_one_line(server, run):
    found = subprocess.run(
        [*TLMED, "serve", str(run), "--port", str(server.port)], capture_output=True, text=True, timeout=60
    )
    assert (found.returncode, found.stdout) == (2, "")
    said = f"Error: `--port` must be free, or 0 for any that is. Received: --port {server.port}, which is in use.\n"
    assert found.stderr == said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_and_what_was_asked_is_answered(run, number):
    server = Served(run, "--engine", "keras")
    with server.open() as line:
        line.sendall(HEAD % len(GOOD) + GOOD[:-1])
        time.sleep(0.3)
        server.process.send_signal(number)
        time.sleep(0.3)
        line.sendall(GOOD[-1:])
        assert line.recv(2**16).startswith(b"HTTP/1.1 200")
    said = server.process.stdout.read()
    assert (server.process.wait(30), said.strip()) == (0, b"Ended.")
    server.close()


def test_a_token_is_asked_for_beyond_this_machine(run):
    token = "0123456789abcdef0123"
    server = Served(run, "--host", "0.0.0.0", "--token", token, "--engine", "keras")
    try:
        assert server.ask()[0] == 200
        status, reply = server.ask("POST", "/predict", GOOD)
        assert (status, "token" in reply["reason"]) == (401, True)
        assert server.ask("POST", "/predict", GOOD, {"Authorization": f"Bearer {token}"})[0] == 200
    finally:
        status, said = server.end()
        server.close()
    assert status == 0
    assert "TLS" in said
    assert token not in said


def test_the_whole_interface_keeps_what_its_description_promises(server):
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    schema = schemathesis.openapi.from_url(f"{server.address}/openapi.json")
    operations = {operation.ok().label: operation.ok() for operation in schema.get_all_operations()}
    assert set(operations) == {"POST /predict", "GET /model", "GET /health", "GET /metrics"}
    statuses = []
    options = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    for label, operation in operations.items():
        # A schema cannot say that bytes are an image.
        without = [positive_data_acceptance] if label == "POST /predict" else []

        def send(case):
            statuses.append(case.call_and_validate(timeout=60, excluded_checks=without).status_code)  # noqa: B023

        options(given(case=operation.as_strategy())(send))()
    assert len(statuses) > 100
    assert {200, 400, 415} <= set(statuses)
    for explain in (False, True):
        case = operations["POST /predict"].Case(
            body=GOOD, media_type="application/octet-stream", query={"explain": explain}
        )
        assert case.call_and_validate(timeout=60).status_code == 200


@pytest.fixture
def browser(tmp_path):
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    browser = Browser(tmp_path / "browser")
    yield browser
    browser.close()


DONE = (
    "document.querySelectorAll('#results article').length == {} && "
    "!document.getElementById('status').textContent.startsWith('Reading')"
)


def texts(browser, selector):
    return browser.run(f"Array.from(document.querySelectorAll({selector!r}), (node) => node.innerText)")


@pytest.mark.parametrize("width", [1280, 390])
def test_images_that_are_dropped_are_answered(server, browser, tmp_path, width):
    folder = write_images(tmp_path / "images", 1)
    Image.new("RGB", (30, 30), (90, 90, 90)).save(folder / "a.png")
    files = [*sorted(folder.rglob("*.png")), tmp_path / "words.png", tmp_path / "<img src=x onerror=alert(1)>.png"]
    files[-2].write_text("These are words.")
    files[-1].write_bytes(GOOD)
    browser.open(f"{server.address}/", width)
    browser.drop(files, 100, 400)
    browser.wait(DONE.format(6))
    assert texts(browser, "article .notice")[0] == "An odd image: a single colour. Trust the answer less."
    assert "Not unlike" not in texts(browser, "article")[0]
    assert texts(browser, "#status")[0].startswith("4 of 6 files are answered below. The last one: ")
    assert texts(browser, "article .said")[-1].startswith("No answer. A file name must be a name alone")
    for name, content, heading, line in zip(
        files, files, texts(browser, "article h3"), texts(browser, "article .said"), strict=True
    ):
        status, reply = server.ask("POST", "/predict", content.read_bytes())
        assert heading == name.name
        if name == files[-1]:  # a form refuses its name, and a body has none
            continue
        if status == 200:
            answer = reply["answers"][0]
            probability = f"{answer['calibrated'][answer['prediction']]:.3f}"
            assert line == f"Predicted: {answer['prediction']}, with a probability of {probability}"
        else:
            assert line == f"No answer. {reply['reason']}"
    pictures = browser.run("Array.from(document.images, (image) => [image.naturalWidth, image.alt.length > 10])")
    assert pictures == [[32, True]] * 8
    # No word is cut off, and nothing has to be scrolled sideways.
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert {address.split("/")[2] for address in browser.asked if not address.startswith("data:")} == {
        f"127.0.0.1:{server.port}"
    }
    assert [said for said in browser.said if "415" not in said and "400" not in said] == []
    browser.shoot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000


def test_the_page_needs_no_mouse(server, browser, tmp_path):
    folder = write_images(tmp_path / "images", 1)
    browser.open(f"{server.address}/", 1280)
    focused = "document.activeElement.id || document.activeElement.tagName + document.activeElement.textContent"
    stops = []
    for _ in range(2):
        browser.press("Tab", 9)
        stops.append(browser.run(focused))
    assert stops == ["ASkip to the answers", "files"]
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
    browser.expect_choice()
    browser.press("Enter", 13, "\r")
    browser.choose(sorted(folder.rglob("*.png"))[:2])
    browser.wait(DONE.format(2))
    assert "2 of 2 files are answered below" in texts(browser, "#status")[0]
    # The first answer has the focus, and so a screen reader reads on from there.
    assert browser.run("document.activeElement === document.querySelector('#results h3')")
    browser.press("Tab", 9)
    assert browser.run("document.activeElement.tagName") == "SELECT"
    before = browser.run("document.querySelectorAll('#results img')[1].alt")
    key = ("ArrowUp", 38) if browser.run("document.activeElement.selectedIndex") == 2 else ("ArrowDown", 40)
    browser.press(*key)
    browser.wait("document.getElementById('status').textContent.endsWith('is shown.')")
    after = browser.run("document.querySelectorAll('#results img')[1].alt")
    assert before != after
    assert browser.run("document.activeElement.tagName") == "SELECT"
    browser.press("Tab", 9)
    assert browser.run("document.activeElement.textContent") == "More on what it is worth"
    for _ in range(4):
        browser.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", windowsVirtualKeyCode=9, modifiers=8)
        if browser.run("document.activeElement.id") == "clear":
            break
    assert browser.run("document.activeElement.id") == "clear"
    browser.press("Enter", 13, "\r")
    browser.wait("document.querySelectorAll('#results article').length == 0")
    assert browser.run("document.activeElement.id") == "files"


def test_a_screen_reader_is_told_names_and_roles(server, browser):
    browser.open(f"{server.address}/", 1280)
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    found = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]}
    names = {role: [name for other, name in found if other == role] for role, _ in found}
    assert "Choose images, or drop them here" in " ".join(name for _, name in found)
    assert len(names["status"]) == 1
    assert {"main", "banner", "contentinfo"} <= set(names)
    assert {"Answers", "What the answers are worth"} <= set(names["region"])


def test_colours_can_be_told_apart(server, browser):
    browser.open(f"{server.address}/", 1280)
    for scheme in ("light", "dark"):
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        ratios = browser.run(CONTRASTS)
        assert len(ratios) > 10
        assert min(ratios) >= 4.5, scheme  # WCAG 2.2, 1.4.3


CONTRASTS = """
(() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parse(colour).slice(0, 3).map((value) => value / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (parse(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = Array.from(document.querySelectorAll("body *")).filter((node) =>
    node.checkVisibility() && Array.from(node.childNodes).some((child) => child.nodeType === 3 && child.data.trim()));
  return texts.map((node) => {
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  });
})()
"""
