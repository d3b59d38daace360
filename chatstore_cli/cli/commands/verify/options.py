"""The options of `chatstore verify`."""

from __future__ import annotations

from typing import Annotated

import typer

OnlyOption = Annotated[
    list[str] | None, typer.Option("--only", metavar="NAME[,NAME]...", help="Run only these checks; repeatable.")
]
SkipOption = Annotated[
    list[str] | None, typer.Option("--skip", metavar="NAME[,NAME]...", help="Skip these checks; repeatable.")
]
ApiUrlOption = Annotated[
    str | None,
    typer.Option("--api-url", metavar="URL", help="Also check the application at this URL: send messages through it."),
]
SpawnOption = Annotated[
    bool,
    typer.Option("--spawn", help="Also start `chatstore serve` with a database of its own, and check it."),
]
WsPathOption = Annotated[
    str | None,
    typer.Option("--ws-path", metavar="PATH", help="Use this WebSocket path [default: verify.application.ws_path]."),
]
HeaderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        metavar="'NAME: VALUE'",
        help="Send this header to the application. Values are never shown; repeatable.",
    ),
]
LogOption = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="FILE",
        help="Read this log file of the application or of its `chatstore worker`; repeatable.",
    ),
]
DeadlineOption = Annotated[
    float | None,
    typer.Option(
        "--deadline",
        metavar="SECONDS",
        help="Wait SECONDS for a response and for storing a message [default: verify.application.deadline_seconds].",
    ),
]
