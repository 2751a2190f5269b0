"""Names of data, weights and metrics for readers elsewhere: no path of the machine that a run was made on."""

import re

from tlmed.in_domain import IN_DOMAIN
from tlmed.source_forms import is_path

# Metrics of the Hub that have another name there than here.
_TYPES = {"auc": "roc_auc", "sensitivity": "recall", "mcc": "matthews_correlation"}


def name_data(source: str) -> str:
    """Return the name of a source of images.

    >>> name_data("/home/me/busi/"), name_data("."), name_data("tfds:mine/folder=/home/me/x,size=64")
    ('busi', 'images', 'mine/folder=x,size=64')
    """
    if is_path(source):
        return _last_part(source)
    return re.sub(r"=[^,=]*[/\\]", "=", source.partition(":")[2])


def name_weights(name: str) -> str:
    """Return the name of weights, or of a backbone.

    >>> name_weights("imagenet/keras"), name_weights("file:/home/me/w.h5"), name_weights("hub:/home/me/vit")
    ('imagenet/keras', 'file:w.h5', 'hub:vit')
    >>> name_weights("hub:hf:/home/me/rad-dino/"), name_weights("hf:/home/me/shared")
    ('hub:hf:rad-dino', 'hf:shared')
    """
    known = ("file:", "run:", "hf:", "hub:hf:", "hub:", *(f"{entry.name}:" for entry in IN_DOMAIN))
    prefix = next((prefix for prefix in known if name.startswith(prefix)), None)
    return name if prefix is None else prefix + _last_part(name.removeprefix(prefix))


def _last_part(path) -> str:
    parts = [part for part in re.split(r"[/\\]", path) if part not in ("", ".", "..", "~")]
    return parts[-1] if parts else "images"


def type_metric(metric: str) -> str:
    """Return the name of a metric on the Hub.

    >>> type_metric("auc"), type_metric("sensitivity")
    ('roc_auc', 'recall')
    """
    return _TYPES.get(metric, metric)
