"""The job type in three files that docs/job-types.md shows is run as it stands there."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from controllers.engine.engine import Engine
from local.stack import Stack
from repositories.jobs.jobs import get_job
from repositories.postgres import Database
from repositories.storage.fake_blobs import FakeBlobs
from repositories.storage.queues import FakeQueues
from schema.jobs import Job, JobStatus
from schema.messages import JOB_QUEUE, TASK_QUEUES, JobMessage, TaskMessage
from schema.settings import get_settings
from services import Handler

PAGE = Path(__file__).parents[2].joinpath("docs", "job-types.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL))
HANDLERS = dict(re.findall(r'^    "(\w+)": "([\w.]+:\w+)",$', PAGE, re.MULTILINE))
CONTENT = {"in/a.zip": b"a", "in/b.zip": b"bb", "other.zip": b"c"}


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The three files of the page, imported in the order in which they stand there."""
    loaded = {}
    for name, source in FILES.items():
        path = tmp_path / name.replace("/", "_")
        path.write_text(source)
        module_name = name.removesuffix(".py").replace("/", ".")
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module_name, module)
        spec.loader.exec_module(module)
        loaded[name] = module
    return loaded


def test_the_example_is_three_files_and_its_handlers(example: dict[str, ModuleType]) -> None:
    assert list(example) == [
        "controllers/jobs/blob_digests.py",
        "services/handlers/blob_digests.py",
        "tests/unit/test_blob_digests.py",
    ]
    assert set(HANDLERS) == {"blob_list", "blob_digest"}


def test_the_examples_own_test_passes(example: dict[str, ModuleType]) -> None:
    example["tests/unit/test_blob_digests.py"].test_each_blob_that_was_found_gets_a_task()


def test_the_example_runs_through_the_engine(example: dict[str, ModuleType], stack: Stack) -> None:
    del stack
    blobs, queues, database = FakeBlobs(), FakeQueues(), Database(get_settings().postgres_dsn.get_secret_value())
    for name, data in CONTENT.items():
        blobs.write("bronze", name, data)

    def resolve(task_type: str) -> Handler:
        module, function = HANDLERS[task_type].split(":")
        handler: Handler = getattr(sys.modules[module], function)
        return handler

    controllers = {"blob_digests": example["controllers/jobs/blob_digests.py"].BlobDigests()}
    engine = Engine(get_settings(), database, queues, blobs, controllers, resolve)
    body = json.dumps({"dataset_id": "bronze", "prefix": "in/"}).encode()
    job_id = engine.submit("blob_digests", body).job.job_id
    job = run_to_the_end(engine, queues, job_id)
    assert job.status is JobStatus.COMPLETED
    expected = {name: hashlib.sha256(CONTENT[name]).hexdigest() for name in ("in/a.zip", "in/b.zip")}
    assert job.result_data == {"digests": expected}
    database.close()


def run_to_the_end(engine: Engine, queues: FakeQueues, job_id: str) -> Job:
    """Deliver messages until the job has ended."""
    for _ in range(100):
        for text in queues.drain(JOB_QUEUE):
            engine.start_stage(JobMessage.decode(text))
        for text in queues.drain(TASK_QUEUES["light"]):
            engine.run_task(TaskMessage.decode(text), "light")
        with engine.database.connection() as conn:
            job = get_job(conn, job_id)
        assert job
        if job.status.ended:
            return job
    raise AssertionError(f"{job} does not end")
