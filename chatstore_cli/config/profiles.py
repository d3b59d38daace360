"""Profiles: named blocks of a configuration file, of which one overrides the settings of the files.

An application's own file may have a block `profiles` too. An entry of it is a profile of chatstore if it has one of
chatstore's blocks; other entries are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from chatstore_cli.config.sources import Problem, Source, suggestion

BLOCK = "profiles"
VARIABLE = "CHATSTORE_PROFILE"
_NAME = re.compile(r"[\w.-]{1,64}")
_MOST_LISTED = 20


class ActiveProfile(NamedTuple):
    """The profile in use: its name, what chose it, and which of its settings the environment overrides, in words."""

    name: str
    chosen_by: str
    overridden: tuple[str, ...] = ()


def is_profile_name(name: str) -> bool:
    """Whether a profile can have this name, which is printed on one line with other text."""
    return _NAME.fullmatch(name) is not None


def mark_of(name: str) -> str:
    """What the source of a value has behind file and line if the value is a profile's."""
    return f" (profile {name})"


def names_of_profiles(files: Iterable[Source]) -> tuple[str, ...]:
    """The names of all profiles of the files, in the order of the files."""
    return tuple(dict.fromkeys(name for file in files for name in file.profiles))


def unknown_profile(profile: ActiveProfile, files: Sequence[Source]) -> Problem:
    """The problem that no file has a profile of this name."""
    names = names_of_profiles(files)
    if names:
        more = ", ..." if len(names) > _MOST_LISTED else ""
        similar = suggestion(profile.name, names)
        hint = f"{similar} " if similar else ""
        hint += f"Profiles: {', '.join(names[:_MOST_LISTED])}{more}."
    else:
        read = ", ".join(str(file.file) for file in files) or "no file"
        hint = f"A profile is an entry of {BLOCK} that has a block of settings such as mongo (read: {read})."
    return Problem(profile.chosen_by, f"no profile is named {profile.name[:80]!r}.", hint)


def overridden_settings(of_profile: Iterable[Source], sources: Iterable[Source]) -> tuple[str, ...]:
    """The settings of a profile that a source above the files overrides, with that source, in words."""
    keys = dict.fromkeys(key for source in of_profile for key in source.values)
    above: Mapping[str, str] = {key: value.source for source in sources for key, value in source.values.items()}
    return tuple(f"{above[key]} overrides {key}" for key in keys if key in above)
