"""Files that cannot be loaded: the error says what is wrong and what to do, and the table stays as it was."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import Point

from schema.errors import PermanentError, SourceChanged
from services.context import TaskContext
from services.vector.gdal import pyogrio
from services.vector.readers import gdal_layer
from tests.fixtures.vector import boxes, features, frame, geojson, gpkg, shapefile, shapefile_parts, zipped
from tests.fixtures.world import CONTAINER
from tests.integration.vector.loading import Loader
from tests.integration.vector.refusals import VRT, fails


def test_a_truncated_zip(loader: Loader) -> None:
    data = shapefile(boxes(100), loader.folder)
    fails(loader, "a.zip", data[: len(data) // 2], "archive_damaged")


def test_a_zip_with_damaged_contents(loader: Loader) -> None:
    data = bytearray(shapefile(boxes(500), loader.folder))
    data[200:260] = b"\x00" * 60
    fails(loader, "a.zip", bytes(data), "archive_damaged")


def test_a_zip_without_a_shapefile(loader: Loader) -> None:
    fails(loader, "a.zip", zipped({"readme.txt": b"x", "a.dbf": b"x"}), "shapefile_missing", "readme.txt", "a.dbf")


@pytest.mark.parametrize("suffix", [".shx", ".dbf"])
def test_a_shapefile_without_a_part(loader: Loader, suffix: str) -> None:
    data = shapefile(boxes(3), loader.folder, leave_out=[suffix])
    fails(loader, "a.zip", data, "shapefile_incomplete", f"made{suffix}")


def test_a_zip_with_several_shapefiles(loader: Loader) -> None:
    fails(loader, "a.zip", zipped({"a.shp": b"", "b/c.shp": b""}), "several_layers", "a.shp, b/c.shp")


@pytest.mark.parametrize("name", ["../a.shp", "/a.shp", "c:/a.shp", "..\\a.shp"])
def test_a_zip_that_points_outside(loader: Loader, name: str) -> None:
    fails(loader, "a.zip", zipped({name: b"x"}), "archive_refused")


def test_a_zip_bomb(loader: Loader) -> None:
    fails(loader, "a.zip", zipped({"a.shp": bytes(300 * 2**20)}), "archive_refused", "would unpack from")


@pytest.mark.parametrize("method", [9, 97])
def test_a_zip_that_is_packed_in_an_unusual_way(loader: Loader, method: int) -> None:
    """Deflate64, as Windows writes it from 2 GB on, and WavPack."""
    data = bytearray(shapefile(boxes(3), loader.folder))
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = -1
        while (place := data.find(mark, place + 1)) >= 0:
            data[place + offset] = method
    fails(loader, "a.zip", bytes(data), "archive_damaged", "unsupported compression")


def test_a_zip_with_damaged_lzma(loader: Loader) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        for suffix, part in shapefile_parts(boxes(3), loader.folder).items():
            archive.writestr(f"a{suffix}", part)
    for start, end in ((38, 60), (30 + 5, 40)):
        data = bytearray(buffer.getvalue())
        data[start:end] = b"\xff" * (end - start)
        fails(loader, "a.zip", bytes(data), "archive_damaged")


def test_a_sparse_shapefile_is_no_bomb(loader: Loader) -> None:
    """Text fields of 254 blanks, 280 MB of them."""
    shapes = shapefile_parts(boxes(3), loader.folder)
    shapes[".txt"] = b" " * 280 * 2**20 + np.random.default_rng(1).bytes(2**19)
    loader.put("a.zip", zipped({f"made{suffix}": part for suffix, part in shapes.items()}))
    assert loader.load("a.zip")["total_features_loaded"] == 3


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_odd_entries_beside_a_good_shapefile_do_no_harm(loader: Loader) -> None:
    parts = shapefile_parts(boxes(3), loader.folder)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x:y.txt", b"x")
        for suffix, part in parts.items():
            archive.writestr(f"{'LAYER' if suffix == '.shp' else 'layer'}{suffix}", part)
        archive.writestr("LAYER.shp", parts[".shp"])
    loader.put("a.zip", buffer.getvalue())
    assert loader.load("a.zip", dry_run=True)["layers"][0]["name"] == "LAYER"
    assert loader.load("a.zip")["total_features_loaded"] == 3


def test_a_zip_with_very_many_entries(loader: Loader) -> None:
    fails(loader, "a.zip", zipped({f"{n}.txt": b"" for n in range(10_001)}), "archive_refused", "10001 entries")


def test_a_shapefile_without_crs(loader: Loader) -> None:
    data = shapefile(boxes(3), loader.folder, leave_out=[".prj"])
    fails(loader, "a.zip", data, "crs_missing", "The layer 'made' has no coordinate reference")


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_a_geopackage_without_crs(loader: Loader) -> None:
    fails(loader, "a.gpkg", gpkg(boxes(3, None), loader.folder), "crs_missing")


@pytest.mark.parametrize("name", ["a.gpkg", "a.zip", "a.geojson"])
def test_an_empty_layer(loader: Loader, name: str) -> None:
    write = {"a.gpkg": gpkg, "a.zip": shapefile, "a.geojson": geojson}[name]
    fails(loader, name, write(boxes(1).iloc[:0], loader.folder), "layer_empty")


@pytest.mark.parametrize("name", ["a.gpkg", "a.zip", "a.geojson"])
def test_a_file_of_zero_bytes(loader: Loader, name: str) -> None:
    fails(loader, name, b"", "file_empty", name)


@pytest.mark.parametrize("name", ["a.gpkg", "a.zip", "a.geojson"])
@pytest.mark.parametrize("data", [VRT, b"hello", b"\x00" * 500])
def test_a_file_that_is_not_what_its_extension_says(loader: Loader, name: str, data: bytes) -> None:
    fails(loader, name, data, "wrong_format", name)


def test_a_truncated_geojson(loader: Loader) -> None:
    data = geojson(boxes(2_000), loader.folder)
    fails(loader, "a.geojson", data[: len(data) * 9 // 10], "source_unreadable")


def test_a_geojson_with_entries_that_are_no_features(loader: Loader) -> None:
    good = '{"type": "Feature", "properties": {"geometry": 1}, "geometry": {"type": "Point", "coordinates": [1, 2]}}'
    odd = ("null", '"text"', "5", '{"properties": {}, "geometry": {"type": "Point", "coordinates": [1, 2]}}')
    data = f'{{"type": "FeatureCollection", "features": [{good}, {", ".join(odd)}, {good}]}}'.encode()
    fails(loader, "a.geojson", data, "too_many_rejected", "4 not_a_feature", "row 2 (not_a_feature)")
    result = loader.load("a.geojson", max_rejected=4)
    assert (result["total_features_loaded"], result["conservation"]["rows_rejected"]) == (2, 4)
    assert loader.rows("SELECT row_number, raw_row->>'text' FROM geo.a__rejects ORDER BY 1") == list(
        enumerate(odd, start=2)
    )


def test_geojson_lines_with_a_line_that_is_no_feature(loader: Loader) -> None:
    good = '{"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [1, 2]}}'
    fails(loader, "a.ndjson", f'{good}\n{{"a": 1}}\n'.encode(), "too_many_rejected", "row 2 (not_a_feature)")
    many = f'{{"type": "FeatureCollection", "features": [{good}, {good}]}}'
    fails(loader, "a.ndjson", many.encode(), "source_unreadable", "Line 1", "FeatureCollection")
    fails(loader, "a.ndjson", f"{many}\n{{broken\n".encode(), "source_unreadable")


@pytest.mark.parametrize(
    ("suffix", "data", "code", "words"),
    [
        (".dbf", b"", "file_empty", "x/made.dbf is empty"),
        (".shx", b"", "file_empty", "x/made.shx is empty"),
        (".dbf", bytes(200), "source_unreadable", "x/made.dbf does not begin"),
        (".shx", bytes(200), "source_unreadable", "x/made.shx does not begin"),
    ],
)
def test_a_shapefile_with_a_part_that_is_none(loader: Loader, suffix: str, data: bytes, code: str, words: str) -> None:
    parts = {**shapefile_parts(boxes(5), loader.folder), suffix: data}
    fails(loader, "a.zip", zipped({f"x/made{end}": part for end, part in parts.items()}), code, words)


@pytest.mark.parametrize("suffix", [".shp", ".shx", ".dbf"])
def test_a_shapefile_with_a_part_that_was_cut_off(loader: Loader, suffix: str) -> None:
    parts = shapefile_parts(boxes(50), loader.folder)
    parts[suffix] = parts[suffix][: len(parts[suffix]) // 2]
    data = zipped({f"x/made{end}": part for end, part in parts.items()})
    fails(loader, "a.zip", data, "source_unreadable", f"x/made{suffix} was cut off")


def test_a_source_crs_that_has_no_place_on_a_plane(loader: Loader) -> None:
    loader.put("a.geojson", geojson(boxes(2), loader.folder))
    with pytest.raises(PermanentError, match="neither geographic nor projected") as caught:
        loader.load("a.geojson", source_crs="EPSG:5703")
    assert caught.value.error_code == "crs_missing"


def test_json_that_is_no_geojson(loader: Loader) -> None:
    fails(loader, "a.json", json.dumps({"a": 1}).encode(), "source_unreadable")


def test_a_truncated_geopackage(loader: Loader) -> None:
    data = gpkg(boxes(5_000), loader.folder)
    fails(loader, "a.gpkg", data[: len(data) // 2], "source_unreadable")


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("fill", [b"\x00", b"\xff", b"\x05"])
def test_a_geopackage_that_is_damaged_in_its_middle(loader: Loader, share: float, fill: bytes) -> None:
    data = bytearray(gpkg(boxes(5_000), loader.folder, SPATIAL_INDEX="NO"))
    start = int(len(data) * share)
    data[start : start + 20_000] = fill * 20_000
    fails(loader, "a.gpkg", bytes(data), "source_unreadable", "GeoPackage is damaged", "'made'", "from byte")


def test_a_geopackage_never_loses_rows_to_damage(loader: Loader) -> None:
    """GDAL ends a damaged table as if that were all; a byte of a page's header is enough."""
    data = gpkg(boxes(2_000), loader.folder)
    said: list[str] = []
    for page in range(8, len(data) // 4096, 3):
        broken = bytearray(data)
        broken[page * 4096 + 3] ^= 0x13
        loader.put("a.gpkg", bytes(broken))
        with contextlib.suppress(PermanentError), noted(said):
            assert loader.load("a.gpkg", dry_run=True)["layers"][0]["features"] == 2_000
    assert len(said) > 10
    assert {text.partition(":")[0] for text in said} == {"The GeoPackage is damaged"}
    assert not [text for text in said if "sqlite" in text.lower()]


@contextlib.contextmanager
def noted(said: list[str]) -> Iterator[None]:
    try:
        yield
    except PermanentError as exc:
        said.append(exc.message)
        raise


@pytest.mark.filterwarnings("ignore:GPKG. bad application_id")
def test_a_plain_sqlite_file(loader: Loader, tmp_path: Path) -> None:
    path = tmp_path / "plain.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE a (b)")
    fails(loader, "a.gpkg", path.read_bytes(), "source_unreadable", "gpkg_contents")


def test_a_geopackage_of_several_layers(loader: Loader) -> None:
    path = loader.folder / "made.gpkg"
    gpkg(boxes(2), loader.folder, layer="roads")
    pyogrio.write_dataframe(frame([Point(0, 0)]), path, layer="trees", append=True)
    fails(loader, "a.gpkg", path.read_bytes(), "several_layers", "roads, trees")


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", ["urn:ogc:def:crs:EPSG::999999", "our own grid"])
def test_a_crs_member_that_is_not_known_is_not_taken_for_degrees(loader: Loader, name: str, place: str) -> None:
    made = json.loads(features((Point(500_000, 5_000_000), {"a": 1})))
    member = {"crs": {"type": "name", "properties": {"name": name}}}
    data = json.dumps({**member, **made} if place == "before" else {**made, **member}).encode()
    fails(loader, "a.geojson", data, "crs_unknown", name)
    assert loader.load("a.geojson", source_crs="EPSG:25832")["original_crs"] == "EPSG:25832"


@pytest.mark.parametrize("code", [999999, 5703, 4979, 4978, 7405])
def test_a_target_crs_that_no_table_can_have_is_refused_before_the_file_is_read(loader: Loader, code: int) -> None:
    """Unknown, vertical, with heights, geocentric, compound."""
    loader.put("a.json", b"no file that could be read")
    with pytest.raises(PermanentError, match=f"target_crs EPSG:{code}") as caught:
        loader.load("a.json", target_crs=f"EPSG:{code}")
    assert caught.value.error_code == "target_crs_unknown"


def test_a_source_that_changes_while_it_is_loaded(loader: Loader) -> None:
    """An instance that has not fetched the source yet meets another one."""
    loader.put("a.gpkg", gpkg(boxes(3), loader.folder))
    accepted = loader.blobs.head(CONTAINER, "a.gpkg")

    def change(ctx: TaskContext) -> None:
        loader.put("a.gpkg", gpkg(boxes(4), loader.folder))
        ctx.job_source = accepted

    loader.before_task = change
    with pytest.raises(SourceChanged):
        loader.load("a.gpkg")


def test_a_geopackage_whose_reading_ends_early(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    given = gdal_layer._batches
    monkeypatch.setattr(gdal_layer, "_batches", lambda *args: itertools.islice(given(*args), 1))
    rows = gdal_layer.MAX_BATCH_ROWS
    loader.put("a.gpkg", gpkg(boxes(rows + 1), loader.folder))
    with pytest.raises(PermanentError, match=f"{rows + 1} features, but only {rows} can be read"):
        loader.load("a.gpkg")


def test_deleted_records_of_a_shapefile_are_not_missing_ones(loader: Loader) -> None:
    parts = shapefile_parts(boxes(20), loader.folder)
    dbf = bytearray(parts[".dbf"])
    start, length = int.from_bytes(dbf[8:10], "little"), int.from_bytes(dbf[10:12], "little")
    dbf[start + 5 * length] = dbf[start + 7 * length] = ord("*")
    loader.put("a.zip", zipped({f"made{suffix}": bytes(part) for suffix, part in {**parts, ".dbf": dbf}.items()}))
    assert loader.load("a.zip", chunk_size=4)["total_features_loaded"] == 18
