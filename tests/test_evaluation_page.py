import re

from tests.test_cli import here
from tests.test_report import Reader


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
    file = finished.path / "predictions.csv"
    assert here("evaluate", "--predictions", file, "--out", tmp_path / "file")[0] == 0
    page, sections = read(tmp_path / "file")
    assert sections[:3] == ["What was scored", "Scores", "Curves and confusion"]
    assert f"Predictions of {file}" in page
