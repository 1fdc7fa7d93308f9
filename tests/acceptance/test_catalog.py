"""Questions to the catalogue over HTTP: collections, items, areas, statistics."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb
from pyproj import Geod

from repositories.postgres import Database
from tests.acceptance.client import Api, Json, answer
from tests.fixtures.items import COG, around, make_collection, make_item, write_items
from tests.fixtures.stored import get_item

pytestmark = pytest.mark.usefixtures("filled_catalog")

PLACES = ("catalog-places", "catalog-globe", "catalog-many")


def ids(page: Json) -> list[str]:
    return [item["id"] for item in page["items"]]


def all_pages(api: Api, job_type: str, key: str, **parameters: Any) -> list[list[str]]:
    """The ids of every page, from cursor to cursor."""
    pages: list[list[str]] = []
    cursor = None
    while not pages or cursor:
        page = answer(api, job_type, **parameters, **({"cursor": cursor} if cursor else {}))
        pages.append([record["id"] for record in page[key]])
        cursor = page["cursor"]
    return pages


def test_collections_are_listed_with_their_items(api: Api) -> None:
    listed = {line["id"]: line for line in answer(api, "list_collections")["collections"]}
    assert [listed[name]["items"] for name in PLACES] == [3, 3, 25]
    places = listed["catalog-places"]
    assert places["title"] == "Title of catalog-places"
    assert (places["earliest"], places["latest"]) == ("2024-01-10T12:00:00+00:00", "2024-03-10T12:00:00+00:00")


def test_collections_come_in_pages(api: Api) -> None:
    pages = all_pages(api, "list_collections", "collections", limit=2)
    assert all(len(page) == 2 for page in pages[:-1])
    found = [name for page in pages for name in page]
    assert found == sorted(set(found))
    assert set(PLACES) <= set(found)


def test_a_collection_is_shown_whole(api: Api) -> None:
    details = answer(api, "get_collection_details", collection_id="catalog-places")
    assert details["collection"]["description"] == "Made by a test."
    assert details["items"] == 3
    assert details["partitions"] >= 1
    assert details["bytes"] > 0


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({}, ["suva", "koeln", "bonn"]),
        ({"bbox": [6, 50, 8, 51]}, ["koeln", "bonn"]),
        ({"bbox": [6, 50, -100, 8, 51, 100]}, ["koeln", "bonn"]),
        ({"bbox": [7.1, 50.73, 7.1, 50.73]}, ["bonn"]),
        ({"bbox": [178, -20, -178, -17]}, ["suva"]),
        ({"datetime": "2024-02-10"}, ["koeln"]),
        ({"datetime": "2024-02-10T12:00:00Z"}, ["koeln"]),
        ({"datetime": "2024-02-10T13:00:00+01:00"}, ["koeln"]),
        ({"datetime": "2024-02-01/.."}, ["suva", "koeln"]),
        ({"datetime": "../2024-02-10T11:59:59Z"}, ["bonn"]),
        ({"bbox": [6, 50, 8, 51], "datetime": "2024-01-01/2024-01-31"}, ["bonn"]),
        ({"bbox": [0, 0, 1, 1]}, []),
    ],
)
def test_items_are_found_by_place_and_time(api: Api, parameters: Json, found: list[str]) -> None:
    page = answer(api, "list_items", collection_id="catalog-places", **parameters)
    assert (ids(page), page["count"], page["cursor"]) == (found, len(found), None)


def test_items_are_whole_records(api: Api) -> None:
    (item,) = answer(api, "list_items", collection_id="catalog-places", bbox=around(7.1, 50.73))["items"]
    assert item == make_item("catalog-places", "bonn", around(7.1, 50.73), at="2024-01-10T12:00:00Z",
                             crs="EPSG:32631", size=1)  # fmt: skip


def test_items_are_what_pgstac_says_they_are(api: Api, database: Database) -> None:
    described = {"data": {"type": COG, "title": "Said once for all"}}
    write_items(database, [make_item("catalog-described", "old")], item_assets=described)
    newer = make_collection("catalog-described", item_assets={"data": {"type": "image/png"}, "more": {"roles": ["x"]}})
    bare = {key: value for key, value in make_item("catalog-described", "bare").items() if key != "stac_version"}
    with database.transaction() as conn:
        conn.execute("SELECT set_config('search_path', 'pgstac, public', true)")
        conn.execute("SELECT pgstac.update_collection(%s)", [Jsonb(newer)])
        conn.execute("SELECT pgstac.upsert_items(%s)", [Jsonb([bare, make_item("catalog-described", "new")])])
    for name in (*PLACES, "catalog-described"):
        for item in answer(api, "list_items", collection_id=name)["items"]:
            with database.connection() as conn:
                assert item == get_item(conn, name, item["id"])


def test_pages_hold_every_item_once(api: Api) -> None:
    pages = all_pages(api, "list_items", "items", collection_id="catalog-many", limit=10)
    assert [len(page) for page in pages] == [10, 10, 5]
    found = [name for page in pages for name in page]
    assert sorted(found) == [f"item-{n:02}" for n in range(25)]
    assert found[:2] == ["item-24", "item-22"]


def test_pages_stay_in_place_while_items_come_and_go(api: Api, database: Database) -> None:
    write_items(database, [make_item("catalog-moving", f"m{n}", at=f"2023-01-0{n}T00:00:00Z") for n in range(1, 7)])
    first = answer(api, "list_items", collection_id="catalog-moving", limit=2)
    assert ids(first) == ["m6", "m5"]
    write_items(database, [make_item("catalog-moving", "new", at="2024-01-01T00:00:00Z")])
    with database.transaction() as conn:
        conn.execute("SELECT set_config('search_path', 'pgstac, public', true)")
        # The very item that the cursor was made of.
        conn.execute("SELECT pgstac.delete_item('m5', 'catalog-moving')")
    second = answer(api, "list_items", collection_id="catalog-moving", limit=3, cursor=first["cursor"])
    assert ids(second) == ["m4", "m3", "m2"]
    third = answer(api, "list_items", collection_id="catalog-moving", limit=3, cursor=second["cursor"])
    assert (ids(third), third["cursor"]) == (["m1"], None)


def test_a_page_ends_before_it_is_too_large_to_be_shown(api: Api, database: Database) -> None:
    heavy = {"notes": "x" * 60_000}
    write_items(database, [make_item("catalog-heavy", f"h{n}", properties=heavy) for n in range(5)])
    assert [len(page) for page in all_pages(api, "list_items", "items", collection_id="catalog-heavy")] == [3, 2]


@pytest.mark.parametrize(
    ("area", "found"),
    [
        ({"bbox": [7, 50.7, 7.2, 50.8]}, ["bonn"]),
        ({"intersects": {"type": "Point", "coordinates": [6.96, 50.94]}}, ["koeln"]),
        ({"intersects": {"type": "LineString", "coordinates": [[7.1, 50.73], [6.96, 50.94]]}}, ["koeln", "bonn"]),
        (
            {"intersects": {"type": "Polygon", "coordinates": [[[7, 50], [8, 50], [8, 50.8], [7, 50.8], [7, 50]]]}},
            ["bonn"],
        ),
        (
            {
                "intersects": {
                    "type": "GeometryCollection",
                    "geometries": [
                        {"type": "Point", "coordinates": [7.1, 50.73]},
                        {"type": "Point", "coordinates": [178.44, -18.14, 5]},
                    ],
                }
            },
            ["suva", "bonn"],
        ),
    ],
)
def test_items_are_found_by_an_area(api: Api, area: Json, found: list[str]) -> None:
    assert ids(answer(api, "query_spatial", collection_id="catalog-places", **area)) == found


def test_items_around_a_point_come_nearest_first_with_their_distance(api: Api) -> None:
    page = answer(api, "query_spatial", collection_id="catalog-places", point=[7.1, 50.73], distance_m=30_000)
    assert ids(page) == ["bonn", "koeln"]
    # To the near corner of Cologne's box, on the ellipsoid.
    corner = Geod(ellps="WGS84").inv(7.1, 50.73, 6.97, 50.93)[2]
    assert [item["distance_m"] for item in page["items"]] == [0.0, pytest.approx(corner, abs=1)]
    near = answer(api, "query_spatial", collection_id="catalog-places", point=[7.1, 50.73], distance_m=20_000)
    assert ids(near) == ["bonn"]


@pytest.mark.parametrize(
    ("point", "distance_m", "found"),
    [
        # Over the antimeridian: 55 km of water, and 179.5 W is not 359 degrees away.
        ([179.99, -18.5], 5_000, {"fiji-east": pytest.approx(1_056, abs=5), "world": 0.0}),
        ([0.0, 88.9], 20_000, {"pole": pytest.approx(11_169, abs=20), "world": 0.0}),
        ([0.0, 0.0], 1.0, {"world": 0.0}),
        ([0.0, 90.0], 20_037_600, {"world": 0.0, "pole": 0.0, "fiji-east": pytest.approx(11_990_000, rel=0.01)}),
    ],
)
def test_distances_hold_at_the_ends_of_the_map(
    api: Api, point: list[float], distance_m: float, found: dict[str, Any]
) -> None:
    page = answer(api, "query_spatial", collection_id="catalog-globe", point=point, distance_m=distance_m)
    assert {item["id"]: item["distance_m"] for item in page["items"]} == found


def test_pages_around_a_point_hold_every_item_once(api: Api) -> None:
    pages = all_pages(
        api, "query_spatial", "items", collection_id="catalog-places", point=[0, 0], distance_m=2e7, limit=1
    )
    assert pages == [["bonn"], ["koeln"], ["suva"]]


def test_statistics_count_by_collection_month_file_type_and_crs(api: Api) -> None:
    found = answer(api, "get_statistics", collection_id="catalog-places")
    assert {name: part["is_cut"] for name, part in found.items()} == dict.fromkeys(found, False)
    lists = {name: part["most_frequent"] for name, part in found.items()}
    assert [(line["name"], line["items"]) for line in lists["by_collection"]] == [("catalog-places", 3)]
    assert [(line["name"], line["items"]) for line in lists["by_date"]] == [(f"2024-0{n}", 1) for n in (1, 2, 3)]
    assert [(line["name"], line["items"]) for line in lists["by_crs"]] == [(f"EPSG:3263{n}", 1) for n in (1, 2, 3)]
    assert lists["by_file_type"] == [
        {"name": "image/png", "items": 3, "assets": 3, "bytes": None},
        {"name": COG, "items": 3, "assets": 3, "bytes": 6},
    ]


def test_statistics_know_file_types_that_a_collection_says_for_its_items(api: Api) -> None:
    found = answer(api, "get_statistics", collection_id="catalog-globe")["by_file_type"]["most_frequent"]
    assert {line["name"]: line["items"] for line in found} == {COG: 3, "image/png": 3}


def test_statistics_of_everything_include_every_collection(api: Api) -> None:
    found = answer(api, "get_statistics")["by_collection"]["most_frequent"]
    assert {"catalog-many": 25}.items() <= {line["name"]: line["items"] for line in found}.items()
