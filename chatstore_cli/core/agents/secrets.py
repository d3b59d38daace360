"""Secrets in the configurations of agents: they are shown as a mask, and a mask that comes back means the stored value."""

from __future__ import annotations

import json
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
    "(apikey|authkey|accesskey|privatekey|secretkey|encryptionkey|signingkey|token|secret|password|passwd|passphrase|pwd"
    "|authorization|credential|connectionstring|cookie|jwt|bearer)s?(value|json|pem|base64|b64|hash|raw|[0-9]+)*$"
    "|apikey|privatekey|secretkey|password|passphrase"
)
"""How a name ends, or what is anywhere in it, in small letters and digits alone."""
_SECRET_WORD = re.compile(r"(^|[_.-])pass$", re.IGNORECASE)
_KEY_NAME = re.compile(r"[A-Za-z0-9]([_-][Kk][Ee][Yy]|Key)$")
"""Names such as `openai_key`. Other products have short texts under such names, for example `translation_key`."""
_KEY = re.compile(r"(?=\D*\d)(?=[^A-Za-z]*[A-Za-z])[\w.+/=~-]{16,}")
_LONGEST_TEXT = 4_000
"""A longer text is a prompt or a document. Only what is a secret anywhere in a text is looked for in it."""
_BEARER = re.compile(r"(?i)(bearer|basic)\s+\S{8,}")
_ASSIGNMENT = re.compile(r"(?i)([\w-]{1,100})\s*[:=]\s*((bearer|basic|token)\s+)?\S+")
"""One line of headers or variables, or an option of a command."""
_OPTION = re.compile(r"--?[\w-]{1,100}")
_PART = re.compile(r"(?i)(^|;)\s*(password|pwd|accountkey|sharedaccesskey|accesskey)\s*=\s*[^;\s]")
"""A part of a connection string."""
_ANYWHERE = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY|\b[spr]k-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}|://[^\s/:@]*:[^\s/@]+@"
    r"|[?&](key|sig|signature)=[^&\s]{16,}"
)
"""A secret inside a longer text: private keys, keys of services, and URIs with a password."""
_LABELS = ("name", "key", "header")


def is_secret_name(name: str) -> bool:
    """Whether values under this key are secrets: `api_key`, `apiKey`, `*_token`, `*_secret`, `password` and the like."""
    return _SECRET_NAME.search(re.sub("[^a-z0-9]", "", name.lower())) is not None or bool(_SECRET_WORD.search(name))


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
        return _masked_leaves(value, name) if is_secret else _masked_list(value)
    if is_secret:
        return _masked_leaves(value, name)
    if not isinstance(value, str):
        return value
    is_key = _KEY_NAME.search(name) and _KEY.fullmatch(value.strip())
    return MASK if is_key or _has_secret(value) else value


def _masked_list(values: list[Any]) -> list[Any]:
    """A list. What follows an option such as `--api-key` in it is a secret."""
    before = ["", *(item if isinstance(item, str) and _OPTION.fullmatch(item) else "" for item in values)]
    return [_masked(item, name) for name, item in zip(before, values, strict=False)]


def _masked_object(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object. If it is a pair such as `{"name": "Authorization", "value": ...}`, its value is a secret."""
    shown = {key: _masked(item, key) for key, item in value.items()}
    labels = [label for key, label in value.items() if key.lower() in _LABELS and isinstance(label, str)]
    for key, item in value.items():
        if key.lower() == "value" and any(map(is_secret_name, labels)):
            shown[key] = _masked_leaves(item, "")
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
    """Whether a text is or has a service's key, a URI with a password, or a JSON text with a secret."""
    text = text.strip()
    if _ANYWHERE.search(text) or _is_json_with_secret(text):
        return True
    if len(text) > _LONGEST_TEXT:
        return False
    if _BEARER.fullmatch(text) or _PART.search(text):
        return True
    assignment = _ASSIGNMENT.fullmatch(text)
    if assignment and is_secret_name(assignment[1]):
        return True
    return not re.search(r"\s", text) and secrets.masked(text) != text


def _is_json_with_secret(text: str) -> bool:
    if text[:1] not in ("{", "["):
        return False
    try:
        value = json.loads(text)
        return bool(_masked(value, "") != value)
    except RecursionError:
        return True  # too deep to be examined
    except ValueError:
        return False
