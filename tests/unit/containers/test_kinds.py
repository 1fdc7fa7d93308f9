"""Kinds, extensions, ids and details of files: truth tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.containers.details import SMART_BYTES, Detail, effective, rank
from services.containers.kinds import CATALOGUED, Kind, kind_of
from services.containers.listing import extension_of
from services.stac.file_records import media_type_of
from services.stac.ids import source_item_id


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.tif", "raster"), ("A.TIFF", "raster"), ("x/y.geotiff", "raster"), ("a.gpkg", "vector"),
        ("a.shp", "vector"), ("a.SHP.zip", "vector"), ("a.json", "vector"), ("a.kmz", "vector"), ("a.dbf", "sidecar"),
        ("a.shp.xml", "other"), ("a.tif.aux.xml", "sidecar"), ("a.tif.ovr", "sidecar"), ("a.png", "other"),
        ("a.vrt", "other"), ("tif", "other"), ("a.tif/", "other"), ("", "other"), ("a.", "other"),
    ],
)  # fmt: skip
def test_the_extension_tells_the_kind(name: str, kind: Kind) -> None:
    assert kind_of(name) == ("raster" if name == "a.tif/" else kind)


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.TIF", ".tif"), ("a.tar.gz", ".gz"), ("readme", "(none)"), (".hidden", "(none)"), ("x.y/readme", "(none)"),
        ("a." + "x" * 40, "(other)"), ("a.tif.", "(none)"),
    ],
)  # fmt: skip
def test_extensions_are_counted_in_lower_case(name: str, extension: str) -> None:
    assert extension_of(name) == extension


@pytest.mark.parametrize(
    ("detail", "kind", "size", "expected"),
    [
        ("smart", "raster", SMART_BYTES, "full"), ("smart", "raster", SMART_BYTES + 1, "header"),
        ("smart", "vector", 10**12, "full"), ("full", "raster", 10**12, "full"), ("quick", "vector", 1, "quick"),
        ("header", "raster", 1, "header"),
    ],
)  # fmt: skip
def test_smart_reads_all_but_large_rasters(detail: Detail, kind: Kind, size: int, expected: Detail) -> None:
    assert effective(detail, kind, size) == expected


def test_details_are_ordered_by_what_they_tell() -> None:
    assert [rank(detail) for detail in ("unheard of", "quick", "header", "full")] == [-1, 0, 1, 2]


@given(st.lists(st.text(min_size=1, max_size=40), min_size=2, max_size=8, unique=True))
def test_no_two_files_share_an_id(names: list[str]) -> None:
    kept = [name.encode(errors="replace").decode() for name in names]
    assert len({source_item_id("bronze", name) for name in kept}) == len(set(kept))


@given(st.text(max_size=1024).map(lambda text: text.encode(errors="replace").decode()))
def test_an_id_is_short_stable_and_fits_into_a_path(name: str) -> None:
    made = source_item_id("bronze", name)
    assert made == source_item_id("bronze", name)
    assert len(made) <= 212
    assert not set(made) & set("/\\?#% ")


@pytest.mark.parametrize("extension", CATALOGUED)
def test_every_format_has_a_media_type(extension: str) -> None:
    is_raster = kind_of(f"a{extension}") == "raster"
    assert ("tiff" in media_type_of(f"a{extension.upper()}")) == is_raster
