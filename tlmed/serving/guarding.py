"""Who may ask: hosts, origins and the token, and the headers that keep a page from reaching anything else."""

import base64
import binascii
import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tlmed.errors import InputError

LEAST_TOKEN = 16  # characters
_LOCAL = ("localhost", "127.0.0.1", "::1")
_OPEN = ("/health",)  # paths that ask for no token: whether a server lives is no secret
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",  # answers and pictures are of patients
}


@dataclass(frozen=True)
class Rules:
    """Who may ask.

    Attributes:
        names: Names of hosts by which browsers reach the server, besides those of this machine.
        token: What a client has to know; None: everybody on this machine may ask.
        any_name: Whether any name will do, because the token is asked for and other machines have names of their own.
    """

    names: tuple[str, ...] = ()
    token: str | None = None
    any_name: bool = False


def make_rules(host: str, names: Iterable[str], token: str | None) -> Rules:
    """Return who may ask a server.

    Args:
        host: Where it listens.
        names: Further names by which it is reached, such as that of a reverse proxy.
        token: As in `Rules`.

    Raises:
        InputError: It can be reached from other machines, and there is no token; or the token is short.

    >>> make_rules("127.0.0.1", [], None).any_name
    False
    """
    names, local = tuple(name.lower() for name in names), is_loopback(host)
    if token is None and (names or not local):
        given = f"--host {host}" if not local else f"--name {names[0]}"
        raise InputError(
            "`--host` beyond this machine, and `--name`, need `--token`, or the variable TLMED_SERVE_TOKEN: whoever "
            "reaches the server could use it. Tokens and images can be read on the way, unless a reverse proxy with a "
            f"certificate (TLS) stands before it. Received: {given} without a token."
        )
    if token is not None and (len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable()):
        raise InputError(
            f"`--token` must have {LEAST_TOKEN} or more letters and digits, such as `openssl rand -hex 16` prints. "
            f"Received: one of {len(token)} characters."
        )
    return Rules(names, token, any_name=not local)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches a host.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "scans.example.org")]
    [True, True, True, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find_fault(rules: Rules, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
    """Return the status and the reason by which a request is refused; None for one that may be answered.

    A name that is not ours means that somebody else's page reached this server under its own name (DNS rebinding). A
    browser says in `Origin` and `Sec-Fetch-Site` whose page asks; programs send neither. A request that states its
    length twice may smuggle another one past a proxy (RFC 9112, 6.1).

    Args:
        rules: Who may ask.
        method: Of the request.
        path: Likewise.
        headers: By names in lower case.

    >>> find_fault(Rules(), "GET", "/", {"host": "evil.example:8000"})[0]
    421
    >>> find_fault(Rules(), "POST", "/predict", {"host": "localhost:8000", "origin": "https://evil.example"})[0]
    403
    >>> find_fault(Rules(), "POST", "/predict", {"host": "localhost:8000", "origin": "http://localhost:8000"})
    """
    if {"content-length", "transfer-encoding"} <= headers.keys():  # of two servers each may believe another one
        return 400, "A request must have `Content-Length` or `Transfer-Encoding`, and not both."
    host = headers.get("host", "")
    if not rules.any_name and _find_name(host) not in (*_LOCAL, *rules.names):
        return 421, "The server must be asked by a name that it knows (`--name`)."
    if _is_cross_site(method, host, headers):
        return 403, "Pages of other sites must not ask this server."
    if rules.token is not None and path not in _OPEN and not _knows(headers.get("authorization", ""), rules.token):
        return 401, "The request must carry the token: `Authorization: Bearer TOKEN`, or as a password."
    return None


def _find_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_cross_site(method, host, headers) -> bool:
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        return True  # "null", too, which sandboxed pages and files send
    opens = (
        method == "GET" and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and not opens


def _knows(authorization: str, token: str) -> bool:
    """Tell, in a time that does not depend on how much of it is right, whether a request carries the token."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "basic":  # what browsers ask a user for: the token is the password, under any name
        try:
            given = base64.b64decode(given, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), token.encode())


App = Callable[[Mapping, Callable, Callable], Awaitable[None]]


@dataclass(frozen=True)
class Guard:
    """An ASGI application that lets through what may be answered, and gives every answer the headers.

    Attributes:
        app: What answers.
        rules: Who may ask.
        refused: Is told the status of what was refused.
    """

    app: App
    rules: Rules
    refused: Callable[[int], None]

    async def __call__(self, scope: Mapping, receive: Callable, send: Callable) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Mapping) -> None:
            if message["type"] == "http.response.start":
                own = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *own]}
            await send(message)

        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        fault = find_fault(self.rules, scope["method"], scope["path"], headers)
        if fault is None:
            await self.app(scope, receive, send_guarded)
            return
        self.refused(fault[0])
        body = json.dumps({"reason": fault[1]}).encode()
        sent = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if fault[0] == 400:  # where this request ends is uncertain, and so is where the next one begins
            sent.append((b"connection", b"close"))
        if fault[0] == 401:
            sent.append((b"www-authenticate", b'Basic realm="tlmed: any name, the token as password", charset="UTF-8"'))
        await send_guarded({"type": "http.response.start", "status": fault[0], "headers": sent})
        await send_guarded({"type": "http.response.body", "body": body})
