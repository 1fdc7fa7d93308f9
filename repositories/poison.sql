-- Messages that failed as often as their queue allows.

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
