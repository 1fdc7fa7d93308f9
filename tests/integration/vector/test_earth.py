"""Coordinates that are not on Earth: single rows are rejected; a layer of them fails, with the CRS that would fit."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import pytest
from shapely.geometry import LineString, Point, box

from schema.errors import PermanentError
from schema.jobs import Json
from tests.fixtures.vector import boxes, features, frame, geojson, geojson_lines, gpkg, shapefile
from tests.integration.vector.loading import Loader
from tests.integration.vector.refusals import fails
from tests.integration.vector.writers import csv_of_shapes, kml, parquet, written

WRITERS = {
    "a.gpkg": gpkg,
    "a.zip": shapefile,
    # An index would put the rows into another order.
    "a.fgb": written(".fgb", SPATIAL_INDEX="NO"),
    "a.parquet": parquet,
    "a.geojson": geojson,
    "a.geojsonl": geojson_lines,
    "a.csv": csv_of_shapes,
    "a.kml": kml,
}


def check_transformable(loader: Loader, table: str) -> None:
    """Whether PostGIS transforms the whole table, which it refuses for one row that is not on Earth."""
    assert loader.value(f"SELECT count(ST_Transform(geom, 3857)) FROM geo.{table}") > 0


@pytest.mark.parametrize("name", WRITERS)
def test_a_row_that_is_not_on_earth_is_a_rejected_row_in_every_format(loader: Loader, name: str) -> None:
    shapes = [*boxes(30).geometry, box(344_271, 5_333_943, 344_281, 5_333_953), box(10, 89, 11, 91)]
    loader.put(name, WRITERS[name](frame(shapes), loader.folder))
    result = loader.load(name, max_rejected=2)
    assert result["conservation"]["reasons"] == {"coordinates_out_of_range": 2}
    assert loader.rows("SELECT row_number, reason FROM geo.a__rejects ORDER BY 1") == [
        (31, "coordinates_out_of_range"), (32, "coordinates_out_of_range"),
    ]  # fmt: skip
    check_transformable(loader, "a")


@pytest.mark.parametrize("name", WRITERS)
def test_a_layer_of_metres_that_says_degrees_fails_with_what_they_look_like(loader: Loader, name: str) -> None:
    metres = frame([box(x, 5_333_943, x + 10, 5_333_953) for x in range(344_271, 344_371, 10)])
    words = ("344281, 5333943", "EPSG:4326", "UTM")
    if name == "a.csv":
        # Nothing in the file says that they are degrees.
        fails(loader, name, WRITERS[name](metres, loader.folder), "crs_missing")
    else:
        fails(loader, name, WRITERS[name](metres, loader.folder), "coordinates_not_on_earth", *words)


def test_the_zone_is_named_where_columns_say_where_a_row_lies(loader: Loader) -> None:
    degrees = [(11.0 + n / 100, 48.0 + n / 100) for n in range(10)]
    places = gpd.GeoSeries([Point(pair) for pair in degrees], crs=4326).to_crs(25832)
    data = frame(
        list(places),
        "EPSG:4326",
        Breite=[lat for _, lat in degrees],
        Länge=[lon for lon, _ in degrees],
        name=["x"] * 10,
    )
    for name in ("a.gpkg", "a.geojson", "a.parquet"):
        fails(loader, name, WRITERS[name](data, loader.folder), "coordinates_not_on_earth", "EPSG:32632")


def test_a_wrong_source_crs_fails_the_job(loader: Loader) -> None:
    loader.put("a.gpkg", gpkg(frame([Point(344_271, 5_333_943)], "EPSG:25833"), loader.folder))
    with pytest.raises(PermanentError, match=r"the CRS of the layer\. They look like metres of UTM") as raised:
        loader.load("a.gpkg", source_crs="EPSG:4326")
    assert raised.value.error_code == "coordinates_not_on_earth"
    loader.load("a.gpkg")
    check_transformable(loader, "a")


def test_coordinates_without_an_answer_in_their_own_crs_fail_the_job(loader: Loader) -> None:
    """Metres of Web Mercator, said to be a UTM zone on the other side of the Earth."""
    loader.put("a.gpkg", gpkg(frame([Point(-19_000_000, 19_000_000)] * 3, "EPSG:32632"), loader.folder))
    with pytest.raises(PermanentError) as raised:
        loader.load("a.gpkg", max_rejected="100%")
    assert raised.value.error_code == "coordinates_not_on_earth"


def test_exchanged_axes_are_named(loader: Loader) -> None:
    rows: list[tuple[Any, Json]] = [(Point(48 + n / 10, 111 + n / 10), {}) for n in range(10)]
    fails(loader, "a.geojson", features(*rows), "coordinates_not_on_earth", "latitude before longitude")


def test_most_rows_are_counted_exactly_where_the_first_points_do_not_show_it(loader: Loader) -> None:
    lines: list[tuple[Any, Json]] = [(LineString([(0, 0), (1, 91 if n < 6 else 80)]), {}) for n in range(10)]
    loader.put("a.json", features(*lines))
    with pytest.raises(PermanentError, match="coordinates of 6 of 10 rows") as raised:
        loader.load("a.json", max_rejected="100%")
    assert raised.value.error_code == "coordinates_not_on_earth"
    loader.put("a.json", features(*lines[2:]))
    assert loader.load("a.json", max_rejected="100%", geometry_type="line")["total_features_loaded"] == 4


def test_a_table_in_another_crs_takes_no_such_row_either(loader: Loader) -> None:
    loader.put("a.json", features((Point(344_271, 45), {}), (Point(9, 45), {}), (Point(10, 45), {})))
    result = loader.load("a.json", target_crs="EPSG:25832", max_rejected=1)
    assert result["conservation"]["reasons"] == {"coordinates_out_of_range": 1}
    (first,), (second,) = loader.rows("SELECT ST_X(geom) FROM geo.a ORDER BY id")
    assert (first, second) == pytest.approx((500_000, 578_815.3), abs=1)


@pytest.mark.parametrize(("longitude", "loads"), [(200, True), (359, True), (400, False), (-190, True), (-400, False)])
def test_longitudes_of_up_to_a_whole_turn_are_wrapped(loader: Loader, longitude: int, loads: bool) -> None:
    rows: list[tuple[Any, dict[str, Any]]] = [(Point(1, 1), {}), (Point(2, 2), {}), (Point(longitude, 3), {})]
    loader.put("a.json", features(*rows))
    books = loader.load("a.json", max_rejected=1)["conservation"]
    assert (books["rows_loaded"], books["longitudes_wrapped"]) == ((3, 1) if loads else (2, 0))
    check_transformable(loader, "a")
