"""Which tables the page of ./dev env --qgis lists."""

from __future__ import annotations

import re

import psycopg

from local import qgis
from local.stack import Stack
from local.state import StackState
from repositories.migrate import migrate
from tests.fixtures.databases import new_database

PLAN = "0" * 32


def listed(stack: Stack, dsn: str) -> list[str]:
    page = qgis.describe(StackState(postgres_dsn=dsn, storage_connection_string=stack.storage_connection_string))
    return re.findall(r"^  table     (\S+) ", page, re.MULTILINE)


def test_the_tiles_are_listed_last_and_only_where_a_raster_was_cut_into_some(stack: Stack) -> None:
    dsn = new_database(stack, "qgis_page", migrate)
    with psycopg.connect(dsn, autocommit=True) as conn:
        assert listed(stack, dsn) == []
        conn.execute("CREATE TABLE geo.zones (id bigint PRIMARY KEY, geom geometry(Polygon, 4326))")
        conn.execute("CREATE TABLE geo.zones__rejects (id bigint PRIMARY KEY, geom geometry)")
        assert listed(stack, dsn) == ["geo.zones"]
        conn.execute(
            "INSERT INTO geo.tiling_plans (plan_id, job_id, container, blob, etag, options, crs_wkt, transform, width,"
            " height, pixel_bytes, block_side, tile_width, tile_height)"
            " VALUES (%s, %s, 'bronze', 'a.tif', 'e', '{}', '', '{1,0,0,0,-1,0}', 9, 9, 1, 9, 9, 9)",
            [PLAN, PLAN],
        )
        conn.execute(
            'INSERT INTO geo.tiles (plan_id, "row", "col", bounds, col_off, row_off, width, height)'
            " VALUES (%s, 0, 0, ST_MakeEnvelope(0, 0, 9, 9), 0, 0, 9, 9)",
            [PLAN],
        )
        assert listed(stack, dsn) == ["geo.zones", "geo.tiles"]
