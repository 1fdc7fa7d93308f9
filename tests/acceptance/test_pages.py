"""The commands of the README and of docs/ work: each page is typed in, from its first line to its last."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from local.paths import PROJECT
from local.stack import Stack
from tests.fixtures.pages import MARKER, NOT_RUN, RUN, Block, Reader, blocks_of, pages, shows

ENDED = ("completed", "completed_with_errors")
ALL = [block for page in pages() for block in blocks_of(page)]
PRINTED: dict[str, str] = {}


@pytest.fixture(scope="module")
def reader(stack: Stack) -> Iterator[Reader]:
    """A reader who has got through the README, and left its stack running."""
    del stack  # Tells whether this machine has the servers at all.
    found = Reader.in_fresh_checkout()
    try:
        PRINTED.update(found.read("README.md"))
        yield found
    finally:
        found.stop()
        found.forget()


def test_every_page_is_read_and_every_block_is_run_or_says_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    written = [path for place in (".", "docs", "client") for path in (PROJECT / place).glob("*.md")]
    assert {*pages(), "CHANGELOG.md"} == {path.relative_to(PROJECT).as_posix() for path in written}
    assert {block.language for block in ALL} <= {*RUN, *NOT_RUN}
    assert not [block.place for block in ALL if not MARKER.fullmatch(block.marker)]
    left_out = [block for block in ALL if block.marker.startswith("not run:")]
    assert len(left_out) < len([block for block in ALL if block.is_run])
    with capsys.disabled():
        listed = "\n  ".join(f"{block.place} is {block.marker}" for block in left_out)
        # Whoever reads the log learns what no test has run. What a process of pytest-xdist prints is lost, but errors.
        print(f"\n  {listed}", file=sys.stderr)  # noqa: T201


@pytest.mark.timeout(1800)
def test_the_readme_works_as_it_stands(reader: Reader) -> None:
    check(reader, "README.md")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", pages()[1:])
def test_a_page_works_as_it_stands(reader: Reader, page: str) -> None:
    PRINTED.update(reader.read(page))
    check(reader, page)


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 250


def check(reader: Reader, page: str) -> None:
    """What the page shows as output was printed, and no job that it started has failed."""
    pairs = itertools.pairwise(block for block in blocks_of(page) if block.is_run or block.marker == "output")
    wrong = [after for before, after in pairs if after.marker == "output" and not _printed(before, after)]
    assert not wrong, f"{wrong[0].place} is not what the block above prints:\n{PRINTED}"
    failed = [job for job in _ended_jobs(reader) if job["status"] not in ENDED]
    assert not failed, f"jobs of {page}: {failed}"


def _printed(block: Block, output: Block) -> bool:
    return shows(output.text, PRINTED[block.place])


def _ended_jobs(reader: Reader) -> list[dict[str, object]]:
    """All jobs of the reader's stack, once every one of them has ended."""
    command = ["bash", "-c", 'eval "$(./dev env)"; echo $GEOSTAGE_API']
    environment = reader.environment()
    api = subprocess.run(command, cwd=reader.checkout, env=environment, text=True, capture_output=True, check=True)
    while True:
        with urllib.request.urlopen(f"{api.stdout.strip()}/jobs?limit=500") as answer:  # noqa: S310 - our own stack
            jobs: list[dict[str, object]] = json.load(answer)["jobs"]
        if all(job["finished_at"] for job in jobs):
            return jobs
