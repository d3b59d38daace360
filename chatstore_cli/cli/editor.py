"""Lets a person edit text in the editor of their choice."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from chatstore_cli.domain.errors import ChatstoreError, WrongUse


def require_terminal(otherwise: str, *, no_input: bool) -> None:
    """Raise WrongUse if no terminal is attached for an editor. `otherwise` is the hint: what to do instead."""
    if no_input or sys.stdin is None or not sys.stdin.isatty():
        raise WrongUse(what="An editor needs a terminal.", hint=otherwise)


def edit_in_editor(content: Iterable[bytes], suffix: str = ".json") -> Path:
    """A private file of this suffix with the edited content. The caller removes it. Raises ChatstoreError if the editor fails.

    If the editor fails after it has changed the file, the file is kept and the error names it.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    descriptor, name = tempfile.mkstemp(prefix="chatstore-", suffix=suffix)
    path = Path(name)
    original = b"".join(content)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(original)
    try:
        status = subprocess.run([*shlex.split(editor), name], check=False).returncode
    except (OSError, ValueError) as error:
        path.unlink(missing_ok=True)
        raise ChatstoreError(what=f"Cannot run the editor {editor!r}: {error}.", hint="Set EDITOR.") from error
    except BaseException:  # Ctrl-C
        if path.is_file() and path.read_bytes() == original:
            path.unlink()
        raise
    with suppress(OSError):
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)  # an editor may have written a new file
    if status:
        hint = "Nothing was changed."
        if path.exists() and path.read_bytes() != original:
            hint += f" The edited text is kept in {path}."
        else:
            path.unlink(missing_ok=True)
        raise ChatstoreError(what=f"The editor {editor!r} failed with status {status}.", hint=hint)
    return path
