"""Progress: how much of a job is done. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from schema.jobs import Job, JobStatus, TaskStatus

TaskCounts = Mapping[int, Mapping[str, int]]
"""Tasks by stage number and status."""


def progress_of(job: Job, counts: TaskCounts) -> int:
    """Return the percent of the work that is done: ended stages and the share of ended tasks of the current one.

    It never falls: a cancelled task counts as not done, and what a retry puts back stays counted (`progress_floor`).
    """
    if job.status in (JobStatus.COMPLETED, JobStatus.COMPLETED_WITH_ERRORS):
        return 100
    current = counts.get(job.current_stage_n, {})
    done = current.get(TaskStatus.COMPLETED, 0) + current.get(TaskStatus.FAILED, 0)
    total = sum(current.values())
    # Stages count alike, however many tasks they have: those of later stages are not known yet.
    stages_done = job.current_stage_n - 1
    reached = (100 * (stages_done * total + done)) // (job.stages * total) if total else 100 * stages_done // job.stages
    return max(reached, job.progress_floor)
