"""Entry point. `--version` is answered before anything else is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and end the process with its exit status."""
    if sys.argv[1:] == ["--version"]:
        from chatstore_cli import __version__

        sys.stdout.write(f"chatstore {__version__}\n")
        raise SystemExit(0)
    import gc

    # Decoding a journal, as importing, makes many objects and no cycles: looking for garbage so often costs a tenth.
    gc.set_threshold(400_000, 20, 50)
    from chatstore_cli.cli.main import run

    status = run(sys.argv[1:])
    gc.freeze()  # else the interpreter looks through everything for garbage once more at its end: 40 ms of 250
    raise SystemExit(status)


if __name__ == "__main__":
    main()
