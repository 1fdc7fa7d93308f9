"""Questions about the database over HTTP: its health, its schemas and tables, its versions."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from local.stack import Stack
from tests.acceptance.client import Api, Json, answer, problem_of

TABLES = """
CREATE TABLE geo.described (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL DEFAULT 'nobody',
    kind text CHECK (kind IN ('a', 'b')),
    geom geometry(Polygon, 3857)
);
COMMENT ON TABLE geo.described IS 'Plots';
COMMENT ON COLUMN geo.described.name IS 'Who owns it';
CREATE INDEX described_geom ON geo.described USING gist (geom);
INSERT INTO geo.described (kind, geom)
SELECT 'a', ST_MakeEnvelope(n, n, n + 10, n + 10, 3857) FROM generate_series(0, 90, 10) AS n;
ANALYZE geo.described;
CREATE VIEW geo.described_view AS SELECT * FROM geo.described;
CREATE TABLE geo."Odd ""name" (place geography(Point, 4326));
INSERT INTO geo."Odd ""name" VALUES ('POINT(7 50)');
CREATE TABLE geo.plain (number integer);
"""
NAMES = ('"Odd ""name"', "plain", "described")


@pytest.fixture(scope="module", autouse=True)
def filled(stack: Stack) -> Iterator[None]:
    """Tables as jobs and others make them."""
    with psycopg.connect(stack.postgres_dsn, autocommit=True) as conn:
        conn.execute(TABLES.encode())
        yield
        for name in NAMES:
            conn.execute(f"DROP TABLE geo.{name} CASCADE".encode())


def test_a_table_is_described(api: Api) -> None:
    table = answer(api, "describe_table", target_table="described")
    assert (table["schema"], table["table"], table["kind"]) == ("geo", "described", "table")
    assert (table["comment"], table["estimated_rows"]) == ("Plots", 10)
    assert [(column["name"], column["type"]) for column in table["columns"]] == [
        ("id", "bigint"), ("name", "text"), ("kind", "text"), ("geom", "geometry(Polygon,3857)"),
    ]  # fmt: skip
    name = table["columns"][1]
    assert (name["nullable"], name["default"], name["comment"]) == (False, "'nobody'::text", "Who owns it")
    (geometry,) = table["geometries"]
    assert (geometry["type"], geometry["srid"], geometry["dimensions"]) == ("POLYGON", 3857, 2)
    assert geometry["bbox"] == pytest.approx([0, 0, 100, 100], abs=0.1)
    assert geometry["bbox_source"] == "statistics"
    assert {index["name"]: index["method"] for index in table["indexes"]} == {
        "described_geom": "gist", "described_pkey": "btree",
    }  # fmt: skip
    assert {found["kind"] for found in table["constraints"]} == {"primary key", "check"}
    assert table["bytes"] == table["table_bytes"] + table["index_bytes"]


def test_a_table_that_others_made_is_described_by_its_exact_name(api: Api) -> None:
    table = answer(api, "describe_table", target_table='Odd "name')
    (place,) = table["geometries"]
    assert (place["kind"], place["srid"], place["bbox_source"]) == ("geography", 4326, "rows")
    assert place["bbox"] == [7, 50, 7, 50]


@pytest.mark.parametrize(("name", "kind"), [("described_view", "view"), ("plain", "table")])
def test_views_and_tables_without_geometry_are_described(api: Api, name: str, kind: str) -> None:
    table = answer(api, "describe_table", target_table=name)
    assert table["kind"] == kind
    assert all(column["bbox"] is None for column in table["geometries"])


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("describd", "described"),
        ("nothing of the kind", "get_database_summary"),
        ("x'; DROP TABLE geo.described; --", "get_database_summary"),
        ('x"; DROP TABLE geo.described; --', "get_database_summary"),
        ("described; DROP TABLE geo.described", "get_database_summary"),
    ],
)
def test_an_unknown_table_is_named_with_those_that_are_near(api: Api, name: str, remedy: str) -> None:
    job = api.run("describe_table", {"target_table": name})
    assert (job["status"], job["error"]["code"]) == ("failed", "table_not_found")
    assert remedy in job["error"]["remediation"]
    assert answer(api, "describe_table", target_table="described", version_id=name[:50])["estimated_rows"] == 10


@pytest.mark.parametrize(
    ("parameters", "field", "said"),
    [
        ({}, "target_table", "is required"),
        ({"target_table": ""}, "target_table", "at least 1"),
        ({"target_table": "x" * 64}, "target_table", "at most 63"),
        ({"target_table": "jobs", "target_schema": "app"}, "target_schema", "allowed schemas: geo"),
        ({"target_table": "pg_authid", "target_schema": "pg_catalog"}, "target_schema", "allowed schemas: geo"),
        ({"target_table": "a", "target_schema": "geo'; --"}, "target_schema", "allowed schemas: geo"),
    ],
)
def test_what_is_no_table_of_a_target_schema_is_refused(api: Api, parameters: Json, field: str, said: str) -> None:
    body = problem_of(api.post("jobs/describe_table", json=parameters), 400, "invalid_parameters")
    assert [fault["field"] for fault in body["errors"]] == [field]
    assert said in body["errors"][0]["message"]


def test_schemas_are_listed_with_what_they_hold(api: Api) -> None:
    schemas = {line["schema"]: line for line in answer(api, "list_schemas")["schemas"]}
    assert schemas["geo"]["is_target"] is True
    assert schemas["geo"]["tables"] >= 3
    assert schemas["geo"]["views"] >= 1
    assert {"app", "pgstac", "public"} <= set(schemas)
    assert not [name for name in schemas if name.startswith("pg_") or name == "information_schema"]


def test_the_summary_has_tables_catalogue_and_jobs(api: Api) -> None:
    summary = answer(api, "get_database_summary")
    largest = {line["table"]: line for line in summary["tables"]["largest"]}
    assert (largest["described"]["geometry_type"], largest["described"]["srid"]) == ("POLYGON", 3857)
    assert summary["tables"]["tables"] >= 3
    assert summary["catalog"]["pgstac"] == "0.10.0"
    assert summary["jobs"]["processing"] >= 1
    assert summary["target_schemas"] == ["geo"]


def test_postgis_tells_its_versions_and_no_folder_of_the_server(api: Api) -> None:
    found = answer(api, "get_postgis_info")
    assert found["postgis"].startswith("3.")
    assert found["scripts_are_current"] is True
    assert all(found[library][0].isdigit() for library in ("geos", "proj", "libxml", "postgresql"))
    assert "postgis" in {extension["name"] for extension in found["extensions"]}
    assert ("POLYGON", 3857) in [(line["type"], line["srid"]) for line in found["geometry_types"]]
    assert found["reference_systems"]["known"] > 5000
    assert "/usr" not in str(found)


def test_the_health_of_the_database_is_measured(api: Api) -> None:
    health = answer(api, "database_health")
    assert health["versions"]["pgstac"] == "0.10.0"
    assert health["versions"]["postgis"].startswith("3.")
    assert health["migrations"]["status"] == "ok"
    assert "0001_jobs.sql" in health["migrations"]["applied"]
    assert 0 < health["connections"]["total"] <= health["connections"]["limit"]
    assert health["sweep"]["age_seconds"] >= 0
    assert health["bloat"]["status"] in ("ok", "attention")
    assert health["status"] == ("attention" if health["attention"] else "ok")


def test_a_locked_table_is_said_to_be_locked_within_seconds(api: Api, stack: Stack) -> None:
    with psycopg.connect(stack.postgres_dsn, application_name="a long change") as holder:
        holder.execute("LOCK TABLE geo.plain IN ACCESS EXCLUSIVE MODE")
        job = api.run("describe_table", {"target_table": "plain"})
        assert (job["status"], job["error"]["code"], job["error"]["retryable"]) == ("failed", "table_locked", True)
        assert "geo.plain could not be locked" in job["error"]["message"]
        assert f"process {holder.info.backend_pid}" in job["error"]["message"]
        assert "a long change" in job["error"]["message"]
        for question in ("list_schemas", "get_database_summary"):
            assert api.run(question, {})["error"]["code"] == "table_locked"
    assert answer(api, "describe_table", target_table="plain", version_id="later")["table"] == "plain"


def test_who_waits_for_a_lock_is_seen_without_the_statement(api: Api, stack: Stack) -> None:
    with psycopg.connect(stack.postgres_dsn) as holder, psycopg.connect(stack.postgres_dsn) as waiter:
        holder.execute("LOCK TABLE geo.plain IN ACCESS EXCLUSIVE MODE")
        waiter.execute("SET lock_timeout = '20s'")
        waiting = waiter.pgconn
        waiting.send_query(b"SELECT 'a secret' FROM geo.plain")
        pid = waiter.info.backend_pid
        locks = answer(api, "database_health")["locks"]
        while pid not in [wait["pid"] for wait in locks["waiting"]]:
            locks = answer(api, "database_health")["locks"]
        (wait,) = [wait for wait in locks["waiting"] if wait["pid"] == pid]
        assert wait["blocked_by"] == [holder.info.backend_pid]
        assert wait["relation"] == "plain"
        assert "secret" not in str(locks)
        holder.rollback()
        while waiting.get_result() is not None:
            continue
