"""Configuration files: YAML, in which only the blocks of settings are constructed. What they can cost is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from chatstore_cli.config.profiles import BLOCK, is_profile_name, mark_of
from chatstore_cli.config.sources import Problem, Source, SourcedValue, read_text, suggestion
from chatstore_cli.config.yaml_document import line_of
from chatstore_cli.domain.errors import BadConfig

_MAX_DEPTH = 50
_MAX_MERGES = 100
_MAX_VALUE_LENGTH = 4_000
"""Characters of one value. YAML reads 1:0:0 as a number of base 60, which takes minutes for a million digits."""


def read_file(path: Path, label: str, keys: Sequence[str]) -> Source:
    """The values of a YAML file for the keys. Top-level blocks without any of the keys are not constructed.

    Raises BadConfig with file and line if the file cannot be read or is not a YAML mapping.
    """
    text = read_text(path, label)
    loader_class: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    source = Source(file=path)
    try:
        _check_depth(yaml.parse(text, Loader=loader_class), label)
        loader = loader_class(text)
        root = loader.get_single_node()
        if root is None or root.tag == "tag:yaml.org,2002:null":
            return source
        if not isinstance(root, yaml.MappingNode):
            line = root.start_mark.line + 1
            raise BadConfig(where=f"{label}:{line}", what="not a mapping of settings such as `mongo:`.")
        _BlockReader(loader, label, keys, source).read(root, "")
    except (yaml.YAMLError, RecursionError) as error:
        line = line_of(error, text)
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise BadConfig(where=f"{label}:{line}", what=f"not YAML: {reason}.") from error
    return source


def _check_depth(events: Iterable[Any], label: str) -> None:
    """Raise BadConfig if lists and blocks are inside each other too deep: composing them recurses in C."""
    depth = 0
    for event in events:
        name = type(event).__name__
        if name in ("SequenceStartEvent", "MappingStartEvent"):
            depth += 1
            if depth > _MAX_DEPTH:
                where = f"{label}:{event.start_mark.line + 1}"
                raise BadConfig(where=where, what=f"more than {_MAX_DEPTH} lists or blocks are inside each other.")
        elif name in ("SequenceEndEvent", "MappingEndEvent"):
            depth -= 1


_BLOCKS = frozenset({"mongo.cache.mapping"})
"""Settings that are written as a block of pairs, or as their text."""


class _Compound:
    """Stands for a list or a block in place of one value. It is not constructed: aliases may make it enormous."""

    def __init__(self, node: yaml.Node) -> None:
        self._text = "a list" if isinstance(node, yaml.SequenceNode) else "a block"

    def __repr__(self) -> str:
        return self._text


def _pairs(node: yaml.MappingNode) -> Any:
    """A block as text: `text=content, roles.bot=assistant`. It has at most one block below it."""
    pairs: list[str] = []
    for name, value in node.value:
        if isinstance(value, yaml.ScalarNode):
            pairs.append(f"{_name(name)}={value.value}")
        elif isinstance(value, yaml.MappingNode) and all(
            isinstance(inner, yaml.ScalarNode) for _, inner in value.value
        ):
            pairs.extend(f"{_name(name)}.{_name(inner)}={below.value}" for inner, below in value.value)
        else:
            return _Compound(value)
    return ", ".join(pairs) if sum(map(len, pairs)) <= _MAX_VALUE_LENGTH else _Compound(node)


def _name(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else repr(_Compound(node))


def _has_block(node: yaml.MappingNode, names: Sequence[str]) -> bool:
    """Whether one of these blocks is written in the node. What `<<` merges is not looked at: it may be the application's."""
    return any(_name(below) in names and isinstance(value, yaml.MappingNode) for below, value in node.value)


class _BlockReader:
    """Reads the blocks of settings in a YAML document, with the line of each value."""

    def __init__(self, loader: Any, label: str, keys: Sequence[str], source: Source) -> None:
        self._loader = loader
        self._label = label
        self._keys = keys
        self._source = source
        self._merges = 0
        self._mark = ""
        """What the place of a value has behind file and line: the profile that is read."""

    def read(self, node: yaml.MappingNode, prefix: str) -> None:
        below = (key.removeprefix(prefix) for key in self._keys if key.startswith(prefix))
        children = list(dict.fromkeys(key.partition(".")[0] for key in below))
        self._report_duplicates(node, prefix, children)
        for name_node, value_node in self._merged(node).values():
            where = self._place_of(name_node)
            name = _name(name_node)
            if name == BLOCK and not prefix and not self._mark:
                self._read_profiles(value_node, children)
            elif name in children:
                self._child(f"{prefix}{name}", value_node, where)
            elif prefix:
                hint = suggestion(name.lower(), children) or f"Known names: {', '.join(children)}."
                self._source.problems.append(Problem(where, f"unknown setting {prefix.rstrip('.')}: {name}.", hint))
            elif (similar := suggestion(name.lower(), children, cutoff=0.75)) or self._mark:
                what = f"the block {name} is unknown and is ignored."
                self._source.problems.append(Problem(where, what, similar, serious=False))

    def _place_of(self, node: yaml.Node) -> str:
        return f"{self._label}:{node.start_mark.line + 1}{self._mark}"

    def _read_profiles(self, node: yaml.Node, blocks: Sequence[str]) -> None:
        """Read each entry that has one of these blocks as a profile. Other entries are the application's."""
        if not isinstance(node, yaml.MappingNode):
            return
        of_file = self._source
        for name_node, value_node in self._merged(node).values():
            if not isinstance(value_node, yaml.MappingNode) or not _has_block(value_node, blocks):
                continue
            name = _name(name_node)
            if is_profile_name(name):
                self._source, self._mark = Source(file=of_file.file), mark_of(name)
                self.read(value_node, "")
                of_file.profiles[name] = self._source
                self._source, self._mark = of_file, ""
            else:
                what = "the profile is ignored. Its name must have at most 64 letters, digits, dots, - and _."
                of_file.problems.append(Problem(self._place_of(name_node), what, serious=False))
        self._report_duplicates(node, f"{BLOCK}.", [*of_file.profiles])

    def _merged(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Name and value by name, with those of other blocks that `<<` merges. Own ones win, then those of the first block."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for name_node, value_node in node.value:
            if name_node.tag != "tag:yaml.org,2002:merge":
                own[_name(name_node)] = (name_node, value_node)
                continue
            blocks = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for block in reversed(blocks):
                self._merges += 1
                where = f"{self._label}:{value_node.start_mark.line + 1}"
                if not isinstance(block, yaml.MappingNode):
                    raise BadConfig(where=where, what="<< must name a block, or a list of blocks.")
                if self._merges > _MAX_MERGES:  # blocks that merge each other twice grow exponentially
                    raise BadConfig(where=where, what=f"more than {_MAX_MERGES} blocks are merged with <<.")
                merged |= self._merged(block)
        return merged | own

    def _child(self, key: str, node: yaml.Node, where: str) -> None:
        if key not in self._keys:
            if isinstance(node, yaml.MappingNode):
                self.read(node, f"{key}.")
            elif node.tag != "tag:yaml.org,2002:null":  # without a value, all settings of the block are commented out
                self._source.problems.append(Problem(where, f"{key} must be a block of settings."))
            return
        self._source.values[key] = SourcedValue(self._value(key, node, where), where, expands=True)

    def _value(self, key: str, node: yaml.Node, where: str) -> Any:
        if key in _BLOCKS and isinstance(node, yaml.MappingNode):
            return _pairs(node)
        if not isinstance(node, yaml.ScalarNode):
            return _Compound(node)
        if len(node.value) > _MAX_VALUE_LENGTH:
            raise BadConfig(where=where, what=f"a value has more than {_MAX_VALUE_LENGTH:,} characters.")
        try:
            return self._loader.construct_object(node, deep=True)
        except (ValueError, TypeError, OverflowError) as error:  # such as the date 2026-13-45
            raise BadConfig(where=where, what=f"not YAML: {error}.") from error

    def _report_duplicates(self, node: yaml.MappingNode, prefix: str, children: Sequence[str]) -> None:
        seen: dict[str, int] = {}
        for name_node, _ in node.value:
            name, line = _name(name_node), name_node.start_mark.line + 1
            if name in seen and name in children:
                what = f"{prefix}{name} is set twice, in lines {seen[name]} and {line}."
                self._source.problems.append(Problem(self._place_of(name_node), what, "Keep one of them."))
            seen.setdefault(name, line)
