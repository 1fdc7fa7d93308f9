"""Exports of the catalogue over HTTP: every item in every format, and files that others can read."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import geopandas
import pystac
import pytest
from azure.storage.blob import BlobServiceClient

from local.stack import Stack
from tests.acceptance.client import Api
from tests.fixtures import plain_gdal
from tests.fixtures.items import COG, around

pytestmark = pytest.mark.usefixtures("filled_catalog")


@pytest.fixture
def exported(api: Api, stack: Stack) -> Any:
    """Exports items and gives the blob's bytes."""

    def export(**parameters: Any) -> bytes:
        job = api.run("export_metadata", parameters)
        assert job["status"] == "completed", job["error"]
        result = job["result_data"]
        container, _, blob = result["export_path"].partition("/")
        assert job["job_id"] in blob
        with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
            client = service.get_blob_client(container, blob)
            facts = client.get_blob_properties()
            assert (facts.size, facts.content_settings.content_type) == (result["bytes"], result["content_type"])
            data: bytes = client.download_blob().readall()
        return data

    return export


def test_an_export_as_json_has_collections_and_items(exported: Any) -> None:
    found = json.loads(exported(format="json", collection_id="catalog-places"))
    assert [pystac.Collection.from_dict(each).id for each in found["collections"]] == ["catalog-places"]
    assert [pystac.Item.from_dict(each).id for each in found["items"]] == ["bonn", "koeln", "suva"]


def test_an_export_as_geojson_is_read_by_gis(exported: Any, tmp_path: Path) -> None:
    path = tmp_path / "items.geojson"
    path.write_bytes(exported(format="geojson", collection_id="catalog-places", bbox=[6, 50, 8, 51]))
    names, rows = plain_gdal.read(path)
    assert sorted(values[names.index("id")] for _, values in rows) == ["bonn", "koeln"]
    assert pystac.ItemCollection.from_dict(json.loads(path.read_text())).items[0].id == "bonn"


def test_an_export_as_csv_has_a_line_for_each_item(exported: Any) -> None:
    lines = list(csv.DictReader(io.StringIO(exported(format="csv", collection_id="catalog-places").decode())))
    assert [line["id"] for line in lines] == ["bonn", "koeln", "suva"]
    bounds = ",".join(map(str, around(7.1, 50.73)))
    said = f"bonn,catalog-places,,2024-01-10T12:00:00Z,,,EPSG:32631,{bounds},2,data,/silver/bonn.tif,{COG},1"
    assert list(lines[0].values()) == said.split(",")


def test_an_export_as_parquet_is_geoparquet(exported: Any) -> None:
    frame = geopandas.read_parquet(io.BytesIO(exported(format="parquet", collection_id="catalog-places")))
    assert list(frame["id"]) == ["bonn", "koeln", "suva"]
    assert frame.crs.to_authority() == ("OGC", "CRS84")
    assert tuple(frame.geometry.iloc[0].bounds) == pytest.approx(around(7.1, 50.73))
    assert frame["datetime"].iloc[0].isoformat() == "2024-01-10T12:00:00+00:00"
    assert json.loads(frame["item"].iloc[0])["properties"]["proj:code"] == "EPSG:32631"
    near = geopandas.read_parquet(
        io.BytesIO(exported(format="parquet", collection_id="catalog-places")), bbox=(6, 50, 8, 51)
    )
    assert list(near["id"]) == ["bonn", "koeln"]


@pytest.mark.parametrize("kind", ["json", "geojson", "csv", "parquet"])
def test_an_export_of_nothing_is_a_whole_file(exported: Any, kind: str) -> None:
    data = exported(format=kind, collection_id="catalog-places", datetime="1900-01-01")
    if kind == "parquet":
        assert len(geopandas.read_parquet(io.BytesIO(data))) == 0
    elif kind == "csv":
        assert len(data.splitlines()) == 1
    else:
        assert json.loads(data)["features" if kind == "geojson" else "items"] == []
