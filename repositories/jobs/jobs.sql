-- The rows of jobs. Lock order everywhere: target tables, then the job row, then task rows in task_id order: any other
-- order deadlocks. Locking, acting and looking are separate statements, since each sees what was committed before it.

-- insert_job
-- Insert a job. No row: a queued or running job does the same work, or the idempotency key is taken.
INSERT INTO app.jobs (job_id, job_type, parameters, source, stages, stage_sequence, dedup_key, idempotency_key,
                      traceparent, resend_at, deadline_at)
VALUES (%(job_id)s, %(job_type)s, %(parameters)s, %(source)s, %(stages)s, %(stage_sequence)s, %(dedup_key)s,
        %(idempotency_key)s, %(traceparent)s, clock_timestamp() + %(resend_after)s,
        clock_timestamp() + %(deadline_after)s)
ON CONFLICT DO NOTHING
RETURNING *;

-- find_live_job
-- Return the queued or running job that does this work.
SELECT * FROM app.jobs WHERE dedup_key = %(dedup_key)s AND status IN ('queued', 'processing');

-- find_job_by_key
-- Return the job that was accepted under an idempotency key, unless it failed or was cancelled.
SELECT * FROM app.jobs
WHERE idempotency_key = %(idempotency_key)s
  AND status IN ('queued', 'processing', 'completed', 'completed_with_errors');

-- release_idempotency_key
-- Take a key from a job that completed, 24 hours after it was accepted.
UPDATE app.jobs SET idempotency_key = NULL
WHERE idempotency_key = %(idempotency_key)s AND status IN ('completed', 'completed_with_errors')
  AND created_at < clock_timestamp() - interval '24 hours';

-- adopt_idempotency_key
-- Give the key of a request to the job that already does its work, unless that has one.
UPDATE app.jobs SET idempotency_key = %(idempotency_key)s
WHERE job_id = %(job_id)s AND idempotency_key IS NULL;

-- get_job
-- Return a job.
SELECT * FROM app.jobs WHERE job_id = %(job_id)s;

-- lock_job
-- Lock a job before its tasks. FOR UPDATE would deadlock with inserts of tasks, whose foreign key locks the job's key.
SELECT * FROM app.jobs WHERE job_id = %(job_id)s FOR NO KEY UPDATE;

-- list_jobs
-- Return jobs, newest first, after the cursor.
SELECT * FROM app.jobs
WHERE (%(status)s::app.job_status IS NULL OR status = %(status)s::app.job_status)
  AND (%(job_type)s::text IS NULL OR job_type = %(job_type)s)
  AND (%(before)s::text IS NULL OR job_id < %(before)s)
ORDER BY job_id DESC
LIMIT %(limit)s;

-- count_start_failure
-- Count a failed start of a stage, only while that is current and not started.
UPDATE app.jobs SET start_failures = start_failures + 1, updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status IN ('queued', 'processing') AND current_stage_n = %(stage_n)s
  AND stage_tasks IS NULL
RETURNING start_failures;

-- advance_job
-- Move a job to its next stage, which is not started yet.
UPDATE app.jobs
SET current_stage_n = current_stage_n + 1, stage_tasks = NULL, start_failures = 0, sends = 0,
    stage_data = stage_data || %(stage_data)s, stage_history = stage_history || %(entry)s,
    resend_at = clock_timestamp() + %(resend_after)s, updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status = 'processing' AND current_stage_n = %(stage_n)s
RETURNING *;

-- end_job
-- queued, processing -> any end. cancel_open_tasks follows in the same transaction.
UPDATE app.jobs
SET status = %(status)s, result_data = %(result_data)s, warnings = %(warnings)s, error = %(error)s,
    stage_history = stage_history || %(history)s, finished_at = clock_timestamp(), updated_at = clock_timestamp(),
    clear_at = clock_timestamp() + %(clear_after)s
WHERE job_id = %(job_id)s AND status IN ('queued', 'processing')
RETURNING *;

-- cancel_open_tasks
-- End the queued and the running tasks of a job that ends, so that nothing of them can commit afterwards.
UPDATE app.tasks
SET status = 'cancelled', lease_until = NULL, finished_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status IN ('queued', 'processing');

-- reopen_job
-- failed -> processing, or -> queued when no stage was ever started.
UPDATE app.jobs
SET status = (CASE WHEN started_at IS NULL THEN 'queued' ELSE 'processing' END)::app.job_status,
    error = NULL, result_data = NULL, warnings = '[]', finished_at = NULL, clear_at = NULL, start_failures = 0,
    sends = 0, stage_history = %(stage_history)s, progress_floor = %(progress_floor)s,
    resend_at = clock_timestamp() + %(resend_after)s, deadline_at = clock_timestamp() + %(deadline_after)s,
    updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status = 'failed' AND work_area = 'kept'
RETURNING *;

-- resend_job_now
-- Have the next sweep send the message, because the queue could not be reached.
UPDATE app.jobs SET resend_at = clock_timestamp() WHERE job_id = %(job_id)s;

-- offload_result
-- Replace a result that is too large for a row by its summary, after its blob was written.
UPDATE app.jobs SET result_data = %(result_data)s, updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status IN ('completed', 'completed_with_errors', 'failed');
