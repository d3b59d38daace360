"""`chatstore sessions`: the sessions of all layouts."""

from __future__ import annotations

from chatstore_cli.cli.command_declarations import group

_LAZY_COMMANDS = {
    "list": "sessions.list",
    "show": "sessions.show",
    "watch": "sessions.watch",
    **dict.fromkeys(("tenants", "users"), "sessions.names"),
    "sizes": "sessions.sizes",
    "split": "sessions.split",
    "transcript": "sessions.transcript",
    "delete": "sessions.delete",
    **dict.fromkeys(("rename", "tag", "untag"), "sessions.labels"),
    "prune-labels": "sessions.prune_labels",
    **dict.fromkeys(("complete", "fail", "pause", "unpause"), "sessions.status"),
}

app = group(
    "sessions",
    "List, show, watch and measure sessions, count them per tenant and user, print transcripts; split, complete, fail, "
    "pause, unpause, rename, tag and delete sessions.",
    _LAZY_COMMANDS,
)
