"""What answers hold: models that make the answers and the schemas of the OpenAPI document alike. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.json_schema import models_json_schema

from schema.jobs import JobStatus, Json, TaskStatus

Time = Annotated[
    datetime,
    # Pydantic writes UTC as Z; answers have always had +00:00, and ETags are digests of answers.
    PlainSerializer(lambda time: time.isoformat(), return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Object = dict[str, Any]
JobId = Annotated[str, Field(description="Id of the job.")]
TaskId = Annotated[str, Field(description="Id of the task.")]
StageNumber = Annotated[int, Field(description="Number of the stage, from 1.")]
StageName = Annotated[str, Field(description="Name of the stage.")]
Attempt = Annotated[int, Field(description="Number of the try, from 1; it only grows.")]
Queue = Annotated[str, Field(description="Name of the queue.")]
Method = Annotated[str, Field(description="HTTP method of the call.")]
Href = Annotated[str, Field(description="Path to call.")]
Code = Annotated[str, Field(description="Name of the error or warning, for programs.")]
Category = Annotated[str, Field(description="Whose the fault is: of the input, of a server, of a task, and so on.")]
Remediation = Annotated[str, Field(description="What to do about it.")]
Retryable = Annotated[bool, Field(description="Whether another try may succeed as things are.")]
UserFixable = Annotated[bool, Field(description="Whether the caller can do something about it.")]
Why = Annotated[str, Field(description="The reason, in a sentence.")]


class Answer(BaseModel):
    """A part of an answer. Fields that were not given are left out of it."""

    model_config = ConfigDict(frozen=True)

    def as_json(self) -> Json:
        return self.model_dump(mode="json", exclude_unset=True)


class FromRow(Answer):
    """A part that stands on a row as JSON, where later versions may have written more."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Link(Answer):
    """What can be called next."""

    rel: str = Field(description="What the link is for.")
    href: Href
    method: Method = "GET"


Links = Annotated[list[Link], Field(description="What can be called next.")]


class Stage(FromRow):
    """A stage that has ended."""

    stage_n: StageNumber
    stage: StageName
    task_count: int = Field(description="How many tasks it had.")
    status: str = Field(description="How it ended.")
    completed_at: str = Field(description="When its last task ended.", json_schema_extra={"format": "date-time"})
    duration_seconds: float = Field(description="From the first task's start to the last one's end.")


class Warning(FromRow):  # noqa: A001 - the field's own word; nothing in here warns
    """What was changed or lost on the way."""

    code: Code
    message: str = Field(description="What happened.")
    count: int = Field(description="How many rows, pixels or files it is about.")


class Error(FromRow):
    """What went wrong."""

    code: Code
    category: Category
    message: str = Field(description="What was wrong, in a sentence.")
    remediation: Remediation
    retryable: Retryable
    user_fixable: UserFixable
    # Defaults make these optional in the schema; as_json leaves out what the row does not have.
    task_id: TaskId = ""
    stage_n: StageNumber = 0
    attempt: Attempt = 0


class TaskCounts(Answer):
    """Tasks of a stage by status."""

    queued: int = Field(description="Tasks that are queued.")
    processing: int = Field(description="Tasks that are processing.")
    completed: int = Field(description="Tasks that are completed.")
    failed: int = Field(description="Tasks that are failed.")
    cancelled: int = Field(description="Tasks that are cancelled.")


class JobSummary(Answer):
    """A job as a line of GET /api/jobs."""

    job_id: JobId
    job_type: str = Field(description="Name of the job type.")
    status: JobStatus = Field(description="Status of the job.")
    current_stage: str = Field(description="Name of the stage that runs, or ran last.")
    progress: int = Field(description="Percent of the work that is done; it never falls.")
    created_at: Time = Field(description="When the job was accepted.")
    updated_at: Time = Field(description="When the job last changed.")
    finished_at: Time | None = Field(description="When the job ended; null while it runs.")
    error: Error | None = Field(description="What went wrong; null where nothing did.")
    links: Links


class Job(JobSummary):
    """A job as GET /api/jobs/{job_id} shows it."""

    parameters: Object = Field(description="Parameters of the job.")
    stages: int = Field(description="How many stages the job has.")
    current_stage_n: int = Field(description="Number of the current stage, from 1.")
    stage_sequence: Object = Field(description="Names of all stages, by number.")
    stage_data: Object = Field(description="What ended stages hand on to later ones.")
    stage_history: list[Stage] = Field(description="Stages that have ended.")
    tasks: dict[str, TaskCounts] = Field(description="How many tasks there are, by stage and status.")
    warnings: list[Warning] = Field(description="What was changed or lost on the way.")
    result_data: Object | None = Field(description="The job's result; null until it has one.")
    started_at: Time | None = Field(description="When the first task started.")


class JobPage(Answer):
    """A page of GET /api/jobs."""

    jobs: list[JobSummary] = Field(description="Jobs, newest first.")
    links: Links


class Submission(Answer):
    """An accepted job, or the live one that does the same work."""

    job_id: JobId
    job_type: str = Field(description="Name of the job type.")
    status: JobStatus = Field(description="Status of the job.")
    links: Links
    existing: bool = Field(default=False, description="true: a live job did this work already, and this is that job.")


class Task(Answer):
    """A task as GET /api/jobs/{job_id}/tasks shows it."""

    task_id: TaskId
    stage_n: StageNumber
    task_index: int = Field(description="Number of the task in its stage, from 1.")
    task_type: str = Field(description="Name of the task's handler.")
    status: TaskStatus = Field(description="Status of the task.")
    attempt: Attempt
    tries: int = Field(description="Tries that count against the limit; a retry of the job sets them to 0.")
    result: Object | None = Field(description="What the task returned; null until it has completed.")
    error: Error | None = Field(description="What its last try failed with.")
    created_at: Time = Field(description="When the task was made.")
    started_at: Time | None = Field(description="When its last try started.")
    finished_at: Time | None = Field(description="When the task ended.")


class TaskPage(Answer):
    """A page of GET /api/jobs/{job_id}/tasks."""

    tasks: list[Task] = Field(description="Tasks, in order.")
    links: Links


class Message(Answer):
    """A message that wakes a stage or a task."""

    queue: Queue
    content: Object = Field(description="What the message says.")
    state: Literal["sent", "unsent"] = Field(description="sent, or unsent when its time has come.")
    next_send_at: Time = Field(description="When it is sent again if nobody answers.")


class Wait(Answer):
    """A task that the job waits for."""

    task_id: TaskId
    task_type: str = Field(description="Name of the task's handler.")
    status: TaskStatus = Field(description="Status of the task.")
    attempt: Attempt
    why: Why
    lease_until: Time | None = Field(default=None, description="How long its worker holds it without a heartbeat.")
    message: Message | None = Field(default=None, description="The message that wakes it.")
    resend_at: Time | None = Field(default=None, description="When its message is sent again if nobody answers.")
    retry_at: Time | None = Field(default=None, description="When its next try is due.")
    last_error: str | None = Field(default=None, description="What the last try failed with.")


class FailedTask(Answer):
    """A task that has failed."""

    task_id: TaskId
    attempt: Attempt
    error: Error | None = Field(description="What went wrong.")


class NextStep(Answer):
    """The call that would help."""

    method: Method
    href: Href
    why: Why


class Explanation(Answer):
    """Why a job is where it is."""

    job_id: JobId
    status: JobStatus = Field(description="Status of the job.")
    summary: str = Field(description="Where the job stands, in a sentence.")
    start_message: Message | None = Field(
        description="The message that starts the current stage; null once it was started."
    )
    waiting_for: list[Wait] = Field(description="Open tasks of the current stage, 20 at most.")
    waiting_for_count: int = Field(description="How many they are in all.")
    failed_tasks: list[FailedTask] = Field(description="Tasks of the current stage that have failed, 20 at most.")
    failed_tasks_count: int = Field(description="How many they are in all.")
    next_step: NextStep | None = Field(description="The call that would help; null where none would.")


class JobType(Answer):
    """A job type: what it takes, and an example that works."""

    job_type: str = Field(description="Name of the job type.")
    description: str = Field(description="What the job type does.")
    stages: list[str] = Field(description="Names of its stages, in order.")
    parameters: Object = Field(description="JSON Schema of the parameters that the type uses.")
    labels: Object = Field(
        description="JSON Schemas of parameters that the type accepts, stores and shows, and does not use."
    )
    example: Object = Field(description="Parameters that work, with the files of ./dev demo.")
    links: Links


class JobTypes(Answer):
    """All job types."""

    job_types: list[JobType] = Field(description="All job types, by name.")


class PoisonedMessage(Answer):
    """A message that failed again and again, and the row that it points at."""

    poison_id: int = Field(description="Number of the kept message.")
    queue: Queue
    content: str = Field(description="What the message says.")
    poisoned_at: Time = Field(description="When the message was kept.")
    job_id: str | None = Field(description="Id of the job that the message points at.")
    task_id: str | None = Field(description="Id of the task that the message points at.")
    job_status: str | None = Field(description="Status of that job.")
    task_status: str | None = Field(description="Status of that task.")
    error: Object | None = Field(description="What the job or task failed with.")
    note: str | None = Field(description="What to do about a message that Geostage did not write; null for its own.")


class PoisonPage(Answer):
    """A page of GET /api/monitor/poison."""

    counts: dict[str, int] = Field(description="Kept messages by queue.")
    messages: list[PoisonedMessage] = Field(description="Kept messages, newest first.")
    links: Links


class PoisonOutcome(Answer):
    """What became of poisoned messages."""

    action: Literal["requeue", "drop"] = Field(description="What was done.")
    messages: int = Field(description="How many messages it was done to.")
    left: int = Field(description="How many messages are left.")


class CheckState(Answer):
    """The state of one part of the deployment."""

    # Each part adds figures of its own, such as the age of the sweep.
    model_config = ConfigDict(frozen=True, extra="allow")

    status: Literal["ok", "waiting", "attention", "stale", "missing", "unavailable"] = Field(
        description="State of the part; with ok, waiting and attention it works."
    )
    message: str = Field(default="", description="What is the matter.")
    remediation: Remediation = ""


class Health(Answer):
    """Whether Geostage can work."""

    status: Literal["ok", "unavailable"] = Field(description="State of the deployment.")
    checks: dict[str, CheckState] = Field(description="State of each part, by its name.")


class Fault(Answer):
    """One fault of a request."""

    field: str = Field(description="Parameter, header or query parameter; empty for the body as a whole.")
    message: str = Field(description="What is wrong with it.")


class Problem(Answer):
    """An error as HTTP tells it: https://www.rfc-editor.org/rfc/rfc9457."""

    media_type: ClassVar[str] = "application/problem+json"

    type: str = Field(description="URI of the kind of error.")
    title: str = Field(description="The code in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was wrong, in a sentence.")
    code: Code
    category: Category
    retryable: Retryable
    user_fixable: UserFixable
    remediation: Remediation
    errors: list[Fault] = Field(description="Every fault of the request.")


ANSWERS: tuple[type[Answer], ...] = (
    *(Job, JobPage, TaskPage, Submission, PoisonPage, PoisonOutcome, Explanation, Health, JobTypes, JobType, Problem),
)


def answer_schemas() -> Json:
    """Return the JSON Schemas of all answers and their parts, by name, for the components of an OpenAPI document."""
    _, schemas = models_json_schema(
        [(answer, "serialization") for answer in ANSWERS], ref_template="#/components/schemas/{model}"
    )
    return {**schemas["$defs"], "Object": {"type": "object"}}
