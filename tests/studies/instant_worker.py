"""Stands in for the process that trains cells: it takes the same jobs, and writes the few files that a study reads.

What a cell scores follows from its recipe alone, so that a study that was killed must end as one that was not.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path


def train(job: dict) -> dict:
    recipe, out = job["recipe"], Path(job["out"])
    if (told := recipe["backbone"]) == "LeNet5" and recipe["seed"] == 1 and "fail" in sys.argv:
        return {"state": "failed", "reason": f"no weights for {told}"}
    if held := {"TF_CONFIG", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"} & os.environ.keys():
        return {"state": "failed", "reason": f"its process would wait for others because of {sorted(held)}"}
    if "fail draw 2" in sys.argv and recipe["data"]["val_seed"] == 2:
        return {"state": "failed", "reason": "killed"}
    if "fail all" in sys.argv or (told == "LeNet5" and "fail LeNet5" in sys.argv):
        return {"state": "failed", "reason": f"{told} does not work"}
    if "one fold" in sys.argv and recipe["data"]["split"]["fold"] > 1:
        return {"state": "failed", "reason": "not yet"}
    if "crash" in sys.argv and recipe["seed"] == 1:
        os.abort()
    if "killed" in sys.argv and recipe["seed"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory is short
    time.sleep(float(sys.argv[1]))
    out.mkdir(parents=True, exist_ok=True)
    share = int(hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:6], 16) / 16**6
    if "ranked" in sys.argv:
        share = rank(recipe, share)
    measured = {"value": share, "low": share / 2, "high": (1 + share) / 2, "method": "none"}
    split = recipe["data"]["split"]
    fold = split["fold"] if isinstance(split, dict) else 0
    draw = recipe["data"]["val_seed"]
    odd = ("other" in sys.argv or "other train" in sys.argv) and recipe["seed"]
    first = digest(f"{odd} {'changed' in sys.argv}")
    files = {
        "plan.json": {"parameters": 10, "phases": []},
        "timing.json": {"training_seconds": 0.5, "total_seconds": 1.0},
        "metrics.json": {
            "split": "test",
            "positive": "y",
            "n": 7,
            "classes": ["x", "y"],
            "metrics": {"auc": measured, "accuracy": measured},
        },
    }
    if "taught later" in sys.argv and told == "AlexNet" and draw == 1:
        files["environment.json"] = {"earlier": {"taught": ["0", "1"]}}
    for name, content in files.items():
        (out / name).write_text(json.dumps(content))
    kind = "train" if "other train" in sys.argv else "test"
    parts = [("train", "val", "test")[int(digest(f"{fold} {draw} {i}"), 16) % 3] for i in range(12)]
    rows = f"a,x,,{kind},{first}\n" + "".join(f"{i},y,,{part},{digest(str(i))}\n" for i, part in enumerate(parts))
    (out / "splits.csv").write_text(f"path,label,group,split,sha256\n{rows}")
    write_predictions(out, share)
    return {"state": "complete"}


def rank(recipe, share):
    """Return a score that hardly depends on images and seeds, so that no order of trainings changes the winner."""
    data = {name: value for name, value in recipe["data"].items() if name not in ("val_seed", "split", "split_seed")}
    rest = {name: value for name, value in recipe.items() if name not in ("seed", "data", "name")}
    return 0.9 * int(digest(json.dumps([data, rest], sort_keys=True))[:6], 16) / 16**6 + 0.03 * share


def forecast(job: dict) -> dict:
    is_slow = "slow thawing" in sys.argv and len(job["recipe"]["phases"]) > 1
    is_slow |= "slow probe" in sys.argv and job["recipe"]["backbone"] == "AlexNet"
    return {"state": "complete", "start": 0.0, "once": 0.0, "work": 500.0 if is_slow else 100.0}


def look(job: dict) -> dict:
    if "look fails" in sys.argv:
        return {"state": "failed", "reason": "no TensorFlow"}
    if "look crashes" in sys.argv:
        os.abort()
    wrong = [f"look {number}" in sys.argv for number, _ in enumerate(job["recipes"], 1)]
    return {"state": "complete", "faults": [["It gives validation images."] if it else [] for it in wrong]}


def read(job: dict) -> dict:
    """Say what images are as a real process does; one of a recipe that fails is told by its cells."""
    if "read fails" in sys.argv and Path(job["out"]).name.startswith("feature_extractor-"):
        return {"state": "failed", "reason": "no"}
    source, left = job["recipe"]["data"]["source"], "1 image cannot be read and is left out"
    found, taught = [left] if job["skip_bad"] else [], []
    if any(f"taught {each}" in sys.argv for each in (job["recipe"]["weights"], "all")):
        found.append("9 test images are known.")
        taught.append("the base was trained on 5 of the 8 development images")
    return {"state": "complete", "said": [f"Images: 9 from {source}"], "found": found, "taught": taught}


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def write_predictions(out, share):
    """Write the predictions of one positive image and 100 others, so many of which it beats; AUC has two digits."""
    beaten = round(100 * share)
    rows = [("p", "y", 0.5)] + [(f"n{number}", "x", 0.1 if number < beaten else 0.9) for number in range(100)]
    lines = [f"{path},val,{label},{'xy'[score >= 0.5]},{1 - score},{score}" for path, label, score in rows]
    (out / "predictions.csv").write_text("\n".join(["path,split,label,prediction,score_x,score_y", *lines]) + "\n")


def stop(number, frame):
    """End as a worker does that is asked to: it has saved, says so, and is gone at once."""
    print(json.dumps({"state": "stopped"}), flush=True)
    os._exit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, stop)
    print(json.dumps({"state": "ready"}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {"forecast": forecast, "look": look, "read": read, "train": train}[asked["kind"]](asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
