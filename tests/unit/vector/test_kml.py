"""KML as people and programs write it: what Google Earth takes is read, and nothing in a placemark is lost silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import PermanentError
from services.vector.read_options import ReadOptions
from services.vector.readers.kml.elements import read_placemarks
from services.vector.readers.kml.layer import open_placemarks
from tests.integration.vector.writers import document

POINT = "<Point><coordinates>10,50</coordinates></Point>"


def rows(folder: Path, *marks: str) -> list[dict[str, Any]]:
    """Read placemarks as rows: their columns, "geometry" and "fault"."""
    path = folder / "made.kml"
    path.write_bytes(document("".join(marks)))
    with open_placemarks(path, "made", ReadOptions(), lambda: None) as (_, batches):
        found = []
        for batch in batches:
            shapes = shapely.from_wkb(batch.geometry.to_numpy(zero_copy_only=False))
            faults = batch.faults.to_pylist() if batch.faults is not None else [None] * len(shapes)
            for row, shape, fault in zip(batch.attributes.to_pylist(), shapes, faults, strict=True):
                found.append({**row, "geometry": shape, "fault": fault and fault["reason"]})
    return found


def ring(coordinates: str) -> str:
    return f"<LinearRing><coordinates>{coordinates}</coordinates></LinearRing>"


def polygon(*boundaries: tuple[str, str]) -> str:
    inside = "".join(f"<{side}BoundaryIs>{rings}</{side}BoundaryIs>" for side, rings in boundaries)
    return f"<Placemark><Polygon>{inside}</Polygon></Placemark>"


def square(size: float, x: float = 0, y: float = 0) -> str:
    corners = ((0, 0), (size, 0), (size, size), (0, size), (0, 0))
    return " ".join(f"{x + dx},{y + dy}" for dx, dy in corners)


# Prefixes


@pytest.mark.parametrize(
    "mark",
    [
        f"<Placemark xsi:type='x'>{POINT}</Placemark>",
        f"<Placemark><atom:link href='x'/>{POINT}</Placemark>",
        f"<Placemark><gx:balloonVisibility>1</gx:balloonVisibility>{POINT}</Placemark>",
        f"<a:Placemark>{POINT.replace('<', '<b:').replace('<b:/', '</b:')}</a:Placemark>",
    ],
)
def test_a_prefix_that_nobody_declared_is_taken(tmp_path: Path, mark: str) -> None:
    assert [row["geometry"] for row in rows(tmp_path, mark)] == [shapely.Point(10, 50)]


@pytest.mark.parametrize(
    "mark", ["<Placemark><Point></Placemark>", "<Placemark a=1/>", "<Placemark a='1' a='2'/>", "&nbsp;", "<a:>"]
)
def test_xml_that_is_not_well_formed_is_refused(tmp_path: Path, mark: str) -> None:
    with pytest.raises(PermanentError, match="not well-formed XML at line 1"):
        rows(tmp_path, mark)


# Rings


@pytest.mark.parametrize("rings", [ring(square(1, 1)) + ring(square(1, 3)), ring(square(1, 1)) + ring(square(1, 3, 3))])
def test_all_rings_of_one_inner_boundary_are_holes(tmp_path: Path, rings: str) -> None:
    [row] = rows(tmp_path, polygon(("outer", ring(square(10))), ("inner", rings)))
    assert row["geometry"].area == 98


def test_shells_without_holes_are_parts_of_one_geometry(tmp_path: Path) -> None:
    [row] = rows(tmp_path, polygon(("outer", ring(square(1))), ("outer", ring(square(2, 5)))))
    assert [part.area for part in row["geometry"].geoms] == [1, 4]


def test_every_shell_has_the_holes_within_it(tmp_path: Path) -> None:
    shells = (("outer", ring(square(10))), ("outer", ring(square(10, 20)) + ring(square(1, 2, 2))))
    holes = (("inner", ring(square(2, 22, 2))), ("inner", ring(square(0.5, 2.25, 2.25)) + ring(square(4, 1, 1))))
    [row] = rows(tmp_path, polygon(*shells, *holes))
    assert [part.area for part in row["geometry"].geoms] == [84, 96, 0.75]
    assert row["geometry"].is_valid


@pytest.mark.parametrize("hole", ["", "<LinearRing/>", ring(""), ring(" ")])
def test_an_empty_hole_is_none(tmp_path: Path, hole: str) -> None:
    [row] = rows(tmp_path, polygon(("outer", ring(square(10))), ("inner", hole)))
    assert (row["geometry"].area, len(row["geometry"].interiors)) == (100, 0)


@pytest.mark.parametrize("coordinates", ["1,1", "1,1 2,2", "1,1 2,2 1,1", "1,1,5 2,2,5", "1,1 1,1 1,1"])
def test_a_hole_of_fewer_than_three_places_is_left_to_the_repair(tmp_path: Path, coordinates: str) -> None:
    [row] = rows(tmp_path, polygon(("outer", ring(square(10))), ("inner", ring(coordinates))))
    assert len(row["geometry"].interiors) == 1
    assert shapely.make_valid(row["geometry"]).area == 100


@pytest.mark.parametrize(
    "mark",
    [
        polygon(("inner", ring(square(1)))),
        f"<Placemark><Polygon>{ring(square(1))}</Polygon></Placemark>",
        "<Placemark><Point><coordinates>1,2 3,4</coordinates></Point></Placemark>",
        f"<Placemark><Point>{POINT[7:-8]}<coordinates>3,4</coordinates></Point></Placemark>",
    ],
)
def test_coordinates_that_fit_nowhere_are_a_fault_and_not_lost(tmp_path: Path, mark: str) -> None:
    [row] = rows(tmp_path, mark)
    assert (row["geometry"], row["fault"]) == (None, "coordinates_unreadable")


def test_a_point_that_is_written_twice_is_one(tmp_path: Path) -> None:
    [row] = rows(tmp_path, "<Placemark><Point><coordinates>1,2 1,2,0</coordinates></Point></Placemark>")
    assert row["geometry"] == shapely.Point(1, 2)


# Text


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("Hello <b>bold</b> world", "Hello <b>bold</b> world"),
        ("<![CDATA[Hello <b>bold</b> world]]>", "Hello <b>bold</b> world"),
        ('<p class="a&amp;b">1<br/>2</p><p/> &lt; 3', '<p class="a&amp;b">1<br/>2</p><p/> < 3'),
        ("<i><name>x</name></i>", "<i><name>x</name></i>"),
        ("a<!-- no text -->b", "ab"),
    ],
)
@pytest.mark.parametrize(
    ("around", "column"),
    [
        ("<description>{}</description>", "description"),
        ("<name>{}</name>", "name"),
        ("<ExtendedData><Data name='d'><value>{}</value></Data></ExtendedData>", "d"),
        ("<ExtendedData><SchemaData><SimpleData name='d'>{}</SimpleData></SchemaData></ExtendedData>", "d"),
        ("<ExtendedData><x:d>{}</x:d></ExtendedData>", "d"),
    ],
)
def test_text_keeps_its_markup(tmp_path: Path, around: str, column: str, inside: str, text: str) -> None:
    [row] = rows(tmp_path, f"<Placemark>{around.format(inside)}{POINT}</Placemark>")
    assert row[column] == text
    assert row["geometry"] == shapely.Point(10, 50)


@given(st.lists(st.tuples(st.sampled_from(("a", "b", "a_2", "name")), st.text("xyz", min_size=1)), max_size=8))
def test_every_value_of_a_placemark_is_in_a_column_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, data: list[tuple[str, str]]
) -> None:
    inside = "".join(f'<Data name="{key}"><value>{value}</value></Data>' for key, value in data)
    mark = f"<Placemark><name>first</name><ExtendedData>{inside}</ExtendedData>{POINT}</Placemark>"
    path = tmp_path_factory.mktemp("kml") / "made.kml"
    path.write_bytes(document(mark))
    [found] = read_placemarks(path, lambda: None)
    assert list(found.values.values()) == ["first", *(value for _, value in data)]
    assert found.values["name"] == "first"


def test_the_second_value_of_a_name_has_a_column(tmp_path: Path) -> None:
    data = "".join(f"<Data name='a'><value>{number}</value></Data>" for number in (1, 2, 3))
    [row] = rows(tmp_path, f"<Placemark><ExtendedData>{data}</ExtendedData>{POINT}</Placemark>")
    assert (row["a"], row["a_2"], row["a_3"]) == (1, 2, 3)


def test_data_named_as_the_times_of_a_track_are_kept_beside_them(tmp_path: Path) -> None:
    data = "<ExtendedData><Data name='end'><value>north</value></Data></ExtendedData>"
    times = "<when>2024-05-01T00:00:00Z</when><when>2024-05-02T00:00:00Z</when>"
    track = f"<gx:Track>{times}<gx:coord>1 2 0</gx:coord><gx:coord>3 4 0</gx:coord></gx:Track>"
    [row] = rows(tmp_path, f"<Placemark>{data}{track}</Placemark>")
    assert (row["end"], row["begin"].isoformat(), row["end_2"].isoformat()) == (
        "north", "2024-05-01T00:00:00+00:00", "2024-05-02T00:00:00+00:00",
    )  # fmt: skip


def test_values_along_the_tracks_of_a_placemark_are_one_list(tmp_path: Path) -> None:
    values = "<gx:SimpleArrayData name='speed'><gx:value>{}</gx:value></gx:SimpleArrayData>"
    track = "<gx:Track><gx:coord>1 2</gx:coord><gx:coord>3 4</gx:coord><ExtendedData>{}</ExtendedData></gx:Track>"
    tracks = "".join(track.format(values.format(speed)) for speed in (3, 4))
    [row] = rows(tmp_path, f"<Placemark><gx:MultiTrack>{tracks}</gx:MultiTrack></Placemark>")
    assert row["speed"] == '["3", "4"]'


# Ids


def test_ids_of_placemarks_are_a_column(tmp_path: Path) -> None:
    marks = (f"<Placemark id='ID_{number}'>{POINT}</Placemark>" for number in (7, 8))
    assert [row["id"] for row in rows(tmp_path, *marks, f"<Placemark>{POINT}</Placemark>")] == ["ID_7", "ID_8", None]


def test_data_named_id_keep_their_column_beside_the_ids_of_placemarks(tmp_path: Path) -> None:
    data = "<ExtendedData><Data name='id'><value>17</value></Data></ExtendedData>"
    [row, _] = rows(tmp_path, f"<Placemark id='a'>{data}{POINT}</Placemark>", f"<Placemark id='b'>{POINT}</Placemark>")
    assert (row["id"], row["placemark_id"]) == (17, "a")


# Links


@pytest.mark.parametrize("element", ["Link", "Url"])
def test_a_document_of_links_alone_is_refused_with_their_addresses(tmp_path: Path, element: str) -> None:
    link = f"<{element}><href>https://me:pass@example.org/live.kml?sig=abc</href></{element}>"
    with pytest.raises(PermanentError, match=r"network link to https://example\.org/live\.kml, and links are not") as e:
        rows(tmp_path, f"<NetworkLink><name>live</name>{link}</NetworkLink>")
    assert e.value.error_code == "external_reference"
    assert not any(word in e.value.message for word in ("pass", "abc"))


def test_links_beside_placemarks_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "made.kml"
    link = "<NetworkLink><Link><href>more.kml</href></Link></NetworkLink>"
    path.write_bytes(document(f"{link}<Placemark>{POINT}</Placemark>"))
    with open_placemarks(path, "made", ReadOptions(), lambda: None) as (layer, batches):
        assert layer.reading["links_not_followed"] == ["more.kml"]
        assert sum(len(batch.fids) for batch in batches) == 1
