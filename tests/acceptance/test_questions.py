"""Questions to the catalogue that are none: each is refused with its fault."""

from __future__ import annotations

import pytest

from tests.acceptance.client import Api, Json, answer, problem_of

pytestmark = pytest.mark.usefixtures("filled_catalog")

NOT_NUMBERS = "must be four numbers"
OPEN_RING = [[0, 0], [1, 0], [1, 1], [0, 1]]


@pytest.mark.parametrize("job_type", ["list_items", "query_spatial", "get_collection_details", "get_statistics",
                                      "export_metadata"])  # fmt: skip
@pytest.mark.parametrize("name", ["catalog-place", "x'; DROP TABLE pgstac.items; --", "\N{SNOWMAN}" * 200])
def test_an_unknown_collection_is_named(api: Api, job_type: str, name: str) -> None:
    area = {"bbox": [0, 0, 1, 1]} if job_type == "query_spatial" else {}
    job = api.run(job_type, {"collection_id": name, **area})
    assert (job["status"], job["error"]["code"]) == ("failed", "collection_not_found")
    assert job["error"]["retryable"] is False
    remedy = job["error"]["remediation"]
    assert "catalog-places" in remedy if name == "catalog-place" else "list_collections" in remedy


@pytest.mark.parametrize(
    ("job_type", "parameters", "field", "said"),
    [
        ("list_items", {"bbox": [1, 2, 3]}, "bbox", NOT_NUMBERS),
        ("list_items", {"bbox": [1, 2, 3, 4, 5]}, "bbox", NOT_NUMBERS),
        ("list_items", {"bbox": "1,2,3,4"}, "bbox", NOT_NUMBERS),
        ("list_items", {"bbox": [1, 2, True, 4]}, "bbox", NOT_NUMBERS),
        ("list_items", {"bbox": [1, 5, 2, 4]}, "bbox", "south must not be greater than north"),
        ("list_items", {"bbox": [-181, 0, 1, 1]}, "bbox", "from -180 to 180"),
        ("list_items", {"datetime": "yesterday"}, "datetime", "neither a day nor a time"),
        ("list_items", {"datetime": "2024-02-30"}, "datetime", "not a date of the calendar"),
        ("list_items", {"datetime": "2024-05-02/2024-05-01"}, "datetime", "ends before it begins"),
        ("list_items", {"datetime": "../.."}, "datetime", "open at both ends"),
        ("list_items", {"limit": 0}, "limit", "greater than or equal to 1"),
        ("list_items", {"limit": 1001}, "limit", "less than or equal to 1000"),
        ("list_items", {"cursor": "nonsense!"}, "cursor", "is not a cursor"),
        ("list_items", {"collection": "x"}, "collection", "no such parameter"),
        ("list_collections", {"cursor": "bm9uc2Vuc2U"}, "cursor", "is not a cursor"),
        ("get_collection_details", {}, "collection_id", "is required"),
        ("query_spatial", {}, "", "give one of bbox, intersects, point; given: none"),
        ("query_spatial", {"bbox": [0, 0, 1, 1], "point": [0, 0]}, "", "given: bbox, point"),
        ("query_spatial", {"point": [0, 0]}, "", "belong together"),
        ("query_spatial", {"point": [0, 91], "distance_m": 1}, "point", "longitude first"),
        ("query_spatial", {"point": [0, 0], "distance_m": 0}, "distance_m", "greater than 0"),
        ("query_spatial", {"intersects": {"type": "Circle"}}, "intersects", "none of Point"),
        ("query_spatial", {"intersects": {"type": "Feature", "geometry": None}}, "intersects", "is a Feature"),
        ("query_spatial", {"intersects": {"type": "Polygon", "coordinates": [OPEN_RING]}}, "intersects", "not closed"),
        ("query_spatial", {"intersects": {"type": "Point", "coordinates": [200, 0]}}, "intersects", "200, 0"),
        ("export_metadata", {"format": "xlsx"}, "format", "'json', 'geojson', 'csv' or 'parquet'"),
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused_with_its_fault(
    api: Api, job_type: str, parameters: Json, field: str, said: str
) -> None:
    body = problem_of(api.post(f"jobs/{job_type}", json=parameters), 400, "invalid_parameters")
    assert [fault["field"] for fault in body["errors"]] == [field]
    assert said in body["errors"][0]["message"]


def test_a_geometry_that_crosses_itself_is_refused_with_the_place(api: Api) -> None:
    bow_tie = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    job = api.run("query_spatial", {"intersects": bow_tie})
    assert (job["status"], job["error"]["code"]) == ("failed", "invalid_geometry")
    assert "Self-intersection[0.5 0.5]" in job["error"]["message"]


@pytest.mark.parametrize("change", ["flip", "cut", "other search", "other job type"])
def test_a_cursor_that_was_tampered_with_is_refused(api: Api, change: str) -> None:
    given = {"collection_id": "catalog-many", "limit": 5}
    cursor = answer(api, "list_items", **given)["cursor"]
    job_type = "list_items"
    if change == "flip":
        cursor = cursor[:30] + ("A" if cursor[30] != "A" else "B") + cursor[31:]
    elif change == "cut":
        cursor = cursor[:-4]
    elif change == "other search":
        given["collection_id"] = "catalog-places"
    else:
        job_type, given = "list_collections", {}
    body = problem_of(api.post(f"jobs/{job_type}", json={**given, "cursor": cursor}), 400, "invalid_parameters")
    assert [fault["field"] for fault in body["errors"]] == ["cursor"]
