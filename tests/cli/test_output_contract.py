"""What holds for every command: help, errors, exit statuses, pipes, terminals, and how little a start imports."""

from __future__ import annotations

import atexit
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len

from chatstore_cli.cli.main import root_command, run
from chatstore_cli.render.output_format import ROW_FORMATS
from tests.support.stored_sessions import store_chats
from tests.support.terminals import on_a_terminal

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore


def _walk(command: Any, context: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    yield path, command, context
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            yield from _walk(child, child.context_class(child, info_name=name, parent=context), (*path, name))


ROOT = root_command()
COMMAND_LINE = list(_walk(ROOT, ROOT.context_class(ROOT, info_name="chatstore")))
EVERY_COMMAND = [
    pytest.param(path, id=" ".join(path))
    for path, command, context in COMMAND_LINE
    if not hasattr(command, "list_commands") or not command.list_commands(context)
]
EVERY_GROUP = [
    pytest.param(path, command.list_commands(context), id=" ".join(path) or "chatstore")
    for path, command, context in COMMAND_LINE
    if hasattr(command, "list_commands") and command.list_commands(context)
]


# --- help and wrong use ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EVERY_COMMAND)
def test_help_has_an_example_and_the_exit_statuses(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*path, "--help"]) == 0

    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith(f"Usage: chatstore {' '.join(path)}")
    assert "\nExample" in captured.out
    assert f"  chatstore {' '.join(path)}" in captured.out.split("\nExample")[1]
    assert "\nExit status:\n    0  done\n" in captured.out
    assert captured.out.endswith("\n")
    assert max(map(len, captured.out.splitlines())) <= 120


@pytest.mark.parametrize(("path", "names"), EVERY_GROUP)
def test_summaries_of_commands_are_whole_lines_at_80_columns(
    path: tuple[str, ...], names: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*path, "--help"]) == 0

    listed = capsys.readouterr().out.split("\nCommands:\n")[1].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == names
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


def test_the_help_of_chatstore_lists_the_global_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0

    shown = capsys.readouterr().out
    for option in ("--config", "--uri", "--database", "--output", "--color", "--quiet", "--no-input", "--read-only"):
        assert option in shown


@pytest.mark.parametrize("path", EVERY_COMMAND)
def test_wrong_use_is_one_json_object_on_stderr_and_nothing_on_stdout(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*path, "--no-such-option", "-o", "json"]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    error = json.loads(captured.err)["error"]
    assert (error["code"], error["kind"]) == (2, "wrong_use")
    assert set(error) == {"code", "kind", "message", "hint"}
    assert "--no-such-option" in error["message"]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("path", EVERY_COMMAND)
def test_global_options_are_accepted_before_and_after_the_command(
    path: tuple[str, ...], before: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong value is rejected as that of a global option at both places."""
    arguments = ["--color", "pink", *path] if before else [*path, "--color", "pink"]

    assert run(arguments) == 2
    assert "--color: 'pink' is not auto, always or never." in capsys.readouterr().err


@pytest.mark.parametrize("spelling", [["-o", "json"], ["-ojson"], ["--output", "json"], ["--output=json"]])
def test_every_spelling_of_json_makes_errors_json(spelling: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*spelling, "nonsense"]) == 2

    assert json.loads(capsys.readouterr().err)["error"]["code"] == 2


def test_a_misspelt_command_is_rejected_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sesions"]) == 2

    assert "sessions" in capsys.readouterr().err


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2

    assert "Commands:" in capsys.readouterr().out


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def broken_list(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Make `sessions list` on an in-memory store raise the test's exception."""
    monkeypatch.setenv("CHATSTORE_URI", "mongomock://")

    def fail(*_arguments: Any, **_options: Any) -> None:
        raise request.param

    monkeypatch.setattr("chatstore_cli.core.sessions.listing.list_sessions", fail)


@pytest.mark.parametrize("broken_list", [ValueError("the text of a bug\nwith two lines")], indirect=True)
@pytest.mark.usefixtures("broken_list")
def test_an_unexpected_error_exits_with_1_and_writes_a_log_file_and_no_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["sessions", "list"]) == 1

    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") == 1
    path = captured.err.split("Report it with the file ")[1].strip()
    with open(path, encoding="utf-8") as log:  # noqa: PTH123 - a path as it was printed
        assert "the text of a bug" in log.read()


@pytest.mark.parametrize("broken_list", [KeyboardInterrupt()], indirect=True)
@pytest.mark.usefixtures("broken_list")
def test_an_interrupt_exits_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sessions", "list"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_an_unreachable_server_exits_with_5_and_prints_no_password(chatstore_without_database: Chatstore) -> None:
    uri = "mongodb://ada:s3cret%2Fword@127.0.0.1:1/?serverSelectionTimeoutMS=100"
    short_timeout = {"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.2"}

    outcome = chatstore_without_database("sessions", "list", "--uri", uri, env=short_timeout)
    as_json = chatstore_without_database("sessions", "list", "--uri", uri, "-o", "json", env=short_timeout)

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (5, "", 1)
    assert (as_json.code, as_json.out, json.loads(as_json.err)["error"]["kind"]) == (5, "", "unreachable")
    assert "s3cret" not in outcome.err + as_json.err


def test_a_full_disk_is_one_line_and_exits_with_1(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_chats(database)
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        process = chatstore.popen("sessions", "list", stdout=full)
        _, errors = process.communicate(timeout=300)

    assert process.returncode == 1
    assert errors.decode().splitlines()[0] == "chatstore: No space left on device"
    assert len(errors.decode().splitlines()) == 1


# --- pipes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def many_sessions(database: Database[dict[str, Any]]) -> None:
    """More sessions than a pipe can hold."""
    database["chat_messages"].insert_many(
        {"session_id": f"{index:04}-{'x' * 200}", "role": "user", "text": "hello", "created_at": "2026-03-01T00:00:00Z"}
        for index in range(1000)
    )


@pytest.mark.usefixtures("many_sessions")
@pytest.mark.parametrize("output", ROW_FORMATS)
def test_a_reader_that_closes_the_pipe_ends_the_command_quietly(chatstore: Chatstore, output: str) -> None:
    process = chatstore.popen("sessions", "list", "--limit", "1000", "--quiet", "-o", output)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()

    assert process.stderr.read() == b""
    assert process.wait(timeout=300) == 0


def test_help_into_a_closed_pipe_is_quiet(chatstore_without_database: Chatstore) -> None:
    process = chatstore_without_database.popen("--help")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    assert process.stderr.read() == b""
    assert process.wait(timeout=300) == 0


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_stream_that_was_closed_before_the_start_is_not_an_error(
    chatstore_without_database: Chatstore, closed: str
) -> None:
    command = chatstore_without_database.command("--help")
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *command],
        capture_output=True,
        env=chatstore_without_database.environment,
        timeout=300,
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_pipe_gets_utf_8_whatever_the_locale(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_chats(database)
    latin = {"PYTHONIOENCODING": "latin-1", "LC_ALL": "C", "PYTHONUTF8": "0"}

    assert chatstore("sessions", "list", env=latin).out == chatstore("sessions", "list").out


# --- terminals -------------------------------------------------------------------------------------------------------


def test_a_terminal_gets_a_table_that_fits_and_is_coloured(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_chats(database)
    no_color: dict[str, str | None] = {"NO_COLOR": "1"}

    colored, _ = on_a_terminal(chatstore, "sessions", "list", width=100)
    narrow, notices = on_a_terminal(chatstore, "sessions", "list", width=70, env=no_color)

    assert "\x1b[31mfailed" in colored
    assert "\x1b[2J" not in colored
    assert "\x1b" not in narrow
    assert max(cell_len(line) for line in narrow.splitlines()) <= 70
    assert "2026-03-02 12:00:00" in narrow
    shown = narrow.splitlines()[0].split()
    assert {"TENANT", "COST"} <= set(shown)
    hidden = [title for title in ("USER", "LAYOUT", "TOKENS") if title not in shown]
    assert "USER" in hidden
    assert notices.startswith("Hidden columns: ")
    assert all(title in notices.splitlines()[0] for title in hidden)
    assert "TENANT" not in notices
    assert "COST" not in notices


def test_a_table_that_is_longer_than_the_screen_is_paged(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_chats(database)
    in_upper_case: dict[str, str | None] = {"CHATSTORE_PAGER": "tr a-z A-Z", "NO_COLOR": "1"}

    def shown(*arguments: str, height: int) -> str:
        return on_a_terminal(chatstore, *arguments, width=120, height=height, env=in_upper_case)[0]

    assert "TRIAGE-0" in shown("sessions", "list", height=5)
    assert "triage-0" in shown("sessions", "list", height=40)
    assert "triage-0" in shown("sessions", "list", "--no-pager", height=5)


@pytest.mark.parametrize("name", ["typer", "chatstore_cli.cli.main"])
def test_ctrl_c_during_the_imports_shows_no_traceback(chatstore: Chatstore, name: str) -> None:
    interrupted = f"""
import sys
from chatstore_cli.__main__ import main

class Interrupted:
    def find_spec(self, name, *_):
        if name == {name!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
main()
"""
    command = [sys.executable, "-c", interrupted, "sessions", "list"]
    done = subprocess.run(command, capture_output=True, text=True, env=chatstore.environment, timeout=300)
    assert (done.returncode, done.stderr) == (130, "")


# --- what is imported ------------------------------------------------------------------------------------------------

OF_OTHER_COMMANDS = re.compile(
    r"chatstore_cli\.(library|core\.general\.(chats|view)|mongo\.general\.writer|core\.usage\.metrics"
    r"|(core|mongo)\.(session_registry|mixed_transcript)|cli\.commands\.(general|workflows))\b"
)
"""What only the commands of general chats, client sessions and transcripts need."""
SHOW_MODULES = """
import sys
from chatstore_cli.__main__ import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("MODULES", *sys.modules, file=sys.stderr)
"""


def modules_of(chatstore: Chatstore, *arguments: str) -> set[str]:
    """The modules that a run of the command imports."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW_MODULES, *arguments],
        capture_output=True,
        text=True,
        env=chatstore.environment,
        cwd=chatstore.folder,
        timeout=300,
    )
    return set(done.stderr.split("MODULES ")[1].split())


def test_version_imports_no_libraries(chatstore_without_database: Chatstore) -> None:
    modules = modules_of(chatstore_without_database, "--version")

    assert not modules & {"typer", "pymongo", "rich", "pydantic", "yaml", "orjson", "chatstore_cli.cli"}


def test_help_imports_no_driver_no_table_and_no_models(chatstore_without_database: Chatstore) -> None:
    modules = modules_of(chatstore_without_database, "--help")

    assert not modules & {"pymongo", "bson", "rich", "pydantic", "yaml", "orjson", "chatstore_cli.wiring"}
    assert not list(filter(OF_OTHER_COMMANDS.match, modules))


def test_a_list_in_a_pipe_imports_no_table_and_no_models(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_chats(database)
    modules = modules_of(chatstore, "sessions", "list")

    assert "pymongo" in modules
    assert not modules & {"rich.table", "rich.console", "rich.text", "pydantic", "yaml", "mongomock", "dotenv"}
    assert not list(filter(OF_OTHER_COMMANDS.match, modules))


def test_the_driver_does_not_delay_the_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch, mongo_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """PyMongo's exit hook joins threads that can sleep for 0.5 s. Its name is private, so this test fails if it changes."""
    from pymongo.synchronous.monitor import _shutdown_resources

    unregistered: list[Any] = []
    monkeypatch.setattr(atexit, "unregister", unregistered.append)

    assert run(["sessions", "list", "--uri", mongo_uri, "--database", "nothing_is_there"]) == 0
    assert unregistered == [_shutdown_resources]
