"""The figures of a benchmark. Each is printed on one line with its bound; a missed bound makes the script exit with 1."""

from __future__ import annotations

import sys


class Figures:
    """Prints figures and remembers which of them missed their bounds."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def report(
        self,
        name: str,
        value: float,
        unit: str = "",
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        detail: str = "",
    ) -> None:
        """Print one figure with its unit and bound, and what it was computed from. Without a bound it cannot miss."""
        misses = (at_most is not None and not value <= at_most) or (at_least is not None and not value >= at_least)
        bounds = [
            f"{words} {bound:g}" for words, bound in (("at most", at_most), ("at least", at_least)) if bound is not None
        ]
        if misses:
            bounds.append("MISSED")
            self.missed.append(name)
        bound_text = f"  ({', '.join(bounds)})" if bounds else ""
        detail_text = f"  {detail}" if detail else ""
        print(f"{name:<44} {value:>9.3g}{f' {unit}' if unit else ''}{bound_text}{detail_text}", flush=True)

    def exit(self) -> None:
        """End the script: status 1 if a figure missed its bound."""
        sys.exit(1 if self.missed else 0)
