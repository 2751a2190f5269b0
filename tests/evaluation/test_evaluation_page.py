import json
import re

from tests.cli.test_cli import here
from tests.report.test_report import Reader


def read(folder):
    page = (folder / "evaluation.html").read_text()
    Reader(page)  # whole, and every tag closed
    assert page.endswith("<!-- Made by tlmed evaluate. -->\n")
    return page, re.findall(r"<h2[^>]*>([^<]+)</h2>", page)


def test_an_evaluation_is_a_page_too(finished, images, tmp_path):
    assert here("evaluate", finished.path, "--data", images, "--out", tmp_path / "other")[0] == 0
    page, sections = read(tmp_path / "other")
    assert sections[:4] == ["What was scored", "Scores", "Curves and confusion", "Calibration"]
    assert f"The run {finished.path} on {images}." in page
    assert "42 images of 60 are among those that the run was trained on" in page
    assert "test split" not in page  # all 60 images were scored
    assert here("evaluate", finished.path, "--data", images, "--moved", "--out", tmp_path / "own")[0] == 0
    assert "images of the test split." in read(tmp_path / "own")[0]
    file = finished.path / "predictions.csv"
    assert here("evaluate", "--predictions", file, "--out", tmp_path / "file")[0] == 0
    page, sections = read(tmp_path / "file")
    assert sections[:4] == ["What was scored", "Scores", "Curves and confusion", "Calibration"]
    assert f"Predictions of {file}" in page


def write_file(path, tests=20):
    """Write predictions of two classes, with calibrated probabilities that are turned round."""
    rows = []
    for i in range(tests + 12):
        split = "test" if i < tests else ("train", "val")[i % 3 == 0]
        score = 0.2 + 0.6 * (i % 2) + 0.01 * (i % 7)
        rows.append(f"{i},{split},{'well' if i % 2 else 'ill'},{1 - score},{score},{score},{1 - score}")
    header = "path,split,label,score_ill,score_well,calibrated_ill,calibrated_well"
    path.write_text("\n".join([header, *rows]))
    return path


def test_the_page_of_a_file_shows_all_that_was_asked_for_and_computed(tmp_path):
    file = write_file(tmp_path / "predictions.csv")
    out = tmp_path / "out"
    code, printed, _ = here("evaluate", "--predictions", file, "--positive", "ill", "--prevalence", 0.05, "--out", out)
    assert code == 0
    page, sections = read(out)
    assert sections[:5] == ["What was scored", "Scores", "Operating point", "Curves and confusion", "Calibration"]
    words = Reader(page).text
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["evaluated"]["not_scored"] == {"train": 8, "val": 4}
    sentence = f"Of {file}, 20 rows of 'test' are scored; not scored: 8 of 'train' and 4 of 'val'."
    assert sentence in printed
    assert sentence in words
    ppv = metrics["at_prevalence"]["ppv"]
    assert f"{ppv['value']:.3f}" in words
    assert f"{ppv['low']:.3f} to {ppv['high']:.3f}" in words
    assert "if 5 % of the images are ill, as was stated" in words
    assert "does not say on which images they were calibrated" in words
    assert f"{metrics['calibration']['metrics']['log_loss']['value']:.3f}" in words
    assert "On the test split calibration made the scores worse by every measure of error that moved" in words
    small = "Only 20 images: one alone is 5 % of all, so treat every score as rough."
    assert small in printed
    assert small in words


def test_the_page_of_a_file_without_calibrated_probabilities_says_so(tmp_path):
    file = write_file(tmp_path / "predictions.csv", tests=30)
    lines = [
        line.rsplit(",", 2)[0]
        for line in file.read_text().splitlines()
        if ",train," not in line and ",val," not in line
    ]
    file.write_text("\n".join(lines))
    code, printed, _ = here("evaluate", "--predictions", file, "--out", tmp_path / "out")
    assert code == 0
    assert "All (30 images; positive: well" in printed
    words = Reader(read(tmp_path / "out")[0]).text
    assert "which has no columns calibrated_CLASS" in words
    assert "not scored" not in words
    assert "On 30 images." in words
    assert "test split" not in words
    assert "one alone" not in words


def test_nothing_from_a_file_of_predictions_becomes_markup(tmp_path):
    evil = '<script>alert("1")</script>'
    file = write_file(tmp_path / "predictions & 'more'.csv")
    quoted = evil.replace('"', '""')
    lines = [re.sub(r",ill,", f',"{quoted}",', line) for line in file.read_text().splitlines()]
    header = lines[0].replace("score_ill", f'"score_{quoted}"').replace("calibrated_ill", f'"calibrated_{quoted}"')
    file.write_text("\n".join([header, *lines[1:]]))
    code, _, said = here("evaluate", "--predictions", file, "--prevalence", 0.05, "--out", tmp_path / "out")
    assert code == 0, said
    page, _ = read(tmp_path / "out")
    assert "<script" not in page
    assert Reader(page).text.count(evil) >= 3
    assert f"Predictions of {file}" in Reader(page).text


def test_numbers_that_a_user_states_are_in_the_terminal_the_page_and_the_file(tmp_path):
    file, out = write_file(tmp_path / "predictions.csv"), tmp_path / "out"
    asked = ("--state", "beta=1", "--state", "net_benefit=0.05,0.3", "--state", "kappa_weights=((0, 1), (4, 0))")
    code, printed, _ = here("evaluate", "--predictions", file, "--positive", "ill", *asked, "--out", out)
    assert code == 0
    metrics = json.loads((out / "metrics.json").read_text())
    words = Reader(read(out)[0]).text
    for name, shown in {
        "f_beta": "F-beta, beta 1",
        "net_benefit_at_0.05": "Net benefit at a risk of 0.05",
        "net_benefit_at_0.3": "Net benefit at a risk of 0.3",
        "weighted_kappa": "Weighted kappa, the user's weights",
    }.items():
        assert shown in printed
        assert shown in words
        assert "at" in metrics["metrics"][name]
    assert metrics["metrics"]["f_beta"]["value"] == metrics["metrics"]["f1"]["value"]
    # Of scores, and of the calibrated columns, which are turned round.
    before, after = (found["metrics"]["net_benefit_at_0.3"] for found in (metrics, metrics["calibration"]))
    assert before["value"] > after["value"]
    _, plain, _ = here("evaluate", "--predictions", file, "--out", tmp_path / "plain")
    assert "F-beta" not in plain  # nobody asked
    found = json.loads((tmp_path / "plain" / "metrics.json").read_text())["metrics"]
    linear, kappa = ([found[name][end] for end in ("value", "low", "high")] for name in ("weighted_kappa", "kappa"))
    assert max(abs(one - other) for one, other in zip(linear, kappa, strict=True)) < 1e-12


def test_a_number_that_cannot_be_stated_is_one_line(tmp_path):
    file = write_file(tmp_path / "predictions.csv")
    for setting, fault in {
        "betta=1": "`betta` is not a field of Stated. Did you mean 'beta'? Received: --state betta=1.",
        "beta": "`--state` takes KEY=VALUE. Received: --state beta.",
        "specificity=95": "`specificity` must be a share above 0 and below 1. Received: specificity=95.0.",
        "kappa_weights=((0,1,1),(1,0,1),(1,1,0))": "`stated.kappa_weights` must have a row and a column for each of 2 "
        "classes. Received: 3 rows.",
    }.items():
        code, _, said = here("evaluate", "--predictions", file, "--state", setting)
        assert code == 2
        assert said.endswith(f"Error: {fault}\n")
