"""Workers in servers are named as long as their process runs, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from chatstore_cli.files.running_workers import RunningWorker, running_worker

PROGRAM = """
import sys
from pathlib import Path
from chatstore_cli.files.running_workers import RunningWorker
kept = RunningWorker(Path(sys.argv[1]), "a server")
print("announced", flush=True)
sys.stdin.read()
"""


def test_several_workers_are_named_as_long_as_one_of_them_runs(tmp_path):
    assert running_worker([tmp_path, tmp_path / "missing"]) is None
    first, second = RunningWorker(tmp_path, "first"), RunningWorker(tmp_path, "second")
    found = running_worker([tmp_path])
    assert found is not None
    assert (found.command in {"first", "second"}, found.pid) == (True, os.getpid())
    first.close()
    left = running_worker([tmp_path])
    assert left is not None
    assert left.command == "second"
    second.close()
    assert running_worker([tmp_path]) is None
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_is_not_named_and_its_file_is_removed_by_the_next_worker(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"announced\n"
        found = running_worker([tmp_path])
        assert found is not None
        assert found.pid == process.pid
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(list(tmp_path.iterdir())) == 1
    assert running_worker([tmp_path]) is None
    RunningWorker(tmp_path, "next").close()
    assert list(tmp_path.iterdir()) == []


def test_other_files_of_that_name_are_no_workers(tmp_path):
    (tmp_path / "worker-1.holder").write_text("{}")
    (tmp_path / "worker-2.holder").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "worker-3.holder")
    assert running_worker([tmp_path]) is None
