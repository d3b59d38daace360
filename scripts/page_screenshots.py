"""Makes the pictures of the page in docs/images from the demo's samples: `.venv/bin/python scripts/page_screenshots.py`.

It starts `chatstore serve --demo` in a temporary home with the embedded MongoDB, and needs chromium and the extras
[embedded,server,dev].
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent.parent / "docs" / "images"
VIEWS = {
    "page-sessions": "/page/sessions",
    "page-session": "/page/session?layout=workflow&id=chat-5d1c07e2",
    "page-usage": "/page/usage?by=day&since=3d",
}
_SIZE = (1100, 720)


@contextmanager
def demo_server() -> Iterator[str]:
    """The URL of a server on the samples."""
    with tempfile.TemporaryDirectory(prefix="chatstore-page-") as home:
        variables = {f"XDG_{name}_HOME": f"{home}/{name.lower()}" for name in ("CONFIG", "DATA", "STATE", "CACHE")}
        command = [sys.executable, "-m", "chatstore_cli", "--quiet", "serve", "--demo", "--port", "0", "-o", "json"]
        environment = {**os.environ, "HOME": home, **variables}
        environment.pop("DISPLAY", None)
        environment.pop("WAYLAND_DISPLAY", None)
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
            try:
                assert process.stdout is not None
                yield json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")["url"]
            finally:
                process.send_signal(signal.SIGTERM)


def main() -> None:
    """Write one picture for each view, in the light theme."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Install chromium first.")
    IMAGES.mkdir(exist_ok=True)
    width, height = _SIZE
    with demo_server() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(base_url=url, viewport={"width": width, "height": height}, color_scheme="light")
        for name, path in VIEWS.items():
            page.goto(path)
            file = IMAGES / f"{name}.png"
            page.screenshot(path=file)
            print(f"{file.name}: {file.stat().st_size // 1024} kB")
        browser.close()


if __name__ == "__main__":
    main()
