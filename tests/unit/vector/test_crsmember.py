from __future__ import annotations

from pathlib import Path

from services.vector.readers.geojson.crs_member import find_name


def test_a_crs_member_of_brackets_without_end_names_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep.geojson"
    path.write_text('{"type": "FeatureCollection", "crs": {"type": ' + "[" * 50_000)
    assert find_name(path) is None


def test_the_name_is_found_behind_such_a_member(tmp_path: Path) -> None:
    path = tmp_path / "deep.geojson"
    crs = '"crs": {"type": "name", "properties": {"name": "EPSG:25832"}}'
    path.write_text(
        '{"features": [{"properties": {"crs": {"type": ' + "[" * 50_000 + "]" * 50_000 + "}}}], " + crs + "}"
    )
    assert find_name(path) == "EPSG:25832"
