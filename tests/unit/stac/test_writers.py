"""Files of items: what a spreadsheet would make of a line of CSV."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from services.stac.export.geoparquet import BOUNDS
from services.stac.export.writers import CsvWriter


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x")'])
def test_a_text_that_a_spreadsheet_would_calculate_is_marked_as_text(tmp_path: Path, text: str) -> None:
    line = written(tmp_path, text)
    assert (line["id"], line["title"], line["asset_href"]) == (f"'{text}", f"'{text}", f"'{text}")


@pytest.mark.parametrize("text", ["a=1", "plain", "", " =1", "Größe"])
def test_other_texts_and_numbers_stay_as_they_are(tmp_path: Path, text: str) -> None:
    line = written(tmp_path, text)
    assert (line["id"], line["xmin"]) == (text, "-1.5")


def written(folder: Path, text: str) -> dict[str, str]:
    item = {"id": text, "collection": "c", "properties": {"title": text}, "assets": {"data": {"href": text}}}
    with CsvWriter(folder / "a.csv") as writer:
        writer.item({"item": item, **dict.fromkeys(BOUNDS, -1.5)})
    with (folder / "a.csv").open(encoding="utf-8", newline="") as file:
        return next(csv.DictReader(file))
