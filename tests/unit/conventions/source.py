"""The product's source files and what they import, read with ast and never imported."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

PROJECT = Path(__file__).parents[3]
LAYERS = ("function_app", "controllers", "services", "repositories", "schema")
"""Imports point from left to right."""


@dataclass(frozen=True)
class Module:
    """One source file of the product."""

    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        """Path from the project's folder."""
        return self.path.relative_to(PROJECT).as_posix()

    @cached_property
    def text(self) -> str:
        """What is in the file."""
        return self.path.read_text(encoding="utf-8")

    @property
    def layer(self) -> str:
        """First part of the path, without extension."""
        return self.name.removesuffix(".py").partition("/")[0]

    @cached_property
    def imported(self) -> list[str]:
        """Names of the modules that are imported anywhere in the file."""
        found: list[str] = []
        for node in self.import_nodes:
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            else:
                assert node.level == 0, f"{self.name}:{node.lineno} imports relatively"
                found.append(node.module or "")
        return found

    @cached_property
    def import_nodes(self) -> list[ast.Import | ast.ImportFrom]:
        """The import statements anywhere in the file."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.Import | ast.ImportFrom)]

    def imported_modules(self, known: Container[str]) -> Iterator[str]:
        """Those of the known modules that are imported: `from a import b` names a.b if that is a module, else a."""
        for node in self.import_nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in known)
            elif node.module:
                for alias in node.names:
                    submodule = f"{node.module}.{alias.name}"
                    yield from [name for name in (submodule, node.module) if name in known][:1]


@cache
def modules(*folders: str) -> list[Module]:
    """The Python files of the folders; of the whole product without any."""
    paths: list[Path] = []
    for folder in folders or LAYERS:
        paths += [PROJECT / f"{folder}.py"] if folder == "function_app" else sorted((PROJECT / folder).rglob("*.py"))
    return [_module(path) for path in paths]


@cache
def _module(path: Path) -> Module:
    return Module(path, ast.parse(path.read_text(encoding="utf-8")))


def imports(module: Module, *packages: str) -> list[str]:
    """Those of the packages, or of their parts, that a module imports."""
    return [name for name in module.imported if any(name == p or name.startswith(f"{p}.") for p in packages)]
