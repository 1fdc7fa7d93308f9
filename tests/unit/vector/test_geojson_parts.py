"""Parts of a GeoJSON file: every feature is in exactly one, whatever stands in texts and nested values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.errors import PermanentError
from services.vector.readers.geojson import layout as layouts
from services.vector.readers.geojson.count import count_rows
from services.vector.readers.geojson.parts import FeaturePart, PartSize, collection_parts
from services.vector.readers.geojson.scan import Scanner, find_elements, find_separators
from services.vector.readers.geojson.sequence import sequence_parts

TEXTS = st.text('ab"\\,[]{}: é\n', max_size=8) | st.sampled_from(['}, {"type": "Feature"', "},{", "]}", '\\"}'])
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
FEATURES = st.builds(
    lambda properties, more: {"type": "Feature", "properties": properties, "geometry": None, **more},
    st.dictionaries(TEXTS, VALUES, max_size=3),
    st.dictionaries(st.sampled_from(["id", "bbox", "x", "links"]), VALUES, max_size=2),
)
CHECKS = (HealthCheck.function_scoped_fixture,)


def no_check() -> None:
    pass


def read_to_the_end(path: Path, part_size: PartSize) -> None:
    layout = layouts.find_layout(path, by_lines=False, check=no_check)
    *_, last = collection_parts(path, layout.begin, 0, no_check, part_size=part_size)
    layouts.read_tail(path, last.range.end)


def written_features(found: list[FeaturePart]) -> list[Any]:
    return [getattr(one, "properties", None) for part in found for one in part.features]


@given(elements=st.lists(VALUES, min_size=1, max_size=6), indent=st.sampled_from([None, 1]), escaped=st.booleans())
def test_elements_are_found_by_brackets_quotes_and_commas(
    elements: list[Any], indent: int | None, escaped: bool
) -> None:
    text = json.dumps(elements, indent=indent, ensure_ascii=escaped).encode()
    assert [json.loads(text[1:-1][start:end]) for start, end in find_elements(text[1:-1])] == elements
    commas, close = find_separators(text[1:] + b', "x": [{}, {}]}')
    assert (len(commas), close) == (len(elements) - 1, len(text) - 2)


@given(value=VALUES, cuts=st.lists(st.integers(0, 200), max_size=6))
def test_a_scanner_finds_the_same_marks_wherever_blocks_end(value: Any, cuts: list[int]) -> None:
    text = json.dumps(value).encode()
    whole = [tuple(map(int, mark)) for mark in zip(*Scanner().feed(text), strict=True)]
    scanner, found = Scanner(), []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(text)], strict=True):
        found += [tuple(map(int, mark)) for mark in zip(*scanner.feed(text[start:end]), strict=True)]
    assert found == whole


@given(
    features=st.lists(FEATURES | VALUES, max_size=8),
    others=st.dictionaries(st.text("abc[", min_size=1, max_size=3), VALUES, max_size=3),
    size=st.integers(1, 200),
    rows=st.integers(1, 4),
    indent=st.sampled_from([None, 1]),
    escaped=st.booleans(),
)
@settings(suppress_health_check=CHECKS, deadline=None)
def test_every_feature_is_in_one_part(
    tmp_path: Path,
    features: list[Any],
    others: dict[str, Any],
    size: int,
    rows: int,
    indent: int | None,
    escaped: bool,
) -> None:
    path = tmp_path / "a.geojson"
    collection = {**others, "type": "FeatureCollection", "features": features, "z": others}
    path.write_bytes(json.dumps(collection, indent=indent, ensure_ascii=escaped).encode())
    part_size, layout = PartSize(size, rows), layouts.find_layout(path, by_lines=False, check=no_check)
    found = list(collection_parts(path, layout.begin, 0, no_check, part_size=part_size))
    assert written_features(found) == [_properties(one) for one in features]
    assert all(part.range.first_row // rows == (part.range.first_row + len(part.features) - 1) // rows
               for part in found if part.features)  # fmt: skip
    for begin, row in ((part.range.begin, part.range.first_row) for part in found):
        # A chunk reaches from the beginning of one part to the end of another, and is read again by itself.
        again = collection_parts(path, begin, row, no_check, end=found[-1].range.end, part_size=part_size)
        assert written_features(list(again)) == [_properties(one) for one in features[row:]]
    members = layout.head | layouts.read_tail(path, found[-1].range.end)
    assert {name: json.loads(text) for name, text in members.items() if name not in ("", "features")} == {
        **others,
        "type": "FeatureCollection",
        "z": others,
    }


@given(
    features=st.lists(FEATURES, max_size=8),
    size=st.integers(1, 200),
    rows=st.integers(1, 4),
    separated=st.booleans(),
    blank=st.sampled_from(["\n", "\r\n", "\n\n", "\n \n"]),
)
@settings(suppress_health_check=CHECKS, deadline=None)
def test_every_text_of_a_sequence_is_in_one_part(
    tmp_path: Path, features: list[Any], size: int, rows: int, separated: bool, blank: str
) -> None:
    path = tmp_path / "a.geojsonl"
    text = "".join(
        f"\x1e{json.dumps(one, indent=1)}{blank}" if separated else f"{json.dumps(one)}{blank}" for one in features
    )
    path.write_text(text)
    kind: layouts.Kind = "separated" if separated else "lines"
    part_size = PartSize(size, rows)
    found = list(sequence_parts(path, kind, 0, 0, no_check, part_size=part_size))
    assert written_features(found) == [one["properties"] for one in features]
    for begin, row in ((part.range.begin, part.range.first_row) for part in found):
        again = sequence_parts(path, kind, begin, row, no_check, end=found[-1].range.end, part_size=part_size)
        assert written_features(list(again)) == [one["properties"] for one in features[row:]]


@given(features=st.lists(FEATURES | VALUES, max_size=8), block=st.integers(1, 60), indent=st.sampled_from([None, 1]))
@settings(suppress_health_check=CHECKS, deadline=None)
def test_features_are_counted_without_the_parser(
    tmp_path: Path, features: list[Any], block: int, indent: int | None
) -> None:
    path = tmp_path / "a.geojson"
    value = {"type": "FeatureCollection", "features": features, "z": [{}, {}]}
    path.write_text(json.dumps(value, indent=indent))
    layout = layouts.find_layout(path, by_lines=False, check=no_check)
    (found,) = count_rows(path, layout, no_check, -1, block)
    assert (found.rows, found.is_certain) == (len(features), True)


@given(features=st.lists(FEATURES, max_size=6), block=st.integers(1, 60), separated=st.booleans())
@settings(suppress_health_check=CHECKS, deadline=None)
def test_texts_of_a_sequence_are_counted_without_the_parser(
    tmp_path: Path, features: list[Any], block: int, separated: bool
) -> None:
    path = tmp_path / "a.geojsonl"
    path.write_text("".join(f"{chr(30) * separated}{json.dumps(one)}\n\n" for one in features))
    layout = layouts.Layout("separated" if separated else "lines", 0)
    (found,) = count_rows(path, layout, no_check, -1, block)
    assert found.rows == len(features)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ('{"type": "FeatureCollection", "features": [{"type": "Feature"', "ends within its list of features"),
        ('{"type": "FeatureCollection", "features": [', "ends within its list of features"),
        ('{"type": "FeatureCollection", "features": [{}, ]}', "cannot be read as JSON at byte 4"),
        ('{"type": "FeatureCollection", "features": [{} {}]}', "at byte 46"),
        ('{"type": "FeatureCollection", "features": [{"a": [}]}]}', "cannot be read as JSON"),
        ('{"type": "FeatureCollection", "features": [{"a": 1}]}}', "at byte 53"),
        ('{"type": "FeatureCollection", "features": [{"a": 1}]', "cannot be read as JSON"),
        ('{"type": "FeatureCollection", "a": x, "features": []}', "at byte 35"),
        ('{"type": "FeatureCollection", "features": [{"a": 01}]}', "cannot be read as JSON"),
    ],
)
@pytest.mark.parametrize("size", [1, 20, 4096])
def test_what_is_not_json_is_never_passed_over(tmp_path: Path, data: str, words: str, size: int) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(data)
    with pytest.raises(PermanentError, match=words) as caught:
        read_to_the_end(path, PartSize(size))
    assert caught.value.error_code == "source_unreadable"


def _properties(value: Any) -> Any:
    return value["properties"] if isinstance(value, dict) and value.get("type") == "Feature" else None
