"""Secrets in the configurations of agents: they are shown as a mask, and a mask that comes back means the stored value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from chatstore_cli.core.agents.checks import path_step
from chatstore_cli.core.agents.stored_values import MISSING, Path, restored
from chatstore_cli.domain import secrets
from chatstore_cli.domain.errors import InvalidAgent

MASK = "********"
"""What is shown in place of a secret."""

_SECRET_NAME = re.compile(
    "(apikey|authkey|accesskey|privatekey|secretkey|token|secret|password|passwd|passphrase|pwd|authorization|credential"
    "|connectionstring)s?$"
)
"""How a name ends, in small letters and digits alone."""
_LONGEST_TEXT = 4_000
"""A longer text is a prompt or a document. It is masked by its name only."""
_BEARER = re.compile(r"(?i)(bearer|basic)\s+\S{8,}")


def is_secret_name(name: str) -> bool:
    """Whether values under this key are secrets: `api_key`, `apiKey`, `*_token`, `*_secret`, `password` and the like."""
    return _SECRET_NAME.search(re.sub("[^a-z0-9]", "", name.lower())) is not None


def masked_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which each secret is `MASK`. Null, true, false and empty texts are shown as they are."""
    return {key: _masked(item, key) for key, item in config.items()}


def unmasked_config(given: Mapping[str, Any], stored: Mapping[str, Any], path: str = "config") -> dict[str, Any]:
    """`given`, in which each mask is replaced by the stored value under the same path.

    Raises InvalidAgent for a mask under a path that has no stored value.
    """
    if not has_mask(given):
        return dict(given)

    def new(value: Any, kept: Any, steps: Path) -> Any:
        if value != MASK or not isinstance(value, str):
            return value
        if kept is MISSING:
            where = path + "".join(map(path_step, steps))
            raise InvalidAgent(
                what=f"{where}: the value is the mask {MASK}, and no value is stored there to keep",
                hint="Write the value itself, or leave it out. A mask that moves to another place in a list has no value.",
            )
        return kept

    unmasked: dict[str, Any] = restored(dict(given), masked_config(stored), dict(stored), new)
    return unmasked


def has_mask(value: Any) -> bool:
    """Whether a mask is anywhere in a value."""
    if isinstance(value, dict):
        return any(map(has_mask, value.values()))
    if isinstance(value, list):
        return any(map(has_mask, value))
    return isinstance(value, str) and value == MASK


def _masked(value: Any, name: str) -> Any:
    is_secret = is_secret_name(name)
    if isinstance(value, Mapping):
        return _masked_leaves(value, name) if is_secret else _masked_object(value)
    if isinstance(value, list):
        return _masked_leaves(value, name) if is_secret else [_masked(item, "") for item in value]
    if is_secret:
        return _masked_leaves(value, name)
    return MASK if isinstance(value, str) and _has_secret(value) else value


def _masked_object(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object. If it is a pair such as `{"name": "Authorization", "value": ...}`, its value is a secret."""
    shown = {key: _masked(item, key) for key, item in value.items()}
    label = value.get("name", value.get("key"))
    if isinstance(label, str) and "value" in value and is_secret_name(label):
        shown["value"] = _masked_leaves(value["value"], label)
    return shown


def _masked_leaves(value: Any, name: str) -> Any:
    """The value of a secret's key with everything in it masked."""
    if isinstance(value, Mapping):
        return {key: _masked_leaves(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked_leaves(item, name) for item in value]
    if value is None or isinstance(value, bool) or value == "":
        return value
    is_count = isinstance(value, int | float) and name.lower().endswith("s")  # for example max_tokens
    return value if is_count else MASK


def _has_secret(text: str) -> bool:
    """Whether a text is a service's key, or a URI with a password."""
    if len(text) > _LONGEST_TEXT:
        return False
    if _BEARER.fullmatch(text.strip()):
        return True
    return not re.search(r"\s", text) and secrets.masked(text) != text
