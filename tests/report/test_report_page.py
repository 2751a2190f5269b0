"""The report in a real browser: it renders, asks no network for anything, fits a phone and prints."""

import base64
import contextlib
import json
import os
import shutil
import subprocess

import pytest

from tests.comparison.test_comparison import write_run
from tests.report.test_report import write_folds, write_full_run
from tlmed.comparison import compare, write_comparison
from tlmed.report import write_report
from tlmed.report.folds import write_folds_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
)
PHONE, SCREEN = (390, 844), (1200, 900)
LIMIT = 5_000_000  # bytes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("pictures"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


class Browser:
    """A page in Chromium, driven by the DevTools protocol through a pair of pipes.

    Messages are JSON that ends in a zero byte; Chromium reads them from descriptor 3 and writes to 4.
    """

    def __init__(self, send, receive):
        self.send, self.receive, self.number, self.events, self.session = send, receive, 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Return what the browser answers; what it reports meanwhile goes to `events`."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        self.send.write(json.dumps(message).encode() + b"\0")
        self.send.flush()
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def read(self):
        content = bytearray()
        while (byte := self.receive.read(1)) != b"\0":
            assert byte, "the browser closed the pipe"
            content += byte
        return json.loads(content)

    def open(self, path, size=SCREEN, **features):
        """Show a file, on a screen or a phone, with media features such as `prefers_color_scheme="dark"`."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        chosen = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=chosen)
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self.read())

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def find(self, method):
        return [event["params"] for event in self.events if event["method"] == method]

    def screenshot(self, path):
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def start_browser(folder):
    """Give a browser whose profile is in a folder."""
    to_browser, from_here = os.pipe()
    from_browser, to_here = os.pipe()
    # The shell gives the two descriptors the numbers that the protocol wants.
    command = f'exec "$0" "$@" 3<&{to_browser} 4>&{to_here}'
    words = ["bash", "-c", command, CHROMIUM, *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(
        words, pass_fds=(to_browser, to_here), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        for descriptor in (to_browser, to_here):
            os.close(descriptor)
        with open(from_here, "wb") as send, open(from_browser, "rb") as receive:
            try:
                yield Browser(send, receive)
            finally:
                process.terminate()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with start_browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def write_runs(folder, classes):
    """Write three runs to compare, of which one learned from fewer images."""
    folder.mkdir()
    return [write_run(folder / f"r{i}", classes, seed=i, train=100 + 100 * i, name=f"Ward {i}") for i in range(3)]


def write_page(runs):
    return write_comparison(runs[0].parent / "comparison", compare(runs))[0]


TWO, FOUR = ("benign", "malignant"), ("benign", "malignant", "normal", "other")


@pytest.fixture(
    scope="module",
    params=[
        *((write_full_run, write_report, classes) for classes in (TWO, FOUR)),
        *((write_folds, write_folds_report, classes) for classes in (TWO, FOUR)),
        (write_runs, write_page, TWO),
    ],
    ids=["two", "four", "folds of two", "folds of four", "comparison"],
)
def report(request, tmp_path_factory):
    make, write, classes = request.param
    return write(make(tmp_path_factory.mktemp("runs") / "full", classes))


def test_it_renders_without_errors_and_asks_no_network(browser, report):
    browser.open(report)
    assert not [entry for entry in browser.find("Log.entryAdded") if entry["entry"]["level"] in ("error", "warning")]
    assert not browser.find("Runtime.consoleAPICalled")
    assert not browser.find("Runtime.exceptionThrown")
    asked = [each["request"]["url"] for each in browser.find("Network.requestWillBeSent")]
    assert report.as_uri() in asked
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    assert [url for url in asked if url.startswith("file:")] == [report.as_uri()]
    assert report.stat().st_size < LIMIT


def test_every_picture_is_shown_and_described(browser, report):
    browser.open(report)
    shown = browser.evaluate("[...document.images].map(i => [i.alt, i.complete && i.naturalWidth, i.clientWidth])")
    assert len(shown) >= 8
    for alt, natural, wide in shown:
        assert len(alt) > 40
        assert natural > 0
        assert wide > 100


def test_examples_have_one_size(browser, report):
    for size in (SCREEN, PHONE):
        browser.open(report, size)
        wide = browser.evaluate("[...document.querySelectorAll('.examples img')].map(i => i.clientWidth)")
        if report.name == "comparison.html":
            assert wide == []
            continue
        assert len(wide) == 6
        assert len(set(wide)) == 1


def test_intervals_and_their_drawings_are_whole_on_a_phone(browser, report):
    browser.open(report, PHONE)
    ends = browser.evaluate("[...document.querySelectorAll('.bar svg')].map(e => e.getBoundingClientRect().right)")
    assert len(ends) > 10 or report.name == "comparison.html"
    assert max(ends, default=0) <= PHONE[0]


def test_runs_and_their_scores_are_whole_on_a_phone(browser, report):
    browser.open(report, PHONE)
    cut = browser.evaluate("[...document.querySelectorAll('.stacked .wide')].map(e => e.scrollWidth - e.clientWidth)")
    assert len(cut) == (report.name == "comparison.html")
    assert max(cut, default=0) <= 0


def test_every_link_leads_to_a_heading(browser, report):
    browser.open(report)
    names = "[...document.links].filter(a => a.hash || !a.href.includes('/folds/')).map(a => a.hash.slice(1))"
    lost = f"{names}.filter(name => !document.getElementById(name))"
    assert browser.evaluate("document.links.length") > 20
    assert browser.evaluate(lost) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(browser, report, scheme):
    browser.open(report, PHONE, prefers_color_scheme=scheme)
    assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    # A table that is wider scrolls inside its own box.
    assert browser.evaluate("[...document.querySelectorAll('.wide')].some(e => e.scrollWidth > e.clientWidth)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_page(browser, report, scheme):
    browser.open(report, prefers_color_scheme=scheme)
    colours = browser.evaluate(
        "['body', 'small', 'a', 'th', 'figcaption'].map(s => getComputedStyle(document.querySelector(s)).color)"
    )
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(ground) < 0.1) == (scheme == "dark")
    for colour in colours:  # level AA of the Web Content Accessibility Guidelines 2.1, criterion 1.4.3
        high, low = sorted((luminance(colour), luminance(ground)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, colour


def luminance(colour):
    """Return the relative luminance, 0..1, of a colour such as "rgb(27, 36, 48)", as the guidelines define it."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_it_prints_on_a4_in_light_colours(browser, report):
    browser.open(report, prefers_color_scheme="dark")
    printed = browser.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]
    pdf = base64.b64decode(printed)
    assert pdf.startswith(b"%PDF")
    assert b"/MediaBox [0 0 594.95996 841.91998]" in pdf  # A4 in points
    browser.call(
        "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    assert luminance(browser.evaluate("getComputedStyle(document.body).backgroundColor")) == 1
    # 180 mm between the margins, at 96 pixels to the inch: nothing is cut off at the right.
    self_width = {"width": 680, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **self_width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 680
