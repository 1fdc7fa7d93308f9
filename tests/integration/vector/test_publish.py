"""Tables are replaced whole, and what people have set on them stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from shapely.geometry import Point, box

from repositories.postgres import Database
from schema.errors import PermanentError
from services.context import TaskContext
from tests.fixtures.vector import boxes, features, frame, gpkg
from tests.integration.vector.loading import Loader
from tests.integration.vector.tables import do, load_boxes


@pytest.fixture
def reader(vector_dsn: str) -> Iterator[str]:
    """A role that may read what it was granted."""
    with psycopg.connect(vector_dsn, autocommit=True) as conn:
        conn.execute("DROP ROLE IF EXISTS reader")
        conn.execute("CREATE ROLE reader")
        yield "reader"
        conn.execute("DROP SCHEMA geo CASCADE")
        conn.execute("CREATE SCHEMA geo")
        conn.execute("DROP ROLE reader")


def test_replace_keeps_grants_policies_and_comments(loader: Loader, reader: str) -> None:
    load_boxes(loader, 3)
    do(
        loader,
        f"GRANT SELECT, UPDATE ON geo.a TO {reader}",
        "GRANT SELECT (name) ON geo.a TO PUBLIC",
        "ALTER TABLE geo.a ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY few ON geo.a FOR SELECT TO {reader} USING (id <= 2 AND name LIKE 'feature%')",
        "COMMENT ON TABLE geo.a IS 'What people wrote'",
        "COMMENT ON COLUMN geo.a.name IS 'A name''s meaning'",
    )
    load_boxes(loader, 5)
    grants = loader.rows(
        "SELECT privilege_type::text FROM information_schema.table_privileges WHERE grantee = 'reader' ORDER BY 1"
    )
    assert grants == [("SELECT",), ("UPDATE",)]
    assert loader.value("SELECT has_column_privilege('public', 'geo.a', 'name', 'SELECT')")
    assert loader.rows("SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = 'geo.a'::regclass") == [
        (True, False)
    ]
    with loader.database.transaction() as conn:
        conn.execute(f"GRANT {reader} TO CURRENT_USER".encode())
        conn.execute(f"GRANT USAGE ON SCHEMA geo TO {reader}".encode())
        conn.execute(f"SET LOCAL ROLE {reader}".encode())
        assert conn.execute("SELECT count(*) AS n FROM geo.a").fetchall() == [{"n": 2}]
    assert loader.value("SELECT obj_description('geo.a'::regclass)") == "What people wrote"
    assert loader.value("SELECT col_description('geo.a'::regclass, 2)") == "A name's meaning"


def test_replace_keeps_the_owner(loader: Loader, reader: str) -> None:
    load_boxes(loader, 3)
    do(loader, f"GRANT {reader} TO CURRENT_USER", f"GRANT ALL ON SCHEMA geo TO {reader}",
       f"ALTER TABLE geo.a OWNER TO {reader}")  # fmt: skip
    load_boxes(loader, 4)
    assert loader.rows("SELECT tableowner::text FROM pg_tables WHERE tablename = 'a'") == [(reader,)]
    assert loader.value("SELECT count(*) FROM geo.a") == 4


def test_a_policy_on_a_column_that_is_gone_fails_the_job(loader: Loader) -> None:
    load_boxes(loader, 3)
    do(loader, "CREATE POLICY named ON geo.a USING (name = 'x')")
    loader.put("a.json", features((box(0, 0, 1, 1), {"other": 1})))
    with pytest.raises(PermanentError) as caught:
        loader.load("a.json")
    assert caught.value.error_code == "policy_needs_column"
    assert loader.value("SELECT count(*) FROM geo.a") == 3


def test_rows_are_replaced_in_place_where_views_and_keys_depend_on_the_table(loader: Loader) -> None:
    load_boxes(loader, 3)
    do(
        loader,
        "CREATE VIEW geo.names AS SELECT name FROM geo.a",
        "CREATE TABLE geo.notes (a bigint REFERENCES geo.a, note text)",
        "INSERT INTO geo.notes VALUES (2, 'two')",
    )
    data = boxes(4)
    data["name"] = ["new 1", "new 2", "new 3", "new 4"]
    loader.put("a.gpkg", gpkg(data, loader.folder))
    result = loader.load("a.gpkg")
    assert result["total_features_loaded"] == 4
    assert loader.rows("SELECT name FROM geo.names ORDER BY 1") == [("new 1",), ("new 2",), ("new 3",), ("new 4",)]
    assert loader.rows("INSERT INTO geo.a (name) VALUES ('x') RETURNING id") == [(5,)]
    load_boxes(loader, 2)
    assert loader.value("SELECT count(*) FROM geo.names") == 2


def test_a_row_that_a_foreign_key_needs_is_not_removed(loader: Loader) -> None:
    load_boxes(loader, 3)
    do(loader, "CREATE TABLE geo.notes (a bigint REFERENCES geo.a)", "INSERT INTO geo.notes VALUES (3)")
    with pytest.raises(PermanentError) as caught:
        load_boxes(loader, 2)
    assert caught.value.error_code == "rows_are_referenced"
    assert loader.value("SELECT count(*) FROM geo.a") == 3


def test_other_columns_fail_the_job_and_name_what_depends_on_the_table(loader: Loader) -> None:
    load_boxes(loader, 3)
    do(loader, "CREATE VIEW geo.names AS SELECT name FROM geo.a")
    loader.put("a.json", features((box(0, 0, 1, 1), {"other": 1})))
    with pytest.raises(PermanentError, match=r"other integer is new; name text is gone.*view geo\.names"):
        loader.load("a.json")
    assert loader.value("SELECT count(*) FROM geo.names") == 3


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE FUNCTION geo.f() RETURNS SETOF geo.a LANGUAGE sql AS 'SELECT * FROM geo.a'", "function geo.f()"),
        ("CREATE TABLE geo.b (one geo.a)", "column one of table geo.b"),
    ],
)
def test_what_needs_the_type_of_the_table_is_named(loader: Loader, statement: str, name: str) -> None:
    load_boxes(loader, 3)
    do(loader, statement)
    with pytest.raises(PermanentError, match=re.escape(name)) as caught:
        load_boxes(loader, 5)
    assert caught.value.error_code == "table_has_dependents"
    assert loader.value("SELECT count(*) FROM geo.a") == 3


@pytest.mark.parametrize(
    ("statements", "code"),
    [
        (["CREATE VIEW geo.a AS SELECT 1 AS x"], "target_not_a_table"),
        (["CREATE TABLE geo.a (id int) PARTITION BY LIST (id)"], "target_not_a_table"),
        (["DROP SCHEMA geo"], "target_forbidden"),
    ],
)
@pytest.mark.parametrize("method", ["replace", "append"])
def test_a_target_that_cannot_be_loaded(loader: Loader, statements: list[str], code: str, method: str) -> None:
    do(loader, *statements)
    with pytest.raises(PermanentError) as caught:
        load_boxes(loader, 3, load_method=method)
    assert caught.value.error_code == code
    assert loader.work_tables() == []


@pytest.mark.parametrize("method", ["replace", "append"])
def test_a_table_without_rights(loader: Loader, reader: str, method: str) -> None:
    do(loader, "CREATE TABLE geo.a (id bigint)", f"GRANT ALL ON SCHEMA geo TO {reader}",
       f"GRANT {reader} TO CURRENT_USER", f"ALTER TABLE geo.a OWNER TO {reader}",
       f"REVOKE {reader} FROM CURRENT_USER")  # fmt: skip
    with pytest.raises(PermanentError, match=r"geo\.a belongs to reader"):
        load_boxes(loader, 3, load_method=method)


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE VIEW geo.a__rejects AS SELECT 1 AS x"],
        ["CREATE TABLE geo.a__rejects (x int)"],
        ["CREATE TABLE geo.a__rejects (row_number bigint, reason text, raw_row jsonb)",
         "CREATE VIEW geo.w AS SELECT * FROM geo.a__rejects"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["replace", "append"])
def test_what_is_not_our_table_of_rejects_is_not_dropped(loader: Loader, statements: list[str], method: str) -> None:
    do(loader, *statements)
    with pytest.raises(PermanentError, match=r"geo\.a__rejects") as caught:
        load_boxes(loader, 3, load_method=method)
    assert caught.value.error_code == "rejects_name_taken"
    assert loader.rows("SELECT to_regclass('geo.a__rejects') IS NULL, to_regclass('geo.a')") == [(False, None)]
    assert loader.work_tables() == []


def test_tables_named_like_the_indexes_of_another_are_no_hindrance(loader: Loader) -> None:
    loader.put("a.gpkg", gpkg(boxes(3), loader.folder))
    for table in ("roads_pkey", "roads_geom_idx", "roads_id_seq", "roads", "roads"):
        assert loader.load("a.gpkg", target_table=table)["total_features_loaded"] == 3
    indexes = loader.rows("SELECT indexname::text FROM pg_indexes WHERE tablename = 'roads' ORDER BY 1")
    assert indexes == [("roads_2_geom_idx",), ("roads_2_pkey",)]


@pytest.mark.parametrize("statement", ["CREATE TYPE geo.a AS ENUM ('x')", "CREATE DOMAIN geo.a__rejects AS int"])
def test_a_name_that_a_type_has_is_refused(loader: Loader, statement: str) -> None:
    do(loader, statement)
    with pytest.raises(PermanentError, match="a table cannot have it too") as caught:
        load_boxes(loader, 3)
    assert caught.value.error_code == "target_name_taken"
    assert loader.work_tables() == []


def test_a_failed_publish_changes_nothing_and_its_repetition_everything(loader: Loader, vector_dsn: str) -> None:
    load_boxes(loader, 3)
    found: list[int] = []

    def lose_connection(ctx: TaskContext) -> None:
        if ctx.task.task_type != "vector_publish":
            return
        found.append(loader.value("SELECT count(*) FROM geo.a"))
        if ctx.task.attempt == 1:
            # The server ends the connection in the middle of publish, as when it restarts.
            pid = ctx.transaction.info.backend_pid
            with psycopg.connect(vector_dsn, autocommit=True) as conn:
                conn.execute("SELECT pg_terminate_backend(%s)", [pid])

    loader.before_task = lose_connection
    loader.put("a.gpkg", gpkg(boxes(5), loader.folder))
    loader.load("a.gpkg")
    assert found == [3, 3]
    assert loader.rows("SELECT count(*), max(id) FROM geo.a") == [(5, 5)]


def test_a_later_table_is_named_like_the_first(loader: Loader, vector_database: Database) -> None:
    name = "t" * 50
    loader.put("a.gpkg", gpkg(frame([Point(0, 0)]), loader.folder))
    for _ in range(2):
        loader.load("a.gpkg", target_table=name)
    again = replace(loader, database=vector_database)
    assert again.rows("SELECT indexname::text FROM pg_indexes WHERE schemaname = 'geo' ORDER BY 1") == [
        (f"{name}_geom_idx",), (f"{name}_pkey",)
    ]  # fmt: skip
    assert again.value("SELECT pg_get_serial_sequence(%s, 'id')", f"geo.{name}") == f"geo.{name}_id_seq"
