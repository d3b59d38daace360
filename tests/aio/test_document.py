"""Every Python block of fluxibly's page runs, with only its imports changed.

The page lies beside this project (../shared/documents). A clone does not have it: these tests skip then, and
tests/aio/test_threads.py covers the same calls.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from chatstore_cli.aio import threads
from tests.support.paths import SHARED_DOCUMENTS

DOCUMENT = SHARED_DOCUMENTS / "002-conversation-threads.md"
IMPORT = re.compile(r"^from fluxibly\.(?:state|agent)\.\w+ import", re.MULTILINE)
MODELS = {"ChatThread": threads.ChatThread, "ChatMessage": threads.ChatMessage}
"""The headings of blocks that describe a model's fields. `str?` in them is not Python."""


@dataclass(frozen=True)
class Case:
    """A block: the heading above it, what its free names are, and what must be true afterwards.

    `arguments` replaces the `...` of a call. With `again` it is the block of the case before, with other values.
    """

    heading: str
    prelude: str = ""
    check: str = ""
    arguments: str = ""
    again: bool = False


MANAGER = """
from chatstore_cli.aio.threads import ConversationHistory, MockConversationRepository, StateManager
repo = MockConversationRepository()
state_manager = StateManager(repository=repo, user_id="alice", org_id="acme_corp")
"""
THREAD = f"""{MANAGER}
thread_id = (await state_manager.create_thread("Before the block")).id
await state_manager.add_message("user", "Stored before")
"""
LOGGER = """
warnings = []
class logger:
    warning = error = exception = warnings.append
"""
HISTORY = f"{THREAD}conv_history = ConversationHistory(state_manager=state_manager, persist_to_db=True)\n"

CASES = [
    Case(
        "Basic Usage with StateManager",
        check="""
assert (thread.name, thread.user_id, thread.org_id) == ("Product Planning Discussion", "alice", "acme_corp")
assert [(each.sender_role, each.content["text"]) for each in messages] == [
    ("user", "What features should we prioritize?"), ("assistant", "I recommend focusing on...")
]
assert [(each.role, each.content) for each in history] == [
    ("user", "What features should we prioritize?"), ("assistant", "I recommend focusing on...")
]
""",
    ),
    Case(
        "Integration with ConversationHistory",
        prelude=THREAD,
        arguments="repository=repo, user_id='alice'",
        check="""
assert [each.content["text"] for each in await state_manager.get_messages()] == ["Hello!", "Hi there!"]
assert [each.content for each in conv_history.messages] == ["Stored before"]
""",
    ),
    Case(
        "Managing Multiple Threads",
        prelude=MANAGER,
        check="""
assert {each.name for each in threads} == {"Project Alpha", "Bug Triage"}
for number, thread in enumerate((thread1, thread2), 1):
    assert [each.content["text"] for each in await state_manager.get_messages(thread.id)] == [f"Message in thread {number}"]
""",
    ),
    Case(
        "Resuming Conversations",
        prelude=f"{MANAGER}same_repository = repo\n",
        check="""
assert [each.content for each in history] == ["Plan a trip to Tokyo", "I'll help you plan..."]
assert len(await state_manager.get_messages(thread_id)) == 3
""",
    ),
    Case(
        "Loading Configuration",
        prelude="from chatstore_cli.aio.threads import StateManager, create_repository\n",
        check="""
assert (config.database.backend, config.user_id, config.org_id) == ("mock", "default_user", "default_org")
assert (await state_manager.create_thread("Configured")).user_id == "default_user"
""",
    ),
    Case(
        "Mock Repository (Development/Testing)",
        prelude="from chatstore_cli.aio.threads import StateManager\n",
        check="assert (await state_manager.create_thread('Mock')).org_id == 'default_org'\n",
    ),
    Case(
        "PostgreSQL Repository (Production)",
        prelude="from chatstore_cli.aio.threads import StateManager\n",
        arguments="POSTGRES_URI",
        check="""
await repo.migrate()
thread = await state_manager.create_thread("Production")
await state_manager.add_message("user", "Stored")
assert [each.content for each in await state_manager.load_conversation_history()] == ["Stored"]
assert [each.id for each in await state_manager.list_threads()] == [thread.id]
await repo.close()
""",
    ),
    Case(
        "1. Thread Naming",
        prelude=MANAGER,
        check="assert {each.name for each in await state_manager.list_threads()} >= {'Thread 1'}\n",
    ),
    Case(
        "2. User/Org Organization",
        prelude=f"{MANAGER}class user: email = 'ada@example.org'\nclass organization: slug = 'acme'\n",
        check="assert (await state_manager.create_thread('Owned')).user_id == 'user_ada@example.org'\n",
    ),
    Case("3. Error Handling", prelude=THREAD + LOGGER, check="assert (thread.id, warnings) == (thread_id, [])\n"),
    Case(
        "3. Error Handling",
        again=True,
        prelude=f"{MANAGER}{LOGGER}thread_id = 'missing'\n",
        check="assert (thread, warnings) == (None, ['Thread missing not found'])\n",
    ),
    Case("4. Resource Cleanup", prelude=THREAD, check="assert await state_manager.list_threads() == []\n"),
    Case(
        "Issue: Messages not persisting",
        prelude=THREAD,
        check="""
conv_history.add_user_message("Persisted")
assert len(await state_manager.get_messages()) == 2
""",
    ),
    Case(
        "Issue: Thread not found",
        prelude=f"{MANAGER}{LOGGER}thread_id = 'missing'\n",
        check="assert warnings == ['Thread missing does not exist']\n",
    ),
    Case("Issue: Configuration not loading"),
    Case("From In-Memory to Database Persistence", check="assert StateManager().user_id == 'default_user'\n"),
    Case(
        "From In-Memory to Database Persistence",
        prelude=MANAGER,
        check="assert (thread.name, conv_history.persist_to_db, len(conv_history)) == ('My Conversation', True, 0)\n",
    ),
    Case(
        "From In-Memory to Database Persistence",
        prelude=HISTORY,
        check="assert [each.content['text'] for each in await state_manager.get_messages()] == ['Stored before', 'Hello']\n",
    ),
    Case(
        "From In-Memory to Database Persistence",
        prelude=HISTORY,
        check="assert [each.content for each in conv_history.messages] == ['Stored before']\n",
    ),
]


@dataclass(frozen=True)
class Block:
    """A Python block of the page."""

    line: int
    heading: str
    text: str


def blocks() -> list[Block]:
    """The Python blocks of the page, in order."""
    if not DOCUMENT.is_file():
        pytest.skip(f"the documents are not beside this project ({DOCUMENT.parent})")
    found, heading, begin = [], "", None
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if begin is None and re.match(r"#+ ", line):
            heading = line.lstrip("# ")
        elif line.startswith("```"):
            if begin is not None and lines[begin - 1] == "```python":
                found.append(Block(begin, heading, "\n".join(lines[begin : number - 1])))
            begin = number if begin is None else None
    return found


def test_every_block_has_a_case() -> None:
    headings = [block.heading for block in blocks()]
    tested = [case.heading for case in CASES if not case.again]
    assert [heading for heading in headings if heading not in MODELS] == tested
    assert sorted(heading for heading in headings if heading in MODELS) == sorted(MODELS)


def block_of(number: int) -> Block:
    """The block of a case. Cases and blocks under one heading are in the same order."""
    heading = CASES[number].heading
    before = sum(case.heading == heading and not case.again for case in CASES[: number + 1])
    return [block for block in blocks() if block.heading == heading][before - 1]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{n}-{case.heading}" for n, case in enumerate(CASES)])
def test_a_block_of_the_document_runs(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    case, block = CASES[number], block_of(number)
    names: dict[str, Any] = {"__name__": "block"}
    if "POSTGRES_URI" in case.arguments:
        server = request.getfixturevalue("postgres")
        names["POSTGRES_URI"] = server.uri(server.new_database(migrated=False))
    code = IMPORT.sub("from chatstore_cli.aio.threads import", block.text)
    assert ("..." in re.sub('".*"', "", code)) == bool(case.arguments)
    code = re.sub(r"(?<=[(=])\.\.\.(?=\))", case.arguments, code)
    program = f"{case.prelude}\n{code}\n{case.check}"
    compiled = compile(program, f"{DOCUMENT.name}:{block.line}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    run: Callable[[], Any] = lambda: eval(compiled, names)  # noqa: E731 - called inside the loop
    asyncio.run(_run(run)) if compiled.co_flags & inspect.CO_COROUTINE else run()


async def _run(block: Callable[[], Any]) -> None:
    await block()


@pytest.mark.parametrize("name", MODELS)
def test_the_documented_fields_of_a_model_exist(name: str) -> None:
    [block] = [block for block in blocks() if block.heading == name]
    documented = dict(re.findall(r"^(\w+): ([\w?]+)", block.text, re.MULTILINE))
    types: dict[str, Any] = {"str": str, "str?": str | None, "datetime": datetime, "dict": dict}
    hints = typing.get_type_hints(MODELS[name])
    assert documented
    for field, written in documented.items():
        assert types[written] in (hints[field], typing.get_origin(hints[field])), field
