"""Whether a load fits what the database has: every refusal, decided without a database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from repositories.target_table.inspection import ExistingColumn, Name, Relation, TargetState
from repositories.target_table.statements import Table
from schema.errors import PermanentError
from services.vector.geometry.crs import Operation
from services.vector.geometry.repair import POLYGONS
from services.vector.load.plan import Column, LoadPlan
from services.vector.load.stages import Options
from services.vector.load.target import check, fixed_relation
from services.vector.origin import Origin

REPLACE = Options("geo", "a")
APPEND = replace(REPLACE, load_method="append")


def column(name: str, kind: str, **facts: bool) -> ExistingColumn:
    return ExistingColumn(name, kind, **{"not_null": False, "has_default": False, "generated": False, **facts})


COLUMNS = (
    column("id", "bigint", not_null=True, has_default=True),
    column("name", "text"),
    column("geom", "geometry(MultiPolygon,4326)"),
)
REJECTS = (column("row_number", "bigint"), column("reason", "text"), column("raw_row", "jsonb"))
TABLE = Relation("r", "geostage", True, True, COLUMNS, ())
OLD_REJECTS = replace(TABLE, columns=REJECTS)


def plan(options: Options) -> LoadPlan:
    return LoadPlan(
        options, "bronze/a.gpkg", "a", 3, (Column("Name", "name", "text"),), POLYGONS, True, False, 4326, "EPSG:4326",
        "EPSG:4326", Operation(None, "none", 0.0, ()), None, "degrees", None, None, "", Origin("a", "a.gpkg", None),
    )  # fmt: skip


def state(target: Relation | None = TABLE, rejects: Relation | None = None, **facts: Any) -> TargetState:
    names = Name(Table("geo", "a"), target, None), Name(Table("geo", "a__rejects"), rejects, None)
    return replace(TargetState(True, *names), **facts)


def with_column(changed: ExistingColumn) -> Relation:
    return replace(TABLE, columns=(*(one for one in COLUMNS if one.name != changed.name), changed))


VIEW = ("view geo.seen",)
NO_TABLE = state(None)


@pytest.mark.parametrize("options", [REPLACE, APPEND])
@pytest.mark.parametrize("found", [None, TABLE])
@pytest.mark.parametrize("rejects", [None, OLD_REJECTS])
def test_a_load_into_a_new_table_or_one_like_it_is_allowed(
    options: Options, found: Relation | None, rejects: Relation | None
) -> None:
    check(plan(options), state(found, rejects))


@pytest.mark.parametrize(
    ("options", "found", "code"),
    [
        (REPLACE, state(None, may_create=None), "target_forbidden"),
        (REPLACE, state(None, may_create=False), "target_forbidden"),
        (REPLACE, replace(NO_TABLE, target=replace(NO_TABLE.target, type_kind="e")), "target_name_taken"),
        (REPLACE, replace(NO_TABLE, rejects=replace(NO_TABLE.rejects, type_kind="d")), "target_name_taken"),
        (REPLACE, state(None, TABLE), "rejects_name_taken"),
        (REPLACE, state(None, replace(OLD_REJECTS, kind="v")), "rejects_name_taken"),
        (REPLACE, state(None, replace(OLD_REJECTS, is_ours=False)), "rejects_name_taken"),
        (REPLACE, state(None, replace(OLD_REJECTS, dependents=VIEW)), "rejects_name_taken"),
        (APPEND, state(replace(TABLE, kind="v")), "target_not_a_table"),
        (REPLACE, state(replace(TABLE, is_ours=False)), "target_forbidden"),
        (APPEND, state(replace(TABLE, may_insert=False)), "target_forbidden"),
        (REPLACE, state(replace(with_column(column("size", "bigint")), dependents=VIEW)), "table_has_dependents"),
        (APPEND, state(with_column(column("size", "bigint", not_null=True))), "columns_differ"),
        (APPEND, state(with_column(column("name", "integer"))), "columns_differ"),
        (APPEND, state(with_column(column("name", "text", generated=True))), "columns_differ"),
        (APPEND, state(with_column(column("geom", "geometry(Point,4326)"))), "columns_differ"),
    ],
)
def test_a_load_that_could_not_be_published_is_refused(options: Options, found: TargetState, code: str) -> None:
    with pytest.raises(PermanentError) as caught:
        check(plan(options), found)
    assert caught.value.error_code == code
    assert caught.value.remediation


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (APPEND, state(replace(TABLE, is_ours=False))),
        (REPLACE, state(replace(TABLE, may_insert=False))),
        (REPLACE, state(with_column(column("size", "bigint")))),
        (REPLACE, state(replace(TABLE, dependents=VIEW))),
        (APPEND, state(with_column(column("size", "bigint", not_null=True, has_default=True)))),
        (APPEND, state(with_column(column("name", "character varying")))),
        (APPEND, state(with_column(column("geom", "geometry(Geometry,4326)")))),
    ],
)
def test_a_load_that_fits_is_not_refused_for_what_it_does_not_need(options: Options, found: TargetState) -> None:
    check(plan(options), found)


def test_columns_are_fixed_where_rows_are_added_or_others_depend_on_the_table() -> None:
    assert fixed_relation(APPEND, state()) == TABLE
    assert fixed_relation(REPLACE, state()) is None
    assert fixed_relation(REPLACE, state(replace(TABLE, dependents=VIEW))) is not None
    assert fixed_relation(APPEND, NO_TABLE) is None
