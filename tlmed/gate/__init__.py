"""The gate: leaks, shortcuts, wrong labels and odd images, found before anything is trained; arrays in, findings out.

Each check takes `Evidence` and returns what it `Checked`. `CHEAP` ones need no network; `WITH_FEATURES` need features.
"""

from tlmed.gate.checked import Checked
from tlmed.gate.evidence import Evidence

__all__ = ["Checked", "Evidence"]
