"""The graph of folders: which imports which, and the circles among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from tests.unit.conventions.source import Module

Graph = Mapping[str, set[str]]


def folder_graph(modules: Sequence[Module]) -> Graph:
    """Return the imports between folders. A module that lies beside folders is a node of its own."""
    beside = {str(parent) for module in modules for parent in PurePosixPath(module.name).parent.parents}
    folders = {module.name: str(PurePosixPath(module.name).parent) for module in modules}
    return _graph(modules, {name: name if folder in beside else folder for name, folder in folders.items()})


def package_graph(modules: Sequence[Module]) -> Graph:
    """Return the imports between the folders of each layer, each with all of its sub-folders; modules beside them."""
    return _graph(modules, {module.name: "/".join(PurePosixPath(module.name).parts[:2]) for module in modules})


def _graph(modules: Sequence[Module], node_of: Mapping[str, str]) -> Graph:
    nodes = {_dotted(module.name): node_of[module.name] for module in modules}
    graph: dict[str, set[str]] = {node: set() for node in nodes.values()}
    for module in modules:
        own = node_of[module.name]
        graph[own] |= {nodes[name] for name in module.imported_modules(nodes)} - {own}
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """Return the groups of nodes that reach each other: Tarjan's strongly connected components of two or more."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
