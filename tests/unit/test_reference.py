"""The pages describe every job type as its schema does: python -m local.reference writes what is compared here."""

from __future__ import annotations

import pytest

from controllers import CONTROLLERS
from local import reference
from local.paths import PROJECT

PAGES = sorted(path.relative_to(PROJECT).as_posix() for path in reference.PAGES.glob("*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_of_a_page_are_those_of_the_schemas(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    assert reference.rendered(text) == text, "write them with: python -m local.reference"


def test_each_job_type_is_described_in_one_place() -> None:
    assert {name: len(pages) for name, pages in reference.pages().items()} == dict.fromkeys(CONTROLLERS, 1)


def test_the_table_has_every_parameter_with_default_example_and_effect() -> None:
    text = reference.rendered("<!-- job types: process_vector -->\n<!-- end -->\n")
    rows = {cells[1].strip(" `"): cells for line in text.splitlines() if (cells := line.split("|"))[0] == "" != line}
    schema = CONTROLLERS["process_vector"].Parameters.model_json_schema()["properties"]
    assert set(schema) - {"version_id", "system"} <= set(rows)
    assert [cell.strip() for cell in rows["chunk_size"]][2:4] == ["`10000`", "`50000`"]
    assert "1 to 100,000." in rows["chunk_size"][4]
    assert [cell.strip() for cell in rows["dataset_id"]][2:4] == ["required", '`"bronze"`']
    assert all(cells[4].strip() for cells in rows.values())


def test_types_that_take_different_parameters_do_not_share_a_table() -> None:
    with pytest.raises(ValueError, match="do not take the same parameters"):
        reference.rendered("<!-- job types: process_raster, cog_conversion -->\n<!-- end -->\n")


def test_a_page_about_a_type_that_there_is_not_is_a_fault() -> None:
    with pytest.raises(KeyError, match="proces_vector"):
        reference.rendered("<!-- job types: proces_vector -->\n<!-- end -->\n")
