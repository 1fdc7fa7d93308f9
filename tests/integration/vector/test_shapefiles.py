"""Shapefiles: siblings, encodings, and several in one archive."""

from __future__ import annotations

from pathlib import Path

import pytest
from shapely.geometry import Point

from schema.errors import PermanentError, SourceChanged
from services.context import TaskContext
from tests.fixtures.vector import boxes, frame, shapefile, shapefile_parts, zipped
from tests.integration.vector.loading import Loader


def test_a_lone_shp_is_read_with_its_siblings(loader: Loader) -> None:
    for suffix, data in shapefile_parts(frame([Point(500_000, 5_000_000)], "EPSG:32632"), loader.folder).items():
        loader.put(f"in/Roads{suffix.upper() if suffix == '.dbf' else suffix}", data)
    loader.put("in/Roads.shp.xml", b"x")
    result = loader.load("in/Roads.shp")
    assert (result["table"], result["original_crs"]) == ("geo.roads", "EPSG:32632")


@pytest.mark.parametrize("suffix", [".shx", ".dbf"])
def test_a_missing_sibling_is_named(loader: Loader, suffix: str) -> None:
    parts = shapefile_parts(boxes(2), loader.folder)
    for other in set(parts) - {suffix}:
        loader.put(f"in/a{other}", parts[other])
    with pytest.raises(PermanentError, match=rf"no in/a\{suffix}") as raised:
        loader.load("in/a.shp")
    assert raised.value.error_code == "shapefile_incomplete"


def test_a_sibling_that_changes_meanwhile_is_noticed(
    loader: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ETag was fixed in preprocess; an instance that has not fetched it yet meets another one."""
    parts = shapefile_parts(boxes(20), loader.folder)
    for suffix, data in parts.items():
        loader.put(f"in/a{suffix}", data)

    def change(ctx: TaskContext) -> None:
        if ctx.task.task_type == "vector_upload":
            loader.put("in/a.dbf", parts[".dbf"])
            monkeypatch.setattr("services.vector.source.cache.cache_root", lambda: tmp_path)

    loader.before_task = change
    with pytest.raises(SourceChanged, match=r"a\.dbf"):
        loader.load("in/a.shp")


def test_a_shapefile_without_crs_is_loaded_with_source_crs(loader: Loader) -> None:
    loader.put("a.zip", shapefile(frame([Point(500_000, 5_000_000)], "EPSG:32632"), loader.folder, leave_out=[".prj"]))
    with pytest.raises(PermanentError) as raised:
        loader.load("a.zip")
    assert raised.value.error_code == "crs_missing"
    assert "source_crs" in raised.value.remediation
    result = loader.load("a.zip", source_crs="EPSG:32632")
    assert result["original_crs"] == "EPSG:32632"
    assert loader.value("SELECT round(ST_X(geom))::int FROM geo.a") == 9


@pytest.mark.parametrize(
    ("encoding", "cpg", "language", "parameter", "found_in"),
    [
        ("utf-8", b"UTF-8", 0, None, ".cpg file"),
        ("cp1252", b"1252", 0, None, ".cpg file"),
        ("cp1252", None, 0x57, None, "language byte"),
        ("cp850", None, 0x02, None, "language byte"),
        ("utf-8", None, 0, None, "content"),
        ("cp1252", None, 0, None, "content"),
        ("cp1250", None, 0, "windows-1250", "parameter"),
        ("cp1250", b"UTF-8", 0x57, "cp1250", "parameter"),
    ],
)
def test_the_encoding_of_a_shapefile_is_honoured_found_or_given(
    loader: Loader, encoding: str, cpg: bytes | None, language: int, parameter: str | None, found_in: str
) -> None:
    parts = shapefile_parts(frame([Point(1, 1)], name=["Xoooooooooo"]), loader.folder)
    text = "Größe"
    dbf = bytearray(parts[".dbf"])
    dbf[29] = language
    place = dbf.index(b"Xoooo")
    dbf[place : place + 11] = text.encode(encoding).ljust(11)
    parts |= {".dbf": bytes(dbf), ".cpg": cpg or b""}
    if cpg is None:
        del parts[".cpg"]
    loader.put("a.zip", zipped({f"a{suffix}": data for suffix, data in parts.items()}))
    result = loader.load("a.zip", encoding=parameter)
    assert loader.rows("SELECT name FROM geo.a") == [(text,)]
    assert result["reading"] == {"encoding": encoding, "encoding_from": found_in}


def with_names(loader: Loader, names: list[bytes], *, cpg: bytes | None, language: int = 0) -> bytes:
    """Write a zipped shapefile of points whose names have the given bytes."""
    width = 30
    marks = [f"{number:06}".ljust(width, "x") for number in range(len(names))]
    parts = shapefile_parts(frame([Point(n, 1) for n in range(len(names))], name=marks), loader.folder)
    dbf = bytearray(parts[".dbf"])
    dbf[29] = language
    for mark, name in zip(marks, names, strict=True):
        place = dbf.index(mark.encode())
        dbf[place : place + width] = name.ljust(width)
    parts |= {".dbf": bytes(dbf), ".cpg": cpg or b""}
    return zipped({f"a{suffix}": data for suffix, data in parts.items()})


@pytest.mark.parametrize(("cpg", "language"), [(b"1252", 0), (None, 0x57), (b"ISO-8859-1", 0x57), (b"1251", 0)])
def test_text_that_is_utf8_is_read_whatever_is_declared(loader: Loader, cpg: bytes | None, language: int) -> None:
    names = ["Valle del Árrago", "Táliga", "plain"]
    loader.put("a.zip", with_names(loader, [name.encode() for name in names], cpg=cpg, language=language))
    assert loader.load("a.zip")["reading"] == {"encoding": "utf-8", "encoding_from": "content"}
    assert loader.rows("SELECT name FROM geo.a ORDER BY id") == [(name,) for name in names]


@pytest.mark.parametrize(("cpg", "other"), [(None, "cp1252"), (b"UTF-8", "cp1252"), (b"1250", "cp1250")])
def test_values_of_two_encodings_are_read_one_by_one(loader: Loader, cpg: bytes | None, other: str) -> None:
    names = ["Sémpaulo", "Māngere-Ōtāhuhu", "plain", "Größe"] * 30
    data = [name.encode(other if name in ("Sémpaulo", "Größe") else "utf-8") for name in names]
    loader.put("a.zip", with_names(loader, data, cpg=cpg))
    result = loader.load("a.zip", chunk_size=50)
    assert loader.rows("SELECT name FROM geo.a ORDER BY id") == [(name,) for name in names]
    assert result["reading"] == {
        "encoding": "utf-8", "encoding_from": ".cpg file" if cpg == b"UTF-8" else "content",
        "other_encoding": other, "values_in_other_encoding": 2,
    }  # fmt: skip


def test_a_value_that_is_cut_within_a_character_keeps_the_others(loader: Loader) -> None:
    name = "Māngere-Ōtāhuhu, Tāmaki Makaurā"
    loader.put("a.zip", with_names(loader, [name.encode()[:30], b"plain"], cpg=b"UTF-8"))
    result = loader.load("a.zip")
    assert loader.rows("SELECT name FROM geo.a ORDER BY id") == [
        (name.encode()[:30].decode(errors="ignore"),),
        ("plain",),
    ]
    assert result["conservation"]["values_nulled"] == {}


def test_a_value_that_is_valid_in_no_encoding_is_counted(loader: Loader) -> None:
    loader.put("a.zip", with_names(loader, ["Māngere".encode(), b"x\x81y", b"plain"], cpg=b"UTF-8"))
    result = loader.load("a.zip")
    assert loader.rows("SELECT name FROM geo.a ORDER BY id") == [("Māngere",), (None,), ("plain",)]
    assert result["conservation"]["values_nulled"] == {"name": 1}


def test_a_cst_file_names_the_encoding_too(loader: Loader) -> None:
    parts = shapefile_parts(frame([Point(1, 1)], name=["Xoooooooooo"]), loader.folder)
    dbf = parts[".dbf"].replace(b"Xoooooooooo", "Łódź".encode("iso8859-2").ljust(11))
    for suffix, data in {**parts, ".dbf": dbf, ".cst": b"ISO-8859-2\n"}.items():
        if suffix != ".cpg":
            loader.put(f"in/a{suffix}", data)
    assert loader.load("in/a.shp")["reading"] == {"encoding": "iso8859-2", "encoding_from": ".cst file"}
    assert loader.rows("SELECT name FROM geo.a") == [("Łódź",)]


def test_a_shapefile_of_several_is_chosen_by_its_name(loader: Loader) -> None:
    files = {f"x/{name}{suffix}": data for name, number in (("roads", 3), ("trees", 5))
             for suffix, data in shapefile_parts(boxes(number), loader.folder).items()}  # fmt: skip
    loader.put("a.zip", zipped(files))
    with pytest.raises(PermanentError, match=r"2 layers: x/roads\.shp, x/trees\.shp") as raised:
        loader.load("a.zip")
    assert raised.value.error_code == "several_layers"
    assert loader.load("a.zip", layer="trees")["total_features_loaded"] == 5
    with pytest.raises(PermanentError, match="no layer 'rivers'"):
        loader.load("a.zip", layer="rivers")


def test_every_shapefile_of_an_archive_can_be_loaded(loader: Loader) -> None:
    files = {f"x/{name}{suffix}": data for name, number in (("roads", 3), ("trees", 5))
             for suffix, data in shapefile_parts(boxes(number), loader.folder).items()}  # fmt: skip
    loader.put("a.zip", zipped(files))
    assert loader.load("a.zip", layer="*", target_table="t")["total_features_loaded"] == 8
    assert loader.rows("SELECT (SELECT count(*) FROM geo.t__roads), (SELECT count(*) FROM geo.t__trees)") == [(3, 5)]
