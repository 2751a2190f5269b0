"""The gate: leaks, shortcuts, wrong labels and odd images, found before training; arrays in, findings out.

Each check takes `Evidence` and returns what it `Checked`; `battery` lists them; `Findings` holds what all found.
"""

from tlmed.gate.checked import Checked
from tlmed.gate.evidence import Evidence
from tlmed.gate.verdict import Findings

__all__ = ["Checked", "Evidence", "Findings"]
