"""Write the table that `tlmed backbones` shows, so that it need not build networks: `python -m tlmed.plan.counting`."""

import csv
import re
import sys

from tlmed.backbones import BACKBONES, build
from tlmed.backbones.applications import Application, draw, keras_file, unallocated
from tlmed.backbones.weight_packages import PACKAGES
from tlmed.blocks import partition
from tlmed.catalogue import COLUMNS
from tlmed.errors import InputError


def count(application: Application) -> dict[str, object]:
    """Return a backbone's row of `catalogue.csv`."""
    # MobileNetV3 takes images of any size; it was trained on 224 x 224.
    size = tuple(side or 224 for side in application.builder(weights=None).input_shape[1:3])
    model = build(application.name, "none", size).model
    sources = ("imagenet/", "digits/")
    packages = [it.module for it in PACKAGES if it.backbone == application.name and it.source.startswith(sources)]
    return {
        "name": application.name,
        "parameters": model.count_params(),
        "blocks": len(partition(model)),
        "height": size[0],
        "width": size[1],
        "least": _find_least(application),
        "file": keras_file(application, size).name if application.has_imagenet else "",
        "package": packages[0] if packages else "",
    }


def _find_least(application) -> int:
    """Return the least height and width, which a builder names when it refuses a single pixel."""
    try:
        with unallocated():
            draw(application, (1, 1), imagenet=False)
    except InputError as error:
        return int(re.search(r"at least (\d+)", str(error))[1])
    return 1


def main() -> None:
    """Write the table to standard output."""
    table = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    table.writeheader()
    for application in BACKBONES.values():
        table.writerow(count(application))
        # Building all networks takes long: each row is shown once it is known.
        sys.stdout.flush()


if __name__ == "__main__":
    main()
