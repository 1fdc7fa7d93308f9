-- The rows of tasks. Whoever writes both locks the job row first, task rows after it in task_id order.

-- start_stage
-- Mark the current stage as started. Whoever comes first wins: the guard is that this stage is current and not started.
UPDATE app.jobs
SET status = 'processing', stage_tasks = %(stage_tasks)s, sends = 0, start_failures = 0,
    started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND status IN ('queued', 'processing') AND current_stage_n = %(stage_n)s
  AND stage_tasks IS NULL;

-- insert_tasks
-- Insert all tasks of a stage. The first resend waits longer behind a long fan-out.
INSERT INTO app.tasks (task_id, job_id, stage_n, task_index, task_type, queue, parameters, max_tries, max_deaths,
                       resend_at)
SELECT t.task_id, %(job_id)s, %(stage_n)s, t.task_index, t.task_type, %(queue)s, t.parameters, %(max_tries)s,
       %(max_deaths)s, clock_timestamp() + %(resend_after)s
FROM unnest(%(task_ids)s::text[], %(task_indexes)s::integer[], %(task_types)s::text[], %(parameters)s::jsonb[])
     AS t (task_id, task_index, task_type, parameters);

-- list_tasks
-- Return tasks of a job in order, after the cursor.
SELECT * FROM app.tasks
WHERE job_id = %(job_id)s AND (stage_n, task_index) > (%(stage_n)s, %(task_index)s)
ORDER BY stage_n, task_index
LIMIT %(limit)s;

-- unfinished_tasks
-- Return the tasks of a stage that are queued, running or failed.
SELECT * FROM app.tasks
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s AND status IN ('queued', 'processing', 'failed')
ORDER BY task_index;

-- database_time
-- Return the time of the database: no decision depends on the clock of a worker.
SELECT clock_timestamp() AS asked_at;

-- count_tasks
-- Count tasks of jobs by stage and status.
SELECT job_id, stage_n, status, count(*) AS tasks
FROM app.tasks WHERE job_id = ANY(%(job_ids)s)
GROUP BY job_id, stage_n, status ORDER BY job_id, stage_n, status;

-- get_task
-- Return a task.
SELECT * FROM app.tasks WHERE task_id = %(task_id)s;

-- queued_tasks
-- Return the tasks of a stage that wait for a worker.
SELECT task_id, queue FROM app.tasks
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s AND status = 'queued' ORDER BY task_index;

-- still_queued
-- Return those of some tasks that still wait for a worker.
SELECT task_id, queue FROM app.tasks WHERE task_id = ANY(%(task_ids)s) AND status = 'queued' ORDER BY task_id;

-- stage_results
-- Return results and errors of the tasks of a stage.
SELECT task_id, task_index, status, result, error, parameters FROM app.tasks
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s ORDER BY task_index;

-- look_for_open_task
-- Return an open task of a stage; no row: the stage has ended. From the end of the index, where most open ones are.
SELECT task_id FROM app.tasks
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s AND status IN ('queued', 'processing')
ORDER BY task_index DESC LIMIT 1;

-- stage_summary
-- Count the tasks of an ended stage, and measure it from its first start to its last end.
SELECT count(*) AS task_count, count(*) FILTER (WHERE status = 'failed') AS failed,
       count(*) FILTER (WHERE status IN ('queued', 'processing', 'cancelled')) AS unfinished,
       coalesce(max(finished_at), clock_timestamp()) AS completed_at,
       coalesce(extract(epoch FROM max(finished_at) - min(started_at)), 0)::float8 AS duration_seconds
FROM app.tasks WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s;

-- claim_task
-- queued -> processing, or take over a task whose lease ran out. A try counts against the task; an expired lease counts
-- as a death, since another task on the same worker may have caused it.
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
-- The task that a worker claims next: of the job after the one that it served last, round robin over the jobs that wait
-- in its queue, so that a small job waits for one task of a large one and not for all of them. A locked row is being
-- claimed by another worker and is skipped.
coalesce(
    (SELECT task_id FROM app.tasks
     WHERE queue = %(queue)s AND status = 'queued' AND job_id > %(served_job)s AND tries < max_tries
       AND not_before <= clock_timestamp()
     ORDER BY job_id, stage_n, task_index LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED),
    (SELECT task_id FROM app.tasks
     WHERE queue = %(queue)s AND status = 'queued' AND tries < max_tries AND not_before <= clock_timestamp()
     ORDER BY job_id, stage_n, task_index LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED))

-- renew_leases
-- Heartbeat of a whole process in one statement. It never waits for a finish of the same process: that row is skipped.
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
-- Of the tasks that a heartbeat skipped, return those that are still this worker's, or that it has just completed.
SELECT task_id FROM app.tasks
JOIN unnest(%(task_ids)s::text[], %(attempts)s::integer[]) AS held (task_id, attempt) USING (task_id, attempt)
WHERE status IN ('processing', 'completed');

-- finish_task_unless_last
-- Finish in one round trip: schema/schema.sql has the function and its reason.
SELECT app.finish_unless_last(%(job_id)s, %(stage_n)s, %(task_id)s, %(attempt)s, %(result)s) AS finished;

-- complete_task
-- processing -> completed, with the fence (status and attempt). No row: roll everything back.
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
-- failed, cancelled -> queued, when a user retries the job. The attempt goes on rising, tries and deaths start at 0.
UPDATE app.tasks
SET status = 'queued', tries = 0, deaths = 0, error = NULL, sends = 0, not_before = clock_timestamp(),
    resend_at = clock_timestamp() + %(resend_after)s, finished_at = NULL, updated_at = clock_timestamp()
WHERE job_id = %(job_id)s AND stage_n = %(stage_n)s AND status IN ('failed', 'cancelled')
RETURNING task_id, queue;

-- resend_tasks_now
-- Have the next sweep send the messages, because the queue could not be reached.
UPDATE app.tasks SET resend_at = greatest(clock_timestamp(), not_before)
WHERE task_id IN (
    SELECT task_id FROM app.tasks WHERE task_id = ANY(%(task_ids)s) AND status = 'queued'
    ORDER BY task_id FOR NO KEY UPDATE SKIP LOCKED
);
