"""Errors name the options and arguments of the command, not the arguments of the library that found the wrong value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chatstore_cli.domain.errors import WrongUse

_FIELD = re.compile(r"[a-z][A-Za-z0-9_]*(?=[ :.\[])")
_FIELDS: Mapping[str, Sequence[str]] = {
    "agent_id": ("agentId",),
    "binding": ("binding_id", "bindingId"),
    "did": ("e164",),
    "from_": ("from",),
    "message_id": ("event_id",),
    "number": ("e164",),
    "sender": ("sender_id",),
    "session_id": ("chat_id", "general_chat_id"),
    "tenant": ("app_id", "org_id", "orgId", "tenant_id", "tenants"),
    "user": ("user_id", "userId"),
    "version": ("version_id", "versionId"),
    "version_id": ("versionId",),
}
"""For each parameter of a command, the names that the library and stored documents use for its value."""


def name_parameters(error: WrongUse, parameters: Sequence[Any]) -> None:
    """If the error begins with the library's name of one of the command's own parameters, name the parameter instead."""
    found = _FIELD.match(error.message)
    if found is None:
        return
    for parameter in parameters:
        if found[0] == parameter.name or found[0] in _FIELDS.get(parameter.name, ()):
            what = error.message[found.end() :]
            # The library reports an empty value as missing. On the command line it was given, and is empty.
            message = _shown(parameter) + (" is empty" if what.rstrip(".") == " is required" else what)
            error.message = message if message.endswith((".", "?", "!", ":")) else f"{message}."
            return


def _shown(parameter: Any) -> str:
    """The parameter as the usage line of the command has it."""
    if parameter.param_type_name == "option":
        return str(parameter.opts[0])
    return str(parameter.metavar or parameter.name.upper()).strip("[].")
