"""Imports only point right, and each library has its one place."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from tests.unit.conventions.source import LAYERS, Module, imports, modules

PRODUCT = modules()
HOSTED = modules("local")

BROAD_EXCEPTS = {
    "controllers/http/replies.py": "a caller gets a sentence for a bug of ours too",
    "controllers/engine/engine.py": "around what a poisoned message points at",
    "controllers/engine/start.py": "around create_tasks of a job type",
    "controllers/engine/runner.py": "around the handler",
    "controllers/engine/transitions.py": "around a controller's hand-over and aggregation, inside the transaction",
    "controllers/engine/sweep.py": "a row that cannot be healed must not stop the sweep for the others",
    "controllers/http/health.py": "whatever breaks a check is a state of its part",
    "controllers/engine/heartbeat.py": "a thread that ended would cost its worker every task from then on",
}
# What a controller must decide by the rules of the handlers; none of them loads GDAL.
PURE_VECTOR_MODULES = {
    "services.vector",
    "services.vector.chunks",
    "services.vector.formats",
    "services.vector.read_options",
    "services.vector.readers.encodings",
    "services.vector.load",
    "services.vector.load.names",
    "services.vector.load.row_accounting",
    "services.vector.load.stages",
}


def test_imports_only_point_right() -> None:
    assert breaking(PRODUCT, lambda m: imports(m, *LAYERS[: LAYERS.index(m.layer)], "local", "tests")) == {}


def test_the_command_line_imports_nothing_of_the_app() -> None:
    assert breaking(modules("client"), lambda m: imports(m, *LAYERS, "local", "tests")) == {}


def test_azure_functions_is_imported_only_by_the_triggers_and_the_local_host() -> None:
    others = [m for m in (*PRODUCT, *HOSTED) if m.name != "function_app.py" and not m.name.startswith("local/host/")]
    assert breaking(others, lambda m: imports(m, "azure.functions")) == {}
    assert breaking(others, lambda m: "functions" in names_from(m, "azure")) == {}


def test_servers_are_talked_to_only_by_repositories() -> None:
    clients = ("azure.storage", "azure.identity", "azure.core", "psycopg", "psycopg_pool")
    assert breaking([m for m in PRODUCT if m.layer != "repositories"], lambda m: imports(m, *clients)) == {}


def test_statements_are_taken_from_their_files_in_one_way() -> None:
    others = [m for m in PRODUCT if m.name != "repositories/postgres.py"]
    assert breaking(others, lambda m: "load_queries" in m.text) == {}


def test_vectors_are_read_only_by_the_gdal_whose_drivers_are_named() -> None:
    # Whoever imports pyogrio first loads GDAL: without that module it would have every driver.
    others = [m for m in PRODUCT if m.name != "services/vector/gdal.py"]
    assert breaking(others, lambda m: imports(m, "pyogrio")) == {}


def test_the_environment_is_read_only_by_the_settings() -> None:
    assert breaking([m for m in PRODUCT if m.name != "schema/settings.py"], environment_reads) == {}


def test_no_module_is_longer_than_400_lines() -> None:
    assert breaking(PRODUCT, lambda m: len(m.text.splitlines()) > 400) == {}


def test_broad_excepts_stand_only_where_foreign_code_is_called() -> None:
    assert set(breaking(PRODUCT, broad_excepts)) == set(BROAD_EXCEPTS)


def test_controllers_know_no_sql_and_no_gdal() -> None:
    heavy = ("rasterio", "pyogrio", "geopandas", "shapely", "pyarrow", "services.vector")
    assert breaking(modules("controllers"), lambda m: set(imports(m, *heavy)) - PURE_VECTOR_MODULES) == {}


def breaking(known: Iterable[Module], rule: Callable[[Module], object]) -> dict[str, object]:
    """Return what a rule finds in the modules that break it, by their names."""
    return {module.name: found for module in known if (found := rule(module))}


def names_from(module: Module, package: str) -> set[str]:
    """Names that are imported from a package."""
    froms = (node for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom) and node.module == package)
    return {alias.name for node in froms for alias in node.names}


def environment_reads(module: Module) -> list[int]:
    """Lines that read the environment."""
    if names_from(module, "os") & {"environ", "getenv"}:
        return [1]
    attributes = (node for node in ast.walk(module.tree) if isinstance(node, ast.Attribute))
    return [node.lineno for node in attributes if node.attr in ("environ", "getenv", "environb")]


def broad_excepts(module: Module) -> list[int]:
    """Lines that catch every error and do not raise it again."""
    return [node.lineno for node in ast.walk(module.tree) if isinstance(node, ast.ExceptHandler) and _swallows(node)]


def _swallows(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    raises_again = isinstance(last, ast.Raise) and last.exc is None
    return _is_broad(handler.type) and not raises_again


def _is_broad(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_is_broad(part) for part in kind.elts)
    return kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException"))
