"""What must hold in every state of the database, however it was reached."""

from __future__ import annotations

from repositories.postgres import Connection

RULES = {
    "an ended job has no open task": """
        SELECT task_id FROM app.tasks JOIN app.jobs AS j USING (job_id)
        WHERE tasks.status IN ('queued', 'processing') AND j.status NOT IN ('queued', 'processing')""",
    "an open task belongs to the current stage of a processing job": """
        SELECT task_id FROM app.tasks JOIN app.jobs AS j USING (job_id)
        WHERE tasks.status IN ('queued', 'processing') AND
            (j.status <> 'processing' OR j.current_stage_n <> stage_n)""",
    "no task of a later stage exists": """
        SELECT task_id FROM app.tasks JOIN app.jobs AS j USING (job_id) WHERE stage_n > j.current_stage_n""",
    "a stage has as many tasks as it was started with": """
        SELECT job_id FROM app.jobs AS j WHERE stage_tasks IS NOT NULL AND stage_tasks <> (
            SELECT count(*) FROM app.tasks AS t WHERE t.job_id = j.job_id AND t.stage_n = j.current_stage_n)""",
    "history holds each ended stage once, in order": """
        SELECT job_id FROM app.jobs AS j,
            LATERAL (SELECT coalesce(array_agg((e ->> 'stage_n')::integer), '{}') AS ended
                     FROM jsonb_array_elements(j.stage_history) AS e) AS h
        WHERE ended <> ARRAY(SELECT generate_series(1, CASE
            WHEN status IN ('completed', 'completed_with_errors', 'failed') THEN current_stage_n
            ELSE current_stage_n - 1 END))""",
    "a started job that is open has an open task": """
        SELECT job_id FROM app.jobs AS j WHERE status = 'processing' AND stage_tasks IS NOT NULL AND NOT EXISTS (
            SELECT FROM app.tasks AS t WHERE t.job_id = j.job_id AND t.stage_n = j.current_stage_n
            AND t.status IN ('queued', 'processing'))""",
    "a job went on from a stage only when its tasks had ended": """
        SELECT task_id FROM app.tasks JOIN app.jobs AS j USING (job_id)
        WHERE stage_n < j.current_stage_n AND tasks.status NOT IN ('completed', 'failed')""",
    "an effect belongs to the attempt that completed its task": """
        SELECT e.task_id FROM geo.effects AS e LEFT JOIN app.tasks AS t USING (task_id)
        WHERE t.status IS DISTINCT FROM 'completed' OR t.attempt <> e.attempt""",
    "an effect is there once": "SELECT task_id FROM geo.effects GROUP BY task_id HAVING count(*) > 1",
}
EVERY_EFFECT = """
    SELECT task_id FROM app.tasks LEFT JOIN geo.effects USING (task_id)
    WHERE status = 'completed' AND effects.task_id IS NULL"""


def broken(conn: Connection) -> list[str]:
    """Return the rules that do not hold, each with a row that shows it."""
    found = []
    for rule, statement in RULES.items():
        row = conn.execute(statement.encode()).fetchone()
        if row:
            found.append(f"{rule}: {row}")
    return found
