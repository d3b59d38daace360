"""Where the parts of a checkout are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests" / "samples"
GOLDEN = ROOT / "tests" / "golden"
SHARED_DATA = ROOT.parent / "shared" / "data"
"""Real conversations beside the checkout. A clone has none: tests that use them skip."""
SHARED_DOCUMENTS = ROOT.parent / "shared" / "documents"
"""The pages of the documented libraries beside the checkout. A clone has none either."""
