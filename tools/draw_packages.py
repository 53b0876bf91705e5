"""Write docs/development/packages.md: which package imports which, and the import contracts (`make picture`).

The layers and contracts are read from pyproject.toml, the imports from the code. With --check the page is only
compared; the exit status is 1 if it differs.
"""

import itertools
import sys
import tomllib
from pathlib import Path
from typing import Final

import grimp

from generated_page import write_or_compare

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "development" / "packages.md"
PACKAGE: Final = "moorage"
_HEAD: Final = """\
# Packages

Look up which package of Moorage may import which. `make picture` writes this page from the code and from the contracts
in `pyproject.toml`, which `make lint` checks.

## Who imports whom

An arrow leads from a package to one that it imports. An arrow is left out if a path of other arrows leads there.

"""


def page() -> str:
    """Return the text of docs/development/packages.md."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    groups = [_short(group) for layer in layers for group in layer.split("|")]
    edges = _reduced(_edges(groups))
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'  {_node(group)}["{"<br>".join(group)}"]' for group in groups]
    lines += [f"  {_node(groups[one])} --> {_node(groups[other])}" for one, other in sorted(edges)]
    lines += [
        "```",
        "",
        "## Layers",
        "",
        "A package imports packages of lower rows only. Packages that a comma separates may",
    ]
    lines += ["import each other; those that a dot separates may not."]
    lines += ["", "| layer | packages |", "|---|---|"]
    for number, layer in enumerate(layers, 1):
        cells = [", ".join(f"`{name}`" for name in _short(group)) for group in layer.split("|")]
        lines.append(f"| {number} | {' · '.join(cells)} |")
    lines += ["", "## Contracts", ""]
    lines += [f"- {each['name']}." for each in contracts]
    return _HEAD + "\n".join(lines) + "\n"


def _short(group: str) -> tuple[str, ...]:
    """The packages of a part of a layer such as `moorage.cli : moorage.server`, without the prefix."""
    return tuple(name.strip().removeprefix(f"{PACKAGE}.") for name in group.split(":"))


def _node(group: tuple[str, ...]) -> str:
    return group[0]


def _edges(groups: list[tuple[str, ...]]) -> set[tuple[int, int]]:
    """The pairs of groups, by their numbers, of which the first imports the second directly."""
    number = {name: index for index, group in enumerate(groups) for name in group}
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    found = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            one, other = (number.get(_top(name)) for name in (module, imported))
            if one is not None and other is not None and one != other:
                found.add((one, other))
    return found


def _top(module: str) -> str:
    """The name below `moorage` of the package or module that `module` belongs to."""
    return module.split(".")[1] if "." in module else ""


def _reduced(edges: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The edges of an acyclic graph that do not follow from others (its transitive reduction)."""
    reachable = set(edges)
    nodes = {node for edge in edges for node in edge}
    for middle, one, other in itertools.product(nodes, repeat=3):
        if (one, middle) in reachable and (middle, other) in reachable:
            reachable.add((one, other))
    indirect = {(one, other) for one, middle in edges for other in nodes if (middle, other) in reachable}
    return edges - indirect


if __name__ == "__main__":
    sys.exit(write_or_compare(PAGE, page(), source="the code", target="picture"))
