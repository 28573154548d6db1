"""A filled tree as JSON text, as far as it is certain. Knows values and keys, no model and no wire shape.

Text that is out never has to be taken back: where something later could still refuse the whole, it waits.
"""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

from edgevlm_server.filled.tree import Branch, Constant, Leaf, Member, Node, leaves


class Found(NamedTuple):
    """What came of a leaf: its value, or why there is none."""

    value: Any
    reason: str | None = None


class Unwritable(Exception):
    """There is no value where one must be; of the first such leaf, whose `reason` this is."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Waits(Exception):
    """What follows is not certain yet."""


class _Fate(Enum):
    """Whether a node can be written."""

    SURE = "sure"
    OPEN = "open"
    LOST = "lost"


def written(root: Node, found: Mapping[Leaf, Found]) -> str:
    """The text so far: the same and more, the more leaves are found. Raises `Unwritable` where there is no answer."""
    text = ""
    try:
        for piece in _pieces(root, found):
            text += piece
    except _Waits:
        pass
    return text


def _pieces(node: Node, found: Mapping[Leaf, Found]) -> Iterator[str]:
    if isinstance(node, Constant):
        yield _json(node.value)
    elif isinstance(node, Leaf):
        yield _json(_value(node, found))
    elif (fate := _inner(node, found)) is _Fate.SURE:
        yield "{"
        yield from _members(node.members, found)
        yield "}"
    elif fate is _Fate.OPEN:
        raise _Waits
    elif node.nullable:
        yield "null"
    else:
        raise Unwritable(_why(node, found))


def _members(members: tuple[Member, ...], found: Mapping[Leaf, Found]) -> Iterator[str]:
    between = ""
    for name, node, optional in members:
        fate = _fate(node, found)
        if optional and fate is _Fate.OPEN:
            raise _Waits
        if not optional or fate is _Fate.SURE:
            yield f"{between}{_json(name)}: "
            yield from _pieces(node, found)
            between = ", "


def _value(leaf: Leaf, found: Mapping[Leaf, Found]) -> Any:
    if leaf not in found:
        raise _Waits
    if reason := _lost(leaf, found):
        raise Unwritable(reason)
    return found[leaf].value


def _lost(leaf: Leaf, found: Mapping[Leaf, Found]) -> str | None:
    """Why there is neither a value nor null."""
    return found[leaf].reason if leaf in found and not leaf.nullable else None


def _why(node: Node, found: Mapping[Leaf, Found]) -> str:
    """Of a lost node: the reason of the first leaf that had to be there, or of the first where any would do."""
    if isinstance(node, Leaf):
        return found[node].reason or ""
    assert isinstance(node, Branch), "a constant is never lost"
    lost = [one for one in node.members if _asks(one.node) and _fate(one.node, found) is _Fate.LOST]
    needed = (one for one in lost if not one.optional)
    return _why(next(needed, lost[0]).node, found)


def _fate(node: Node, found: Mapping[Leaf, Found]) -> _Fate:
    if isinstance(node, Constant) or node.nullable:
        return _Fate.SURE
    if isinstance(node, Branch):
        return _inner(node, found)
    if node not in found:
        return _Fate.OPEN
    return _Fate.LOST if _lost(node, found) else _Fate.SURE


def _inner(branch: Branch, found: Mapping[Leaf, Found]) -> _Fate:
    """Whether its keys can be written: what must be there is, and something that was asked for."""
    fates = [(_fate(member.node, found), member.optional) for member in branch.members if _asks(member.node)]
    needed = {fate for fate, optional in fates if not optional}
    for worst in (_Fate.LOST, _Fate.OPEN):
        if worst in needed:
            return worst
    every = {fate for fate, _ in fates}
    if needed or not every or _Fate.SURE in every:
        return _Fate.SURE
    return _Fate.OPEN if _Fate.OPEN in every else _Fate.LOST


def _asks(node: Node) -> bool:
    return next(leaves(node), None) is not None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
