"""The errors for a layout that does not exist, or that the settings turn off."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore_cli.core.similar import did_you_mean
from chatstore_cli.domain.errors import BadValue, ChatstoreError, NotFound

_LONGEST_SHOWN = 100
_LAYOUTS_OFF = {
    "general": "The layout general is off. For the reason, see layouts.general.sessions in: chatstore config show",
    "agent_sessions": "The layout agent_sessions is off. To read it, set chatstore.agents.sessions and .messages.",
}
"""Why a layout that exists is not used."""


def unusable_layout(layout: str, used: Sequence[str]) -> ChatstoreError:
    """The error for a layout that is not among the used ones: BadValue if the settings turn it off, else NotFound."""
    if layout in _LAYOUTS_OFF:
        expected = f"a layout: {', '.join(used)}"
        return BadValue(name="--layout", value=layout, expected=expected, hint=_LAYOUTS_OFF[layout])
    hints = [did_you_mean(layout, used), f"Layouts are {', '.join(used)}."]
    return NotFound(kind_of_thing="layout", name=layout[:_LONGEST_SHOWN], where="", hint=" ".join(filter(None, hints)))
