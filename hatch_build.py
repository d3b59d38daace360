"""Adds the man pages and the completion scripts to a wheel, if scripts/generate_share.py has written them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShareHook(BuildHookInterface):  # type: ignore[type-arg]  # its configuration is not used
    """Installs build/share as `share` of the environment. An installation from a checkout works without it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built."""
        share = Path(self.root, "build", "share")
        if share.is_dir():
            build_data["shared_data"][str(share)] = "share"
