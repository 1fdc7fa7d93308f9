"""What is printed: columns, states, progress in a pipe, and nothing that moves a cursor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geostage_client.cli import main
from geostage_client.errors import ClientError
from geostage_client.output import Output, align, clean, size_of
from geostage_client.progress import show_job, show_upload, steps

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stack and no terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.prefix", "/usr")
    for name in ("GEOSTAGE_API", "GEOSTAGE_KEY", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def job(stage: int, **counts: int) -> dict[str, object]:
    names = ("preprocess", "upload", "publish")
    return {
        "status": "processing",
        "stages": 3,
        "current_stage_n": stage,
        "current_stage": names[stage - 1],
        "tasks": {str(stage): counts},
    }


def test_columns_stand_below_each_other_in_any_script() -> None:
    assert align([("a", "b"), ("ééé", "x"), ("日本", "y")], None) == ["a     b", "ééé   x", "日本  y"]


def test_on_a_terminal_the_last_column_is_wrapped_and_in_a_pipe_it_is_not() -> None:
    rows = [("name", "a meaning of many words that goes on")]
    assert align(rows, None) == ["name  a meaning of many words that goes on"]
    assert align(rows, 30) == ["name  a meaning of many words", "      that goes on"]


def test_sizes_are_told_in_powers_of_ten() -> None:
    assert [size_of(count) for count in (0, 999, 1000, 2_147_483_648, 5e15)] == [
        *("0 bytes", "999 bytes", "1.0 kB", "2.1 GB", "5000.0 TB"),
    ]


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert clean("a\x1b[2Jb\rc\u202ed\x9b") == "a\\x1b[2Jb\\rc\\u202ed\\x9b"
    assert clean("Straße, 日本, a\tb\n") == "Straße, 日本, a\tb\n"


def test_a_pipe_gets_no_colors_and_no_cut_lines(capsys: Captured) -> None:
    output = Output(as_json=False)
    output.field("status", "completed after 1 s")
    output.field("next", "x" * 500)
    output.table(("job", "name"), [("1", "[bold]y[/bold] " * 30)])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "status    completed after 1 s"
    assert said[1] == f"next      {'x' * 500}"
    assert said[3] == f"1    {('[bold]y[/bold] ' * 30).strip()}"


def test_an_error_is_a_sentence_and_a_remedy_on_stderr(capsys: Captured) -> None:
    faults = [{"field": "n", "message": "is required"}, {"field": "other", "message": "is too long"}]
    Output(as_json=False).error(ClientError("n is required.", remedy="Give n.", code="invalid", faults=faults))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "error     invalid: n is required.",
        "          other: is too long",
        "remedy    Give n.",
    ]


def test_json_is_one_document_and_nothing_else(capsys: Captured) -> None:
    output = Output(as_json=True)
    output.field("status", "completed")
    output.table(("a",), [("b",)])
    output.error(ClientError("No."))
    output.document({"job": {"name": "é" * 300}}, ClientError("No.", remedy="Yes."))
    said = capsys.readouterr()
    assert said.err == ""
    document = json.loads(said.out)
    assert document["job"]["name"] == "é" * 300
    assert document["error"] == {
        "message": "No.",
        "remedy": "Yes.",
        "code": "client_error",
        "status": None,
        "errors": [],
    }


def test_progress_in_a_pipe_is_a_line_for_a_stage_and_for_a_tenth_of_it(capsys: Captured) -> None:
    with steps(Output(as_json=False)) as shown:
        for done in range(0, 101, 5):
            show_job(shown, job(2, completed=done, processing=min(4, 100 - done), queued=max(0, 96 - done)))
        show_job(shown, job(3, queued=1))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "stage 2/3 upload: 0 of 100 tasks done, 4 running"
    assert said[-1] == "stage 3/3 publish: 0 of 1 task done"
    assert len(said) == 12


def test_progress_of_an_upload_is_told_by_tenths_and_of_a_small_one_not_at_all(capsys: Captured) -> None:
    with steps(Output(as_json=False)) as shown:
        for sent in range(0, 50_000_001, 1_000_000):
            show_upload(shown, "a.gpkg", sent, 50_000_000)
            show_upload(shown, "b.gpkg", sent, 5_000_000)
    said = capsys.readouterr().err.splitlines()
    assert (said[0], said[-1]) == ("upload    a.gpkg, 0 bytes of 50.0 MB", "upload    a.gpkg, 50.0 MB of 50.0 MB")
    assert len(said) == 11


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["laod", "a.gpkg"], "load"),
        (["load", "a.gpkg", "--optoin", "x"], "--option"),
        (["load"], "FILE"),
        (["jobs", "--limit", "0"], "--limit"),
        (["show", "a", "b"], "Too many arguments: b"),
        (["--json", "jobs"], "Options follow the command"),
        (["follow", "../health", "--api", "http://127.0.0.1:1"], "not a job id"),
        (["jobs", "--status"], "--status"),
    ],
)
def test_a_wrong_command_line_is_told_and_ends_with_2(words: list[str], said: str, capsys: Captured) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert said in out + err
    assert "remedy" in out + err


@pytest.mark.parametrize(
    "words",
    [
        ["--key", "hunter2", "jobs"],
        ["jobs", "--key", "hunter2"],
        ["jobs", "--key=hunter2"],
        ["jobs", "--function-key", "hunter2"],
        ["jobs", "--function-key=hunter2", "--json"],
    ],
)
def test_a_key_on_the_command_line_is_refused_and_not_shown(words: list[str], capsys: Captured) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert "hunter2" not in out + err
    assert "--key-file" in out + err or "There is no option --function-key" in out + err


def test_no_stack_is_an_error_in_both_forms(capsys: Captured) -> None:
    assert main(["jobs"]) == 1
    assert "./dev up" in capsys.readouterr().err
    assert main(["jobs", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no_api"


def test_help_names_every_command_and_the_exit_codes(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for word in ("load", "raster", "submit", "jobs", "show", "follow", "cancel", "retry", "explain", "types", "health"):
        assert f"\n    {word}" in said
    assert "130 Ctrl-C" in said
