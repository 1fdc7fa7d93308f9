"""Curves become lines of short steps; surfaces of faces, and curves where GDAL gives no lines, are rejected rows."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import shapely
from shapely.geometry import LineString, Point, box

from services.vector.formats import FLATGEOBUF
from services.vector.gdal import pyogrio
from services.vector.geometry.curves import linearise
from services.vector.readers import gdal_layer
from tests.fixtures.vector import gpkg
from tests.integration.vector.loading import Loader
from tests.integration.vector.refusals import fails
from tests.integration.vector.writers import geoparquet

Points = Sequence[tuple[float, ...]]


def head(kind: int, parts: int | None = None) -> bytes:
    return b"\x01" + struct.pack("<I", kind) + (b"" if parts is None else struct.pack("<I", parts))


def run(kind: int, points: Points) -> bytes:
    return head(kind, len(points)) + np.array(points, "<f8").tobytes()


def rings(kind: int, *points: Points) -> bytes:
    return head(kind, len(points)) + b"".join(struct.pack("<I", len(p)) + np.array(p, "<f8").tobytes() for p in points)


def collected(kind: int, *parts: bytes) -> bytes:
    return head(kind, len(parts)) + b"".join(parts)


ARC = run(8, [(0, 0), (1, 1), (2, 0)])
"""Half of the unit circle around (1, 0)."""
CIRCLE = collected(10, run(8, [(0, 0), (1, 1), (2, 0), (1, -1), (0, 0)]))
HALF = collected(10, collected(9, ARC, run(2, [(2, 0), (0, 0)])))
SQUARE = shapely.to_wkb(box(5, 5, 6, 6), byte_order=1)
FACES: tuple[Points, Points] = ([(0, 0), (1, 0), (0, 1), (0, 0)], [(1, 0), (1, 1), (0, 1), (1, 0)])
STANDING: Points = [(0, 0, 0), (1, 0, 0), (0, 0, 9), (0, 0, 0)]
"""A wall, which has no area on a map."""
SURFACES = {
    "PolyhedralSurface": collected(15, *(rings(3, face) for face in FACES)),
    "TIN": collected(16, *(rings(17, face) for face in FACES)),
    "Triangle": rings(17, FACES[0]),
    "PolyhedralSurface Z": collected(1015, rings(1003, STANDING)),
}


def curved(values: Sequence[bytes], folder: Path) -> bytes:
    """Write a GeoPackage whose geometries are these."""
    path = folder / "curved.gpkg"
    path.write_bytes(gpkg(gpd.GeoDataFrame({"n": range(len(values))}, geometry=[None] * len(values), crs=4326), folder,
                          geometry_type="Unknown"))  # fmt: skip
    with closing(sqlite3.connect(path)) as db, db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f'DROP TRIGGER "{name}"')
        blobs = [(b"GP\x00\x01" + (4326).to_bytes(4, "little") + value, n) for n, value in enumerate(values)]
        db.executemany("UPDATE made SET geom = ? WHERE n = ?", blobs)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("value", "kind", "size"),
    [
        (ARC, "LineString", np.pi),
        (collected(9, ARC, run(2, [(2, 0), (3, 0)])), "LineString", np.pi + 1),
        (collected(11, ARC, run(2, [(5, 5), (6, 5)])), "MultiLineString", np.pi + 1),
        (CIRCLE, "Polygon", np.pi),
        (HALF, "Polygon", np.pi / 2),
        (collected(12, CIRCLE, SQUARE), "MultiPolygon", np.pi + 1),
    ],
    ids=["CircularString", "CompoundCurve", "MultiCurve", "CurvePolygon", "CurvePolygon of a CompoundCurve",
         "MultiSurface"],
)  # fmt: skip
def test_every_curve_is_loaded_as_short_lines(loader: Loader, value: bytes, kind: str, size: float) -> None:
    plain = box(0, 0, 1, 1) if "Polygon" in kind else LineString([(0, 0), (1, 0)])
    loader.put("a.gpkg", curved([value, shapely.to_wkb(plain), value], loader.folder))
    result = loader.load("a.gpkg")
    assert result["conservation"]["curves_linearised"] == 2
    assert result["geometry_type"] == kind
    measure = "ST_Area" if "Polygon" in kind else "ST_Length"
    sizes = loader.rows(f"SELECT {measure}(geom) FROM geo.a ORDER BY id")
    assert [found for (found,) in sizes] == pytest.approx([size, 1, size], rel=2e-3)


def test_curves_of_a_flatgeobuf_are_loaded_as_short_lines(loader: Loader) -> None:
    path = loader.folder / "a.fgb"
    shapes = np.array([CIRCLE, SQUARE, HALF], np.object_)
    pyogrio.raw.write(path, shapes, [np.arange(3)], ["n"], geometry_type="Unknown", crs="EPSG:4326",
                      driver="FlatGeobuf", layer_options={"SPATIAL_INDEX": "NO"})  # fmt: skip
    loader.put("a.fgb", path.read_bytes())
    assert loader.load("a.fgb", chunk_size=2)["conservation"]["curves_linearised"] == 2
    assert loader.value("SELECT sum(ST_Area(geom)) FROM geo.a") == pytest.approx(1.5 * np.pi + 1, rel=2e-3)


@pytest.mark.timeout(120)
def test_many_curves_of_a_flatgeobuf_are_not_looked_for_one_by_one(loader: Loader) -> None:
    """It has no way to a row but through all before it: 20,000 curves took minutes."""
    path = loader.folder / "a.fgb"
    shapes = np.array([ARC] * 20_000, np.object_)
    pyogrio.raw.write(path, shapes, [np.arange(len(shapes))], ["n"], geometry_type="Unknown", crs="EPSG:4326",
                      driver="FlatGeobuf", layer_options={"SPATIAL_INDEX": "NO"})  # fmt: skip
    with gdal_layer.open_layer(path, FLATGEOBUF, "a") as (_, batches):
        found = [batch.geometry for batch in batches]
    lines = shapely.from_wkb(np.concatenate([values.to_numpy(zero_copy_only=False) for values in found]))
    assert shapely.length(lines) == pytest.approx(np.full(20_000, np.pi), rel=2e-3)


def test_z_of_a_curve_stays_until_it_is_counted() -> None:
    curve = run(1008, [(0, 0, 5), (1, 1, 6), (2, 0, 7)])
    (line,) = linearise(pa.array([curve])).to_pylist()
    assert shapely.has_z(shapely.from_wkb(line))
    assert shapely.length(shapely.from_wkb(line)) == pytest.approx(np.pi, rel=2e-3)


def test_surfaces_among_polygons_are_rejected_rows(loader: Loader) -> None:
    loader.put("a.gpkg", curved([SQUARE, *SURFACES.values()], loader.folder))
    result = loader.load("a.gpkg", max_rejected=4)
    assert result["conservation"]["reasons"] == {"unsupported_geometry_type": 4}
    raw = loader.rows("SELECT raw_row ->> 'geometry_type', raw_row ->> 'wkb' FROM geo.a__rejects ORDER BY row_number")
    assert raw == [(kind.removesuffix(" Z"), value.hex()) for kind, value in SURFACES.items()]


def test_a_layer_of_surfaces_alone_is_refused_with_their_kinds(loader: Loader) -> None:
    data = curved(list(SURFACES.values()), loader.folder)
    fails(loader, "a.gpkg", data, "surface_geometries", "2 PolyhedralSurface, 1 TIN, 1 Triangle")


def test_a_curve_or_surface_in_a_collection_is_a_rejected_row(loader: Loader) -> None:
    parts = [collected(7, SQUARE, CIRCLE), collected(7, SURFACES["TIN"]), collected(7, SQUARE)]
    loader.put("a.gpkg", curved([SQUARE, *parts], loader.folder))
    result = loader.load("a.gpkg", max_rejected=2)
    assert result["conservation"]["reasons"] == {"unsupported_geometry_type": 1, "unreadable_geometry": 1}


IN_WKT = ("POINT(1 2)", "CIRCULARSTRING(0 0,1 1,2 0)",
          "SRID=4326;CURVEPOLYGON(CIRCULARSTRING(0 0,1 1,2 0,1 -1,0 0))", "TIN(((0 0,1 0,0 1,0 0)))")  # fmt: skip
IN_HEX = tuple(value.hex().upper() for value in (Point(1, 2).wkb, ARC, CIRCLE, SURFACES["TIN"]))


@pytest.mark.parametrize("values", [IN_WKT, IN_HEX], ids=["WKT", "hex"])
def test_a_curve_or_surface_in_a_table_of_text_is_a_rejected_row(loader: Loader, values: Sequence[str]) -> None:
    rows = "\n".join(f'{n},"{value}"' for n, value in enumerate(values))
    loader.put("a.csv", f"n,geom\n{rows}\n".encode())
    result = loader.load("a.csv", max_rejected=3)
    assert result["conservation"]["reasons"] == {"unsupported_geometry_type": 3}


def test_a_curve_in_a_geoparquet_file_is_a_rejected_row(loader: Loader) -> None:
    loader.put("a.parquet", geoparquet(loader.folder, "WKB", pa.array([SQUARE, CIRCLE, SURFACES["TIN"]])))
    result = loader.load("a.parquet", max_rejected=2)
    assert result["conservation"]["reasons"] == {"unsupported_geometry_type": 2}
    assert loader.value("SELECT ST_Area(geom) FROM geo.a") == 1
