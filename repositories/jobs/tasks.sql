-- The rows of tasks. Whoever writes both locks the job row first, task rows after it in task_id order.

-- start_stage
-- Whoever comes first wins whole: the guard is the job's state, stage and that the stage was not started.
UPDATE app.jobs
SET status = 'processing', stage_tasks = %(stage_tasks)s, sends = 0, start_failures = 0,
    started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status IN ('queued', 'processing') AND current_stage_n = %(stage_n)s
  AND stage_tasks IS NULL;

-- insert_tasks
-- Start a stage: all of its tasks. The first resend waits longer behind a long fan-out.
INSERT INTO app.tasks (task_id, job_id, stage_n, task_index, task_type, queue, parameters, max_tries, max_deaths,
                       resend_at)
SELECT t.task_id, %(job_id)s, %(stage_n)s, t.task_index, t.task_type, %(queue)s, t.parameters, %(max_tries)s,
       %(max_deaths)s, clock_timestamp() + %(resend_after)s
FROM unnest(%(task_ids)s::text[], %(task_indexes)s::integer[], %(task_types)s::text[], %(parameters)s::jsonb[])
     AS t (task_id, task_index, task_type, parameters);

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

-- get_task
-- One task.
SELECT * FROM app.tasks WHERE task_id = %(task_id)s;

-- queued_tasks
-- Tasks of a stage that wait for a worker.
SELECT task_id, queue FROM app.tasks
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s AND status = 'queued' ORDER BY task_index;

-- still_queued
-- Of these tasks, those that wait for a worker.
SELECT task_id, queue FROM app.tasks WHERE task_id = ANY(%(task_ids)s) AND status = 'queued' ORDER BY task_id;

-- stage_results
-- What the ended tasks of a stage left.
SELECT task_id, task_index, status, result, error, parameters FROM app.tasks
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s ORDER BY task_index;

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

-- next_task
-- The task that a worker claims after one that it has run: that of the next job behind the one it served last, going
-- round the jobs that wait in its queue, so that a small job waits for one task of a large one and not for all of them.
-- A row that is locked is being claimed by another worker: look further.
coalesce(
    (SELECT task_id FROM app.tasks
     WHERE queue = %(queue)s AND status = 'queued' AND job_id > %(served_job)s AND tries < max_tries
       AND not_before <= clock_timestamp()
     ORDER BY job_id, stage_n, task_index LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED),
    (SELECT task_id FROM app.tasks
     WHERE queue = %(queue)s AND status = 'queued' AND tries < max_tries AND not_before <= clock_timestamp()
     ORDER BY job_id, stage_n, task_index LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED))

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

-- finish_task_unless_last
-- Finish in one statement; see the function.
SELECT app.finish_unless_last(%(job_id)s, %(stage_n)s, %(task_id)s, %(attempt)s, %(result)s) AS finished;

-- complete_task
-- Finish: only with the fence (status and attempt) intact. No row: roll everything back.
UPDATE app.tasks
SET status = 'completed', result = %(result)s, error = NULL, lease_until = NULL, finished_at = clock_timestamp(),
    updated_at = clock_timestamp()
WHERE task_id = %(task_id)s AND status = 'processing' AND attempt = %(attempt)s
RETURNING stage_n;

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

-- fail_expired_task
-- processing -> failed: its workers died too often.
UPDATE app.tasks
SET status = 'failed', lease_until = NULL, deaths = deaths + 1, error = %(error)s, finished_at = clock_timestamp(),
    updated_at = clock_timestamp()
WHERE task_id = %(task_id)s AND status = 'processing' AND attempt = %(attempt)s
  AND lease_until < clock_timestamp() AND deaths + 1 >= max_deaths
RETURNING *;

-- retry_tasks
-- Retry by the user: all of the current stage that is not completed. The fence goes on rising, the budget starts anew.
UPDATE app.tasks
SET status = 'queued', tries = 0, deaths = 0, error = NULL, sends = 0, not_before = clock_timestamp(),
    resend_at = clock_timestamp() + %(resend_after)s, finished_at = NULL, updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s AND status IN ('failed', 'cancelled')
RETURNING task_id, queue;

-- resend_tasks_now
-- The queue could not be reached: the next sweep sends the messages.
UPDATE app.tasks SET resend_at = greatest(clock_timestamp(), not_before)
WHERE task_id IN (
    SELECT task_id FROM app.tasks WHERE task_id = ANY(%(task_ids)s) AND status = 'queued'
    ORDER BY task_id FOR NO KEY UPDATE SKIP LOCKED
);
