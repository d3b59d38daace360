"""The entry point. `--version` is printed before anything else is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its status."""
    if sys.argv[1:] == ["--version"]:
        from chatstore_cli import __version__

        sys.stdout.write(f"chatstore {__version__}\n")
        raise SystemExit(0)
    import gc

    # Imports and the decoding of journals create many objects without cycles. The default thresholds cost 10 %.
    gc.set_threshold(400_000, 20, 50)
    try:
        from chatstore_cli.cli.main import run

        status = run(sys.argv[1:])
        gc.freeze()  # saves the last garbage collection of the interpreter, 40 ms of 250
    except KeyboardInterrupt:  # during the imports, or a second one while the first is reported
        status = 130
    raise SystemExit(status)


if __name__ == "__main__":
    main()
