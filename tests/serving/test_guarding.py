"""Nobody else's page reaches a server, nor anybody beyond this machine without the token."""

import base64
import re

import pytest
from starlette.testclient import TestClient

from tests.serving.test_uploads import GOOD
from tlmed.errors import InputError
from tlmed.serving.application import make_application
from tlmed.serving.guarding import HEADERS, Rules, find_fault, make_rules

TOKEN = "0123456789abcdef"
HOST = {"host": "localhost:8000"}

ASKED = {
    "a program": (HOST, None),
    "an address": ({"host": "127.0.0.1:8000"}, None),
    "another port, as through a tunnel": ({"host": "localhost:9999"}, None),
    "IPv6": ({"host": "[::1]:8000"}, None),
    "capitals": ({"host": "LocalHost:8000"}, None),
    "no host": ({}, 421),
    "another name": ({"host": "evil.example:8000"}, 421),
    "a name that begins like ours": ({"host": "localhost.evil.example"}, 421),
    "a name that is none": ({"host": "[localhost"}, 421),
    "a user in the name": ({"host": "localhost@evil.example"}, 421),
    "our page": ({**HOST, "origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}, None),
    "another site": ({**HOST, "origin": "https://evil.example"}, 403),
    "another port of this machine": ({**HOST, "origin": "http://localhost:3000"}, 403),
    "a sandboxed page": ({**HOST, "origin": "null"}, 403),
    "another site without an origin": ({**HOST, "sec-fetch-site": "cross-site"}, 403),
    "a subdomain": ({**HOST, "sec-fetch-site": "same-site"}, 403),
    "a length that is stated twice": ({**HOST, "content-length": "4", "transfer-encoding": "chunked"}, 400),
    "an address that was typed": ({**HOST, "sec-fetch-site": "none"}, None),
}


@pytest.mark.parametrize("who", ASKED)
def test_only_our_own_page_and_programs_may_post(who):
    headers, status = ASKED[who]
    found = find_fault(Rules(), "POST", "/predict", headers)
    assert (found and found[0]) == status


def test_a_link_from_elsewhere_opens_the_page_and_nothing_else():
    link = {**HOST, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert find_fault(Rules(), "GET", "/", link) is None
    assert find_fault(Rules(), "POST", "/predict", link)[0] == 403
    assert find_fault(Rules(), "GET", "/", {**link, "sec-fetch-dest": "iframe"})[0] == 403
    assert (
        find_fault(Rules(), "GET", "/model", {**link, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"})[0] == 403
    )


def basic(password):
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (f"Bearer {TOKEN}", None),
        (f"bearer {TOKEN}", None),
        (basic(TOKEN), None),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN}x", 401),
        (basic(TOKEN[1:]), 401),
        ("Basic ???", 401),
        ("Basic /w==", 401),
        (TOKEN, 401),
        ("", 401),
    ],
)
def test_the_token_is_asked_for(given, status):
    rules = make_rules("0.0.0.0", [], TOKEN)
    found = find_fault(rules, "POST", "/predict", {"host": "ward:8000", "authorization": given})
    assert (found and found[0]) == status
    assert find_fault(rules, "GET", "/health", {"host": "ward:8000"}) is None


def test_a_server_beyond_this_machine_needs_a_token_and_says_what_tls_needs():
    for host, names in (("0.0.0.0", ()), ("::", ()), ("192.0.2.7", ()), ("127.0.0.1", ("scans.example.org",))):
        with pytest.raises(InputError, match=r"need `--token`.*reverse proxy with a certificate \(TLS\)"):
            make_rules(host, names, None)
    for token in ("", "short", "0123456789 abcdé", "0123456789abcde\n"):
        with pytest.raises(InputError, match="16 or more"):
            make_rules("127.0.0.1", (), token)
    assert make_rules("127.0.0.1", (), None) == Rules()
    named = make_rules("127.0.0.1", ["Scans.example.org"], TOKEN)
    asked = {"host": "scans.example.org", "authorization": f"Bearer {TOKEN}"}
    assert find_fault(named, "GET", "/", asked) is None
    assert find_fault(named, "GET", "/", {**asked, "host": "evil.example"})[0] == 421


def test_every_answer_has_the_headers_and_refusals_have_a_reason(client, service):
    guarded = TestClient(make_application(service, Rules(token=TOKEN)), base_url="http://localhost:8000")
    replies = [
        client.get("/"),
        client.get("/serve.js"),
        client.get("/nowhere"),
        client.post("/predict", content=GOOD),
        client.post("/predict", content=GOOD, headers={"Origin": "https://evil.example"}),
        guarded.get("/"),
    ]
    assert [reply.status_code for reply in replies] == [200, 200, 404, 200, 403, 401]
    for reply in replies:
        assert {name: reply.headers[name] for name in HEADERS} == HEADERS
        assert not [name for name in reply.headers if name.startswith("access-control-")]
    assert replies[5].headers["www-authenticate"].startswith("Basic realm=")
    assert list(replies[4].json()) == list(replies[5].json()) == ["reason"]
    assert guarded.get("/", headers={"Authorization": basic(TOKEN)}).status_code == 200


def test_the_policy_allows_no_script_but_ours():
    policy = dict(re.findall(r"([a-z-]+) ([^;]+)", HEADERS["Content-Security-Policy"]))
    assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == ("'none'", "'self'", "'self'")
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
