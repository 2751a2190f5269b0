"""The front matter of a model card: the YAML before its text, which programs of the Hugging Face Hub read.

The fields are those of https://huggingface.co/docs/hub/model-cards, and of `modelcard.md` in its repository `hub-docs`.
"""

import json
import re

from tlmed.answer_units import say_undecided, unit_of
from tlmed.export.card_facts import CardFacts
from tlmed.export.naming import name_data, name_weights, type_metric
from tlmed.metrics.definitions import CLASS_METRICS
from tlmed.metrics.names import list_once, name_metric

TASK = "image-classification"
# The Hub's names of licences are these, in lower case.
LICENCES = (
    *("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0"),
    *("CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-4.0"),
)
# Metrics that the Hub knows; others can only be named in the results.
HUB_METRICS = ("accuracy", "roc_auc", "recall", "f1")


def write_front_matter(content: CardFacts) -> str:
    """Return the front matter of a run's model card: YAML between two lines of three dashes.

    If the network has seen some of the test images, the results are those of the others, because programs rank by the
    value alone. The format has no place for a warning beside it: a note, as on how few groups it rests, is in its name.
    """
    leaks = content.metrics.get("without_leaks")
    entries = list_once(content.metrics) if leaks is None else leaks["metrics"]
    defined = {name: entry for name, entry in entries.items() if entry["value"] is not None}
    types = map(type_metric, defined)
    fields = {
        "license": find_licence(content),
        "library_name": "keras",
        "pipeline_tag": TASK,
        "tags": _make_tags(content),
        "metrics": [name for name in types if name in HUB_METRICS],
        "model-index": [{"name": content.title, "results": [_describe_result(content, defined)]}] if defined else None,
    }
    return f"---\n{to_yaml({name: value for name, value in fields.items() if value})}\n---"


def find_licence(content: CardFacts) -> str | None:
    """Return the Hub's name of the licence that all weights have; None where they differ or the Hub has no name."""
    # After ';' comes what the weights were trained on, as in `weight_packages`.
    stated = {str(source.get("licence")).partition(";")[0] for source in content.weights}
    licence = stated.pop() if len(stated) == 1 else None
    return licence.lower() if licence in LICENCES else None


def _make_tags(content) -> list[str]:
    extras = ["scikit-learn"] if content.is_hybrid else []
    extras += ["synthetic-images"] if content.is_synthetic else []
    extras += ["multi-label-image-classification"] if content.is_multi else []
    extras += [data[name] for name in ("modality", "body_part") if (data := content.recipe["data"]).get(name)]
    return ["medical-imaging", "transfer-learning", "tlmed", *map(name_weights, content.backbones), *extras]


def _describe_result(content, defined) -> dict:
    averaged = CLASS_METRICS if content.metrics["positive"] is None else ()
    if content.is_multi:
        averaged = [name for name in defined if all(name in it for it in content.metrics["per_class"].values())]
    return {
        "task": {"type": TASK, "name": "Image classification"},
        "dataset": {
            "type": "custom",  # here the Hub expects the name of one of its own data sets; these images are none
            "name": _name_images(content),
            "split": content.metrics["split"],
        },
        "metrics": [
            {
                "type": type_metric(name),
                "value": entry["value"],
                "name": name_metric(name)
                + (f", mean over the {'labels' if content.is_multi else 'classes'}" if name in averaged else "")
                + (f" ({entry['note']})" if entry.get("note") else ""),
            }
            for name, entry in defined.items()
        ],
    }


def _name_images(content) -> str:
    """Return what the results are of: the data, and which of its images are left out."""
    name = name_data(content.recipe["data"]["source"]) + (" (synthetic)" if content.is_synthetic else "")
    if leaks := content.metrics.get("without_leaks"):
        amount = f"{leaks['leaked']:,} of {content.metrics['n']:,} test {unit_of(content.metrics)}s"
        name += f", without {amount} that the network knows{say_undecided(content.metrics)}"
    elif undecided := content.metrics.get("undecided"):
        name += (
            f"; whether the network knows {undecided:,} of {content.metrics['n']:,}, or their patients, cannot be told"
        )
    return name


def to_yaml(value: object, depth: int = 0) -> str:
    r"""Return nested dictionaries and lists as YAML in blocks; texts are quoted, so that they can hold anything.

    A text in JSON is the same text in YAML, if what YAML does not print is escaped. Keys are written as they are.

    Args:
        value: A dictionary or a list, not empty.
        depth: How far it is indented, in steps of two spaces.

    >>> print(to_yaml({"tags": ["a: b", "c\nd"], "results": [{"name": "yes", "value": 1e-05}]}))
    tags:
      - "a: b"
      - "c\nd"
    results:
      - name: "yes"
        value: 1.0e-05
    """
    indent = "  " * depth
    if isinstance(value, list):
        return "\n".join(f"{indent}- {_nested(item, depth + 1).lstrip()}" for item in value)
    return "\n".join(
        f"{indent}{key}:" + ("\n" if isinstance(item, (dict, list)) else " ") + _nested(item, depth + 1)
        for key, item in value.items()
    )


def _nested(value, depth) -> str:
    return to_yaml(value, depth) if isinstance(value, (dict, list)) else _to_scalar(value)


def _to_scalar(value) -> str:
    if isinstance(value, (int, float)):
        number = repr(float(value))
        return number if "." in number else number.replace("e", ".0e")  # YAML 1.1 reads 1e-05 as a text
    text = json.dumps(value, ensure_ascii=False)
    # Escape only what YAML calls not printable. JSON's own escapes would write pairs of surrogates, which YAML reads as
    # two characters.
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]", lambda m: f"\\u{ord(m[0]):04x}", text)
