"""Rows of experience that tests make up."""

from tlmed.advising.experience import Experience


def make_row(**changes) -> Experience:
    """Return a row with some fields changed."""
    images = {"set": "a", "modality": "ct", "task": "single-label", "images": 300, "classes": 2, "ratio": 1.5}
    sizes = {"groups": None, "height": 64.0, "width": 64.0, "gray": True}
    features = {"intrinsic_dimension": 8.0, "nearest_neighbour_auc": 0.7}
    details = {"detail_64": 0.9, "detail_128": 1.0, "detail_224": 1.0}
    trained = {"kind": "probe", "recipe": "feature_extractor", "backbone": "MobileNetV2", "weights": "imagenet"}
    scores = {"image_size": "64x64", "metric": "auc", "score": 0.8, "spread": 0.02, "runs": 3, "probe": 0.8}
    costs = {"seconds": 10.0, "cores": 1, "tlmed": "0.1.0", "date": "2026-11-27"}
    origin = {"provenance": "a test", "contributed": False}
    return Experience(**{**images, **sizes, **features, **details, **trained, **scores, **costs, **origin, **changes})
