"""Servers and workers stop in the middle of a job, and it still ends, with every effect once."""

import os
import signal

import pytest

from tests.chaos.deployment import Deployment

TASKS = 60
pytestmark = pytest.mark.slow


def assert_done(deployment: Deployment, job_id: str) -> None:
    assert deployment.follow(job_id) == "completed"
    effects = deployment.effects(job_id)
    assert (len(effects), len(set(effects))) == (TASKS + 1, TASKS + 1)
    assert deployment.count(job_id, "completed") == TASKS
    assert deployment.broken() == []


def deaths(deployment: Deployment, job_id: str) -> int:
    found: int = deployment.sql("SELECT sum(deaths)::integer AS n FROM app.tasks WHERE job_id = %s", job_id)[0]["n"]
    return found


def swept_deaths(deployment: Deployment, job_id: str) -> int:
    deployment.sweep()
    return deaths(deployment, job_id)


@pytest.mark.parametrize("immediate", [False, True], ids=["restarts", "crashes"])
def test_a_job_ends_though_the_database_stops_in_its_middle(deployment: Deployment, immediate: bool) -> None:
    job_id = deployment.submit("slow", n=TASKS, seconds=0.2, version_id=str(immediate))
    deployment.in_the_middle(job_id)
    deployment.stack.restart_postgres(immediate=immediate)
    assert deployment.count(job_id, "completed") < TASKS
    assert_done(deployment, job_id)


def test_a_job_ends_though_a_worker_is_killed_in_its_middle(deployment: Deployment) -> None:
    job_id = deployment.submit("slow", n=TASKS, seconds=0.3)
    deployment.in_the_middle(job_id)
    os.kill(deployment.host.worker_pids()[0], signal.SIGKILL)
    assert_done(deployment, job_id)


def test_a_job_ends_though_all_workers_are_killed_in_its_middle(deployment: Deployment) -> None:
    job_id = deployment.submit("slow", n=TASKS, seconds=0.25)
    deployment.in_the_middle(job_id)
    for pid in deployment.host.worker_pids():
        os.kill(pid, signal.SIGKILL)
    assert_done(deployment, job_id)
    assert deaths(deployment, job_id) > 0


def test_workers_that_were_paused_and_go_on_commit_nothing_of_what_they_lost(deployment: Deployment) -> None:
    job_id = deployment.submit("slow", n=TASKS, seconds=0.35)
    deployment.in_the_middle(job_id)
    paused = deployment.host.worker_pids()
    for pid in paused:
        os.kill(pid, signal.SIGSTOP)
    try:
        deployment.wait(lambda: swept_deaths(deployment, job_id))
    finally:
        for pid in paused:
            os.kill(pid, signal.SIGCONT)
    assert_done(deployment, job_id)
    assert any('"action": "abandon"' in line for line in deployment.host.log.read_text().splitlines() if job_id in line)


def test_a_job_ends_though_the_queues_stop_in_its_middle(deployment: Deployment) -> None:
    job_id = deployment.submit("slow", n=TASKS, seconds=0.21)
    deployment.in_the_middle(job_id)
    deployment.stack.stop_azurite()
    # What has been received goes on to its end, and what follows cannot be sent.
    deployment.wait(lambda: deployment.count(job_id, "processing") == 0, 30)
    deployment.stack.start_azurite()
    assert_done(deployment, job_id)


def test_nothing_of_this_stood_in_a_log_that_must_not(deployment: Deployment) -> None:
    said = deployment.host.log.read_text()
    password = deployment.stack.postgres_dsn.split(":")[2].partition("@")[0]
    key = deployment.stack.storage_connection_string.partition("AccountKey=")[2].partition(";")[0]
    assert '"action": "finish"' in said or "finish" in said
    for secret in (password, key, "127.0.0.1:" + deployment.stack.postgres_dsn.split(":")[3].partition("/")[0]):
        assert secret not in said
