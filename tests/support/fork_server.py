"""Runs the command line in a process of its own without starting Python anew for each run.

A server has imported the package and forks a child for each command line. The child has its own environment, folder,
pipes and exit status, as a process that was started has; only the 0.2 s of start-up and imports are saved, and the limits
of time in patience.py are longer. What depends on the start itself (locale, PYTHON* variables, memory, signals to a
starting process) is tested with a started process.
"""

from __future__ import annotations

import array
import importlib
import importlib.util
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = ("httpx", "websockets.sync.client", "rich.console", "rich.table", "rich.live", "mongomock")
LARGEST_REQUEST = 1 << 20
OF_POSTGRES = ("sqlalchemy.dialects.postgresql.psycopg", "psycopg", "alembic.command")
READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_")
"""Variables that have an effect only while a process starts."""
LOCALE = {"LC_ALL": "C.UTF-8"}
CAN_FORK = hasattr(os, "pidfd_open") and hasattr(socket, "SCM_RIGHTS")


def suits(environment: Mapping[str, str]) -> bool:
    """True if a forked child behaves as a started process under these variables."""
    special = {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}
    return CAN_FORK and special == LOCALE


# --- the side of the tests -------------------------------------------------------------------------------------------


class ForkServer:
    """A server process that belongs to this process and ends with it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cs-", dir="/tmp")  # the path of a socket must be short
        self._path = os.path.join(self._folder.name, "s")  # noqa: PTH118 - plain text for the socket
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self._path)
            listener.listen(128)
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(listener.fileno())],
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,  # pipes, as a child of ours has: Python looks at them when it starts
                stdout=subprocess.PIPE,
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], **LOCALE},
            )

    def run(
        self, arguments: Sequence[str], *, stdin: bytes, environment: Mapping[str, str], cwd: Path, timeout: float
    ) -> tuple[int, bytes, bytes]:
        """Run the command line to its end: exit status, stdout, stderr. Raises subprocess.TimeoutExpired."""
        pipes = [os.pipe() for _ in range(4)]
        (stdin_read, stdin_write), (out_read, out_write), (err_read, err_write), (status_read, status_write) = pipes
        request = {"arguments": list(arguments), "environment": dict(environment), "cwd": str(cwd)}
        handed_over = [stdin_read, out_write, err_write, status_write]
        try:
            _send_request(self._path, request, handed_over)
        finally:
            for descriptor in handed_over:
                os.close(descriptor)
        received = _exchange({out_read: b"", err_read: b"", status_read: b""}, stdin_write, stdin, timeout)
        if not received[status_read]:
            raise RuntimeError("The fork server has ended. Its traceback is in the captured stderr.")
        child, *status = received[status_read].split()
        if not status:
            os.kill(int(child), signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(arguments), timeout, received[out_read], received[err_read])
        return int(status[0]), received[out_read], received[err_read]

    def write_program(self, path: Path) -> None:
        """Write an executable file that runs the command line for a shell, on the shell's own streams."""
        path.write_text(PROGRAM.format(python=sys.executable, folder=str(Path(__file__).parent), path=self._path))
        path.chmod(0o755)


PROGRAM = """#!{python} -SE
import sys
sys.path.insert(0, {folder!r})
from fork_server import run_for_a_shell
run_for_a_shell({path!r}, sys.argv[1:])
"""


def run_for_a_shell(path: str, arguments: list[str]) -> None:
    """Run the command line on the streams of this process, and end as it ends. Signals are passed on to it."""
    status_read, status_write = os.pipe()
    request = {"arguments": arguments, "environment": dict(os.environ), "cwd": os.getcwd()}  # noqa: PTH109 - as text
    _send_request(path, request, [0, 1, 2, status_write])
    os.close(status_write)
    report = os.read(status_read, 100)
    child = int(report.split()[0])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: os.kill(child, received))
    while piece := os.read(status_read, 100):
        report += piece
    status = int(report.split()[1])
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def _send_request(path: str, request: dict[str, Any], descriptors: list[int]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST_REQUEST)
        connection.connect(path)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        connection.sendmsg([json.dumps(request).encode()], rights)


def _exchange(received: dict[int, bytes], write_end: int, content: bytes, timeout: float) -> dict[int, bytes]:
    """Write `content` and read everything until all pipes are closed, or the time is over. Closes its descriptors."""
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for descriptor in received:
            selector.register(descriptor, selectors.EVENT_READ)
        os.set_blocking(write_end, False)
        selector.register(write_end, selectors.EVENT_WRITE)
        while selector.get_map():
            for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                if key.fd == write_end:
                    content = _write_some(write_end, content)
                    is_done = not content
                else:
                    piece = os.read(key.fd, 1 << 16)
                    received[key.fd] += piece
                    is_done = not piece
                if is_done:
                    selector.unregister(key.fd)
                    os.close(key.fd)
            if time.monotonic() >= deadline:
                break
        for descriptor in list(selector.get_map()):
            os.close(descriptor)
    return received


def _write_some(descriptor: int, content: bytes) -> bytes:
    """Write what the pipe takes; return the rest, which is nothing if nobody reads any more."""
    try:
        return content[os.write(descriptor, content) :] if content else b""
    except BlockingIOError:
        return content
    except BrokenPipeError:
        return b""


# --- the side of the server ------------------------------------------------------------------------------------------


def _import_everything() -> None:
    import chatstore_cli

    for name in PRELOADED:
        importlib.import_module(name)
    has_postgres = importlib.util.find_spec("psycopg") is not None
    for name in OF_POSTGRES if has_postgres else ():
        importlib.import_module(name)
    for module in pkgutil.walk_packages(chatstore_cli.__path__, "chatstore_cli."):
        is_migration = module.name.startswith("chatstore_cli.postgres.migrations.")  # Alembic runs them
        if module.name.endswith("__main__") or is_migration:
            continue
        if has_postgres or not module.name.startswith("chatstore_cli.postgres."):
            importlib.import_module(module.name)


def _serve(listener: socket.socket) -> dict[str, Any] | None:
    """Fork for each request. Returns the request in the child, and None in the server when the tests have ended."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(0, selectors.EVENT_READ)  # the tests hold the other end, and write nothing
    while True:
        for key, _ in selector.select():
            if key.fd == 0:
                return None
            if key.fileobj is not listener:
                child, status_pipe = key.data
                selector.unregister(key.fd)
                os.close(key.fd)
                _, status = os.waitpid(child, 0)
                _report(status_pipe, f" {os.waitstatus_to_exitcode(status)}")
                os.close(status_pipe)
                continue
            connection, _ = listener.accept()
            with connection:
                message, descriptors, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 4)
            *streams, status_pipe = descriptors
            child = os.fork()
            if child == 0:
                # Whoever waits for another child waits until nobody has the other end of its pipe: in `chatstore | chatstore`
                # both would wait for each other.
                for running in selector.get_map().values():
                    if running.data is not None:
                        os.close(running.data[1])
                selector.close()
                listener.close()
                os.close(status_pipe)
                for number, descriptor in enumerate(streams):
                    os.dup2(descriptor, number)
                    os.close(descriptor)
                request: dict[str, Any] = json.loads(message)
                return request
            for descriptor in streams:
                os.close(descriptor)
            _report(status_pipe, str(child))
            selector.register(os.pidfd_open(child), selectors.EVENT_READ, (child, status_pipe))


def _report(descriptor: int, text: str) -> None:
    try:
        os.write(descriptor, text.encode())
    except BrokenPipeError:
        return  # the test gave up


def _run(request: dict[str, Any]) -> None:
    """Become the process of the command line."""
    import atexit
    import threading

    from chatstore_cli.__main__ import main

    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.argv = [str(ROOT / "chatstore_cli" / "__main__.py"), *request["arguments"]]
    sys.path[0] = request["cwd"]
    try:
        main()
    except SystemExit as ended:
        # As the interpreter ends, without the time that it takes to free every imported module.
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(ended.code or 0))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, and they end the server
    _import_everything()
    import gc

    from patience import be_patient  # beside this file

    be_patient()

    gc.freeze()  # children share these pages as long as the collector does not write to them
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        request = _serve(listener)
    if request is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _run(request)
