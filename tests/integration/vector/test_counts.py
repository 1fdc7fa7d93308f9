"""Rows are counted without the reader that returns them: what it passes over is missed, whatever the format."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from schema.errors import PermanentError
from services.vector.readers.source_layer import SourceBatch, SourceLayer
from services.vector.source import layers
from tests.fixtures.vector import boxes, geojson, geojson_lines, gpkg, shapefile, shapefile_parts, zipped
from tests.integration.vector.loading import Loader
from tests.integration.vector.refusals import fails
from tests.integration.vector.writers import csv_of_shapes, document, kml, parquet, written

WRITERS = [
    (gpkg, "a.gpkg", "SQLite's count of the table"),
    (shapefile, "a.zip", "the header of the .shx file"),
    (written(".fgb"), "a.fgb", "the header of the FlatGeobuf file"),
    (parquet, "a.parquet", "the metadata of the Parquet file"),
    (geojson, "a.geojson", "the bytes of the file"),
    (geojson_lines, "a.geojsonl", "its lines"),
    (csv_of_shapes, "a.csv", "its lines"),
    (kml, "a.kml", "the tags of its placemarks"),
]


def lose_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every reader end one row early, as if it had met something that it cannot read and takes for the end."""
    given = layers._open

    @contextmanager
    def opened(*args: Any, **options: Any) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
        with given(*args, **options) as (layer, batches):
            yield layer, (_but_one(batch) for batch in batches)

    monkeypatch.setattr(layers, "_open", opened)


def _but_one(batch: SourceBatch) -> SourceBatch:
    rows = len(batch.fids) - 1
    return SourceBatch(
        batch.fids[:rows], batch.attributes.slice(0, rows), batch.geometry.slice(0, rows), batch.type_codes[:rows]
    )


@pytest.mark.parametrize(("write", "name", "by"), WRITERS, ids=[name for _, name, _ in WRITERS])
def test_a_row_that_the_reader_passes_over_fails_the_load(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, write: Any, name: str, by: str
) -> None:
    loader.put(name, write(boxes(30), loader.folder))
    counted = loader.load(name, target_table="made")["conservation"]["rows_counted"]
    assert {"rows": 30, "by": by} in counted
    lose_a_row(monkeypatch)
    with pytest.raises(PermanentError, match="has 30 features, but only 29 can be read") as raised:
        loader.load(name)
    assert raised.value.error_code == "source_unreadable"
    assert f"By {by}, " in raised.value.message


@pytest.mark.parametrize(
    ("suffix", "at", "value", "words"),
    [
        (".shx", 24, (50 + 4 * 7).to_bytes(4, "big"), "By the size of the .shx file, .* 10 features, but only 7"),
        (
            ".dbf",
            4,
            (9).to_bytes(4, "little"),
            "By the header of the .shx file, .* 10 features, but only 9 can be read",
        ),
    ],
)
def test_parts_of_a_shapefile_that_state_different_numbers_fail_the_load(
    loader: Loader, suffix: str, at: int, value: bytes, words: str
) -> None:
    parts = shapefile_parts(boxes(10), loader.folder)
    part = parts[suffix]
    parts[suffix] = part[:at] + value + part[at + len(value) :]
    loader.put("a.zip", zipped({f"a{name}": data for name, data in parts.items()}))
    with pytest.raises(PermanentError, match=words):
        loader.load("a.zip")


def test_an_index_that_was_cut_off_together_with_its_header_is_found_by_the_table(loader: Loader) -> None:
    parts = shapefile_parts(boxes(10), loader.folder)
    short = parts[".shx"][: 100 + 8 * 6]
    parts[".shx"] = short[:24] + (len(short) // 2).to_bytes(4, "big") + short[28:]
    data = zipped({f"a{name}": part for name, part in parts.items()})
    fails(loader, "a.zip", data, "source_unreadable", "By the header of the .dbf file", "10 features, but only 6")


def _change(data: bytes, folder: Path, *statements: str) -> bytes:
    path = folder / "changed.gpkg"
    path.write_bytes(data)
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)
    return path.read_bytes()


def test_a_number_that_is_out_of_date_in_a_geopackage_is_a_warning_with_both_numbers(loader: Loader) -> None:
    data = gpkg(boxes(10), loader.folder)
    loader.put("a.gpkg", _change(data, loader.folder, "UPDATE gpkg_ogr_contents SET feature_count = 14"))
    warnings = loader.warnings("a.gpkg")
    assert warnings["row_count_differs"]["count"] == 4
    assert "14 features, but 10 were read" in warnings["row_count_differs"]["message"]
    assert loader.warnings("a.gpkg", dry_run=True) == warnings


@pytest.mark.parametrize(
    "statement", ["UPDATE gpkg_ogr_contents SET feature_count = NULL", "DROP TABLE gpkg_ogr_contents"]
)
def test_a_geopackage_without_that_number_has_no_warning(loader: Loader, statement: str) -> None:
    data = gpkg(boxes(10), loader.folder)
    triggers = ("DROP TRIGGER trigger_insert_feature_count_made", "DROP TRIGGER trigger_delete_feature_count_made")
    loader.put("a.gpkg", _change(data, loader.folder, *triggers, statement))
    result = loader.load("a.gpkg")
    assert result["conservation"]["rows_counted"] == [{"rows": 10, "by": "SQLite's count of the table"}]


def _without_number(data: bytes) -> bytes:
    """Write zero as the number of features into the header of a FlatGeobuf, as a writer does that did not know it."""
    size = int.from_bytes(data[8:12], "little")
    place = data.index((7).to_bytes(8, "little"), 12, 12 + size)
    return data[:place] + bytes(8) + data[place + 8 :]


def test_features_of_a_flatgeobuf_without_their_number_are_counted_by_their_sizes(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _without_number(written(".fgb", SPATIAL_INDEX="NO")(boxes(7), loader.folder))
    loader.put("a.fgb", data)
    counted = loader.load("a.fgb")["conservation"]["rows_counted"]
    assert counted == [{"rows": 7, "by": "the sizes of its features"}]
    # GDAL ends at a feature that is cut off without an error, or fails: neither is a load.
    fails(loader, "b.fgb", data[:-5], "source_unreadable")
    lose_a_row(monkeypatch)
    with pytest.raises(PermanentError, match="7 features, but only 6"):
        loader.load("a.fgb")


def test_placemarks_in_comments_and_texts_are_not_counted(loader: Loader) -> None:
    mark = "<Placemark><name>a</name><Point><coordinates>1,2</coordinates></Point></Placemark>"
    other = '<k:Placemark xmlns:k="http://www.opengis.net/kml/2.2" id="b"/>'
    text = "<Placemark>\n<description><![CDATA[<Placemark> <b>]]></description></Placemark>"
    loader.put("a.kml", document(f"<!-- {mark} -->{mark}{other}{text}<Style><PlacemarkStyle/></Style>"))
    counted = loader.load("a.kml", keep_null_geometry=True)["conservation"]
    assert (counted["rows_in"], counted["rows_counted"][0]["rows"]) == (3, 3)


def test_a_placemark_within_another_one_is_not_lost(loader: Loader) -> None:
    mark = "<Placemark><Point><coordinates>1,2</coordinates></Point>{}</Placemark>"
    fails(loader, "a.kml", document(mark.format(mark.format(""))), "source_unreadable", "2 features, but only 1")
