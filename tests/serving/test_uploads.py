"""Whatever is sent, the answer is a status with a reason, and the next image is answered."""

import asyncio
import io
import json
import struct
import tempfile
import time
import zlib

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.conftest import draw
from tests.serving.conftest import LIMITS
from tests.serving.test_answers import post
from tlmed.serving.application import make_application
from tlmed.serving.guarding import Rules
from tlmed.serving.refusals import HungUp, Refused, UploadLimits
from tlmed.serving.uploads import Allowance, read_upload


def write(image, form="PNG"):
    stream = io.BytesIO()
    image.save(stream, form)
    return stream.getvalue()


GOOD = write(Image.fromarray(draw(1, 7)))
JPEG = write(Image.fromarray(draw(1, 7)), "JPEG")


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(side):
    """Return a small PNG that claims, and has, very many pixels."""
    rows = zlib.compress(bytes(side + 1) * side, 9)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


BAD = {
    "empty": (b"", "x.png", 400, "must carry an image"),
    "text": (b"These are words and no image.\n" * 50, "x.png", 415, "The file must be an image"),
    "table": (b"path,label\nx.png,ill\n", "x.csv", 415, "The file must be an image"),
    "truncated": (JPEG[: len(JPEG) // 2], "x.jpg", 422, "runcated"),
    "bomb": (bomb(5000), "x.png", 413, "5,000 x 5,000 pixels; at most 1,000,000"),
    "larger bomb": (bomb(14_000), "x.png", 413, "more than 100,000,000 pixels"),
    "large": (bytes(2**20 + 1), "x.png", 413, "at most 1 MB"),
    "slide": (GOOD, "x.svs", 422, "data.tile"),
    "folders up": (GOOD, "../../etc/passwd", 400, "must be a name alone"),
    "folders": (GOOD, "/etc/passwd", 400, "must be a name alone"),
    "other folders": (GOOD, "..\\..\\boot.ini", 400, "must be a name alone"),
    "up": (GOOD, "..", 400, "must be a name alone"),
    "html": (GOOD, "<img src=x onerror=alert(1)>.png", 400, "must be a name alone"),
    "control": (GOOD, "x\x1b[31m.png", 400, "must be a name alone"),
    "long": (GOOD, "x" * 300 + ".png", 400, "must be a name alone"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_upload_is_refused_with_a_reason_and_the_server_lives(client, kind):
    content, name, status, reason = BAD[kind]
    before = client.get("/metrics").text
    reply = post(client, content, name)
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/json")
    assert list(reply.json()) == ["reason"]
    assert reason in reply.json()["reason"]
    assert client.get("/metrics").text != before
    assert post(client, GOOD).status_code == 200


def test_200_megabytes_are_refused_without_being_held(client, service):
    sent = []

    def stream():
        for _ in range(200):
            sent.append(service.allowance.held)
            yield bytes(2**20)

    reply = client.post("/predict", content=stream())
    assert (reply.status_code, len(sent)) == (413, 200)
    assert service.allowance.held == 0
    named = client.post("/predict", content=bytes(2**21), headers={"Content-Length": str(2**21)})
    assert named.status_code == 413


FORMS = {
    "no boundary": ("multipart/form-data", b"--x\r\n\r\n--x--"),
    "no form": ("multipart/form-data; boundary=x", b"nothing of a form"),
    "cut off": ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc'),
    "no file": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nabc\r\n--x--\r\n',
    ),
    "two files": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc\r\n' * 2 + b"--x--\r\n",
    ),
    "many headers": (
        "multipart/form-data; boundary=x",
        b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\nabc\r\n--x--\r\n",
    ),
    "long boundary": (f"multipart/form-data; boundary={'x' * 5000}", b"--x--"),
}


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_must_be_whole_and_have_one_file(client, kind):
    form, body = FORMS[kind]
    reply = client.post("/predict", content=body, headers={"Content-Type": form})
    assert (reply.status_code, list(reply.json())) == (400, ["reason"])


def test_a_form_of_another_kind_is_refused(client):
    reply = client.post("/predict", data={"file": "x"})
    assert (reply.status_code, reply.json()["reason"][:24]) == (415, "The body must be an imag")
    assert "Received: Content-Type: 'application/x-www-form-urlencoded'." in reply.json()["reason"]


@pytest.mark.parametrize("name", ["scan (3).png", "Grüße é ✓.png", 'a "b".png', "a%20b.png", ".hidden"])
def test_a_plain_name_comes_back_as_it_was(client, name):
    assert post(client, GOOD, name).json()["file"] == name


def send(*messages, pause=0.0, limits=LIMITS, headers=(), most=2**30):
    """Read an upload that comes in parts, with pauses between them."""
    left = list(messages)

    async def receive():
        if pause:
            await asyncio.sleep(pause)
        return left.pop(0)

    async def read():
        with Allowance(most).lease() as take:
            return await read_upload(dict(headers), receive, limits, take)

    return asyncio.run(read()), left


def part(body, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


def test_parts_are_put_together():
    upload, left = send(part(b"ab"), part(b""), part(b"c", more=False))
    assert (upload.content, left) == (b"abc", [])


def test_a_client_that_pauses_or_takes_too_long_is_refused():
    with pytest.raises(Refused) as pausing:
        send(part(b"a"), part(b"b"), pause=0.3)
    with pytest.raises(Refused) as slow:
        send(*[part(b"a")] * 9, pause=0.1)
    assert [found.value.status for found in (pausing, slow)] == [408, 408]


def test_a_server_that_was_held_up_does_not_blame_the_client():
    async def read():
        came = asyncio.Event()

        async def receive():
            await came.wait()
            return part(b"a", more=False)

        loop = asyncio.get_running_loop()
        loop.call_later(0.05, came.set)
        loop.call_later(0.04, time.sleep, 0.3)  # meanwhile the client's time runs out
        with Allowance(2**30).lease() as take:
            return await read_upload({}, receive, LIMITS, take)

    assert asyncio.run(read()).content == b"a"


def test_a_client_that_hangs_up_is_told_nothing():
    with pytest.raises(HungUp):
        send(part(b"a"), {"type": "http.disconnect"})


def test_uploads_of_all_clients_together_have_a_limit():
    with pytest.raises(Refused) as found:
        send(part(b"abc"), part(b"def", more=False), most=5)
    assert (found.value.status, found.value.headers) == (503, {"Retry-After": "1"})


def refuse_large(messages, **headers):
    """Refuse a body that is too large; return what of it was not read."""
    left = list(messages)

    async def receive():
        return left.pop(0)

    async def read():
        with Allowance(2**30).lease() as take:
            await read_upload(headers, receive, UploadLimits(bytes=2**20), take)

    with pytest.raises(Refused, match="at most 1 MB"):
        asyncio.run(read())
    return left


def test_a_refused_body_is_read_to_its_end_only_where_the_connection_ends_with_the_answer():
    messages = [part(bytes(2**20))] * 3 + [part(b"", more=False)]
    assert refuse_large(messages, connection="close") == []
    assert refuse_large(messages) == messages[2:]


@pytest.mark.parametrize("more", [{}, {"expect": "100-continue"}, {"expect": "100-continue", "connection": "close"}])
def test_a_length_beyond_the_limit_is_refused_before_anything_is_read(more):
    assert refuse_large(["nothing"], **{"content-length": str(2**24)}, **more) == ["nothing"]


def test_an_upload_never_becomes_a_file(client, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    monkeypatch.setattr("tlmed.cache.room.tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", refuse)
    assert post(client, GOOD).status_code == 200


def test_reasons_have_one_form_for_whatever_is_asked(client):
    replies = [
        client.get("/nowhere"),
        client.get("/predict"),
        client.post("/predict", params={"explain": "perhaps"}, content=GOOD),
    ]
    assert [reply.status_code for reply in replies] == [404, 405, 422]
    assert all(list(json.loads(reply.content)) == ["reason"] for reply in replies)
    assert "`explain`" in replies[2].json()["reason"]


def test_a_fault_of_the_server_is_a_reason_too_and_nothing_stays_taken(service, monkeypatch):
    client = TestClient(make_application(service, Rules()), "http://localhost", raise_server_exceptions=False)

    def fail(*arguments):
        raise RuntimeError("secret: /home/me")

    with monkeypatch.context() as patch:
        patch.setattr(type(service.run), "decode", fail)
        reply = post(client, GOOD)
    assert (reply.status_code, list(reply.json()), "secret" in reply.text) == (500, ["reason"], False)
    assert (service.places.held, service.allowance.held) == (0, 0)
    assert post(client, GOOD).status_code == 200
