-- Which file each task of a job opened last. The table is in the work schema and is dropped with the job's other tables.

-- make
-- Create the table of a job, before its tasks run.
CREATE TABLE IF NOT EXISTS {table} (
    task_id text PRIMARY KEY,
    attempt integer NOT NULL,
    name text,
    suspects jsonb NOT NULL DEFAULT '{{}}'
);

-- begin
-- Begin a try. The file that was open when the last one died becomes a suspect.
INSERT INTO {table} AS t (task_id, attempt) VALUES (%(task_id)s, %(attempt)s)
ON CONFLICT (task_id) DO UPDATE SET
    attempt = excluded.attempt, name = NULL,
    suspects = t.suspects || CASE WHEN t.name IS NOT NULL AND t.attempt = %(died_attempt)s::integer
                                  THEN jsonb_build_object(t.name, %(reason)s::text) ELSE '{{}}' END
RETURNING suspects;

-- note
-- Store the file that is opened next; NULL: none.
UPDATE {table} SET name = %(name)s WHERE task_id = %(task_id)s AND attempt = %(attempt)s;
