"""Tiling plans: the grid of tiles that a raster is cut into, and the outcome of each tile.

A plan belongs to one job at a time, and so does the output folder of its tiles: the tiles of two jobs would mix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from repositories.postgres import Connection, Statements
from schema.jobs import Json

ITEMS_AT_ONCE = 200
"""Items are a few kilobytes each, and up to 10,000 of a plan are written one batch after another."""
_sql = Statements("tiles")


@dataclass(frozen=True)
class TilingPlan:
    """A row of geo.tiling_plans: a source, the output grid, and the size of the tiles that it is cut into."""

    plan_id: str
    container: str
    blob: str
    etag: str
    options: Json
    crs_wkt: str
    transform: list[float]
    """a, b, c, d, e, f: x = a col + b row + c, y = d col + e row + f."""
    width: int
    height: int
    pixel_bytes: int
    """Of one pixel in all bands, uncompressed."""
    block_side: int
    """Of the blocks that tiles are made of."""
    tile_width: int
    tile_height: int

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.height // self.tile_height)

    @property
    def cols(self) -> int:
        """Columns of tiles."""
        return -(-self.width // self.tile_width)

    @property
    def raw_bytes(self) -> int:
        """Uncompressed bytes of the output grid."""
        return self.width * self.height * self.pixel_bytes


@dataclass(frozen=True)
class Tile:
    """A row of geo.tiles."""

    tile_id: str
    row: int
    col: int
    col_off: int
    row_off: int
    width: int
    height: int
    bounds: tuple[float, float, float, float]
    """West, south, east, north in the plan's CRS."""
    status: str
    skipped: bool | None
    """None of its pixels is valid, so there is no file; None as long as the tile has not been made."""
    cog_path: str | None
    stac_id: str | None
    seconds: float | None


@dataclass(frozen=True)
class MadeTile:
    """The outcome of a tile; all None but the seconds for one that was skipped, since none of its pixels is valid."""

    seconds: float
    cog_path: str | None = None
    stac_id: str | None = None
    item: Json | None = None


def insert_plan(conn: Connection, plan: TilingPlan, authority: tuple[str, str] | None) -> None:
    """Store a plan, and have PostGIS cut its grid into tiles.

    `authority` is that of the plan's CRS, such as ("EPSG", "4326"). The bounds of the tiles are stored with its SRID,
    or with 0 where there is none or spatial_ref_sys does not have it.
    """
    # An earlier try may have stored it before it died; a plan's id is that of its job.
    _sql.run(conn, "delete_plan", plan_id=plan.plan_id)
    _sql.run(conn, "insert_plan", **{**asdict(plan), "options": Jsonb(plan.options)})
    name, code = authority or (None, None)
    _sql.run(conn, "insert_tiles", plan_id=plan.plan_id, authority=name, code=code)


def get_plan(conn: Connection, plan_id: str) -> TilingPlan | None:
    """Return a plan, None if it does not exist."""
    row = _sql.first(conn, "get_plan", plan_id=plan_id)
    return TilingPlan(**{key: row[key] for key in TilingPlan.__dataclass_fields__}) if row else None


def take_plan(conn: Connection, plan_id: str, job_id: str) -> str | None:
    """Assign a plan to a job, with no tile made, unless another job that is still running has it.

    Returns
    -------
    The id of the job that has the plan now; None if the plan does not exist. A job that has the plan already keeps it
    with the tiles that were made.
    """
    # Locked until the transaction ends, so that of two jobs that ask at once one gets it and the other its id.
    row = _sql.first(conn, "lock_plan", plan_id=plan_id)
    if row is None or row["job_id"] == job_id or row["busy"]:
        return str(row["job_id"]) if row else None
    _sql.run(conn, "assign_plan", plan_id=plan_id, job_id=job_id)
    _sql.run(conn, "reset_tiles", plan_id=plan_id)
    return job_id


def take_output(conn: Connection, plan_id: str, job_id: str, output: str) -> str:
    """Assign an output folder to a job's plan, unless another job that is still running has it.

    Returns
    -------
    The id of the job that has the folder now.
    """
    # Before take_plan: every job locks the folder first and plans second, so that two of them cannot deadlock.
    params = {"plan_id": plan_id, "job_id": job_id, "output": output}
    _sql.run(conn, "lock_output", **params)
    if holder := _sql.first(conn, "output_holder", **params):
        return str(holder["job_id"])
    _sql.run(conn, "assign_output", **params)
    return job_id


def holds_plan(conn: Connection, plan_id: str, job_id: str) -> bool:
    """Whether a job has a plan and its output folder; if so, both are locked until the transaction ends."""
    # Asked in the transaction that commits a tile: a job that lost its folder must not add one more to it.
    row = _sql.first(conn, "hold_plan", plan_id=plan_id, job_id=job_id)
    return bool(row and row["held"])


def get_tile(conn: Connection, plan_id: str, row: int, col: int) -> Tile | None:
    """Return a tile of a plan, None if it does not exist."""
    found = _sql.first(conn, "get_tile", plan_id=plan_id, row=row, col=col)
    return _tile(found) if found else None


def list_tiles(conn: Connection, plan_id: str) -> list[Tile]:
    """Return the tiles of a plan, row by row."""
    return [_tile(row) for row in _sql.rows(conn, "list_tiles", plan_id=plan_id)]


def record_tile(conn: Connection, plan_id: str, tile: Tile, made: MadeTile) -> None:
    """Store the outcome of a tile."""
    params = {"plan_id": plan_id, "row": tile.row, "col": tile.col, **asdict(made)}
    params |= {"skipped": made.cog_path is None, "item": Jsonb(made.item) if made.item else None}
    _sql.run(conn, "record_tile", **params)


def list_items(conn: Connection, plan_id: str, *, at_once: int = ITEMS_AT_ONCE) -> Iterator[list[Json]]:
    """Yield the STAC items of a plan's tiles, row by row, in lists of `at_once`."""
    # By key and not by OFFSET, which would read all rows before it again.
    place: dict[str, Any] = {"row": -1, "col": -1}
    while rows := _sql.rows(conn, "list_items", plan_id=plan_id, limit=at_once, **place):
        yield [row["item"] for row in rows]
        place = {"row": rows[-1]["row"], "col": rows[-1]["col"]}


def item_boxes(conn: Connection, plan_id: str) -> dict[str, list[float]]:
    """Return the bbox of each item of a plan's tiles, by the item's id: longitude and latitude, WGS 84."""
    return {row["stac_id"]: row["bbox"] for row in _sql.rows(conn, "item_boxes", plan_id=plan_id)}


def finish_plan(conn: Connection, plan_id: str) -> None:
    """Mark a plan and its tiles as done."""
    _sql.run(conn, "finish_tiles", plan_id=plan_id)
    _sql.run(conn, "finish_plan", plan_id=plan_id)


def _tile(row: DictRow) -> Tile:
    bounds = tuple(row[side] for side in ("west", "south", "east", "north"))
    return Tile(bounds=bounds, **{key: row[key] for key in Tile.__dataclass_fields__ if key != "bounds"})
