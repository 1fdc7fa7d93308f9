"""Tables are replaced and added to whole, and what people have set on them stays."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from shapely.geometry import MultiPolygon, Point, box

from controllers.process_vector import ProcessVector
from repositories import loading
from repositories.fake_blobs import FakeBlobs
from repositories.postgres import Database
from schema.errors import PermanentError, TransientError, Unavailable
from schema.jobs import Json
from services.context import TaskContext
from services.vector import locks
from services.vector.plan import LoadPlan
from tests.fixtures.vector import BOWTIE, boxes, features, frame, gpkg
from tests.integration.vector.loading import Loader


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


def do(loader: Loader, *statements: str) -> None:
    with loader.database.connection() as conn:
        for statement in statements:
            conn.execute(statement.encode())


def load_boxes(loader: Loader, number: int, **parameters: object) -> Json:
    loader.put("a.gpkg", gpkg(boxes(number), loader.folder))
    return loader.load("a.gpkg", **parameters)


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


def test_append_matches_columns_by_name(loader: Loader) -> None:
    do(
        loader,
        "CREATE TABLE geo.a (geom geometry(MultiPolygon, 4326), extra text DEFAULT 'none', name varchar, size bigint,"
        " id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)",
        "INSERT INTO geo.a (name) VALUES ('old')",
    )
    loader.put("a.json", features((box(0, 0, 1, 1), {"size": 7}), (BOWTIE, {"size": 8})))
    assert loader.load("a.json", load_method="append")["geometry_type"] == "MultiPolygon"
    assert loader.rows("SELECT id, name, size, extra FROM geo.a ORDER BY id") == [
        (1, "old", None, "none"), (2, None, 7, "none"), (3, None, 8, "none"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("properties", "shape", "fault"),
    [
        ({"name": "x", "new": 1}, box(0, 0, 1, 1), "new integer is not in the table"),
        ({"name": 5}, box(0, 0, 1, 1), "name is integer in the file and text in the table"),
        ({"name": "x"}, Point(0, 0), r"geom is geometry\(Point,4326\) in the file"),
    ],
)
def test_append_refuses_other_columns_before_a_row_is_written(
    loader: Loader, properties: dict[str, object], shape: object, fault: str
) -> None:
    load_boxes(loader, 3)
    loader.put("a.json", features((shape, properties)))
    with pytest.raises(PermanentError, match=rf"{fault}.*The file has \(.*the table has \(id bigint, name text, "):
        loader.load("a.json", load_method="append")
    assert loader.value("SELECT count(*) FROM geo.a") == 3


def test_a_multi_geometry_is_a_rejected_row_where_the_table_holds_single_ones(loader: Loader) -> None:
    load_boxes(loader, 3)
    multi = MultiPolygon([box(0, 0, 1, 1), box(2, 2, 3, 3)])
    loader.put("a.json", features((multi, {"name": "m"}), (box(0, 0, 1, 1), {"name": "s"}), (BOWTIE, {"name": "b"})))
    result = loader.load("a.json", load_method="append", max_rejected=2)
    assert result["conservation"]["reasons"] == {"multi_geometry_in_table_of_single_ones": 2}
    assert loader.value("SELECT count(*) FROM geo.a") == 4


def test_multi_geometries_for_a_table_of_single_ones_are_refused_before_a_row_is_written(loader: Loader) -> None:
    load_boxes(loader, 3)
    multi = MultiPolygon([box(0, 0, 1, 1), box(2, 2, 3, 3)])
    loader.put("a.json", features((multi, {"name": "m"}), (box(0, 0, 1, 1), {"name": "s"})))
    with pytest.raises(PermanentError, match=r"geom is geometry\(MultiPolygon,4326\) in the file") as caught:
        loader.load("a.json", load_method="append", dry_run=True)
    assert caught.value.error_code == "columns_differ"


def test_a_polygon_that_a_repair_splits_is_a_rejected_row_where_the_table_holds_single_ones(loader: Loader) -> None:
    load_boxes(loader, 3)
    loader.put("a.json", features((BOWTIE, {"name": "b"}), (box(0, 0, 1, 1), {"name": "s"})))
    with pytest.raises(PermanentError, match="1 multi_geometry_in_table_of_single_ones"):
        loader.load("a.json", load_method="append")
    assert loader.value("SELECT count(*) FROM geo.a") == 3


def test_a_reader_who_never_ends_fails_the_swap_and_is_named(
    loader: Loader, vector_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "MAX_WAIT_SECONDS", 1)
    load_boxes(loader, 3)
    with psycopg.connect(vector_dsn, application_name="a slow report") as conn:
        conn.execute("SELECT count(*) FROM geo.a")
        with pytest.raises(TransientError, match=rf"process {conn.info.backend_pid} \(.*, a slow report\)") as caught:
            load_boxes(loader, 5)
        assert caught.value.error_code == "table_busy"
        assert conn.execute("SELECT count(*) FROM geo.a").fetchall() == [(3,)]
    load_boxes(loader, 5)
    assert loader.value("SELECT count(*) FROM geo.a") == 5


def test_the_swap_outlasts_a_reader_and_lets_others_read_meanwhile(loader: Loader, vector_dsn: str) -> None:
    load_boxes(loader, 3)
    with psycopg.connect(vector_dsn) as conn, ThreadPoolExecutor(1) as pool:
        conn.execute("SELECT count(*) FROM geo.a")
        loading = pool.submit(load_boxes, loader, 5)
        time.sleep(4)
        began = time.monotonic()
        assert loader.value("SELECT count(*) FROM geo.a") == 3
        assert time.monotonic() - began < 6
        time.sleep(4)
        conn.rollback()
        assert loading.result(30)["total_features_loaded"] == 5
    assert loader.value("SELECT count(*) FROM geo.a") == 5


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
    with pytest.raises(PermanentError, match="a table cannot have it as well") as caught:
        load_boxes(loader, 3)
    assert caught.value.error_code == "target_name_taken"
    assert loader.work_tables() == []


def test_readers_see_the_old_rows_or_the_new_ones(loader: Loader, vector_dsn: str) -> None:
    load_boxes(loader, 100)
    seen: set[int] = set()
    done = threading.Event()

    def read() -> None:
        with psycopg.connect(vector_dsn, autocommit=True) as conn:
            while not done.is_set():
                row = conn.execute("SELECT count(*) FROM geo.a").fetchone()
                seen.add(row[0] if row else -1)

    with ThreadPoolExecutor() as pool:
        reading = pool.submit(read)
        for number in (200, 300):
            load_boxes(loader, number, chunk_size=20)
        done.set()
        reading.result()
    assert seen <= {100, 200, 300}


def test_two_appends_at_once_are_both_whole(loader: Loader) -> None:
    load_boxes(loader, 1)
    loaders = [Loader(loader.database, loader.settings, loader.folder, FakeBlobs()) for _ in range(4)]
    data = gpkg(boxes(300), loader.folder)

    def load(one: Loader) -> None:
        one.put("a.gpkg", data)
        one.load("a.gpkg", load_method="append", chunk_size=50)

    with ThreadPoolExecutor() as pool:
        list(pool.map(load, loaders))
    assert loader.rows("SELECT count(*), count(DISTINCT id) FROM geo.a") == [(1201, 1201)]


def test_rows_that_are_added_to_a_table_are_not_indexed_before(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    load_boxes(loader, 2)
    built: list[str] = []
    monkeypatch.setattr(loading, "build_index", lambda *_, statement, **__: built.append(statement))
    load_boxes(loader, 3, load_method="append")
    assert not built
    assert loader.rows("SELECT count(*), max(id) FROM geo.a") == [(5, 5)]


def test_a_table_that_goes_before_rows_are_added_is_made_anew_with_its_indexes(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_boxes(loader, 2)
    take = locks.take

    def take_what_is_left(ctx: TaskContext, plans: Sequence[LoadPlan]) -> list[locks.HeldTarget]:
        do(loader, "DROP TABLE geo.a")
        return take(ctx, plans)

    monkeypatch.setattr(locks, "take", take_what_is_left)
    load_boxes(loader, 3, load_method="append")
    assert loader.rows("SELECT count(*), max(id) FROM geo.a") == [(3, 3)]
    indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = 'geo' AND tablename = 'a' ORDER BY 1"
    assert loader.rows(indexes) == [("a_geom_idx",), ("a_pkey",)]


def test_a_replace_and_an_append_at_once_do_not_deadlock(loader: Loader) -> None:
    load_boxes(loader, 10)
    data = gpkg(boxes(200), loader.folder)

    def load(method: str) -> None:
        one = Loader(loader.database, loader.settings, loader.folder, FakeBlobs())
        one.put("a.gpkg", data)
        one.load("a.gpkg", load_method=method)

    with ThreadPoolExecutor() as pool:
        list(pool.map(load, ["replace", "append", "replace", "append"]))
    assert loader.value("SELECT count(*) FROM geo.a") in (200, 400, 600)


def test_a_failed_publish_changes_nothing_and_its_repetition_everything(loader: Loader, vector_dsn: str) -> None:
    load_boxes(loader, 3)
    tries: list[int] = []

    def lose_connection(ctx: TaskContext) -> None:
        if ctx.task.task_type == "vector_publish" and not tries:
            tries.append(1)
            # The server ends the connection in the middle of publish, as when it restarts.
            pid = ctx.transaction.info.backend_pid
            with psycopg.connect(vector_dsn, autocommit=True) as conn:
                conn.execute("SELECT pg_terminate_backend(%s)", [pid])

    loader.before_task = lose_connection
    loader.put("a.gpkg", gpkg(boxes(5), loader.folder))
    job = loader.job("a.gpkg")
    stages = list(enumerate(ProcessVector.stages, start=1))
    results = loader.run_stage(job, stages[0][1], 1, [])
    uploads = loader.run_stage(job, stages[1][1], 2, results)
    with pytest.raises((psycopg.OperationalError, Unavailable)):
        loader.run_stage(job, stages[2][1], 3, uploads)
    assert loader.value("SELECT count(*) FROM geo.a") == 3
    loader.run_stage(job, stages[2][1], 3, uploads)
    loader.clean(job.job_id)
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
