"""The argument that names journals."""

from __future__ import annotations

from typing import Annotated

import typer

JournalPaths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="Journals or folders of journals [default: mongo.cache.disk_path]"),
]
