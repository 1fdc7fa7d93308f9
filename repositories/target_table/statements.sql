-- Statements on target tables and their staging tables. {names} are filled in with psycopg.sql.

-- drop_table
-- Drop a table of ours.
DROP TABLE IF EXISTS {table}

-- create_staging
-- Make the table that the upload tasks fill; it becomes the target, or its rows are added to it.
CREATE TABLE {table} ({columns})

-- create_rejects
-- Make the table of the rows that were not loaded.
CREATE TABLE {table} (row_number bigint, reason text NOT NULL, raw_row jsonb NOT NULL)

-- copy_rows
-- Take rows in binary form.
COPY {table} ({columns}) FROM STDIN WITH (FORMAT BINARY)

-- set_limits
-- Longer statements for this transaction alone, and no long wait for a lock.
SELECT set_config('statement_timeout', %(statement_ms)s, true), set_config('lock_timeout', %(lock_ms)s, true)

-- geometry_column_type
-- Return the type of the geom column, such as MULTIPOLYGON.
SELECT type FROM geometry_columns
WHERE f_table_schema = %(schema)s AND f_table_name = %(table)s AND f_geometry_column = 'geom'

-- make_multi
-- Turn a column of single geometries into one of multi geometries; rewrites the table.
ALTER TABLE {table} ALTER COLUMN geom TYPE geometry({type}, {srid}) USING ST_Multi(geom)

-- make_single
-- Turn a column of one-part multi geometries into one of single geometries; rewrites the table.
ALTER TABLE {table} ALTER COLUMN geom TYPE geometry({type}, {srid}) USING ST_GeometryN(geom, 1)

-- move_rows
-- Move all rows of one table to another of the same columns.
WITH moved AS (DELETE FROM {origin} RETURNING *)
INSERT INTO {table} SELECT * FROM moved

-- list_indexes
-- Return the names of a table's indexes.
SELECT c.relname AS name FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = %(table)s::regclass

-- list_constraints
-- Return the names of a table's constraints.
SELECT conname AS name FROM pg_constraint WHERE conrelid = %(table)s::regclass

-- add_key_index
-- Index what becomes the primary key: unlike the key itself, it can be built beside another index.
CREATE UNIQUE INDEX {name} ON {table} (id)

-- add_key
-- Make id the primary key, by the index of that name.
ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY USING INDEX {name}

-- add_reject_key
-- Make the row number the primary key.
ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY (row_number)

-- add_spatial_index
-- Index the geometries.
CREATE INDEX {name} ON {table} USING gist (geom)

-- analyze
-- Take statistics: a planner that knows nothing of a new table would read all of it.
ANALYZE {table}

-- restart_identity
-- Let the next id follow the last one; 1 in an empty table.
SELECT setval(pg_get_serial_sequence(%(table)s, 'id'), greatest(max(id), 1), max(id) IS NOT NULL) FROM {table}

-- count_rows
-- Count rows.
SELECT count(*) AS number FROM {table}

-- lock_target_name
-- Let one job at a time make or replace the target.
SELECT pg_advisory_xact_lock(hashtextextended(%(name)s, 0))

-- share_target_name
-- Keep the target from being replaced while rows are added to it.
SELECT pg_advisory_xact_lock_shared(hashtextextended(%(name)s, 0))

-- find_relation
-- Describe the relation of a name, whatever its kind.
SELECT c.oid, c.relkind::text AS kind, pg_get_userbyid(c.relowner) AS owner,
       pg_has_role(c.relowner, 'USAGE') AS is_ours,
       has_table_privilege(c.oid, 'INSERT') AS may_insert
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s

-- find_schema
-- Whether tables can be made in a schema; no row when there is no such schema.
SELECT has_schema_privilege(oid, 'CREATE, USAGE') AS may_create FROM pg_namespace WHERE nspname = %(schema)s

-- list_columns
-- Describe the columns of a table, in order.
SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS not_null,
       atthasdef OR attidentity <> '' AS has_default, attgenerated <> '' AS generated
FROM pg_attribute
WHERE attrelid = %(oid)s::oid AND attnum > 0 AND NOT attisdropped
ORDER BY attnum

-- lock_table
-- Take a lock on a table.
LOCK TABLE {table} IN {mode} MODE

-- list_holders
-- Describe who has locks on tables: process, role, application and time.
SELECT DISTINCT format('process %%s (%%s%%s), in a transaction for %%s s', a.pid, a.usename,
    coalesce(', ' || nullif(a.application_name, ''), ''), round(extract(epoch FROM now() - a.xact_start))) AS holder
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.granted AND l.pid <> pg_backend_pid() AND a.datname = current_database()
    AND l.relation IN (SELECT to_regclass(name) FROM unnest(%(tables)s::text[]) AS t(name))
ORDER BY holder

-- list_taken_names
-- Return those of the names that a table, index or sequence of the schema has.
SELECT relname::text AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND relname = ANY (%(names)s)

-- find_type
-- Return the kind of a type that is not a table's and has the name, which a table cannot have too: e enum, d domain,
-- r range, b base.
SELECT typtype::text AS kind FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE n.nspname = %(schema)s AND typname = %(table)s AND typrelid = 0

-- move_to_schema
-- Move a staging table to its schema; its indexes and its sequence go along.
ALTER TABLE {table} SET SCHEMA {schema}

-- rename_table
-- Rename a table.
ALTER TABLE {table} RENAME TO {name}

-- rename_index
-- Rename an index, and with it its constraint.
ALTER INDEX {index} RENAME TO {name}

-- rename_sequence
-- Rename a sequence.
ALTER SEQUENCE {sequence} RENAME TO {name}

-- find_sequence
-- Name the sequence behind id.
SELECT pg_get_serial_sequence(%(table)s, 'id') AS name

-- append_rows
-- Add the staged rows in the order of the source.
INSERT INTO {table} ({columns}) SELECT {columns} FROM {staging} ORDER BY id

-- list_dependents
-- Name what would be lost with a table: views, foreign keys, children, publications. For messages.
SELECT DISTINCT format('%%s %%s', CASE v.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END, v.oid::regclass)
       AS name
FROM pg_depend AS d
JOIN pg_rewrite AS r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_class AS v ON v.oid = r.ev_class
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = %(oid)s::oid AND v.oid <> d.refobjid
UNION ALL
SELECT format('foreign key %%s of %%s', conname, conrelid::regclass)
FROM pg_constraint WHERE contype = 'f' AND confrelid = %(oid)s::oid AND conrelid <> confrelid
UNION ALL
SELECT format('table %%s, which inherits from it', inhrelid::regclass)
FROM pg_inherits WHERE inhparent = %(oid)s::oid
UNION ALL
SELECT format('publication %%s', pubname)
FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid WHERE r.prrelid = %(oid)s::oid
ORDER BY name

-- list_privileges
-- Write the statements that set on the new table what people have set on the old one (privileges, policies, comments,
-- owner), to be run after the swap.
-- The owner comes last: our role may have no further rights on the table then.
WITH old AS (SELECT * FROM pg_class WHERE oid = %(table)s::regclass),
entries (step, acl, col) AS (
    SELECT 1, relacl, NULL FROM old
    UNION ALL
    SELECT 2, a.attacl, a.attname FROM pg_attribute AS a JOIN old ON old.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname = ANY (%(columns)s)
),
statements (step, statement) AS (
    SELECT e.step, format(
        'GRANT %%s%%s ON TABLE %%s TO %%s%%s', g.privilege_type, ' (' || quote_ident(e.col) || ')', %(table)s,
        CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
        CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM entries AS e, old, aclexplode(e.acl) AS g
    WHERE g.grantee <> old.relowner
    UNION ALL
    SELECT 3, format(
        'CREATE POLICY %%I ON %%s AS %%s FOR %%s TO %%s%%s%%s', p.polname, %(table)s,
        CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
        CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
            ELSE 'ALL' END,
        (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role)) END, ', ')
         FROM unnest(p.polroles) AS role),
        ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
        ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
    FROM pg_policy AS p JOIN old ON old.oid = p.polrelid
    UNION ALL
    SELECT 4, format('ALTER TABLE %%s ENABLE ROW LEVEL SECURITY', %(table)s) FROM old WHERE relrowsecurity
    UNION ALL
    SELECT 4, format('ALTER TABLE %%s FORCE ROW LEVEL SECURITY', %(table)s) FROM old WHERE relforcerowsecurity
    UNION ALL
    SELECT 5, format('COMMENT ON TABLE %%s IS %%L', %(table)s, d.description)
    FROM pg_description AS d JOIN old ON old.oid = d.objoid
    WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND d.description !~ %(ours)s
    UNION ALL
    SELECT 5, format('COMMENT ON COLUMN %%s.%%I IS %%L', %(table)s, a.attname, d.description)
    FROM pg_description AS d JOIN old ON old.oid = d.objoid
    JOIN pg_attribute AS a ON a.attrelid = old.oid AND a.attnum = d.objsubid
    WHERE d.classoid = 'pg_class'::regclass AND a.attname = ANY (%(columns)s)
        AND d.description !~ %(ours)s
    UNION ALL
    SELECT 6, format('ALTER TABLE %%s OWNER TO %%I', %(table)s, pg_get_userbyid(relowner))
    FROM old WHERE pg_get_userbyid(relowner) <> current_user
)
SELECT statement FROM statements ORDER BY step, statement

-- comment_on_table
-- Record where a table comes from.
COMMENT ON TABLE {table} IS {text}

-- comment_on_column
-- Record where a column comes from.
COMMENT ON COLUMN {table}.{column} IS {text}

-- list_commented
-- Return the columns that have comments of people; NULL for the table itself.
SELECT a.attname::text AS name
FROM pg_description AS d LEFT JOIN pg_attribute AS a ON a.attrelid = d.objoid AND a.attnum = nullif(d.objsubid, 0)
WHERE d.classoid = 'pg_class'::regclass AND d.objoid = %(table)s::regclass AND d.description !~ %(ours)s

-- may_read
-- Whether our role may read a table: rows can be added to one that it cannot read.
SELECT has_table_privilege(%(table)s::regclass, 'SELECT') AS may_read

-- delete_missing_rows
-- Remove the rows that the new load does not have.
DELETE FROM {table} AS t WHERE NOT EXISTS (SELECT FROM {staging} AS s WHERE s.id = t.id)

-- update_rows
-- Set the new values of the rows that stay. ROW lets the list have one column too.
UPDATE {table} AS t SET ({columns}) = ROW ({values}) FROM {staging} AS s WHERE s.id = t.id

-- insert_new_rows
-- Add the rows that the table does not have yet.
INSERT INTO {table} ({columns}) SELECT {columns} FROM {staging} AS s
WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE t.id = s.id) ORDER BY id
