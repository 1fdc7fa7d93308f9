"""One JSON line per transition, and no secret in any of them."""

from __future__ import annotations

import json
import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.engine.log import describe, event, quiet_libraries, redact, where
from tests.fixtures.factories import JOB_ID, make_job, make_task

HOST = "geodb-prod.postgres.database.azure.com"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq"


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        (f'connection to server at "{HOST}" (10.1.2.3), port 5432 failed', [HOST, "geodb", "10.1.2.3"]),
        ('connection to server at "geodb" (fd00:aa::12), port 5432 failed', ["geodb", "fd00:aa::12"]),
        ('could not translate host name "geodb-prod" to address: Unknown host', ["geodb-prod"]),
        ('FATAL: password authentication failed for user "geo_admin"', ["geo_admin"]),
        ("host=geodb port=5432 user=geo password=hunter2 dbname=gis", ["hunter2", "geodb "]),
        ("host=geodb password='two words' dbname=gis", ["two words", "words"]),
        (r"password='it\'s secret' dbname=gis", ["secret"]),
        (f"postgresql://geo:hunter2@{HOST}:5432/gis?sslmode=require", ["hunter2", HOST, "geo:"]),
        ("postgres://geo:hunter2@db/gis", ["hunter2"]),
        (f"DefaultEndpointsProtocol=https;AccountName=prodacct;AccountKey={KEY}==;EndpointSuffix=core.windows.net",
         [KEY, "prodacct", "core.windows.net"]),
        ("BlobEndpoint=http://127.0.0.1:10000/a;SharedAccessSignature=sv=2020&sig=abc%3D", ["abc", "127.0.0.1"]),
        ("https://prodacct.blob.core.windows.net/bronze/a.zip?sp=r&sig=aGVsbG8%3D", ["aGVsbG8", "prodacct"]),
        ("the SAS ?sv=2020-08-04&se=2030&sr=b&sp=r&sig=aGVsbG8%3D was refused", ["aGVsbG8"]),
        ("HTTPSConnectionPool(host='prodacct.queue.core.windows.net', port=443): Max retries", ["prodacct"]),
        ("Failed to resolve 'prodacct.queue.core.windows.net' ([Errno -2])", ["prodacct"]),
        ("Authorization: Bearer eyJhbGciOi.J9.sig", ["eyJhbGciOi"]),
        ("Authorization: SharedKey prodacct:c2lnbmF0dXJl=", ["c2lnbmF0dXJl", "prodacct"]),
        ('{"client_secret": "s3cr3t", "password": "hunter2"}', ["s3cr3t", "hunter2"]),
        ("AZURE_CLIENT_SECRET=s3cr3t AZURE_STORAGE_KEY=k3y", ["s3cr3t", "k3y"]),
        ("GET /api/jobs?code=fUnCtIoNkEy&limit=2", ["fUnCtIoNkEy"]),
        ("x-functions-key: fUnCtIoNkEy", ["fUnCtIoNkEy"]),
        ("could not connect to redis.internal or cache.corp", ["redis.internal", "cache.corp"]),
        ("10.0.0.5:5432 and ::1 refused", ["10.0.0.5", "::1"]),
    ],
)  # fmt: skip
def test_secrets_and_hosts_never_get_through(text: str, secrets: list[str]) -> None:
    assert not [secret for secret in secrets if secret in redact(text)]


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'hello_number'",
        "services.handlers.vector: unexpected end of file counties_usa.shp",
        "the try at 12:30:45 took 3.5 s, exit code: 139",
        'relation "geo.us_counties" does not exist',
        "EPSG:4326 is not EPSG:25832; version 3.12.1",
        "duplicate key value violates unique constraint",
    ],
)
def test_what_helps_to_find_the_fault_stays(text: str) -> None:
    assert redact(text) == text


WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=24)


@given(user=WORD, password=WORD, host=WORD)
def test_no_form_of_a_dsn_gets_through(user: str, password: str, host: str) -> None:
    forms = (
        f"postgresql://{user}:{quote(password)}@{host}.example.org:5432/gis",
        f"host={host} user={user} password={password} dbname=gis",
        f"dsn 'host={host} user={user} password={password}' is wrong",
        f'connection to server at "{host}", port 5432 failed: FATAL: role of user "{user}"',
    )
    for form in forms:
        redacted = redact(form)
        assert not [secret for secret in (user, password, host) if secret in redacted]


@given(st.text(max_size=200))
def test_redaction_takes_any_text(text: str) -> None:
    assert isinstance(redact(text), str)


def test_an_unexpected_error_is_one_redacted_line() -> None:
    error = RuntimeError(f"no route to {HOST}\nTraceback: more")
    assert describe(error) == "RuntimeError: no route to ***"
    assert describe(ValueError()) == "ValueError"
    assert len(describe(RuntimeError("x" * 5000))) == 500


def test_the_place_of_an_error_is_named_without_paths() -> None:
    def boom() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError) as caught:
        boom()
    assert where(caught.value).startswith("test_log:")
    assert "/" not in where(caught.value)


def test_a_line_is_json_with_the_ids_to_follow_a_job(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "geostage")
    event("finish", job=make_job(traceparent="00-a-b-01"), task=make_task(attempt=2), seconds=0.5, code=None)
    (line,) = [json.loads(entry.getMessage()) for entry in caplog.records]
    assert line == {
        "action": "finish",
        "job_id": JOB_ID,
        "job_type": "hello_world",
        "stage": "execute",
        "stage_n": 1,
        "traceparent": "00-a-b-01",
        "task_id": f"{JOB_ID}-1-0001",
        "task_type": "hello",
        "attempt": 2,
        "seconds": 0.5,
    }


def test_libraries_do_not_log_what_they_connect_to() -> None:
    quiet_libraries()
    for name in ("azure.core.pipeline.policies.http_logging_policy", "psycopg.pool", "urllib3.connectionpool"):
        assert not logging.getLogger(name).isEnabledFor(logging.WARNING)
