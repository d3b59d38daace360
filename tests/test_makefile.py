"""The Makefile: its hooks for pre-commit are those of `make check`, and `make bench` reports every figure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT


def _make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as somebody who types it, also if these tests run below a make."""
    environment = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    }
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def test_the_hooks_of_pre_commit_are_the_commands_of_make_check() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    commands = [
        command for command in _make(ROOT, "-n", "check").stdout.splitlines() if command.startswith(".venv/bin/")
    ]
    assert [hook["entry"] for hook in repository["hooks"]] == commands
    assert len(commands) == 7
    for hook in repository["hooks"]:  # each looks at the whole tree, whatever files a commit has
        assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("system", False, True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose virtual environment is ready, without benchmarks."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    for name in ("pyproject.toml", "constraints.txt", ".venv/.installed-dev"):
        (tmp_path / name).touch()
    (tmp_path / "benchmarks").mkdir()
    return tmp_path


def _bench(checkout: Path, **scripts: int) -> subprocess.CompletedProcess[str]:
    """Run `make bench` over scripts that end with these statuses."""
    for name, status in scripts.items():
        (checkout / "benchmarks" / f"{name}.py").write_text(f"print('figure of {name}')\nraise SystemExit({status})\n")
    return _make(checkout, "bench")


def test_bench_runs_every_script_before_it_fails(checkout: Path) -> None:
    done = _bench(checkout, append=0, flush=1, resume=3, usage=0)
    assert done.returncode != 0
    assert done.stdout.splitlines() == ["figure of append", "figure of flush", "figure of resume", "figure of usage"]
    assert "benchmarks/flush.py benchmarks/resume.py" in done.stderr
    assert "append" not in done.stderr


def test_bench_succeeds_if_every_figure_meets_its_bound(checkout: Path) -> None:
    done = _bench(checkout, append=0, usage=0)
    assert (done.returncode, done.stderr) == (0, "")
