"""GeoParquet: native encodings in files that pyarrow wrote by hand, as other writers lay them out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from pyproj import CRS
from shapely import wkt

from tests.integration.vector.loading import Loader
from tests.integration.vector.refusals import fails
from tests.integration.vector.writers import geoparquet

Point = tuple[float, ...]
RING: list[Point] = [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)]
HOLE: list[Point] = [(1, 1), (1, 2), (2, 2), (2, 1), (1, 1)]
ISLAND: list[Point] = [(8, 0), (9, 0), (9, 1), (8, 0)]
ENCODINGS: dict[str, tuple[Any, str, int]] = {
    "point": ((1, 2), "POINT(1 2)", 0),
    "linestring": (RING[:3], "LINESTRING(0 0,4 0,4 4)", 1),
    "polygon": ([RING, HOLE], "POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,1 2,2 2,2 1,1 1))", 2),
    "multipoint": (RING[:2], "MULTIPOINT(0 0,4 0)", 1),
    "multilinestring": ([RING[:2], RING[2:4]], "MULTILINESTRING((0 0,4 0),(4 4,0 4))", 2),
    "multipolygon": (
        [[RING, HOLE], [ISLAND]],
        "MULTIPOLYGON(((0 0,4 0,4 4,0 4,0 0),(1 1,1 2,2 2,2 1,1 1)),((8 0,9 0,9 1,8 0)))",
        3,
    ),
}
"""By name: a value, what it is, and the depth of its lists."""


def nested(value: Any, dimensions: str, shift: float) -> Any:
    """Write coordinates as the structs of a native encoding, with the row's own x."""
    if isinstance(value, list):
        return [nested(part, dimensions, shift) for part in value]
    x, y = value
    return dict(zip(dimensions, (x + shift, y, 7.0, 8.0), strict=False))


def native(
    values: Sequence[Any], depth: int, dimensions: str, *, large: bool = False, kind: pa.DataType | None = None
) -> pa.Array:
    """Make an Arrow array as the encoding lays it out."""
    made: Any = pa.struct([pa.field(name, kind or pa.float64(), nullable=False) for name in dimensions])
    for _ in range(depth):
        made = pa.large_list(made) if large else pa.list_(made)
    return pa.array(values, made)


@pytest.mark.parametrize("dimensions", ["xy", "xyz", "xym", "xyzm"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_native_encoding_is_loaded_as_what_it_says(loader: Loader, encoding: str, dimensions: str) -> None:
    value, text, depth = ENCODINGS[encoding]
    rows = [nested(value, dimensions, number % 100) for number in range(300)]
    rows[4] = None
    loader.put("a.parquet", geoparquet(loader.folder, encoding, native(rows, depth, dimensions), row_group_size=130))
    result = loader.load("a.parquet", chunk_size=90)
    assert result["conservation"]["reasons"] == {"null_geometry": 1}
    assert result["conservation"]["z_m_removed"] == (0 if dimensions == "xy" else 299)
    assert result["geometry_type"] == wkt.loads(text).geom_type
    wrong = "SELECT id FROM geo.a WHERE n <> id OR NOT ST_Equals(geom, ST_Translate(%s::geometry, (n - 1) %% 100, 0))"
    assert loader.rows(wrong, f"SRID=4326;{text}") == []


def test_empty_geometries_of_a_native_encoding_are_told_from_null_ones(loader: Loader) -> None:
    rows = [nested([RING], "xy", 0), [], None]
    loader.put("a.parquet", geoparquet(loader.folder, "polygon", native(rows, 2, "xy")))
    reasons = loader.load("a.parquet", max_rejected=2)["conservation"]["reasons"]
    assert reasons == {"empty_geometry": 1, "null_geometry": 1}


def test_lists_with_large_offsets_are_read_too(loader: Loader) -> None:
    rows = [nested([[RING, HOLE]], dimensions, 0) for dimensions in ("xym",) * 3]
    loader.put("a.parquet", geoparquet(loader.folder, "multipolygon", native(rows, 3, "xym", large=True)))
    loader.load("a.parquet")
    assert loader.rows("SELECT DISTINCT ST_Area(geom) FROM geo.a") == [(15.0,)]


def test_a_coordinate_that_is_null_is_a_rejected_row(loader: Loader) -> None:
    rows = pa.array([{"x": 1.0, "y": None}, {"x": 1.0, "y": 2.0}])
    loader.put("a.parquet", geoparquet(loader.folder, "point", rows))
    result = loader.load("a.parquet", max_rejected=1)
    assert result["conservation"]["reasons"] == {"coordinates_not_finite": 1}


@pytest.mark.parametrize(
    ("encoding", "geometry"),
    [
        ("polygon", native([nested(RING, "xy", 0)], 1, "xy")),
        ("point", native([nested((1, 2), "xy", 0)], 0, "xy", kind=pa.float32())),
        ("point", pa.array([{"lon": 1.0, "lat": 2.0}])),
        ("point", pa.array([b"x"])),
        ("WKB", pa.array(["POINT(1 2)"])),
    ],
)
def test_a_column_that_is_not_what_its_encoding_says(loader: Loader, encoding: str, geometry: pa.Array) -> None:
    data = geoparquet(loader.folder, encoding, geometry)
    fails(
        loader,
        "a.parquet",
        data,
        "geo_metadata_invalid",
        "column 'geom' has the type",
        f"not fit the encoding {encoding}",
    )


# Parquet's own types

CRS_FORMS = {
    "": ("OGC:CRS84", (10, 50)),
    "OGC:CRS84": ("OGC:CRS84", (10, 50)),
    "EPSG:25832": ("EPSG:25832", (571_666.4475041276, 5_539_109.815175673)),
    "srid:25832": ("EPSG:25832", (571_666.4475041276, 5_539_109.815175673)),
    "projjson:of_the_file": ("EPSG:25832", (571_666.4475041276, 5_539_109.815175673)),
    CRS("EPSG:25832").to_json(): ("EPSG:25832", (571_666.4475041276, 5_539_109.815175673)),
}


class GeoArrowWkb(pa.ExtensionType):  # type: ignore[misc]
    """GeoArrow's WKB, of which pyarrow makes GEOMETRY or GEOGRAPHY."""

    def __init__(self, about: str) -> None:
        self.about = about
        super().__init__(pa.binary(), "geoarrow.wkb")

    def __arrow_ext_serialize__(self) -> bytes:
        return self.about.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> GeoArrowWkb:
        del storage
        return cls(serialized.decode())


def typed(folder: Path, crs: str, place: tuple[float, float], kind: str = "Geometry", rows: int = 1) -> bytes:
    """Write a Parquet file with a column of the type GEOMETRY or GEOGRAPHY."""
    about = {**({"crs": crs} if crs else {}), **({"edges": "spherical"} if kind == "Geography" else {})}
    shapes = pa.array([shapely.Point(place).wkb] * rows, pa.binary())
    geometry = pa.ExtensionArray.from_storage(GeoArrowWkb(json.dumps(about)), shapes)
    table = pa.table({"n": range(1, rows + 1), "shape": geometry})
    path = folder / "typed.parquet"
    pq.write_table(table.replace_schema_metadata({"of_the_file": CRS("EPSG:25832").to_json()}), path)
    with pq.ParquetFile(path) as file:
        assert json.loads(file.schema.column(1).logical_type.to_json())["Type"] == kind
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["Geometry", "Geography"])
@pytest.mark.parametrize("stated", CRS_FORMS, ids=lambda stated: stated[:20])
def test_a_column_of_parquets_own_geometry_type_is_loaded(loader: Loader, stated: str, kind: str) -> None:
    label, place = CRS_FORMS[stated]
    loader.put("a.parquet", typed(loader.folder, stated, place, kind, rows=3))
    result = loader.load("a.parquet", chunk_size=2)
    assert (result["original_crs"], result["reading"]["geometry_column"]) == (label, "shape")
    rows = loader.rows("SELECT n, round(ST_X(geom)::numeric, 6), round(ST_Y(geom)::numeric, 6) FROM geo.a ORDER BY id")
    assert rows == [(n, 10, 50) for n in (1, 2, 3)]


def test_a_geometry_of_an_unknown_crs_needs_source_crs(loader: Loader) -> None:
    data = typed(loader.folder, "srid:0", (10, 50))
    fails(loader, "a.parquet", data, "crs_missing")
    assert loader.load("a.parquet", source_crs="EPSG:4326")["total_features_loaded"] == 1


@pytest.mark.parametrize("stated", ["projjson:gone", "srid:x", "nonsense"])
def test_a_crs_that_a_geometry_type_names_and_nobody_knows(loader: Loader, stated: str) -> None:
    fails(loader, "a.parquet", typed(loader.folder, stated, (10, 50)), "geo_metadata_invalid")


def test_a_parquet_without_geometries_lists_its_columns(loader: Loader) -> None:
    path = loader.folder / "plain.parquet"
    pq.write_table(pa.table({"lon": [1.0], "lat": [2.0]}), path)
    fails(loader, "a.parquet", path.read_bytes(), "geo_metadata_missing", "lon, lat", "GEOMETRY")
