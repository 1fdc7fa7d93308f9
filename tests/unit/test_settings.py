"""Settings: read once, named in full when they are wrong, and never shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from schema.errors import NotConfigured
from schema.settings import Settings, get_settings

DSN = "postgresql://geo:hunter2@db/gis"
CONNECTION = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import os  # noqa: PLC0415

    for name in list(os.environ):
        if name.startswith(("GEOSTAGE_", "AzureWebJobsStorage")):
            monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_secrets_are_not_shown() -> None:
    settings = Settings(postgres_dsn=DSN, storage_connection_string=CONNECTION)
    assert "hunter2" not in repr(settings)
    assert "c2VjcmV0" not in repr(settings)
    assert settings.postgres_dsn.get_secret_value() == DSN


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOSTAGE_POSTGRES_DSN", DSN)
    monkeypatch.setenv("AzureWebJobsStorage", CONNECTION)
    monkeypatch.setenv("GEOSTAGE_TARGET_SCHEMAS", "geo, public ,")
    monkeypatch.setenv("GEOSTAGE_MAX_ATTEMPTS", "5")
    settings = get_settings()
    assert settings.target_schemas == ("geo", "public")
    assert settings.max_attempts == 5
    assert settings.storage_connection_string
    assert settings is get_settings()


@pytest.mark.parametrize(
    ("environment", "queue", "blob"),
    [
        ({"accountName": "acct"}, "https://acct.queue.core.windows.net", "https://acct.blob.core.windows.net"),
        ({"queueServiceUri": "https://q", "blobServiceUri": "https://b"}, "https://q", "https://b"),
        ({"accountName": "acct", "queueServiceUri": "https://q"}, "https://q", "https://acct.blob.core.windows.net"),
    ],
)
def test_an_identity_needs_a_name_or_the_addresses(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], queue: str, blob: str
) -> None:
    monkeypatch.setenv("GEOSTAGE_POSTGRES_DSN", DSN)
    for name, value in environment.items():
        monkeypatch.setenv(f"AzureWebJobsStorage__{name}", value)
    settings = Settings()
    assert settings.storage_connection_string is None
    assert (settings.service_uri("queue"), settings.service_uri("blob")) == (queue, blob)


def test_storage_that_is_not_named_is_said_to_be_missing() -> None:
    settings = Settings(postgres_dsn=DSN)
    with pytest.raises(NotConfigured, match="queue storage") as caught:
        settings.service_uri("queue")
    assert "AzureWebJobsStorage__queueServiceUri" in caught.value.remediation


def test_what_is_missing_is_named_and_nothing_else_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AzureWebJobsStorage", CONNECTION)
    monkeypatch.setenv("GEOSTAGE_MAX_ATTEMPTS", "hunter3")
    with pytest.raises(NotConfigured) as caught:
        get_settings()
    assert "GEOSTAGE_POSTGRES_DSN: Field required" in caught.value.message
    assert "GEOSTAGE_MAX_ATTEMPTS" in caught.value.message
    for secret in ("c2VjcmV0", "hunter3"):
        assert secret not in caught.value.message
        assert secret not in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_ATTEMPTS", "0"),
        ("MAX_ATTEMPTS", "1.5"),
        ("LEASE_SECONDS", "0"),
        ("HEARTBEAT_SECONDS", "-1"),
        ("TASK_PROCESSES", "0"),
        ("RETRY_BASE_SECONDS", "-1"),
        ("WORK_RETENTION_HOURS", "a day"),
        ("MAX_REPAIR_VERTICES", ""),
    ],
)
def test_a_value_out_of_its_range_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("GEOSTAGE_POSTGRES_DSN", DSN)
    monkeypatch.setenv(f"GEOSTAGE_{name}", value)
    with pytest.raises(NotConfigured, match=f"GEOSTAGE_{name}"):
        get_settings()


def test_settings_cannot_be_changed() -> None:
    settings = Settings(postgres_dsn=DSN)
    with pytest.raises(ValidationError):
        settings.max_attempts = 9  # type: ignore[misc]
