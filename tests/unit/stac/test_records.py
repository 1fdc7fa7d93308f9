"""STAC records are valid, and say what the file says."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from jsonschema.exceptions import ValidationError
from pyproj import CRS

from schema.errors import PermanentError
from schema.jobs import Json
from services.raster.source.facts import BandFacts, RasterFacts
from services.raster.source.statistics import RasterStatistics
from services.stac.boxes import union
from services.stac.collections.collection import new_collection
from services.stac.collections.extent import grown
from services.stac.items.datetimes import ItemDatetime, datetime_of
from services.stac.items.footprint import extent_footprint
from services.stac.items.item import Processing, StoredFile, href_of, new_item, record_of
from services.stac.items.raster_item import (
    COG_TITLE,
    COG_TYPE,
    TIFF_TITLE,
    TIFF_TYPE,
    RasterContent,
    make_raster_item,
)
from services.stac.items.vector_item import LayerContent, make_vector_item
from tests.fixtures.raster_facts import facts
from tests.fixtures.stac_schemas import EXTENSIONS, validate

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
DEGREES: dict[str, Any] = {"crs_wkt": CRS("EPSG:4326").to_wkt(), "transform": (0.01, 0.0, 9.0, 0.0, -0.01, 47.0)}
UTM: dict[str, Any] = {"crs_wkt": CRS("EPSG:32632").to_wkt()}


OUTPUT = StoredFile(
    item_id="a-v1", collection_id="bronze", href="/silver/bronze/a/v1.tif", source="bronze/a.tif", size=99,
    checksum="1220" + "ab" * 32, dated=ItemDatetime(NOW, "metadata"), media_type=COG_TYPE, title=COG_TITLE,
    processing=Processing(NOW, {"geostage": "0.1.0"}),
)  # fmt: skip


def output(raster: RasterFacts | None = None, values: float = 5) -> Json:
    """The record of an output."""
    raster = raster or facts(**DEGREES)
    statistics = RasterStatistics.empty(raster.count)
    statistics.add(np.full((raster.count, 2, 2), values), None)
    return record_of(make_raster_item(OUTPUT, RasterContent(raster, statistics)))


@pytest.mark.parametrize(
    ("raster", "values"),
    [
        (facts(**DEGREES), 5),
        (facts(**UTM), 5),
        (facts(**UTM, nodata=-9999.0, dtype="int16"), 5),
        (facts(**UTM, nodata=math.nan, dtype="float32"), math.nan),
        (facts(**UTM, dtype="float32"), math.inf),
        (facts(**DEGREES, colors=("red", "green", "blue", "alpha")), 5),
        (facts(**DEGREES, colors=("palette",), palette=((0, (1, 2, 3, 255)),)), 0),
        (facts(**UTM, bands=(BandFacts("gray", "height", "metre", 0.1, 5.0, ()),)), 5),
        (facts(crs_wkt=CRS("EPSG:3031").to_wkt(), transform=(1e4, 0.0, -4e6, 0.0, -1e4, 4e6)), 5),
        (facts(crs_wkt=CRS("+proj=laea +lat_0=10 +lon_0=20").to_wkt()), 5),
        (facts(crs_wkt=CRS("EPSG:32660").to_wkt(), transform=(1e3, 0.0, 5e5, 0.0, -1e3, 6e6)), 5),
    ],
)
def test_items_are_valid_against_the_core_and_their_extensions(raster: RasterFacts, values: float) -> None:
    record = output(raster, values)
    json.dumps(record, allow_nan=False)
    unchecked = validate(record)
    assert len(record["stac_extensions"]) == 5
    if unchecked:
        pytest.skip(f"valid against the core; schemas not at hand: {', '.join(unchecked)}")


@pytest.mark.skipif(not EXTENSIONS.exists(), reason="the schemas of the extensions do not lie beside the project")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: r["properties"].update({"proj:shape": "wide"}),
        lambda r: r["assets"]["data"].update({"file:size": -1}),
        lambda r: r["assets"]["data"].update({"raster:sampling": "corner"}),
        lambda r: r["properties"].update({"processing:software": 5}),
        lambda r: r["properties"].pop("renders"),
    ],
)
def test_the_validation_would_notice(spoil: Any) -> None:
    record = output()
    spoil(record)
    with pytest.raises(ValidationError):
        validate(record)


def test_an_item_says_what_the_file_says() -> None:
    raster = facts(**UTM, nodata=0.0, bands=(BandFacts("gray", "height", "metre", 0.1, 5.0, ()),))
    record = output(raster)
    asset, properties = record["assets"]["data"], record["properties"]
    assert properties["proj:code"] == "EPSG:32632"
    assert properties["proj:shape"] == [800, 1000]
    assert properties["proj:bbox"] == [500_000, 5_192_000, 510_000, 5_200_000]
    assert properties["geostage:datetime_source"] == "metadata"
    assert (asset["data_type"], asset["nodata"], asset["file:size"]) == ("uint8", 0, 99)
    assert asset["bands"] == [
        {
            "name": "height", "unit": "metre", "raster:scale": 0.1, "raster:offset": 5.0,
            "geostage:color_interpretation": "gray",
            "statistics": {"minimum": 5, "maximum": 5, "mean": 5, "valid_percent": 100.0},
        }
    ]  # fmt: skip
    assert properties["renders"]["default"]["rescale"] == [[5, 5]]


def test_a_crs_without_a_code_is_written_out() -> None:
    record = output(facts(crs_wkt=CRS("+proj=laea +lat_0=10 +lon_0=20").to_wkt()))
    assert record["properties"].get("proj:code") is None
    assert record["properties"]["proj:wkt2"].startswith("PROJCRS")


@pytest.mark.parametrize("changes", [{}, {"georeference": "none", **UTM}, {"georeference": "gcps", **UTM}])
def test_a_raster_without_a_place_never_becomes_an_item(changes: dict[str, Any]) -> None:
    with pytest.raises((ValueError, PermanentError), match="place"):
        output(facts(**changes))


SOURCE = StoredFile(
    item_id="a.tif-1", collection_id="bronze", href="/bronze/a.tif", source="bronze/a.tif", size=9,
    dated=ItemDatetime(NOW, "blob"), media_type=TIFF_TYPE, title=TIFF_TITLE, properties={"geostage:etag": '"1"'},
)  # fmt: skip


def test_a_source_whose_header_alone_was_read_has_no_statistics_and_is_valid() -> None:
    record = record_of(make_raster_item(SOURCE, RasterContent(facts(**UTM))))
    validate(record)
    assert "statistics" not in record["assets"]["data"]["bands"][0]
    assert "file:checksum" not in record["assets"]["data"]
    assert "renders" not in record["properties"]
    assert "processing:lineage" not in record["properties"]
    assert record["properties"]["geostage:etag"] == '"1"'


def test_a_source_with_control_points_has_the_outline_that_they_give() -> None:
    outline = extent_footprint("a", CRS("EPSG:4326"), (9, 46, 10, 47))
    content = RasterContent(facts(georeference="gcps", **DEGREES), outline=outline)
    record = record_of(make_raster_item(SOURCE, content))
    validate(record)
    assert record["bbox"] == [9, 46, 10, 47]
    assert "proj:transform" not in record["properties"]


def test_a_file_whose_place_is_not_known_has_no_geometry_and_no_box() -> None:
    record = record_of(new_item(SOURCE, None))
    validate(record)
    assert record["geometry"] is None
    assert "bbox" not in record


def layer(name: str, bounds: tuple[float, float, float, float], crs: str = "EPSG:4326", **kinds: int) -> LayerContent:
    outline = extent_footprint(name, CRS(crs), bounds)
    return LayerContent(name, sum(kinds.values()), kinds, (("name", "string"),), CRS(crs), crs, bounds, outline)


def test_an_item_of_a_vector_file_is_valid_and_tells_of_its_columns() -> None:
    record = record_of(make_vector_item(SOURCE, [layer("roads", (5, 50, 6, 51), LineString=3)]))
    validate(record)
    properties = record["properties"]
    assert properties["table:columns"] == [
        {"name": "geometry", "type": "LineString"}, {"name": "name", "type": "string"}
    ]  # fmt: skip
    assert (properties["table:row_count"], properties["table:primary_geometry"]) == (3, "geometry")
    assert (properties["proj:code"], properties["proj:bbox"]) == ("EPSG:4326", [5, 50, 6, 51])
    assert record["bbox"] == [5, 50, 6, 51]


def test_an_item_of_several_layers_tells_of_each_and_covers_all() -> None:
    layers = [layer("a", (5, 50, 6, 51), Point=3), layer("b", (0, 0, 1e5, 1e5), "EPSG:3857", Point=1, Polygon=2)]
    record = record_of(make_vector_item(SOURCE, layers))
    validate(record)
    assert record["geometry"]["type"] == "MultiPolygon"
    assert record["bbox"] == pytest.approx([0, 0, 6, 51])
    assert "proj:code" not in record["properties"]
    assert record["properties"]["table:row_count"] == 6
    assert [(one["name"], one["row_count"]) for one in record["properties"]["geostage:layers"]] == [("a", 3), ("b", 3)]


def test_what_jsonb_cannot_hold_is_the_files_fault() -> None:
    item = make_vector_item(SOURCE, [layer("ro\0ads", (5, 50, 6, 51), Point=1)])
    with pytest.raises(PermanentError, match="cannot be stored"):
        record_of(item)


def test_a_collection_of_items_without_a_place_covers_the_world_until_one_has_one() -> None:
    nowhere = record_of(new_item(SOURCE, None))
    collection = new_collection("bronze", nowhere)
    validate(collection)
    assert collection["extent"]["spatial"]["bbox"] == [[-180, -90, 180, 90]]
    assert grown(collection["extent"], nowhere) == collection["extent"]
    extent = grown(collection["extent"], output())
    assert extent["spatial"] == {"bbox": [[9, 39, 19, 47]]}
    assert grown(extent, nowhere)["spatial"] == extent["spatial"]


def test_collections_are_valid_and_grow() -> None:
    record = output()
    collection = new_collection("bronze", record)
    assert validate(collection) == []
    later = {
        **record,
        "bbox": [20, 40, 30, 45],
        "properties": {**record["properties"], "datetime": "2027-01-01T00:00:00Z"},
    }
    extent = grown(collection["extent"], later)
    assert extent["spatial"]["bbox"] == [[9, 39, 30, 47]]
    assert extent["temporal"]["interval"] == [["2026-05-04T03:02:01Z", "2027-01-01T00:00:00Z"]]
    assert grown(extent, later) == extent


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([0, 0, 1, 1], [2, 2, 3, 3], [0, 0, 3, 3]),
        ([170, 0, 180, 1], [-180, 0, -170, 1], [170, 0, -170, 1]),
        ([170, 0, -170, 1], [175, 0, -175, 1], [170, 0, -170, 1]),
        ([170, 0, -170, 1], [0, 0, 10, 1], [0, 0, -170, 1]),
        ([-180, -90, 180, 90], [5, 5, 6, 6], [-180, -90, 180, 90]),
        ([-180, -90, 180, -60], [170, 0, -170, 1], [-180, -90, 180, 1]),
        ([5, 5, 5, 5], [5, 5, 5, 5], [5, 5, 5, 5]),
        ([-120, 0, -100, 1], [100, 0, 120, 1], [100, 0, -100, 1]),
    ],
)
def test_boxes_are_joined_the_short_way_round(one: list[float], other: list[float], expected: list[float]) -> None:
    assert union(one, other) == expected
    assert union(other, one)[1::2] == expected[1::2]


@pytest.mark.parametrize(
    ("tags", "blob", "at", "origin"),
    [
        ({"TIFFTAG_DATETIME": "2020:01:02 03:04:05"}, "a_20190101.tif", "2020-01-02T03:04:05+00:00", "metadata"),
        ({"ACQUISITIONDATETIME": "2018-05-06T07:08:09Z", "TIFFTAG_DATETIME": "2020:01:02 03:04:05"}, "a.tif",
         "2018-05-06T07:08:09+00:00", "metadata"),
        ({"TIFFTAG_DATETIME": "yesterday"}, "S2A_20210908T101112.tif", "2021-09-08T10:11:12+00:00", "file_name"),
        ({}, "2021/dem_2020-02-03.tif", "2020-02-03T00:00:00+00:00", "file_name"),
        ({}, "2019-04-05/dem.tif", "2019-04-05T00:00:00+00:00", "file_name"),
        ({}, "dem_20201399.tif", "2022-02-02T02:02:02+00:00", "blob"),
        ({}, "dem_20200231.tif", "2022-02-02T02:02:02+00:00", "blob"),
        ({}, "id123420200101999.tif", "2022-02-02T02:02:02+00:00", "blob"),
    ],
)  # fmt: skip
def test_the_time_comes_from_metadata_file_name_or_blob(tags: dict[str, str], blob: str, at: str, origin: str) -> None:
    assert datetime_of(tags, blob, "2022-02-02T02:02:02+00:00", NOW) == ItemDatetime(datetime.fromisoformat(at), origin)  # type: ignore[arg-type]


def test_links_bear_no_key_and_are_escaped() -> None:
    assert href_of("", "silver", "a b/ü.tif") == "/silver/a%20b/%C3%BC.tif"
    assert href_of("https://cdn.example.org/", "silver", "a.tif") == "https://cdn.example.org/silver/a.tif"
