"""`chatstore sessions transcript`: workflow sessions and general chats as one transcript."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.transcript_sources import at

WORKFLOW, GENERAL = "chat_Trips_0a1b2c3d", "generalchat-acme-ana-0003"
pytestmark = pytest.mark.real


def message(content: str, second: int, sequence: int | None, **more: Any) -> dict[str, Any]:
    numbered = {} if sequence is None else {"sequence": sequence}
    return {"role": "user", "content": content, "timestamp": at(second), **numbered, **more}


@pytest.fixture(autouse=True)
def chats(database: Any) -> None:
    """A workflow session, a general chat, and one id in both layouts."""
    general = {"metadata": {"source": "general_agent"}, "agent_name": "assistant", "role": "assistant"}
    owner = {"app_id": "acme", "user_id": "ana", "status": 0}
    workflow = [message("Plan a trip.", 0, 1), message("What is it?", 3, 2, **general), message("To Rome.", 9, 3)]
    chat = [message("Which tour?", 5, 1), message("=Trips", 6, 2, **general)]
    database.chat_sessions.insert_many(
        [
            {"_id": WORKFLOW, "chat_id": WORKFLOW, **owner, "messages": workflow},
            {"_id": "same", "chat_id": "same", **owner, "messages": [message("here", 1, None)]},
        ]
    )
    database.GeneralChatSessions.insert_many(
        [
            {"_id": GENERAL, "chat_id": GENERAL, "session_type": "general", **owner, "messages": chat},
            {
                "_id": "same",
                "chat_id": "same",
                "session_type": "general",
                **owner,
                "messages": [message("there", 2, 1)],
            },
        ]
    )


def contents(outcome: Any) -> list[str]:
    assert outcome.code == 0, outcome.err
    return [json.loads(line)["message"]["content"] for line in outcome.out.splitlines()]


def test_turns_are_in_one_order_with_their_source(chatstore: Any) -> None:
    done = chatstore("sessions", "transcript", WORKFLOW, GENERAL, "-o", "json")
    items = json.loads(done.out)["items"]
    assert [
        (each["source"]["layout"], each["index"], each["general"], each["message"]["content"]) for each in items
    ] == [
        ("workflow", 0, False, "Plan a trip."),
        ("workflow", 1, True, "What is it?"),
        ("general", 0, True, "Which tour?"),
        ("general", 1, True, "=Trips"),
        ("workflow", 2, False, "To Rome."),
    ]
    assert items[3] == {
        "source": {"layout": "general", "session_id": GENERAL},
        "index": 1,
        "general": True,
        "message": {
            "message_id": None,
            "sequence": 2,
            "role": "assistant",
            "name": "assistant",
            "content": "=Trips",
            "created_at": "2026-03-02T11:00:06Z",
            "event_type": None,
            "source": None,
            "tool_calls": None,
            "tool_call_id": None,
            "metadata": {"source": "general_agent"},
        },
    }


def test_the_next_run_prints_only_later_turns(chatstore: Any, database: Any) -> None:
    first = chatstore("sessions", "transcript", WORKFLOW, GENERAL, "-o", "jsonl")
    assert first.err == f"To print only later turns, add: --after {WORKFLOW}=3 --after {GENERAL}=2\n"
    database.GeneralChatSessions.update_one({"_id": GENERAL}, {"$push": {"messages": message("And now?", 11, 3)}})
    options = first.err.partition("add: ")[2].split()
    again = chatstore("sessions", "transcript", WORKFLOW, GENERAL, *options, "-o", "jsonl")
    assert contents(again) == ["And now?"]
    options = again.err.partition("add: ")[2].split()
    nothing = chatstore("sessions", "transcript", WORKFLOW, GENERAL, *options)
    assert (nothing.code, nothing.err.splitlines()[0]) == (
        0,
        f"The sessions have no later messages. Target: {nothing.err.partition('Target: ')[2].splitlines()[0]}",
    )


def test_after_0_is_everything_also_first_turns_without_a_number(chatstore: Any, database: Any) -> None:
    turns = [message("a", 0, None), message("b", 1, None), message("c", 2, 1), message("d", 3, None)]
    database.chat_sessions.insert_one({"_id": "early", "chat_id": "early", "status": 0, "messages": turns})
    turns = [message("zero", 0, 0), message("behind", 1, None), message("one", 2, 1)]
    database.chat_sessions.insert_one({"_id": "zero", "chat_id": "zero", "status": 0, "messages": turns})
    assert contents(chatstore("sessions", "transcript", "early", "--after", "early=0", "-o", "jsonl")) == [*"abcd"]
    assert contents(chatstore("sessions", "transcript", "zero", "--after", "zero=0", "-o", "jsonl")) == ["one"]
    unnumbered = chatstore("sessions", "transcript", "workflow:same", "--after", "workflow:same=0", "-o", "jsonl")
    assert contents(unnumbered) == ["here"]
    assert unnumbered.err == "Run it again to print all turns.\n"


def test_a_table_and_csv_have_the_same_turns(chatstore: Any) -> None:
    table = chatstore("sessions", "transcript", WORKFLOW, GENERAL).out.splitlines()
    assert table[0].split("  ")[0].strip() == "TIME (UTC)"
    assert [line.rpartition("  ")[2].strip() for line in table if "2026" in line] == [
        "Plan a trip.", "What is it?", "Which tour?", "=Trips", "To Rome.",
    ]  # fmt: skip
    csv = chatstore("sessions", "transcript", WORKFLOW, GENERAL, "-o", "csv").out.splitlines()
    assert csv[0].startswith("message.created_at,source.layout,source.session_id,index,general,message.sequence")
    assert csv[4].endswith(",'=Trips")


def test_an_id_in_both_layouts_is_named_with_its_layout(chatstore: Any) -> None:
    done = chatstore("sessions", "transcript", "same")
    assert done.code == 8
    assert "Session 'same' is in the layouts workflow and general" in done.err
    assert "Choose one: workflow:same or general:same." in done.err
    both = chatstore("sessions", "transcript", "general:same", "workflow:same", "-o", "jsonl")
    assert contents(both) == ["here", "there"]
    assert both.err == "To print only later turns, add: --after general:same=1\n"
    rest = chatstore(
        "sessions", "transcript", "general:same", "workflow:same", "--after", "general:same=1", "-o", "jsonl"
    )
    assert contents(rest) == ["here"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing"], 3, "No session 'missing' in workflow or general"),
        (["general:missing"], 3, "No session 'general:missing' in workflow or general"),
        ([WORKFLOW, "--after", f"{GENERAL}=1"], 2, "is not SESSION_ID=SEQUENCE, with a SESSION_ID of the command line"),
        ([WORKFLOW, "--after", f"{WORKFLOW}=-2"], 2, "is not SESSION_ID=SEQUENCE"),
        ([WORKFLOW, "--after", f"{WORKFLOW}={'9' * 19}"], 2, "sequence: 9999999999999999999 is not a number from 0"),
        (
            [WORKFLOW, "--after", f"{WORKFLOW}=9"],
            8,
            "The client's sequence 9 of session 'chat_Trips_0a1b2c3d' is ahead: the last stored one is 3. Leave out --after",
        ),
        ([WORKFLOW, WORKFLOW, f"workflow:{WORKFLOW}"], 2, "is not named once"),
    ],
)
def test_wrong_sessions_and_positions_are_rejected(chatstore: Any, arguments: list[str], code: int, words: str) -> None:
    done = chatstore("sessions", "transcript", *arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
