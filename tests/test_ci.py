"""The browser that .ci/run needs: found if it starts, installed on Debian, and asked for in words elsewhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.paths import ROOT

FINDER = [sys.executable, ROOT / "tests/support/chromium.py"]
STUB = "#!/bin/sh\necho 'requires the chromium snap to be installed' >&2\nexit 1\n"
APT_WITHOUT_CHROMIUM = "#!/bin/sh\ncase $1 in policy) echo '  Candidate: (none)';; esac\n"


def program(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def found(folder):
    done = subprocess.run(FINDER, env={"PATH": f"{folder}"}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def test_a_browser_is_found_only_if_it_starts(tmp_path):
    assert found(tmp_path) == (1, "", "chromium is not installed")
    program(tmp_path, "chromium-browser", STUB)
    assert found(tmp_path) == (1, "", f"chromium is not installed: {tmp_path}/chromium-browser does not start")
    program(tmp_path, "google-chrome", "#!/bin/sh\n")
    assert found(tmp_path) == (0, f"{tmp_path}/google-chrome", "")


@pytest.mark.parametrize("is_root", [True, False])
def test_ci_says_what_is_missing_on_a_system_without_the_package(tmp_path, is_root):
    """Every program that it calls before `make` is a stand-in, so nothing is installed."""
    for name in ("make", "openssl", "zsh", "fish", "groff", "apt-get", "ldconfig"):
        program(tmp_path, name, "#!/bin/sh\n")
    program(tmp_path, "make", "#!/bin/sh\necho made\n")
    program(tmp_path, "apt-cache", APT_WITHOUT_CHROMIUM)
    program(tmp_path, "id", f"#!/bin/sh\necho {0 if is_root else 1000}\n")
    program(tmp_path, "chromium-browser", STUB)
    for name in ("bash", "grep", "dirname", "sh"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    (tmp_path / "python3").symlink_to(sys.executable)
    done = subprocess.run(
        ["/usr/bin/bash", ROOT / ".ci/run"], env={"PATH": f"{tmp_path}"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert ("no package chromium: Ubuntu has it as a snap only" in done.stderr) == is_root
    assert "chromium" in done.stderr
