"""Imports only point right, and each library has its one place."""

from __future__ import annotations

import ast

import pytest

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


def names(module: Module) -> str:
    return module.name


@pytest.mark.parametrize("module", PRODUCT, ids=names)
def test_imports_only_point_right(module: Module) -> None:
    left = LAYERS[: LAYERS.index(module.layer)]
    assert not imports(module, *left, "local", "tests")


@pytest.mark.parametrize("module", modules("client"), ids=names)
def test_the_command_line_imports_nothing_of_the_app(module: Module) -> None:
    assert not imports(module, *LAYERS, "local", "tests")


@pytest.mark.parametrize("module", [*PRODUCT, *HOSTED], ids=names)
def test_azure_functions_is_imported_only_by_the_triggers_and_the_local_host(module: Module) -> None:
    if module.name != "function_app.py" and not module.name.startswith("local/host/"):
        assert not imports(module, "azure.functions")
        assert "functions" not in {alias.name for node in ast.walk(module.tree)
                                   if isinstance(node, ast.ImportFrom) and node.module == "azure"
                                   for alias in node.names}  # fmt: skip


@pytest.mark.parametrize("module", PRODUCT, ids=names)
def test_servers_are_talked_to_only_by_repositories(module: Module) -> None:
    if module.layer == "repositories":
        return
    assert not imports(module, "azure.storage", "azure.identity", "azure.core", "psycopg", "psycopg_pool")


@pytest.mark.parametrize("module", PRODUCT, ids=names)
def test_statements_are_taken_from_their_files_in_one_way(module: Module) -> None:
    if module.name != "repositories/postgres.py":
        assert "load_queries" not in module.path.read_text(encoding="utf-8")


@pytest.mark.parametrize("module", PRODUCT, ids=names)
def test_vectors_are_read_only_by_the_gdal_whose_drivers_are_named(module: Module) -> None:
    # Whoever imports pyogrio first loads GDAL: without that module it would have every driver.
    if module.name != "services/vector/gdal.py":
        assert not imports(module, "pyogrio")


@pytest.mark.parametrize("module", PRODUCT, ids=names)
def test_the_environment_is_read_only_by_the_settings(module: Module) -> None:
    if module.name == "schema/settings.py":
        return
    read = [
        node.lineno
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {a.name for a in node.names} & {"environ", "getenv"}
        )
    ]
    assert not read


@pytest.mark.parametrize("module", PRODUCT, ids=names)
def test_no_module_is_longer_than_400_lines(module: Module) -> None:
    assert len(module.path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("module", PRODUCT, ids=names)
def test_broad_excepts_stand_only_where_foreign_code_is_called(module: Module) -> None:
    broad = [node.lineno for node in ast.walk(module.tree) if isinstance(node, ast.ExceptHandler) and _swallows(node)]
    assert not broad or module.name in BROAD_EXCEPTS


def _swallows(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    raises_again = isinstance(last, ast.Raise) and last.exc is None
    return _is_broad(handler.type) and not raises_again


def _is_broad(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_is_broad(part) for part in kind.elts)
    return kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException"))


@pytest.mark.parametrize("module", modules("controllers"), ids=names)
def test_controllers_know_no_sql_and_no_gdal(module: Module) -> None:
    heavy = set(imports(module, "rasterio", "pyogrio", "geopandas", "shapely", "pyarrow", "services.vector"))
    assert not heavy - PURE_VECTOR_MODULES
