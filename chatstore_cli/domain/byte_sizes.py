"""Sizes in bytes, parsed from and formatted as text with a unit."""

from __future__ import annotations

import re

from chatstore_cli.domain.errors import BadValue

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_FACTORS = {"": 1, "B": 1, "BYTES": 1}
_FACTORS |= {f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", 1)}
_FACTORS |= {f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)}
_WRITTEN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([a-zA-Z]*)")


def read_bytes(text: str, name: str) -> int:
    """The number of bytes in a text such as `8MiB`, `500 kB`, `1.5GiB` or `4096`. Raises BadValue that names `name`."""
    match = _WRITTEN.fullmatch(text.strip())
    factor = None if match is None else _FACTORS.get(match[2].upper())
    if match is None or factor is None:
        raise BadValue(name=name, value=text, expected="a size such as 8MiB or 500kB")
    return int(float(match[1]) * factor)


def format_bytes(size: float) -> str:
    """A number of bytes as text with two or three digits and a unit: `301 MiB`, `1.5 GiB`."""
    for unit in _UNITS[:-1]:
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" or abs(size) >= 10 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"
