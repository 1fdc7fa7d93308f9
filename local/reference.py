"""The parts of docs/ that are made of the code: `python -m local.reference` writes them.

<!-- job types: process_vector -->       parameters of one type, or of several that take the same, and examples
<!-- list of job types -->               every type with its stages and its page
<!-- error codes -->                     every code of an error, with what it means
<!-- end -->                             where such a part ends
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from controllers import CONTROLLERS
from controllers.http.views import job_type_view
from local.paths import PROJECT
from schema.error_codes import ERROR_CODES

PAGES = PROJECT / "docs"
PART = re.compile(r"(?<=<!-- )(job types: ([\w, ]+)|list of job types|error codes) -->\n.*?(?=<!-- end -->)", re.DOTALL)
Json = dict[str, Any]


def main() -> None:
    """Write every page whose generated parts are out of date."""
    for path in sorted(PAGES.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if rendered(text) != text:
            path.write_text(rendered(text), encoding="utf-8")
            print(path.relative_to(PROJECT))


def rendered(text: str) -> str:
    """Return a page with its generated parts as they must be. Raises KeyError for a job type that there is not."""
    return PART.sub(lambda part: "\n".join((f"{part[1]} -->", "", *_part(part), "", "")), text)


def pages() -> dict[str, list[str]]:
    """Return the names of the pages that describe each job type."""
    found: dict[str, list[str]] = {}
    for path in sorted(PAGES.glob("*.md")):
        for part in PART.finditer(path.read_text(encoding="utf-8")):
            for name in part[2].split(", ") if part[2] else []:
                found.setdefault(name, []).append(path.name)
    return found


def _part(part: re.Match[str]) -> Iterator[str]:
    if part[2]:
        yield from _described(part[2].split(", "))
    elif part[1] == "error codes":
        yield from ("| code | meaning |", "|---|---|")
        yield from (f"| `{code}` | {meaning} |" for code, meaning in sorted(ERROR_CODES.items()))
    else:
        described_in = pages()
        yield from ("| job type | what it does | stages |", "|---|---|---|")
        for name, controller in sorted(CONTROLLERS.items()):
            link = f"[`{name}`]({described_in[name][0]})" if name in described_in else f"`{name}`"
            stages = ", ".join(f"`{stage.name}`" for stage in controller.stages)
            yield f"| {link} | {controller.summary()} | {stages} |"


def _described(names: Sequence[str]) -> Iterator[str]:
    views = [job_type_view(CONTROLLERS[name]) for name in names]
    first, *others = ((view["parameters"]["properties"], view["labels"]) for view in views)
    if any(other != first for other in others):
        raise ValueError(f"{', '.join(names)} do not take the same parameters: give each a part of its own")
    parameters, labels = first
    if parameters:
        yield from ("| parameter | default | example | effect |", "|---|---|---|---|")
        required = views[0]["parameters"].get("required", [])
        for name, field in parameters.items():
            default = "required" if name in required else _value(field.get("default"))
            examples = ", ".join(_value(value) for value in field["examples"])
            effect = " ".join((field["description"], *_limits(field))).replace("<", "&lt;")
            yield f"| `{name}` | {default} | {examples} | {effect} |".replace("|  |", "| |")
        yield ""
    kept = ", ".join(f"`{label}`" for label in labels)
    yield f"{'' if parameters else 'No parameters. '}[Labels](job-types.md#labels): {kept}."
    yield from ("", "```sh")
    yield from (f"./dev geostage submit {view['job_type']} '{json.dumps(view['example'])}' --follow" for view in views)
    yield "```"


def _value(value: object) -> str:
    """Return a value as JSON in code, or nothing for null: then the effect says what holds."""
    return "" if value is None else f"`{json.dumps(value)}`"


def _limits(field: Json) -> Iterator[str]:
    """Yield the limits that the description does not state."""
    for kind in (field, *field.get("anyOf", ())):
        choices = kind.get("enum", ())
        if not all(str(choice) in field["description"] for choice in choices):
            yield f"One of {', '.join(f'`{choice}`' for choice in choices)}."
        low, high = kind.get("minimum"), kind.get("maximum")
        if low is not None:
            yield f"{low:,.10g} to {high:,.10g}." if high else f"{low:,.10g} or more."
        elif high is not None:
            yield f"At most {high:,.10g}."


if __name__ == "__main__":
    main()
