"""Where the API is, which key goes to it, and which storage it reads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from geostage_client.connection import Options, connect
from geostage_client.errors import ClientError, UsageError
from local.servers.processes import ProcessId
from local.state import StackState

STACK_API = "http://127.0.0.1:7071/api"
SECRET = "s3cret-key"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, and a client that no ./dev installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", "/usr")
    return tmp_path


def run_stack(project: Path, name: str = "dev", owner: ProcessId | None = None) -> None:
    """Write the state of a stack that this process owns."""
    me = owner or ProcessId.of(os.getpid())
    assert me
    path = project / ".local" / name / "state.json"
    path.parent.mkdir(parents=True)
    StackState({"owner": me}, {}, "postgresql://x", "AccountName=stack;", STACK_API, "stack-key").write(path)


def test_without_a_stack_and_without_a_url_the_remedy_names_both() -> None:
    with pytest.raises(ClientError, match="No local stack is running here") as caught:
        connect(Options(), {})
    assert "./dev up" in caught.value.remedy
    assert "GEOSTAGE_API" in caught.value.remedy


def test_a_stack_is_found_from_any_folder_below(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_stack(folder)
    (folder / "data" / "deep").mkdir(parents=True)
    monkeypatch.chdir(folder / "data" / "deep")
    found = connect(Options(), {})
    assert (found.api, found.key, found.origin) == (STACK_API, "stack-key", "the local stack 'dev'")
    assert found.storage
    assert found.storage.connection_string == "AccountName=stack;"


def test_the_client_of_a_checkout_serves_that_checkout_from_anywhere(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path_factory.mktemp("checkout")
    run_stack(mine)
    monkeypatch.setattr(sys, "prefix", str(mine / ".local" / "venv"))
    assert connect(Options(), {}).stack
    monkeypatch.setattr(sys, "prefix", str(folder / ".local" / "venv"))
    monkeypatch.chdir(mine)
    with pytest.raises(ClientError):
        connect(Options(), {})


def test_the_stack_of_a_test_run_is_not_taken_for_the_one_to_work_with(folder: Path) -> None:
    run_stack(folder, "test")
    with pytest.raises(ClientError):
        connect(Options(), {})


def test_a_stack_whose_owner_is_gone_does_not_run(folder: Path) -> None:
    run_stack(folder, owner=ProcessId(os.getpid(), -1))
    with pytest.raises(ClientError):
        connect(Options(), {})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"api": "http://127.0.0.1:1/api"}'])
def test_a_state_file_that_says_nothing_is_no_stack(folder: Path, text: str) -> None:
    run_stack(folder)
    (folder / ".local" / "dev" / "state.json").write_text(text)
    with pytest.raises(ClientError):
        connect(Options(), {})


def test_a_stack_of_another_user_is_not_trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_stack(folder)
    monkeypatch.setattr(os, "getuid", lambda: (folder / ".local").stat().st_uid + 1)
    with pytest.raises(ClientError):
        connect(Options(), {})


def test_options_come_before_the_environment_and_that_before_the_stack(folder: Path) -> None:
    run_stack(folder)
    environment = {"GEOSTAGE_API": "https://b.example/api", "GEOSTAGE_KEY": SECRET}
    found = connect(Options(), environment)
    assert (found.api, found.origin, found.key, found.stack) == ("https://b.example/api", "GEOSTAGE_API", SECRET, None)
    assert connect(Options(api="https://a.example/x/"), environment).api == "https://a.example/x"


def test_neither_the_key_nor_the_storage_of_the_stack_goes_to_another_api(folder: Path) -> None:
    run_stack(folder)
    found = connect(Options(api="https://a.example"), {})
    assert (found.api, found.key, found.storage) == ("https://a.example/api", "", None)


def test_the_stacks_url_given_as_an_option_is_the_stack(folder: Path) -> None:
    run_stack(folder)
    assert connect(Options(api=STACK_API), {}).key == "stack-key"


def test_files_for_the_stack_do_not_go_to_the_account_of_the_environment(folder: Path) -> None:
    run_stack(folder)
    environment = {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=production;", "GEOSTAGE_KEY": "mine"}
    found = connect(Options(), environment)
    assert found.key == "mine"
    assert found.storage
    assert found.storage.connection_string == "AccountName=stack;"
    chosen = connect(Options(storage_account="mine"), environment).storage
    assert chosen
    assert chosen.account_url == "https://mine.blob.core.windows.net"


def test_an_account_can_be_named_by_the_environment() -> None:
    named = connect(Options(api="https://a.example"), {"AZURE_STORAGE_ACCOUNT": "acct"}).storage
    assert named
    assert named.account_url == "https://acct.blob.core.windows.net"


@pytest.mark.parametrize("url", ["a.example", "ftp://a.example", "https://", "http://a:b/", "http://[", "nonsense"])
def test_what_is_no_url_is_a_wrong_command_line(url: str) -> None:
    with pytest.raises(UsageError, match="--api is not a URL"):
        connect(Options(api=url), {})


@pytest.mark.parametrize("url", [f"https://a.example/api?code={SECRET}", f"https://me:{SECRET}@a.example/api"])
def test_a_url_that_holds_a_key_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        connect(Options(api=url), {})
    assert SECRET not in f"{caught.value.message}{caught.value.remedy}"


def test_a_signature_in_the_name_of_the_account_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError) as caught:
        connect(Options(api="https://a", storage_account=f"https://x.blob.core.windows.net?sig={SECRET}"), {})
    assert SECRET not in f"{caught.value.message}{caught.value.remedy}"


def test_a_key_file_is_read_without_its_line_end(folder: Path) -> None:
    (folder / "key").write_text(f"{SECRET}\n")
    found = connect(Options(api="https://a.example", key_file="key"), {"GEOSTAGE_KEY": "other"})
    assert found.key == SECRET
    assert SECRET not in repr(found)


@pytest.mark.parametrize("text", ["", "\n", f"{SECRET}\n{SECRET}", f"key {SECRET}", f"ключ-{SECRET}", f"{SECRET}\x00"])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(folder: Path, text: str) -> None:
    (folder / "key").write_text(text)
    with pytest.raises(ClientError) as caught:
        connect(Options(api="https://a.example", key_file="key"), {})
    assert caught.value.code == "key_malformed"
    assert SECRET not in f"{caught.value.message}{caught.value.remedy}"


@pytest.mark.parametrize("data", [None, b"\xff\xfe\x00"])
def test_a_key_file_that_cannot_be_read_is_named(folder: Path, data: bytes | None) -> None:
    if data:
        (folder / "key").write_bytes(data)
    with pytest.raises(ClientError, match="key file key cannot be read"):
        connect(Options(api="https://a.example", key_file="key"), {})
