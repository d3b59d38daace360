"""What the suite may leave out: a missing peer fails if peers are required, and CI fails at a skip it does not know."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.allowed_skips import SkipChecker
from tests.support.paths import ROOT

MISSING_PEER = """
import sys
from tests.support.peers import import_peer

def test_needs_a_peer(monkeypatch):
    monkeypatch.setitem(sys.modules, "autogen", None)  # so that it cannot be imported
    import_peer("autogen")
"""
NO_DISK = "no file system can be mounted here"
SKIPPING = f"""
import pytest

def test_needs_a_disk():
    pytest.skip("{NO_DISK}")

@pytest.mark.soak
def test_takes_long():
    assert False

@pytest.mark.xfail(reason="known")
def test_fails_as_expected():
    assert False
"""
SKIPPING_MODULE = "import pytest\n\npytest.skip('not today', allow_module_level=True)\n"


def _pytest(
    folder: Path, modules: dict[str, str], *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run modules as a suite of their own, under this suite's conftest."""
    for name, content in modules.items():
        (folder / f"test_{name}.py").write_text(content)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-c", os.devnull, f"--rootdir={folder}"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *arguments, str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_outside_ci_a_missing_peer_and_every_other_reason_skip(tmp_path: Path) -> None:
    done = _pytest(tmp_path, {"peer": MISSING_PEER, "skipping": SKIPPING, "module": SKIPPING_MODULE})
    assert done.returncode == 0, done.stdout
    assert "4 skipped, 1 xfailed" in done.stdout


def test_a_missing_peer_fails_its_test_if_peers_are_required(tmp_path: Path) -> None:
    done = _pytest(tmp_path, {"peer": MISSING_PEER}, CHATSTORE_REQUIRE_PEERS="1")
    assert done.returncode == 1, done.stdout
    assert "autogen cannot be imported" in done.stdout


def test_ci_fails_at_a_test_and_at_a_module_that_may_not_skip(tmp_path: Path) -> None:
    done = _pytest(tmp_path, {"skipping": SKIPPING, "module": SKIPPING_MODULE}, "-n", "1", CI="true")
    assert done.returncode == 1, done.stdout
    _, _, refused = done.stdout.partition("tests that may not skip in CI")
    listed = sorted(line for line in refused.splitlines() if line.startswith("test_"))
    assert listed == ["test_module.py: not today", f"test_skipping.py::test_needs_a_disk: {NO_DISK}"]


def _checked(reason: str) -> Any:
    """The exit status of a run in which one test skips for this reason."""
    checker, session = SkipChecker(), SimpleNamespace(exitstatus=pytest.ExitCode.OK)
    location: Any = ("test_it.py", 1, f"Skipped: {reason}")
    checker.pytest_runtest_logreport(
        pytest.TestReport("test_it.py::test_it", ("test_it.py", 1, "test_it"), {}, "skipped", location, "call")
    )
    checker.pytest_sessionfinish(session)
    return session.exitstatus


@pytest.mark.parametrize("reason", ["long: only with --soak", "mongomock cannot join collections"])
def test_ci_accepts_the_reasons_of_the_list(reason: str) -> None:
    assert _checked(reason) == pytest.ExitCode.OK


@pytest.mark.parametrize("reason", ["long: only with --soak, or never", "here mongomock cannot join", ""])
def test_ci_does_not_accept_a_reason_that_contains_one_of_the_list(reason: str) -> None:
    assert _checked(reason) == pytest.ExitCode.TESTS_FAILED
