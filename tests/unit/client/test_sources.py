"""Which uploads a command line means, and what is refused before a byte is sent."""

from __future__ import annotations

import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from geostage_client.errors import ClientError, UsageError
from geostage_client.sources import RASTER, SHAPEFILE_PARTS, VECTOR, find_sources
from geostage_client.zipping import zip_stream
from services.vector.formats import EXTENSIONS
from services.vector.source import archive


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*names: str, data: bytes = b"x") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(data)


def blobs(*arguments: str) -> list[str]:
    return [source.blob for source in find_sources(arguments, VECTOR)]


def refusal(*arguments: str) -> ClientError:
    with pytest.raises(ClientError) as caught:
        find_sources(arguments, VECTOR)
    assert caught.value.remedy
    return caught.value


def test_the_client_takes_what_the_server_takes() -> None:
    assert sorted(VECTOR.extensions) == sorted(EXTENSIONS)
    assert SHAPEFILE_PARTS == archive.SHAPEFILE_PARTS


def test_a_file_is_one_upload_under_its_own_name() -> None:
    write("Straßen der Stadt.GPKG")
    (source,) = find_sources(["Straßen der Stadt.GPKG"], VECTOR)
    assert (source.blob, source.size, dict(source.parts)) == ("Straßen der Stadt.GPKG", 1, {})


def test_a_shapefile_brings_its_parts_and_nothing_else() -> None:
    write("roads.shp", "roads.shx", "roads.DBF", "roads.prj", "roads.shp.xml", "roads2.dbf", "roads.csv")
    (source,) = find_sources(["roads.shp"], VECTOR)
    assert source.blob == "roads.shp.zip"
    assert {name: path.name for name, path in source.parts.items()} == {
        "roads.shp": "roads.shp",
        "roads.shx": "roads.shx",
        "roads.dbf": "roads.DBF",
        "roads.prj": "roads.prj",
    }
    assert source.size == 4


def test_parts_of_another_spelling_are_found_and_the_same_spelling_wins() -> None:
    write("A.shp", "a.shx", "a.dbf", data=b"other")
    write("A.dbf")
    (source,) = find_sources(["A.shp"], VECTOR)
    assert [path.name for path in source.parts.values()] == ["A.shp", "a.shx", "A.dbf"]


def test_what_a_shell_makes_of_a_pattern_is_one_shapefile() -> None:
    write("roads.shp", "roads.shx", "roads.dbf", "roads.prj")
    assert blobs("roads.dbf", "roads.prj", "roads.shp", "roads.shx") == ["roads.shp.zip"]


def test_a_folder_gives_the_files_right_in_it() -> None:
    write("data/a.gpkg", "data/b.shp", "data/b.shx", "data/b.dbf", "data/readme.txt", "data/.c.csv", "data/deep/d.csv")
    assert blobs("data") == ["a.gpkg", "b.shp.zip"]


def test_a_quoted_pattern_goes_as_deep_as_it_says() -> None:
    write("data/a.gpkg", "data/deep/b.gpkg", "data/deep/c.txt")
    assert blobs("data/*.gpkg") == ["a.gpkg"]
    assert blobs("data/**/*") == ["a.gpkg", "b.gpkg"]


def test_a_file_that_is_named_twice_is_sent_once() -> None:
    write("a.gpkg")
    assert blobs("a.gpkg", "./a.gpkg", "*.gpkg") == ["a.gpkg"]


def test_a_name_that_looks_like_a_pattern_is_a_file_if_there_is_one() -> None:
    write("a[1].gpkg")
    assert blobs("a[1].gpkg") == ["a[1].gpkg"]


def test_a_missing_file_is_refused_with_names_that_are_near() -> None:
    write("countries.gpkg")
    error = refusal("countrys.gpkg")
    assert error.message == "There is no file countrys.gpkg."
    assert "countries.gpkg" in error.remedy


@pytest.mark.parametrize("argument", ["nowhere/a.gpkg", "*.gpkg", "nothing"])
def test_what_is_not_there_is_refused(argument: str) -> None:
    assert refusal(argument).code == "file_not_found"


def test_a_folder_without_files_of_the_kind_is_refused() -> None:
    write("data/a.txt")
    assert "no vector file in the folder" in refusal("data").message


def test_an_empty_file_is_refused_before_anything_is_sent() -> None:
    write("good.gpkg")
    write("empty.gpkg", data=b"")
    assert refusal("good.gpkg", "empty.gpkg").message == "empty.gpkg is empty: it has 0 bytes."


def test_an_empty_part_of_a_shapefile_is_refused_and_an_empty_cpg_is_not() -> None:
    write("a.shp", "a.shx", "a.dbf", "b.shp", "b.shx")
    write("a.cpg", "b.dbf", data=b"")
    assert blobs("a.shp") == ["a.shp.zip"]
    assert "b.dbf is empty" in refusal("b.shp").message


def test_a_shapefile_without_its_parts_is_refused() -> None:
    write("a.shp", "a.prj")
    assert "a.shx and a.dbf must lie beside it" in refusal("a.shp").message


def test_a_part_of_a_shapefile_is_refused_with_the_name_to_give() -> None:
    write("a.shp", "a.shx", "a.dbf")
    assert ".shp" in refusal("a.dbf").remedy


@pytest.mark.parametrize(("name", "remedy"), [("a.tif", "geostage raster"), ("a.docx", ".gpkg"), ("a", ".gpkg")])
def test_another_kind_of_file_is_refused_with_what_would_do(name: str, remedy: str) -> None:
    write(name)
    assert remedy in refusal(name).remedy


def test_a_vector_file_is_not_taken_for_a_raster() -> None:
    write("a.gpkg")
    with pytest.raises(ClientError) as caught:
        find_sources(["a.gpkg"], RASTER)
    assert "geostage load" in caught.value.remedy


def test_a_file_geodatabase_is_refused_with_the_way_to_convert_it() -> None:
    write("parcels.gdb/a00000001.gdbtable")
    assert refusal("parcels.gdb").remedy == "Convert it first: ogr2ogr parcels.gpkg parcels.gdb"


def test_a_pipe_is_refused_and_not_waited_for() -> None:
    os.mkfifo("a.csv")
    assert "not a regular file" in refusal("a.csv").message


def test_a_name_that_is_not_unicode_is_refused() -> None:
    name = os.fsdecode(b"caf\xe9.gpkg")
    write(name)
    assert refusal(name).code == "bad_name"


@pytest.mark.parametrize(
    ("one", "other"), [("roads.gpkg", "roads.csv"), ("a/x.gpkg", "b/x.gpkg"), ("Étang.kml", "etang.shp.zip")]
)
def test_files_that_would_become_one_table_are_refused(one: str, other: str) -> None:
    write(one, other)
    with pytest.raises(UsageError, match="would become one table"):
        find_sources([one, other], VECTOR)


def test_rasters_of_one_stem_are_two_blobs() -> None:
    write("a.tif", "a.tiff")
    assert [source.blob for source in find_sources(["a.tif", "a.tiff"], RASTER)] == ["a.tif", "a.tiff"]


def test_a_geopackage_whose_log_is_not_written_back_is_told() -> None:
    write("a.gpkg", "a.gpkg-wal")
    (source,) = find_sources(["a.gpkg"], VECTOR)
    assert "close the program" in source.warning


def test_the_archive_that_is_made_on_the_way_holds_the_parts(tmp_path: Path) -> None:
    data = {"é.shp": os.urandom(3_000_000), "é.dbf": b"abc" * 1_000_000, "é.prj": b""}
    paths = {name: tmp_path / name for name in data}
    for name, path in paths.items():
        path.write_bytes(data[name])
    read: list[int] = []
    packed = b"".join(zip_stream(paths, read.append))
    with zipfile.ZipFile(BytesIO(packed)) as opened:
        assert {name: opened.read(name) for name in opened.namelist()} == data
    assert sum(read) == 6_000_000
