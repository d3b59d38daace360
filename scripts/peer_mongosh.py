"""Compares what chatstore reads with what the official MongoDB shell reads from the same database.

Run `chatstore demo` first, or name another database with --uri and --database. Then run

    .venv/bin/python scripts/peer_mongosh.py

MONGOSH is the shell's command line. Without it, `npx mongosh` downloads a shell. Exits with status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

PROGRAM = """
const out = {sessions: {}, messages: [], wrong: []};
db.chat_sessions.find().forEach(chat => {
  out.sessions[chat.chat_id ?? String(chat._id)] = chat.messages.map(message => message.content);
});
db.chat_messages.find().sort({session_id: 1, created_at: 1, sequence: 1}).forEach(message => {
  out.messages.push([message.session_id, message.role, message.text]);
  if (typeof message.created_at !== 'string' || !message.created_at.endsWith('+00:00')) out.wrong.push(['created_at', message._id]);
  if (!(message.expires_at instanceof Date)) out.wrong.push(['expires_at', message._id]);
  if (!Number.isInteger(Number(message.sequence))) out.wrong.push(['sequence', message._id]);
});
print('PEER' + JSON.stringify(out));
"""


def chatstore(*arguments: str, target: list[str]) -> str:
    """The standard output of a chatstore command."""
    command = [sys.executable, "-m", "chatstore_cli", *target, "--quiet", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def embedded_uri() -> str:
    """The URI of the running embedded MongoDB, for other programs."""
    status = json.loads(chatstore("db", "status", "-o", "json", target=[]))
    return f"mongodb://{quote(status['socket'], safe='')}/?directConnection=true"


def mongosh(uri: str, database: str) -> dict[str, Any]:
    """The sessions and messages that the shell reads, and the documents with wrong types."""
    shell = shlex.split(os.environ.get("MONGOSH", "npx --yes mongosh"))
    program = f"db = db.getSiblingDB({json.dumps(database)});{PROGRAM}"
    done = subprocess.run(
        [*shell, uri, "--quiet", "--norc", "--eval", program], check=True, capture_output=True, text=True
    )
    answer = next(line for line in done.stdout.splitlines() if line.startswith("PEER"))
    seen: dict[str, Any] = json.loads(answer.removeprefix("PEER"))
    return seen


def main() -> int:
    """Compare sessions, counts and texts, and print one line for each. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Compare what chatstore and mongosh read.")
    parser.add_argument("--uri", help="a MongoDB URI [default: the embedded MongoDB]")
    parser.add_argument("--database", default="chatstore_demo")
    parser.add_argument(
        "--journals", type=Path, help="a folder of journals that must be in chat_messages, text by text"
    )
    given = parser.parse_args()
    target = ["--uri", given.uri or "embedded", "--database", given.database]
    theirs = mongosh(given.uri or embedded_uri(), given.database)
    listed = chatstore("sessions", "list", "--limit", "1000", "-o", "jsonl", target=target)
    ours = [json.loads(line) for line in listed.splitlines()]
    stored: dict[str, int] = {}
    for session_id, _, _ in theirs["messages"]:
        stored[session_id] = stored.get(session_id, 0) + 1
    in_workflow = {session: len(contents) for session, contents in theirs["sessions"].items()}
    compared: dict[str, tuple[Any, Any]] = {
        "workflow sessions": (_counts(ours, "workflow"), in_workflow),
        "flat sessions": (_counts(ours, "messages"), stored),
        "wrong types": ([], theirs["wrong"]),
    }
    if given.journals is not None:
        compared["texts of the journals"] = (sorted(_journal_texts(given.journals)), sorted(theirs["messages"]))
    for what, (mine, peers) in compared.items():
        print(f"{'same' if mine == peers else 'DIFFERENT'}  {what}: chatstore {_size(mine)}, mongosh {_size(peers)}")
    return 0 if all(mine == peers for mine, peers in compared.values()) else 1


def _counts(rows: list[dict[str, Any]], layout: str) -> dict[str, int]:
    return {row["session_id"]: row["message_count"] for row in rows if row["layout"] == layout}


def _journal_texts(folder: Path) -> list[list[str]]:
    decoder = json.JSONDecoder()
    found = []
    for journal in folder.glob("*.jsonl"):
        for line in journal.read_text(encoding="utf-8").splitlines():
            offset = 0
            while offset < len(line):
                record, offset = decoder.raw_decode(line, offset)
                found.append([record["session_id"], record["role"], record["text"]])
    return found


def _size(value: Any) -> str:
    if isinstance(value, dict):
        return f"{len(value)} with {sum(value.values())} messages"
    return str(len(value))


if __name__ == "__main__":
    raise SystemExit(main())
