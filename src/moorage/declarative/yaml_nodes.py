"""YAML as a tree of nodes, each with its position in the file, within fixed bounds.

Only YAML's safe core: no aliases (so no document is larger than it looks), one document, bounded size, depth and number
of nodes. The events of libyaml's parser are read once: PyYAML's own parser takes six seconds for 1 MiB.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn, cast

import msgspec
import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from moorage.errors import MoorageError

BYTES: Final = 1 << 20
"""The most bytes of a file."""
NODES: Final = 200_000
"""The most keys and values of a file. Five thousand users, IAM's quota, are a quarter of that."""
_DEPTH: Final = 40
_LONGEST_KEY: Final = 64
"""The most characters of a key that messages repeat."""
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # without libyaml, PyYAML is slow but works
_LONGEST_NUMBER: Final = 400
"""The most characters of a number. The time to read one in base 60 (`1:30:00`) grows with the square of its length."""
_RESOLVER: Final[Any] = Resolver()
_NULL: Final = "tag:yaml.org,2002:null"
_STEP: Final = re.compile(r"\.([^.\[]+)|\[([0-9]+)\]")


class DeclarationInvalid(MoorageError):
    """An error in a declarative file; the message gives the place."""

    code = "DeclarationInvalidException"


class NodeError(Exception):
    """An error in a node; `refusal` adds its place."""

    def __init__(self, node: "Node", why: str) -> None:
        super().__init__(why)
        self.node, self.why = node, why

    def refusal(self, top: "Node") -> DeclarationInvalid:
        """Return the error for the author of the file, whose top node is `top`."""
        node = self.node
        path = _path(top, node)
        return DeclarationInvalid(f"line {node.line + 1}, column {node.column + 1}, {path or '/'}: {self.why}")


class Node(msgspec.Struct, gc=False):
    """A node of the file: a scalar, a list (`children`) or a mapping (`pairs` of keys and values).

    It does not know its parent: without cycles the collector need not know a tree of 200,000 nodes, nor free it.
    """

    line: int
    column: int
    _text: str | None = None
    _tag: str | None = None
    _plain: tuple[bool, bool] = (False, False)
    children: "list[Node] | None" = None
    pairs: "list[tuple[Node, Node]] | None" = None

    def fail(self, why: str) -> NoReturn:
        """Raise NodeError."""
        raise NodeError(self, why)

    @property
    def is_null(self) -> bool:
        return self._text is not None and self.tag == _NULL

    @property
    def tag(self) -> str:
        """The tag of a scalar: as it is written, or as its text implies."""
        if self._tag is None or self._tag == "!":
            return str(_RESOLVER.resolve(yaml.ScalarNode, self._text, self._plain))
        return self._tag

    def members(self, known: Sequence[str] | None = None) -> dict[str, "Node"]:
        """Return the members of a mapping. NodeError for members that are not in `known`."""
        if self.pairs is None:
            self.fail("must be a mapping")
        found: dict[str, Node] = {}
        for key, value in self.pairs:
            name = key._text
            if name is None:
                key.fail("a key must be a string")
            if name in found:
                key.fail("appears twice")
            if known is not None and name not in known:
                shown = name[:_LONGEST_KEY]
                near = difflib.get_close_matches(shown, known, 1)
                hint = f"; did you mean '{near[0]}'?" if near else f"; the known keys are {', '.join(known)}"
                key.fail(f"unknown key '{shown}'{hint}")
            found[name] = value
        return found

    def items(self) -> list["Node"]:
        """Return the items of a list."""
        if self.children is None:
            self.fail("must be a list")
        return self.children

    def text(self) -> str:
        """Return the text of a scalar. Numbers and words such as `yes` are texts too, as they are written."""
        if self._text is None or self.is_null:
            self.fail("must be a string")
        return self._text

    def at(self, place: str) -> "Node":
        """Return the node at `place` (`$.root.units[0]`), or the last one that exists on the way there."""
        node = self
        for name, number in _STEP.findall(place):
            parts: Mapping[Any, Node] = {}
            if node.pairs is not None:
                parts = node.members()
            elif node.children is not None:
                parts = dict(enumerate(node.children))
            found = parts.get(name or int(number))
            if found is None:
                break
            node = found
        return node

    def value(self) -> Any:
        """Return the value as JSON would have it."""
        if self.pairs is not None:
            return {key: member.value() for key, member in self.members().items()}
        if self.children is not None:
            return [each.value() for each in self.children]
        tag = self.tag
        construct = _CONSTRUCT.get(tag)
        if construct is None:  # a text, a date, or an unknown tag
            return self._text
        wrong = "is not a valid number, boolean or null"
        if len(self._text or "") > _LONGEST_NUMBER:
            self.fail(wrong)
        try:
            return construct(yaml.ScalarNode(tag, self._text))
        except (ValueError, LookupError, yaml.YAMLError):  # a tag that does not fit
            self.fail(wrong)


_CONSTRUCTOR: Final = SafeConstructor()
_CONSTRUCT: Final[Mapping[str, Any]] = {
    "tag:yaml.org,2002:int": _CONSTRUCTOR.construct_yaml_int,
    "tag:yaml.org,2002:bool": _CONSTRUCTOR.construct_yaml_bool,
    "tag:yaml.org,2002:float": _CONSTRUCTOR.construct_yaml_float,
    _NULL: _CONSTRUCTOR.construct_yaml_null,
}


def parse(text: str) -> Node:
    """Return the top node of a file. DeclarationInvalid."""
    if len(text.encode("utf-8", "surrogatepass")) > BYTES:
        raise DeclarationInvalid(f"the file is longer than {BYTES} bytes")
    try:
        top = _built(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise DeclarationInvalid(f"{where}{error.problem}") from error
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise DeclarationInvalid("the file contains a character that YAML does not allow") from error
    if top is None:
        raise DeclarationInvalid("the file is empty")
    return top


def _built(text: str) -> Node | None:
    """Return the tree, built in one pass over the parser's events."""
    top: Node | None = None
    open_: list[Node] = []
    keys: list[Node | None] = []  # of each open node, the key that waits for its value
    count = 0
    for event in yaml.parse(_ChunkedText(text), Loader=_LOADER):
        mark: Any = event.start_mark
        if isinstance(event, yaml.CollectionEndEvent):
            open_.pop()
            keys.pop()
        if not isinstance(event, yaml.NodeEvent):
            continue
        line = mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise DeclarationInvalid(f"line {line}: aliases (*name) are not allowed")
        count += 1
        if count > NODES:
            raise DeclarationInvalid(f"line {line}: more than {NODES} keys and values")
        node = _node(event, mark)
        if not open_:
            if top is not None:
                raise DeclarationInvalid(f"line {line}: more than one document")
            top = node
        else:
            parent, key = open_[-1], keys[-1]
            if parent.children is not None:
                parent.children.append(node)
            elif key is None:
                keys[-1] = node
            else:
                cast("list[tuple[Node, Node]]", parent.pairs).append((key, node))
                keys[-1] = None
        if not isinstance(event, yaml.ScalarEvent):
            open_.append(node)
            keys.append(None)
            if len(open_) > _DEPTH:
                raise DeclarationInvalid(f"line {line}: nested too deeply")
    return top


def _node(event: Any, mark: Any) -> Node:
    if isinstance(event, yaml.ScalarEvent):
        return Node(mark.line, mark.column, event.value, event.tag, event.implicit)
    if isinstance(event, yaml.MappingStartEvent):
        return Node(mark.line, mark.column, pairs=[])
    return Node(mark.line, mark.column, children=[])


class _ChunkedText:
    """The text as a stream, so that other threads can run between the chunks of 16 KiB that the parser reads."""

    def __init__(self, text: str) -> None:
        self._bytes = text.encode()
        self._at = 0

    def read(self, size: int = -1, /) -> bytes:
        piece = self._bytes[self._at : self._at + size]
        self._at += len(piece)
        return piece


def free(top: Node) -> None:
    """Free everything below `top` node by node. Freeing it at once would stop every thread for that long."""
    waiting = [top]
    while waiting:
        node = waiting.pop()
        waiting += node.children or ()
        for pair in node.pairs or ():
            waiting += pair
        node.children = node.pairs = None


class _PathEntry(NamedTuple):
    """A node and the way to it. The path is only built for the node that is searched for."""

    node: Node
    step: str
    above: "_PathEntry | None"

    def __str__(self) -> str:
        steps = []
        way: _PathEntry | None = self
        while way is not None:
            steps.append(way.step)
            way = way.above
        return "".join(reversed(steps))


def _path(top: Node, wanted: Node) -> str:
    """Return the keys from `top` to `wanted`, a node below it or a key (`/accounts/111122223333/users`)."""
    waiting = [_PathEntry(top, "", None)]
    while waiting:
        way = waiting.pop()
        if way.node is wanted:
            return str(way)
        waiting += [_PathEntry(child, f"/{number}", way) for number, child in enumerate(way.node.children or ())]
        for key, value in way.node.pairs or ():
            below = _PathEntry(value, "" if key._text is None else f"/{key._text[:_LONGEST_KEY]}", way)
            if key is wanted:
                return str(below)
            waiting.append(below)
    return ""
