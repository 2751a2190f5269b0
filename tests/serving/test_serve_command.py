"""What `tlmed serve` refuses, each in one line and before anything is loaded."""

import importlib.util
import shutil
import socket

import pytest

from tests.cli.test_cli import here


def refuse(*words):
    status, out, err = here("serve", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    return err


def test_a_run_must_be_there_and_finished(tmp_path, finished):
    assert "must be the directory of a run" in refuse(tmp_path)
    shutil.copytree(finished.path, tmp_path / "copy")
    (tmp_path / "copy" / "UNFINISHED").write_text("it stopped")
    assert "RUN must be complete" in refuse(tmp_path / "copy")


def test_a_missing_extra_is_named(finished, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    assert "pip install 'tlmed[serve]'. Received: no uvicorn." in refuse(finished.path)


def test_a_port_must_be_free_and_a_host_ours(finished):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"--port {port}, which is in use" in refuse(finished.path, "--port", port)
    assert "an address of this machine" in refuse(finished.path, "--host", "192.0.2.1", "--token", "0123456789abcdef")
    assert "0<=x<=65535" in refuse(finished.path, "--port", "65536")


@pytest.mark.parametrize("words", [("--host", "0.0.0.0"), ("--name", "scans.example.org")])
def test_beyond_this_machine_a_token_is_needed(finished, words, monkeypatch):
    monkeypatch.delenv("TLMED_SERVE_TOKEN", raising=False)
    assert "need `--token`" in refuse(finished.path, *words)
    monkeypatch.setenv("TLMED_SERVE_TOKEN", "short")
    assert "16 or more" in refuse(finished.path, *words)
