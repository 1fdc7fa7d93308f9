"""The measures of the source: folders, modules, functions, comments, docstrings.

`python -m tests.unit.conventions.measures` prints them with their aims. test_limits.py holds the limits; comment
density and private functions that are used once have aims only, because a limit on them would be met with filler.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tests.unit.conventions.source import PROJECT, Module, modules

MAX_MODULES = 16
MAX_FUNCTION_P90 = 22
PERCENTILE = 0.9
COMMENTED = ("controllers", "repositories", "services")
"""Layers whose comments are counted."""
DIRECTIVE = re.compile(r"#\s*(noqa|type:|fmt:|pragma|mypy)")
DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
UNCLEAR_STARTS = ("Give", "Tell", "Say", "See")
"""Docstrings start with what is returned or done: Return, Whether, Check, Raise, Write."""


@dataclass(frozen=True)
class Function:
    """A function, and where it stands."""

    module: str
    name: str
    lines: int

    @property
    def is_private(self) -> bool:
        """Whether its name says that it is of its module or class alone."""
        return self.name.startswith("_") and not self.name.startswith("__")


def modules_by_folder(known: Iterable[Module]) -> Counter[str]:
    """Count the modules of each folder; __init__.py and sub-folders do not count."""
    paths = [PurePosixPath(module.name) for module in known]
    return Counter(str(path.parent) for path in paths if path.name != "__init__.py")


def functions(known: Iterable[Module]) -> list[Function]:
    """List all functions and methods, with their length in lines, decorators left out."""
    return [
        Function(module.name, node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
        for module in known
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef)
    ]


def percentile(values: Iterable[int], share: float) -> int:
    """Return the value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def unclear_docstrings(known: Iterable[Module]) -> Iterator[str]:
    """Name the docstrings that start with one of UNCLEAR_STARTS, with their lines."""
    for module in known:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
                text := ast.get_docstring(node)
            ):
                first = text.split(maxsplit=1)[0].rstrip(".,:")
                if first in UNCLEAR_STARTS:
                    yield f"{module.name}:{node.lineno} {node.name}: {first}"


def comments_per_100(known: Iterable[Module]) -> float:
    """Return the comments for each 100 lines that are neither blank nor a comment; directives to tools do not count."""
    lines = comments = 0
    for module in known:
        text = module.text
        lines += sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        comments += sum(1 for t in tokens if t.type == tokenize.COMMENT and not DIRECTIVE.match(t.string))
    return 100.0 * comments / lines


def privates_used_once(known: Sequence[Module]) -> float:
    """Return the share of private functions whose name stands once in its module besides its definition."""
    uses: Counter[tuple[str, str]] = Counter()
    for module in known:
        uses.update((module.name, word) for word in re.findall(r"\b_\w+", module.text))
    private = [function for function in functions(known) if function.is_private]
    return sum(uses[f.module, f.name] <= 2 for f in private) / len(private)


def lines_of(known: Iterable[Module]) -> list[int]:
    """Return the lines of each module."""
    return [len(module.text.splitlines()) for module in known]


def report() -> Iterator[str]:
    """Write each measure of the product with its aim or limit."""
    product = modules()
    folder, fullest = modules_by_folder(product).most_common(1)[0]
    lengths, module_lines = [function.lines for function in functions(product)], lines_of(product)
    tests = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (PROJECT / "tests").rglob("*.py"))
    halves = [percentile(values, 0.5) for values in (module_lines, lengths)]
    tails = [percentile(values, PERCENTILE) for values in (module_lines, lengths)]
    once, density = privates_used_once(product), comments_per_100(modules(*COMMENTED))
    yield f"modules in the fullest folder: {fullest} ({folder}); limit {MAX_MODULES}"
    yield f"module lines, median and p90: {halves[0]}, {tails[0]}; aim 120 to 160, 300"
    yield f"function lines, median and p90: {halves[1]}, {tails[1]}; limit of p90 {MAX_FUNCTION_P90}"
    yield f"longest function: {max(lengths)} lines; aim 45"
    yield f"private functions used once: {once:.0%}; aim below 45%"
    yield f"comments per 100 code lines of {', '.join(COMMENTED)}: {density:.1f}; aim 4 to 7, each a reason"
    yield f"docstrings that start with {', '.join(UNCLEAR_STARTS)}: {len(list(unclear_docstrings(product)))}; limit 0"
    yield f"lines of tests for each line of source: {tests / sum(module_lines):.2f}; aim 1"


if __name__ == "__main__":
    sys.stdout.write("\n".join(report()) + "\n")
