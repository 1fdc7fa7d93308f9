"""How pages are read: which blocks are run, how they follow on one another, and that a command that fails is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.pages import Reader, parse, shows

PAGE = """
# A page

```sh
greeting=hello
```

1. In a list:

   <!-- not run: needs az -->
   ```sh
   az login
   ```

   ```sh
   cat <<TEXT
   $greeting, world
   TEXT
   ```

<!-- output -->
```text
hello, ...
```

<!-- runs until: ready -->
```sh
./dev up
```
"""


def test_blocks_have_their_place_their_language_and_their_marker() -> None:
    assert [(block.place, block.language, block.marker, block.is_run) for block in parse("a.md", PAGE)] == [
        ("a.md:4", "sh", "", True),
        ("a.md:11", "sh", "not run: needs az", False),
        ("a.md:15", "sh", "", True),
        ("a.md:22", "text", "output", False),
        ("a.md:27", "sh", "runs until: ready", True),
    ]


def test_what_one_block_sets_holds_for_the_next(tmp_path: Path) -> None:
    run = [block for block in parse("a.md", PAGE) if block.is_run and not block.marker]
    printed = Reader(tmp_path).type_in(run)
    assert printed == {"a.md:4": "", "a.md:15": "hello, world\n"}


def test_a_page_without_commands_prints_nothing(tmp_path: Path) -> None:
    assert Reader(tmp_path).type_in([]) == {}


@pytest.mark.parametrize("command", ["false", "false | true", "cat /no/such/file", "echo 'no end"])
def test_a_command_that_fails_is_named_with_its_place_and_nothing_runs_after_it(tmp_path: Path, command: str) -> None:
    page = f"```sh\necho before\n```\n\n```sh\n{command}\n```\n\n```sh\ntouch after\n```\n"
    with pytest.raises(AssertionError, match=r"a\.md:5 failed"):
        Reader(tmp_path).type_in(parse("a.md", page))
    assert not (tmp_path / "after").exists()


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ('{"a": 1}', '{\n "a":  1}\n', True),
        ('{"a": ...}', '{"a": [1, 2]}', True),
        ("...done", "one\ntwo\ndone", True),
        ('{"a": 1}', '{"a": 2}', False),
        ('{"a": 1}', '{"a": 1} and more', False),
        ("a.b", "axb", False),
    ],
)
def test_an_output_is_compared_but_for_spaces_and_dots(shown: str, printed: str, same: bool) -> None:
    assert shows(shown, printed) is same
