"""Lets a person edit text in the editor of their choice."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from chatstore_cli.domain.errors import ChatstoreError, WrongUse


def require_terminal(otherwise: str, *, no_input: bool) -> None:
    """Raise WrongUse if no terminal is attached for an editor. `otherwise` is the hint: what to do instead."""
    if no_input or sys.stdin is None or not sys.stdin.isatty():
        raise WrongUse(what="An editor needs a terminal.", hint=otherwise)


def edit_in_editor(content: Iterable[bytes], suffix: str = ".json") -> Path:
    """A private file of this suffix with the edited content. The caller removes it. Raises ChatstoreError if the editor fails."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    descriptor, name = tempfile.mkstemp(prefix="chatstore-", suffix=suffix)
    path = Path(name)
    with os.fdopen(descriptor, "wb") as stream:
        stream.writelines(content)
    try:
        status = subprocess.run([*shlex.split(editor), name], check=False).returncode
    except (OSError, ValueError) as error:
        path.unlink(missing_ok=True)
        raise ChatstoreError(what=f"Cannot run the editor {editor!r}: {error}.", hint="Set EDITOR.") from error
    if status:
        path.unlink(missing_ok=True)
        raise ChatstoreError(what=f"The editor {editor!r} failed with status {status}.", hint="Nothing was changed.")
    return path
