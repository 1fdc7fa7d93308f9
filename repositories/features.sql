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
-- Give the geometry type of a column, such as MultiPolygon.
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
-- Give the names of a table's indexes.
SELECT c.relname AS name FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = %(table)s::regclass

-- add_key
-- Make id the primary key.
ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY (id)

-- add_reject_key
-- Make the row number the primary key.
ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY (row_number)

-- add_spatial_index
-- Index the geometries.
CREATE INDEX {name} ON {table} USING gist (geom)

-- analyze
-- Take statistics.
ANALYZE {table}

-- restart_identity
-- Let the next id follow the last one.
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

-- find_table
-- Describe what bears the target's name, if anything does.
SELECT c.oid, c.relkind::text AS kind, pg_get_userbyid(c.relowner) AS owner,
       pg_has_role(c.relowner, 'USAGE') AS is_ours,
       has_table_privilege(c.oid, 'INSERT') AS may_insert
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s

-- find_schema
-- Tell whether tables can be made in a schema.
SELECT has_schema_privilege(oid, 'CREATE, USAGE') AS may_create FROM pg_namespace WHERE nspname = %(schema)s

-- list_columns
-- Describe the columns of a table, in order.
SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS not_null,
       atthasdef OR attidentity <> '' AS has_default, attidentity::text AS identity, attgenerated <> '' AS generated
FROM pg_attribute
WHERE attrelid = %(oid)s AND attnum > 0 AND NOT attisdropped
ORDER BY attnum

-- lock_table
-- Keep readers out for the swap.
LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE

-- lock_rows
-- Keep the table's definition as it is while rows are added.
LOCK TABLE {table} IN ROW EXCLUSIVE MODE

-- move_to_schema
-- Move a staging table to its schema; its indexes and its sequence go along.
ALTER TABLE {table} SET SCHEMA {schema}

-- rename_table
-- Give a table its name.
ALTER TABLE {table} RENAME TO {name}

-- rename_index
-- Give an index, and with it its constraint, its name.
ALTER INDEX {index} RENAME TO {name}

-- rename_sequence
-- Give a sequence its name.
ALTER SEQUENCE {sequence} RENAME TO {name}

-- find_sequence
-- Name the sequence behind id.
SELECT pg_get_serial_sequence(%(table)s, 'id') AS name

-- append_rows
-- Add the staged rows in the order of the source.
INSERT INTO {table} ({columns}) SELECT {columns} FROM {staging} ORDER BY id
