"""Reads the content of a message from the options --text, --file, --content and --metadata, or from stdin."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from chatstore_cli.core.threads.json_reader import reject_constant
from chatstore_cli.domain.errors import ChatstoreError, NotFound, WrongUse

MOST_BYTES = 12 << 20
"""Bytes of a text: a message has at most 12 MiB."""


def require_one(**given: object) -> None:
    """Raise WrongUse if more than one of these options has a value."""
    names = [f"--{name}" for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise WrongUse(what=f"{' and '.join(names)} exclude each other.", hint="Give one of them.")


def read_content(text: str | None, file: str | None, content: str | None) -> str | Mapping[str, Any] | None:
    """The text or the content that the options give; None if no option is given."""
    require_one(text=text, file=file, content=content)
    if content is not None:
        return read_object(content, "--content")
    return text if file is None else read_text(file)


def read_object(text: str, option: str) -> dict[str, Any]:
    """The JSON object of an option. Raises WrongUse."""
    try:
        value = json.loads(text, parse_constant=reject_constant)
    except (ValueError, RecursionError) as error:
        raise WrongUse(what=f"{option} is not JSON: {error}.", hint='Example: \'{"key": "value"}\'.') from error
    if not isinstance(value, dict):
        raise WrongUse(what=f"{option} is not a JSON object.", hint='Example: \'{"key": "value"}\'.')
    return value


def read_text(path: str) -> str:
    """The text of a file, or of stdin for `-`, without a line end at its end. Raises ChatstoreError and WrongUse."""
    name = "stdin" if path == "-" else path
    with opened(path) as stream:
        content = stream.read(MOST_BYTES + 3)
    return decoded(content, name)


def decoded(content: bytes, name: str) -> str:
    """The text of these bytes, without a line end at its end. `name` names them in errors. Raises WrongUse."""
    if len(content) > MOST_BYTES + 2:
        raise WrongUse(what=f"{name} has more than {MOST_BYTES >> 20} MiB, the largest size of a message.")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise WrongUse(
            what=f"{name} is not UTF-8: byte {error.start + 1:,} is 0x{content[error.start]:02x}."
        ) from error
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise WrongUse(what=f"{name} is empty.")
    return text


def is_piped() -> bool:
    """Whether stdin is open and is not a terminal."""
    return sys.stdin is not None and not sys.stdin.isatty()


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """A regular file for reading, or stdin for `-`. Raises NotFound, and ChatstoreError if it cannot be read."""
    from chatstore_cli.core.regular_files import regular_stream

    if path == "-":
        if sys.stdin is None:
            raise WrongUse(what="stdin is closed.")
        yield sys.stdin.buffer
        return
    try:
        stream = regular_stream(Path(path))
    except FileNotFoundError as error:
        raise NotFound(kind_of_thing="file", name=path, where="") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ChatstoreError(what=f"Cannot read {path}: {reason}.") from error
    with stream:
        yield stream


@contextmanager
def opened_twice(path: str) -> Iterator[BinaryIO]:
    """A regular file, or stdin for `-`, that can be read twice. Raises the errors of `opened`.

    stdin is copied into a private temporary file first, because the lines are checked before they are stored.
    """
    with opened(path) as stream:
        if path != "-":
            yield stream
            return
        with TemporaryFile(prefix="chatstore-") as copy:
            while piece := stream.read(1 << 20):
                copy.write(piece)
            copy.seek(0)
            yield copy
