-- Which file each task of a job opened last. The table stands in the work schema and goes with the job's other tables.

-- make
-- Before the tasks run.
CREATE TABLE IF NOT EXISTS {table} (
    task_id text PRIMARY KEY,
    attempt integer NOT NULL,
    name text,
    suspects jsonb NOT NULL DEFAULT '{{}}'
);

-- begin
-- A try begins. What was open when the last one died by it becomes a suspect.
INSERT INTO {table} AS t (task_id, attempt) VALUES (%(task_id)s, %(attempt)s)
ON CONFLICT (task_id) DO UPDATE SET
    attempt = excluded.attempt, name = NULL,
    suspects = t.suspects || CASE WHEN t.name IS NOT NULL AND t.attempt = %(died_attempt)s::integer
                                  THEN jsonb_build_object(t.name, %(reason)s::text) ELSE '{{}}' END
RETURNING suspects;

-- note
-- The file that is opened next; NULL when none is.
UPDATE {table} SET name = %(name)s WHERE task_id = %(task_id)s AND attempt = %(attempt)s;
