"""A loaded table is ready to serve: tipg gives its features and tiles without further work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobServiceClient
from shapely.geometry import Point

from local.readers import PYTHON, feature_api
from local.stack import Stack
from tests.acceptance.client import Api
from tests.conftest import must_run
from tests.fixtures.vector import boxes, frame, geojson

CONTAINER = "tables"
TILE = "application/vnd.mapbox-vector-tile"


@pytest.fixture(scope="module")
def features(stack: Stack, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A feature API over two loaded tables, one of which is projected."""
    if not PYTHON.exists() and not must_run():
        pytest.skip("tipg is not installed: ./dev test installs it")
    folder: Path = tmp_path_factory.mktemp("tables")
    made = {"boxes": boxes(300).rename(columns={"name": "Größe (m²)"}), "points": frame([Point(10, 50), Point(11, 51)])}
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        container = service.create_container(CONTAINER)
        for name, data in made.items():
            container.upload_blob(f"{name}.geojson", geojson(data, folder))
    for name, crs in (("boxes", "EPSG:4326"), ("points", "EPSG:32632")):
        parameters = {"dataset_id": CONTAINER, "resource_id": f"{name}.geojson", "target_crs": crs}
        assert api.run("process_vector", parameters)["status"] == "completed"
    with feature_api(stack) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def test_tables_are_collections_with_features_that_have_their_ids(features: httpx.Client) -> None:
    listed = {row["id"]: row for row in features.get("/collections").json()["collections"]}
    west, south, east, north = listed["geo.points"]["extent"]["spatial"]["bbox"][0]
    assert (west, south, east, north) == pytest.approx((10, 50, 11, 51), abs=0.1)
    found = features.get("/collections/geo.boxes/items", params={"limit": 2, "bbox": "0,0,0.4,0.4"}).json()
    assert found["numberMatched"] == 1
    (feature,) = found["features"]
    assert (feature["id"], feature["properties"]) == (1, {"id": 1, "größe_m2": "feature 1"})
    item = features.get("/collections/geo.points/items/2").json()
    assert item["geometry"]["coordinates"] == pytest.approx([11, 51])


@pytest.mark.parametrize("table", ["geo.boxes", "geo.points"])
def test_tables_are_tiles(features: httpx.Client, table: str) -> None:
    tile = features.get(f"/collections/{table}/tiles/WebMercatorQuad/0/0/0")
    assert (tile.status_code, tile.headers["content-type"]) == (200, TILE)
    assert len(tile.content) > 50
