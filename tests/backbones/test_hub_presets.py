"""Presets of keras-hub by name: downloaded from a server on this machine, kept, and clear when they are not there."""

import http.server
import json
import threading

import numpy as np
import pytest

from tlmed import backbones
from tlmed.backbones import own
from tlmed.errors import InputError

NAME = "vit_base_patch16_224_imagenet"
SIZE = (16, 16)
PIXELS = np.random.default_rng(4).integers(0, 256, (2, *SIZE, 3)).astype("float32")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed", exc_type=ImportError)
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    return hub


@pytest.fixture
def vit(hub):
    return hub.models.ViTBackbone(
        image_shape=(*SIZE, 3), patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16
    )


@pytest.fixture
def preset(hub, vit, tmp_path):
    """Give a folder as keras-hub publishes it."""
    vit.save_to_preset(tmp_path / "published")
    hub.layers.ViTImageConverter(image_size=SIZE, scale=1 / 127.5, offset=-1).save_to_preset(tmp_path / "published")
    return tmp_path / "published"


@pytest.fixture
def kaggle(hub, monkeypatch):
    """Give what a server of Kaggle's kind on this machine serves, a folder, and was asked for."""
    state = {"folder": None, "asked": []}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state["asked"].append((asked["instanceSlug"], asked["path"]))
            file = state["folder"] / asked["path"]
            content = file.read_bytes() if file.is_file() else b"{}"
            self.send_response(200 if file.is_file() else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *parts):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    point_to(monkeypatch, f"http://127.0.0.1:{server.server_port}")
    yield state
    server.shutdown()
    server.server_close()


def point_to(monkeypatch, address):
    environment = pytest.importorskip("kagglesdk.kaggle_env")
    monkeypatch.setitem(environment._env_to_endpoint, environment.KaggleEnv.LOCAL, address)
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")


def test_a_preset_is_downloaded_once_and_then_found(hub, vit, preset, kaggle, capfd):
    kaggle["folder"] = preset
    name = f"hub:{NAME}"
    assert backbones.locate(name, "own", SIZE) == "own, from the cache of keras-hub or to be downloaded"
    built = backbones.build(name, "own", SIZE)
    np.testing.assert_allclose(built.model(PIXELS), vit(PIXELS / 127.5 - 1), atol=1e-5)
    assert (built.source.name, built.source.sha256) == ("own", own.digest(vit))
    assert (NAME, "model.weights.h5") in kaggle["asked"]
    assert backbones.locate(name, "own", SIZE) == "own, cached"
    kaggle["asked"].clear()
    again = backbones.build(name, "own", SIZE)
    np.testing.assert_array_equal(again.model(PIXELS), built.model(PIXELS))
    assert not kaggle["asked"]


def test_a_preset_without_a_converter_gets_raw_pixels(vit, preset, kaggle):
    (preset / "image_converter.json").unlink()
    kaggle["folder"] = preset
    built = backbones.build(f"hub:{NAME}", "own", SIZE)
    np.testing.assert_allclose(built.model(PIXELS), vit(PIXELS), atol=1e-5)


def test_a_preset_that_is_not_there_offline_is_one_line_that_says_where_it_was_looked_for(hub, tmp_path, monkeypatch):
    point_to(monkeypatch, "http://127.0.0.1:9")  # the port that discards; nothing listens
    with pytest.raises(InputError) as caught:
        backbones.build(f"hub:{NAME}", "own", SIZE)
    said = str(caught.value)
    assert said.startswith(f"No preset '{NAME}' of keras-hub found. Tried: the cache of kagglehub (no file ")
    assert str(tmp_path / "kagglehub" / "models" / "keras" / "vit" / "keras" / NAME) in said
    assert "config.json); a download (127.0.0.1 cannot be reached). Instead, `backbone` can be: " in said
    assert said.endswith(f"Received: backbone='hub:{NAME}'.")
    assert "\n" not in said


def test_what_the_server_does_not_have_is_said(preset, kaggle):
    kaggle["folder"] = preset / "nothing"
    with pytest.raises(InputError, match=r"No preset .* Tried: the cache of kagglehub .*; a download"):
        backbones.build(f"hub:{NAME}", "own", SIZE)
    # Half of it: the configuration is there, and the weights are not.
    (preset / "model.weights.h5").unlink()
    kaggle["folder"] = preset
    with pytest.raises(InputError, match=r"No preset .* \(no file .*model.weights.h5\); a download"):
        backbones.build(f"hub:{NAME}", "own", SIZE)


def test_an_unknown_name_suggests_the_nearest_one(hub):
    with pytest.raises(InputError, match=rf"Did you mean '?{NAME}'?") as caught:
        backbones.build(f"hub:{NAME}s", "own", SIZE)
    assert "\n" not in str(caught.value)


def test_a_dinov2_preset_takes_images_of_the_recipes_size(hub, tmp_path):
    net = hub.models.DINOV2Backbone(
        patch_size=4, num_layers=2, hidden_dim=8, num_heads=2, intermediate_dim=16, image_shape=(16, 16, 3)
    )
    net.save_to_preset(tmp_path / "dino")
    built = backbones.build(f"hub:{tmp_path / 'dino'}", "own", (24, 24))
    assert built.model.output_shape == (None, 37, 8)
    own.check_reloads(built.model)
    with pytest.raises(InputError, match="must be square"):
        backbones.build(f"hub:{tmp_path / 'dino'}", "own", (24, 32))
