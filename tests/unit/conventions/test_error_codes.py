"""One list has every error code, and nothing that is not one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from schema.error_codes import ERROR_CODES
from tests.unit.conventions.source import PROJECT, modules


def codes_used() -> dict[str, str]:
    """Every code that an error is raised with, as `code="..."` or as `code` of its class, with a place of it."""
    return {
        node.value: f"{module.name}:{node.lineno}"
        for module in modules()
        for given in codes_given(module.tree)
        for node in ast.walk(given)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch("[a-z0-9_]+", node.value)
    }


def codes_given(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(keywords=keywords):
                yield from (keyword.value for keyword in keywords if keyword.arg == "code" and is_text(keyword.value))
            case ast.ClassDef(body=body):
                for line in body:
                    match line:
                        case ast.Assign(targets=[ast.Name(id="code")], value=value):
                            yield value
                        case ast.AnnAssign(target=ast.Name(id="code"), value=ast.expr() as value):
                            yield value


def is_text(given: ast.expr) -> bool:
    """Whether a code is written out, at once or as a choice of two; others are passed on from where they were."""
    return isinstance(given, ast.Constant) or (isinstance(given, ast.IfExp) and is_text(given.body))


def test_every_code_that_the_source_uses_is_listed() -> None:
    assert {code: place for code, place in codes_used().items() if code not in ERROR_CODES} == {}


def test_every_code_that_is_listed_is_used() -> None:
    assert sorted(set(ERROR_CODES) - set(codes_used())) == []


def test_a_code_is_explained_in_one_sentence() -> None:
    sentence = re.compile(r"[A-Za-z`].*\w`?\.")
    unclear = {code: text for code, text in ERROR_CODES.items() if not sentence.fullmatch(text) or len(text) > 110}
    assert unclear == {}


def test_the_codes_of_http_answers_are_among_them() -> None:
    rows = re.findall(r"^\| \d{3} \| (.*) \|$", (PROJECT / "docs" / "http.md").read_text(encoding="utf-8"), re.M)
    codes = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)} - {"http_error"}
    assert len(codes) > 15
    assert codes <= set(ERROR_CODES)
