-- The rows of jobs. Lock order everywhere: target tables, then the job row, then task rows in task_id order. Locking,
-- acting and looking are statements of their own, since each sees what was committed before it.

-- insert_job
-- Submit. No row comes back when a live job does the same work, or the idempotency key is taken.
INSERT INTO app.jobs (job_id, job_type, parameters, source, stages, stage_sequence, dedup_key, idempotency_key,
                      traceparent, resend_at, deadline_at)
VALUES (%(job_id)s, %(job_type)s, %(parameters)s, %(source)s, %(stages)s, %(stage_sequence)s, %(dedup_key)s,
        %(idempotency_key)s, %(traceparent)s, clock_timestamp() + %(resend_after)s,
        clock_timestamp() + %(deadline_after)s)
ON CONFLICT DO NOTHING
RETURNING *;

-- find_live_job
-- The live job that does this work.
SELECT * FROM app.jobs WHERE dedup_key = %(dedup_key)s AND status IN ('queued', 'processing');

-- find_job_by_key
-- The job that was accepted under an idempotency key and has not ended badly.
SELECT * FROM app.jobs
WHERE idempotency_key = %(idempotency_key)s
  AND status IN ('queued', 'processing', 'completed', 'completed_with_errors');

-- release_idempotency_key
-- A key holds for 24 hours.
UPDATE app.jobs SET idempotency_key = NULL
WHERE idempotency_key = %(idempotency_key)s AND status IN ('completed', 'completed_with_errors')
  AND created_at < clock_timestamp() - interval '24 hours';

-- adopt_idempotency_key
-- The job that does the work of a request answers to its key too, unless it has one already.
UPDATE app.jobs SET idempotency_key = %(idempotency_key)s
WHERE job_id = %(job_id)s AND idempotency_key IS NULL;

-- get_job
-- One job.
SELECT * FROM app.jobs WHERE job_id = %(job_id)s;

-- lock_job
-- The job row's lock comes before those of its tasks. FOR UPDATE would deadlock with inserts of child rows.
SELECT * FROM app.jobs WHERE job_id = %(job_id)s FOR NO KEY UPDATE;

-- list_jobs
-- Newest first, from behind the cursor.
SELECT * FROM app.jobs
WHERE (%(status)s::app.job_status IS NULL OR status = %(status)s::app.job_status)
  AND (%(job_type)s::text IS NULL OR job_type = %(job_type)s)
  AND (%(before)s::text IS NULL OR job_id < %(before)s)
ORDER BY job_id DESC
LIMIT %(limit)s;

-- count_start_failure
-- A stage that could not be started, counted only while it is current and not started.
UPDATE app.jobs SET start_failures = start_failures + 1, updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status IN ('queued', 'processing') AND current_stage_n = %(stage_n)s
  AND stage_tasks IS NULL
RETURNING start_failures;

-- advance_job
-- To the next stage, which is then not started.
UPDATE app.jobs
SET current_stage_n = current_stage_n + 1, stage_tasks = NULL, start_failures = 0, sends = 0,
    stage_data = stage_data || %(stage_data)s, stage_history = stage_history || %(entry)s,
    resend_at = clock_timestamp() + %(resend_after)s, updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status = 'processing' AND current_stage_n = %(stage_n)s
RETURNING *;

-- end_job
-- Any end. The tasks follow in a second statement of the same transaction.
UPDATE app.jobs
SET status = %(status)s, result_data = %(result_data)s, warnings = %(warnings)s, error = %(error)s,
    stage_history = stage_history || %(history)s, finished_at = clock_timestamp(), updated_at = clock_timestamp(),
    clear_at = clock_timestamp() + %(clear_after)s
WHERE job_id = %(job_id)s AND status IN ('queued', 'processing')
RETURNING *;

-- cancel_open_tasks
-- The end of a job ends its queued and its running tasks, so that nothing of them can commit afterwards.
UPDATE app.tasks
SET status = 'cancelled', lease_until = NULL, finished_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status IN ('queued', 'processing');

-- reopen_job
-- failed -> processing, or queued when no stage was ever started.
UPDATE app.jobs
SET status = (CASE WHEN started_at IS NULL THEN 'queued' ELSE 'processing' END)::app.job_status,
    error = NULL, result_data = NULL, warnings = '[]', finished_at = NULL, clear_at = NULL, start_failures = 0,
    sends = 0, stage_history = %(stage_history)s, progress_floor = %(progress_floor)s,
    resend_at = clock_timestamp() + %(resend_after)s, deadline_at = clock_timestamp() + %(deadline_after)s,
    updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status = 'failed' AND work_area = 'kept'
RETURNING *;

-- resend_job_now
-- The queue could not be reached: the next sweep sends the message.
UPDATE app.jobs SET resend_at = clock_timestamp() WHERE job_id = %(job_id)s;

-- offload_result
-- A result that is too large for a row, after its blob was written.
UPDATE app.jobs SET result_data = %(result_data)s, updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status IN ('completed', 'completed_with_errors', 'failed');
