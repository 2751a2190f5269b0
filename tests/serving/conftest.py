"""A run that is served inside of the process of the tests."""

import io
from dataclasses import dataclass

import pytest
from starlette.testclient import TestClient

from tlmed.data.held_files import Limits
from tlmed.rundir import RunDir
from tlmed.serving import conversions
from tlmed.serving.answering import MOST_SAMPLES
from tlmed.serving.application import make_application
from tlmed.serving.conversions import Preparation
from tlmed.serving.converting import convert_runs
from tlmed.serving.guarding import Rules
from tlmed.serving.refusals import UploadLimits
from tlmed.serving.served_runs import open_served
from tlmed.serving.service import open_service

KERAS = Preparation("keras", falls_back=False, warn=lambda sentence: None)
LIMITS = UploadLimits(bytes=2**20, idle=0.2, whole=0.5)


@pytest.fixture(scope="session")
def served(finished):
    return open_served(RunDir(finished.path), KERAS, Limits(10**6, MOST_SAMPLES), lambda sentence: None)


@pytest.fixture(scope="session")
def service(served):
    service = open_service(served, LIMITS)
    yield service
    service.stop()


@pytest.fixture(scope="session")
def client(service):
    with TestClient(make_application(service, Rules()), base_url="http://localhost:8000") as client:
        yield client


@dataclass
class Here:
    """In place of the process that converts, which takes seconds."""

    stdout: io.BytesIO

    def kill(self):
        pass

    wait = kill


@pytest.fixture
def here(monkeypatch):
    """Convert in the process of the tests."""

    def begin(command, *words):
        engine, *runs = command[4:]
        stream = io.BytesIO()
        convert_runs(engine, runs, stream)
        stream.seek(0)
        return Here(stream)

    monkeypatch.setattr(conversions, "start_leashed", begin)
