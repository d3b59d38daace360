"""The functions of the application that settings name as `module:function`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from chatstore_cli.domain.errors import BadConfig


def named_function(name: str, *, setting: str) -> Callable[..., Any]:
    """The function of this name. Raises BadConfig, with the setting, if it cannot be imported."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:
        what = f"{name} cannot be imported: {type(error).__name__}: {error}"
        hint = "Name it as module:function. Its module must be on PYTHONPATH."
        raise BadConfig(where=setting, what=what, hint=hint) from error
    if not callable(found):
        raise BadConfig(where=setting, what=f"{name} is not a function.")
    return found  # type: ignore[no-any-return]  # it is callable
