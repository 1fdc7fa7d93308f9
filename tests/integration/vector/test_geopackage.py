"""GeoPackages as other programs write them: keys, declared types, what else they hold. FlatGeobuf where it is alike."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from pyogrio import _geometry
from shapely.geometry import Point

from schema.errors import PermanentError
from services.vector.gdal import pyogrio
from tests.fixtures import plain_gdal
from tests.fixtures.vector import frame, gpkg, zipped
from tests.integration.vector.loading import Loader
from tests.integration.vector.refusals import fails
from tests.integration.vector.writers import kml, parquet, written


@contextmanager
def edited(path: Path) -> Iterator[sqlite3.Connection]:
    """Edit a GeoPackage as a program without GDAL's functions would."""
    with closing(sqlite3.connect(path)) as db:
        yield db
        db.commit()


def points(number: int = 3) -> Any:
    return frame([Point(n, n) for n in range(1, number + 1)])


def keyed(folder: Path, name: str, keys: list[int]) -> bytes:
    """Write points with a key of this name and these values."""
    gpkg(points(len(keys)), folder, layer="made", FID=name, SPATIAL_INDEX="NO")
    path = folder / "made.gpkg"
    with edited(path) as db:
        # Out of the way first, so that no key is taken twice.
        db.execute(f'UPDATE made SET "{name}" = -100 - "{name}"')
        for row, key in enumerate(keys, start=1):
            db.execute(f'UPDATE made SET "{name}" = ? WHERE "{name}" = ?', [key, -100 - row])
    return path.read_bytes()


# Keys


@pytest.mark.parametrize(
    ("name", "keys", "column"),
    [
        ("parcel_no", [1017, 2017, 3017], "parcel_no"),
        ("parcel_no", [1, 2, 3], "parcel_no"),
        ("OBJECTID", [2, 3, 9], "objectid"),
        ("fid", [10, 20, 30], "source_fid"),
        ("fid", [0, 1, 2], "source_fid"),
        ("id", [5, 7, 9], "source_id"),
        ("ogc_fid", [5, 7, 2**53 + 1], "ogc_fid"),
        ("key", [-5, 0, 5], "key"),
    ],
)
def test_a_key_that_is_more_than_the_number_of_the_row_is_a_column(
    loader: Loader, name: str, keys: list[int], column: str
) -> None:
    loader.put("a.gpkg", keyed(loader.folder, name, keys))
    result = loader.load("a.gpkg", chunk_size=2)
    assert loader.rows(f'SELECT id, "{column}", name FROM geo.a ORDER BY id') == [
        (row, key, f"feature {row}") for row, key in enumerate(keys, start=1)
    ]
    assert {"name": column, "type": "bigint"} in result["summary"]["columns"]
    assert {"source": name, "name": column, "type": "bigint"} in loader.load("a.gpkg", dry_run=True)["columns"]


@pytest.mark.parametrize("name", ["fid", "id", "ogc_fid", "FID"])
def test_a_key_that_only_numbers_the_rows_is_the_id(loader: Loader, name: str) -> None:
    loader.put("a.gpkg", keyed(loader.folder, name, [1, 2, 3]))
    columns = loader.load("a.gpkg")["summary"]["columns"]
    assert [column["name"] for column in columns] == ["id", "name", "geom"]


def test_a_gap_in_the_key_of_a_layer_does_not_keep_its_rows_from_a_table(loader: Loader) -> None:
    loader.put("a.gpkg", keyed(loader.folder, "fid", [1, 2, 3]))
    loader.load("a.gpkg")
    loader.put("b.gpkg", keyed(loader.folder, "fid", [1, 2, 9]))
    loader.load("b.gpkg", target_table="a", load_method="append")
    assert loader.value("SELECT count(*) FROM geo.a") == 6
    loader.load("b.gpkg")
    loader.load("b.gpkg", load_method="append")
    assert loader.rows("SELECT source_fid FROM geo.b ORDER BY source_fid") == [(1,), (1,), (2,), (2,), (9,), (9,)]


def test_the_key_of_a_view_is_a_column(loader: Loader) -> None:
    keyed(loader.folder, "parcel_no", [1017, 2017, 3017])
    path = loader.folder / "made.gpkg"
    with edited(path) as db:
        db.execute("CREATE VIEW some AS SELECT parcel_no, geom, name FROM made WHERE parcel_no > 1017")
        db.execute("INSERT INTO gpkg_contents (table_name, data_type, srs_id) VALUES ('some', 'features', 4326)")
        db.execute("INSERT INTO gpkg_geometry_columns VALUES ('some', 'geom', 'POINT', 4326, 0, 0)")
    loader.put("a.gpkg", path.read_bytes())
    loader.load("a.gpkg", layer="some")
    assert loader.rows("SELECT id, parcel_no, name FROM geo.a ORDER BY id") == [
        (1, 2017, "feature 2"), (2, 3017, "feature 3")
    ]  # fmt: skip


def test_a_rejected_row_shows_its_key(loader: Loader) -> None:
    gpkg(frame([Point(1, 1), None]), loader.folder, FID="no", SPATIAL_INDEX="NO")
    with edited(loader.folder / "made.gpkg") as db:
        db.execute("UPDATE made SET no = no + 100")
    loader.put("a.gpkg", (loader.folder / "made.gpkg").read_bytes())
    loader.load("a.gpkg", max_rejected=1)
    shown = loader.value("SELECT raw_row -> 'properties' FROM geo.a__rejects")
    assert shown == {"no": 102, "name": "feature 2"}


# Declared types


# GDAL warns of types that are not of GeoPackage's core, pyogrio of M.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
@pytest.mark.parametrize(
    ("code", "layout"), [(2**31, "XYZ"), (2_000, "XYM"), (3_000, "XYZM"), (16, "XY"), (1_015, "XYZ"), (3_017, "XYZM")]
)
def test_a_layer_of_any_declared_type_is_read(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, suffix: str, code: int, layout: str
) -> None:
    # pyogrio writes what it does not read, once it has a name.
    monkeypatch.setitem(_geometry.GEOMETRY_TYPE_CODES, "declared", code)
    path = loader.folder / f"made{suffix}"
    count = {"XY": 2, "XYZ": 3, "XYM": 3, "XYZM": 4}[layout]
    is_surface = code % 1_000 in (15, 16, 17)
    # GDAL's own mark of Z where pyogrio knows no other.
    head = {"XY": 0, "XYZ": 1_000 if is_surface else 2**31, "XYM": 2_000, "XYZM": 3_000}[layout]
    ring = np.array([(0, 0), (0, 1), (1, 1), (0, 0)], np.float64)
    ring = np.hstack((ring, np.ones((4, count - 2))))
    polygon = (3 + head).to_bytes(4, "little") + (1).to_bytes(4, "little") + (4).to_bytes(4, "little") + ring.tobytes()
    shape = b"\x01" + (1 + head).to_bytes(4, "little") + ring[1].tobytes()
    if is_surface and code % 1_000 == 17:
        shape = b"\x01" + (17 + head).to_bytes(4, "little") + polygon[4:]
    elif is_surface:
        triangle = (17 if code % 1_000 == 16 else 3) + head
        face = b"\x01" + triangle.to_bytes(4, "little") + polygon[4:]
        shape = b"\x01" + (code % 1_000 + head).to_bytes(4, "little") + (1).to_bytes(4, "little") + face
    pyogrio.raw.write(
        path, np.array([shape, shape], object), [np.array([1, 2])], ["n"], geometry_type="declared", crs="EPSG:4326",
        layer="odd", SPATIAL_INDEX="NO",
    )  # fmt: skip
    if suffix == ".gpkg":
        pyogrio.write_dataframe(points(), path, layer="plain", append=True)
        loader.put("a.gpkg", path.read_bytes())
        assert loader.load("a.gpkg", layer="plain")["total_features_loaded"] == 3
    loader.put(f"a{suffix}", path.read_bytes())
    if is_surface:
        with pytest.raises(PermanentError) as caught:
            loader.load(f"a{suffix}", layer="odd" if suffix == ".gpkg" else None)
        assert caught.value.error_code == "surface_geometries"
        return
    result = loader.load(f"a{suffix}", layer="odd" if suffix == ".gpkg" else None)
    assert result["conservation"]["z_m_removed"] == 2
    assert loader.rows("SELECT n, ST_AsText(geom) FROM geo.a ORDER BY id") == [(1, "POINT(0 1)"), (2, "POINT(0 1)")]


# Contents


def test_a_geopackage_of_tiles_alone_says_so(loader: Loader) -> None:
    gpkg(points(), loader.folder, SPATIAL_INDEX="NO")
    path = loader.folder / "made.gpkg"
    with edited(path) as db:
        db.execute("UPDATE gpkg_contents SET data_type = 'tiles', table_name = 'aerial'")
        db.execute("DELETE FROM gpkg_geometry_columns")
    fails(loader, "a.gpkg", path.read_bytes(), "no_layer", "no layer with geometries", "aerial (tiles)")


def test_a_geopackage_of_tables_alone_says_so(loader: Loader) -> None:
    path = loader.folder / "made.gpkg"
    pyogrio.write_dataframe(pd.DataFrame({"a": [1]}), path, layer="owners")
    fails(loader, "a.gpkg", path.read_bytes(), "no_layer", "owners (attributes)")


def test_an_empty_layer_does_not_keep_the_others_from_their_tables(loader: Loader) -> None:
    gpkg(points(), loader.folder, layer="trees")
    path = loader.folder / "made.gpkg"
    for name in ("b_empty", "a_empty"):
        pyogrio.write_dataframe(points().iloc[:0], path, layer=name, append=True, geometry_type="Point")
    loader.put("a.gpkg", path.read_bytes())
    result = loader.load("a.gpkg", layer="*")
    assert (result["table"], result["total_features_loaded"]) == ("geo.a__trees", 3)
    [warning] = loader.warnings("a.gpkg", layer="*").values()
    assert (warning["code"], warning["count"]) == ("layers_empty", 2)
    assert "b_empty, a_empty" in warning["message"]
    assert loader.load("a.gpkg", layer="*", dry_run=True)["findings"]["empty_layers"] == ["b_empty", "a_empty"]
    with pytest.raises(PermanentError, match="'a_empty' is empty"):
        loader.load("a.gpkg", layer="a_empty")


def test_a_geopackage_of_empty_layers_alone_is_refused(loader: Loader) -> None:
    gpkg(points().iloc[:0], loader.folder, layer="a", geometry_type="Point")
    path = loader.folder / "made.gpkg"
    pyogrio.write_dataframe(points().iloc[:0], path, layer="b", append=True, geometry_type="Point")
    loader.put("a.gpkg", path.read_bytes())
    with pytest.raises(PermanentError) as caught:
        loader.load("a.gpkg", layer="*")
    assert caught.value.error_code == "layer_empty"


@pytest.mark.parametrize("suffix", [".geojson", ".parquet", ".fgb", ".kml", ".csv"])
def test_an_empty_file_of_an_archive_does_not_keep_the_others_from_their_tables(loader: Loader, suffix: str) -> None:
    def write(rows: Any) -> bytes:
        if suffix == ".csv":
            return b"lon,lat\n" + b"1,2\n" * len(rows)
        if suffix == ".kml":
            return kml(rows.assign(geometry=shapely.box(0, 0, 1, 1)), loader.folder)
        if suffix == ".geojson":
            return plain_gdal.write(rows, loader.folder / "made.geojson", geometry_type="Point").read_bytes()
        make = parquet if suffix == ".parquet" else written(suffix, geometry_type="Point")
        return make(rows, loader.folder)

    loader.put("a.zip", zipped({f"none{suffix}": write(points().iloc[:0]), f"some{suffix}": write(points())}))
    result = loader.load("a.zip", layer="*")
    assert (result["table"], result["total_features_loaded"]) == ("geo.a__some", 3)
    assert list(loader.warnings("a.zip", layer="*")) == ["layers_empty"]


# Times


MIXED = ["2024-05-01T09:00:00+02:00", "2024-05-01T09:00:00-05:00", "2024-05-01T09:00:00Z", "2024-05-01T09:00:00"]
INSTANTS = [datetime(2024, 5, 1, hour, tzinfo=UTC) for hour in (7, 14, 9)]


def timed(folder: Path, suffix: str, values: list[str | None]) -> bytes:
    """Write times as text into a column of times."""
    rows = frame([Point(n, n) for n in range(len(values))], at=[pd.Timestamp("2024-05-01T09:00:00Z")] * len(values))
    if suffix == ".fgb":
        # As long as GDAL's own text, so that no offset in the file changes; null times are another row's matter.
        path = folder / "made.fgb"
        pyogrio.write_dataframe(
            rows.assign(at=[pd.Timestamp(str(value)) for value in values]), path, SPATIAL_INDEX="NO"
        )
        return path.read_bytes()
    gpkg(rows, folder, SPATIAL_INDEX="NO")
    with edited(folder / "made.gpkg") as db:
        for row, value in enumerate(values, start=1):
            db.execute("UPDATE made SET at = ? WHERE fid = ?", [value, row])
    return (folder / "made.gpkg").read_bytes()


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_times_with_offsets_are_instants(loader: Loader, suffix: str) -> None:
    loader.put(f"a{suffix}", timed(loader.folder, suffix, list(MIXED[:3])))
    loader.load(f"a{suffix}")
    assert loader.rows("SELECT at FROM geo.a ORDER BY id") == [(instant,) for instant in INSTANTS]


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_times_without_offsets_have_no_zone(loader: Loader, suffix: str) -> None:
    loader.put(f"a{suffix}", timed(loader.folder, suffix, [MIXED[3], "2024-05-01T10:00:00"]))
    loader.load(f"a{suffix}")
    rows = loader.rows("SELECT at, pg_typeof(at)::text FROM geo.a ORDER BY id")
    assert rows == [(datetime(2024, 5, 1, hour), "timestamp without time zone") for hour in (9, 10)]  # noqa: DTZ001


@pytest.mark.parametrize("chunk_size", [2, 100])
@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_a_time_without_offset_beside_others_leaves_all_of_them_as_text(
    loader: Loader, suffix: str, chunk_size: int
) -> None:
    loader.put(f"a{suffix}", timed(loader.folder, suffix, list(MIXED)))
    result = loader.load(f"a{suffix}", chunk_size=chunk_size)
    assert result["reading"]["times_as_text"] == ["at"]
    texts = [text for (text,) in loader.rows("SELECT at FROM geo.a ORDER BY id")]
    assert [text.replace(".000", "") for text in texts] == MIXED


def test_a_column_of_times_without_values_remains_one(loader: Loader) -> None:
    loader.put("a.gpkg", timed(loader.folder, ".gpkg", [None, None]))
    columns = loader.load("a.gpkg")["summary"]["columns"]
    assert {"name": "at", "type": "timestamp"} in columns
