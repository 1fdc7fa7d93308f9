-- The statements of the job protocol. Lock order everywhere: target tables, then the job row, then task rows in
-- task_id order. Locking, acting and looking are statements of their own, since each sees what was committed before it.

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

-- list_tasks
-- Tasks of a job in order, from behind the cursor.
SELECT * FROM app.tasks
WHERE job_id = %(job_id)s AND (stage_n, task_index) > (%(stage_n)s, %(task_index)s)
ORDER BY stage_n, task_index
LIMIT %(limit)s;

-- unfinished_tasks
-- Tasks of a stage that are open or failed.
SELECT * FROM app.tasks
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s AND status IN ('queued', 'processing', 'failed')
ORDER BY task_index;

-- database_time
-- The only clock that decides.
SELECT clock_timestamp() AS asked_at;

-- count_tasks
-- Tasks of jobs by stage and status.
SELECT job_id, stage_n, status, count(*) AS tasks
FROM app.tasks WHERE job_id = ANY(%(job_ids)s)
GROUP BY job_id, stage_n, status ORDER BY job_id, stage_n, status;

-- insert_tasks
-- Start a stage: all of its tasks. The first resend waits longer behind a long fan-out.
INSERT INTO app.tasks (task_id, job_id, stage_n, task_index, task_type, queue, parameters, max_tries, max_deaths,
                       resend_at)
SELECT t.task_id, %(job_id)s, %(stage_n)s, t.task_index, t.task_type, %(queue)s, t.parameters, %(max_tries)s,
       %(max_deaths)s, clock_timestamp() + %(resend_after)s
FROM unnest(%(task_ids)s::text[], %(task_indexes)s::integer[], %(task_types)s::text[], %(parameters)s::jsonb[])
     AS t (task_id, task_index, task_type, parameters);

-- start_stage
-- Whoever comes first wins whole: the guard is the job's state, stage and that the stage was not started.
UPDATE app.jobs
SET status = 'processing', stage_tasks = %(stage_tasks)s, sends = 0, start_failures = 0,
    started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status IN ('queued', 'processing') AND current_stage_n = %(stage_n)s
  AND stage_tasks IS NULL;

-- count_start_failure
-- A stage that could not be started, counted only while it is current and not started.
UPDATE app.jobs SET start_failures = start_failures + 1, updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status IN ('queued', 'processing') AND current_stage_n = %(stage_n)s
  AND stage_tasks IS NULL
RETURNING start_failures;

-- queued_tasks
-- Tasks of a stage that wait for a worker.
SELECT task_id, queue FROM app.tasks
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s AND status = 'queued' ORDER BY task_index;

-- stage_results
-- What the ended tasks of a stage left.
SELECT task_id, task_index, status, result, error, parameters FROM app.tasks
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s ORDER BY task_index;

-- claim_task
-- queued -> processing, or a lease that ran out is taken over. A try is charged to the task, an expired lease to its
-- worker: the try that died is not counted against the handler's budget.
UPDATE app.tasks AS t
SET status = 'processing', attempt = attempt + 1, sends = 0,
    tries = tries + (t.status = 'queued')::integer, deaths = deaths + (t.status = 'processing')::integer,
    started_at = clock_timestamp(), updated_at = clock_timestamp(),
    lease_until = clock_timestamp() + least(%(lease)s, %(deadline)s), deadline_at = clock_timestamp() + %(deadline)s
FROM app.jobs AS j
WHERE t.task_id = {chosen} AND j.job_id = t.job_id
  AND (t.status = 'queued' AND tries < max_tries AND not_before <= clock_timestamp() + interval '2 seconds'
       OR t.status = 'processing' AND deaths + 1 < max_deaths AND lease_until < clock_timestamp())
RETURNING t.*, j.source AS job_source, j.traceparent AS job_traceparent, j.current_stage AS job_stage;

-- held_claim
-- A claim as another process of this worker sees it.
SELECT t.*, j.source AS job_source, j.traceparent AS job_traceparent, j.current_stage AS job_stage
FROM app.tasks AS t JOIN app.jobs AS j USING (job_id)
WHERE t.task_id = %(task_id)s AND t.attempt = %(attempt)s AND t.status = 'processing';

-- next_task
-- The task that is claimed after one that was just run: the next of its stage that waits. Being claimed: look further.
(SELECT task_id FROM app.tasks
 WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s AND task_index > %(task_index)s AND status = 'queued'
   AND tries < max_tries AND not_before <= clock_timestamp()
 ORDER BY task_index LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)

-- still_queued
-- Of these tasks, those that wait for a worker.
SELECT task_id, queue FROM app.tasks WHERE task_id = ANY(%(task_ids)s) AND status = 'queued' ORDER BY task_id;

-- get_task
-- One task.
SELECT * FROM app.tasks WHERE task_id = %(task_id)s;

-- renew_leases
-- Heartbeat of a whole process in one statement. It never waits for a finish of its own: that row is skipped.
UPDATE app.tasks AS t
SET lease_until = least(clock_timestamp() + %(lease)s, t.deadline_at)
FROM (
    SELECT task_id FROM app.tasks
    JOIN unnest(%(task_ids)s::text[], %(attempts)s::integer[]) AS held (task_id, attempt) USING (task_id, attempt)
    WHERE status = 'processing'
    FOR NO KEY UPDATE OF tasks SKIP LOCKED
) AS mine
WHERE t.task_id = mine.task_id
RETURNING t.task_id;

-- still_held
-- Of the tasks that a heartbeat skipped: those that are still this worker's, or that it has just completed.
SELECT task_id FROM app.tasks
JOIN unnest(%(task_ids)s::text[], %(attempts)s::integer[]) AS held (task_id, attempt) USING (task_id, attempt)
WHERE status IN ('processing', 'completed');

-- complete_task
-- Finish: only with the fence (status and attempt) intact. No row: roll everything back.
UPDATE app.tasks
SET status = 'completed', result = %(result)s, error = NULL, lease_until = NULL, finished_at = clock_timestamp(),
    updated_at = clock_timestamp()
WHERE task_id = %(task_id)s AND status = 'processing' AND attempt = %(attempt)s
RETURNING stage_n;

-- finish_task_unless_last
-- Finish in one statement; see the function.
SELECT app.finish_unless_last(%(job_id)s, %(stage_n)s, %(task_id)s, %(attempt)s, %(result)s) AS finished;

-- look_for_open_task
-- No row: the stage has ended. Newest first: the open ones lie at the end of the index.
SELECT task_id FROM app.tasks
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s AND status IN ('queued', 'processing')
ORDER BY task_index DESC LIMIT 1;

-- stage_summary
-- Count, failures and measured span of an ended stage.
SELECT count(*) AS task_count, count(*) FILTER (WHERE status = 'failed') AS failed,
       count(*) FILTER (WHERE status IN ('queued', 'processing', 'cancelled')) AS unfinished,
       coalesce(max(finished_at), clock_timestamp()) AS completed_at,
       coalesce(extract(epoch FROM max(finished_at) - min(started_at)), 0)::float8 AS duration_seconds
FROM app.tasks WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s;

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

-- requeue_task
-- processing -> queued after an error that is worth another try.
UPDATE app.tasks
SET status = 'queued', lease_until = NULL, error = %(error)s, not_before = clock_timestamp() + %(backoff)s,
    resend_at = clock_timestamp() + %(backoff)s + %(resend_after)s, updated_at = clock_timestamp()
WHERE task_id = %(task_id)s AND status = 'processing' AND attempt = %(attempt)s AND tries < max_tries
RETURNING *;

-- fail_task
-- processing -> failed, with the fence.
UPDATE app.tasks
SET status = 'failed', error = %(error)s, lease_until = NULL, finished_at = clock_timestamp(),
    updated_at = clock_timestamp()
WHERE task_id = %(task_id)s AND status = 'processing' AND attempt = %(attempt)s
RETURNING *;

-- retry_tasks
-- Retry by the user: all of the current stage that is not completed. The fence goes on rising, the budget starts anew.
UPDATE app.tasks
SET status = 'queued', tries = 0, deaths = 0, error = NULL, sends = 0, not_before = clock_timestamp(),
    resend_at = clock_timestamp() + %(resend_after)s, finished_at = NULL, updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s AND status IN ('failed', 'cancelled')
RETURNING task_id, queue;

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

-- resend_tasks_now
-- The queue could not be reached: the next sweep sends the messages.
UPDATE app.tasks SET resend_at = greatest(clock_timestamp(), not_before)
WHERE task_id IN (
    SELECT task_id FROM app.tasks WHERE task_id = ANY(%(task_ids)s) AND status = 'queued'
    ORDER BY task_id FOR NO KEY UPDATE SKIP LOCKED
);

-- begin_sweep
-- One sweep per period, whoever comes first; `idle` is the time since the one before, in seconds.
UPDATE app.sweep SET swept_at = clock_timestamp()
FROM (SELECT swept_at FROM app.sweep FOR UPDATE) AS before
WHERE sweep.swept_at < clock_timestamp() - %(period)s
RETURNING extract(epoch FROM sweep.swept_at - before.swept_at)::float8 AS idle;

-- sweep_age
-- Seconds since the last sweep.
SELECT extract(epoch FROM clock_timestamp() - swept_at)::float8 AS age FROM app.sweep;

-- due_jobs
-- Jobs whose current stage nobody has started: their message is due again. Times between sends: 1, 2, 4, 10 periods.
UPDATE app.jobs AS j
SET sends = j.sends + 1, updated_at = clock_timestamp(),
    resend_at = clock_timestamp() + %(resend_after)s * least(power(2, least(j.sends, 10)), 10)
FROM (
    SELECT job_id FROM app.jobs
    WHERE status IN ('queued', 'processing') AND stage_tasks IS NULL AND resend_at <= clock_timestamp()
    ORDER BY resend_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
) AS due
WHERE j.job_id = due.job_id
RETURNING j.job_id, j.current_stage_n;

-- open_tasks_by_queue
-- How many messages a queue must hold at least for none to be lost.
SELECT queue, count(*) AS tasks FROM app.tasks WHERE status IN ('queued', 'processing') GROUP BY queue;

-- due_tasks
-- Queued tasks whose message is due again. A task that has waited 15 min since its last send is `late`.
UPDATE app.tasks AS t
SET sends = t.sends + 1,
    resend_at = clock_timestamp() + least(%(resend_after)s * power(2, least(t.sends, 10)), interval '15 minutes')
FROM (
    SELECT task_id FROM app.tasks
    WHERE status = 'queued' AND resend_at <= clock_timestamp()
    ORDER BY resend_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
) AS due
WHERE t.task_id = due.task_id
RETURNING t.task_id, t.queue, t.updated_at < clock_timestamp() - interval '15 minutes' AS late;

-- expired_tasks
-- Running tasks whose worker stopped renewing its lease.
SELECT * FROM app.tasks WHERE status = 'processing' AND lease_until < clock_timestamp()
ORDER BY lease_until LIMIT %(limit)s;

-- take_back_task
-- processing -> queued: the worker is gone. It names what it saw, so that a fresh claim is left alone.
UPDATE app.tasks
SET status = 'queued', lease_until = NULL, tries = tries - 1, deaths = deaths + 1, error = %(error)s,
    not_before = clock_timestamp(), resend_at = clock_timestamp() + %(resend_after)s, updated_at = clock_timestamp()
WHERE task_id = %(task_id)s AND status = 'processing' AND attempt = %(attempt)s
  AND lease_until < clock_timestamp() AND deaths + 1 < max_deaths
RETURNING *;

-- fail_expired_task
-- processing -> failed: its workers died too often.
UPDATE app.tasks
SET status = 'failed', lease_until = NULL, deaths = deaths + 1, error = %(error)s, finished_at = clock_timestamp(),
    updated_at = clock_timestamp()
WHERE task_id = %(task_id)s AND status = 'processing' AND attempt = %(attempt)s
  AND lease_until < clock_timestamp() AND deaths + 1 >= max_deaths
RETURNING *;

-- overdue_jobs
-- Open jobs past their deadline: the last resort.
SELECT * FROM app.jobs WHERE status IN ('queued', 'processing') AND deadline_at < clock_timestamp()
ORDER BY deadline_at LIMIT %(limit)s;

-- stalled_jobs
-- Started, open, and no task left to end it. Must never exist.
SELECT j.job_id, j.current_stage_n FROM app.jobs AS j
WHERE j.status = 'processing' AND j.stage_tasks IS NOT NULL AND NOT EXISTS (
    SELECT FROM app.tasks AS t
    WHERE t.job_id = j.job_id AND t.stage_n = j.current_stage_n AND t.status IN ('queued', 'processing'))
LIMIT %(limit)s;

-- clearable_jobs
-- Ended jobs whose work area is to be cleared.
SELECT job_id FROM app.jobs WHERE clear_at <= clock_timestamp() ORDER BY clear_at LIMIT %(limit)s;

-- begin_clearing
-- kept -> gone is committed before anything is deleted, so that a retry cannot run into it. Cleared once more after
-- 15 minutes, for what a late worker may have left, and every 15 minutes until that went well.
UPDATE app.jobs AS j SET work_area = 'gone', clear_at = clock_timestamp() + interval '15 minutes'
FROM (
    SELECT job_id, work_area FROM app.jobs
    WHERE job_id = %(job_id)s AND clear_at <= clock_timestamp() AND status NOT IN ('queued', 'processing')
    FOR NO KEY UPDATE
) AS before
WHERE j.job_id = before.job_id
RETURNING before.work_area;

-- end_clearing
-- Nothing is left to delete.
UPDATE app.jobs SET clear_at = NULL WHERE job_id = %(job_id)s AND work_area = 'gone';

-- work_tables
-- Tables of a job in the work schema.
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p') AND starts_with(c.relname, %(prefix)s)
ORDER BY c.relname;

-- wait_briefly
-- What is cleared may still be written to by a worker that does not know yet that its task was cancelled.
SET LOCAL lock_timeout = '5s';

-- drop_work_table
-- Only ever a table of the work schema.
DROP TABLE IF EXISTS {table};

-- offload_result
-- A result that is too large for a row, after its blob was written.
UPDATE app.jobs SET result_data = %(result_data)s, updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status IN ('completed', 'completed_with_errors', 'failed');

-- applied_migrations
-- Names of the migrations that this database has.
SELECT name FROM geostage_migrations.applied ORDER BY name;

-- insert_poison
-- A message that failed as often as its queue allows.
INSERT INTO app.poison (queue, content, job_id, task_id)
VALUES (%(queue)s, %(content)s, %(job_id)s, %(task_id)s);

-- count_poison
-- Poisoned messages by queue.
SELECT queue, count(*) AS messages FROM app.poison GROUP BY queue ORDER BY queue;

-- list_poison
-- Newest first, with the rows that they point at.
SELECT p.*, j.status::text AS job_status, t.status::text AS task_status, coalesce(t.error, j.error) AS error
FROM app.poison AS p LEFT JOIN app.jobs AS j USING (job_id) LEFT JOIN app.tasks AS t USING (task_id)
WHERE %(before)s::bigint IS NULL OR p.poison_id < %(before)s
ORDER BY p.poison_id DESC LIMIT %(limit)s;
