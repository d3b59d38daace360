"""How long a fork or an import may run, which stores messages before their thread."""

from __future__ import annotations

from datetime import timedelta

LONGEST_COPY = timedelta(hours=1)
"""The age below which messages without a thread are left alone, because they may belong to a running fork or import."""
