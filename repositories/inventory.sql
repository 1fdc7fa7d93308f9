-- What PostgreSQL reports about tables, load and versions.

-- server
-- Versions, size, role and uptime of the server.
SELECT current_setting('server_version') AS postgresql, current_setting('max_connections')::integer AS max_connections,
       pg_database_size(current_database()) AS bytes, pg_is_in_recovery() AS read_only,
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS uptime_seconds,
       (SELECT extversion FROM pg_extension WHERE extname = 'postgis') AS postgis

-- connections
-- Connections to this database by state; those to other databases count against the same limit.
SELECT count(*) AS server_total,
       count(*) FILTER (WHERE datname = current_database()) AS total,
       count(*) FILTER (WHERE datname = current_database() AND state = 'active') AS active,
       count(*) FILTER (WHERE datname = current_database() AND state = 'idle') AS idle,
       count(*) FILTER (WHERE datname = current_database() AND state LIKE 'idle in transaction%%')
           AS idle_in_transaction,
       count(*) FILTER (WHERE datname = current_database() AND application_name = 'geostage') AS ours,
       coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)
           FILTER (WHERE datname = current_database() AND pid <> pg_backend_pid())), 0)::float8
           AS longest_transaction_seconds
FROM pg_stat_activity WHERE backend_type = 'client backend'

-- blocked
-- Who waits for a lock, for how long, and for whom. No text of a statement: it may hold a user's data.
SELECT a.pid, a.application_name AS application, pg_blocking_pids(a.pid) AS blocked_by,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS seconds,
       (SELECT c.relname::text FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
        WHERE l.pid = a.pid AND NOT l.granted LIMIT 1) AS relation
FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.wait_event_type = 'Lock'
ORDER BY a.state_change LIMIT %(limit)s

-- counters
-- Deadlocks, temporary files and cache hits since the statistics were last reset.
SELECT deadlocks, temp_bytes, xact_commit AS commits, xact_rollback AS rollbacks,
       round(100.0 * blks_hit / nullif(blks_hit + blks_read, 0), 2)::float8 AS cache_hit_percent
FROM pg_stat_database WHERE datname = current_database()

-- bloat
-- Tables with the most dead rows, as the statistics estimate them.
SELECT schemaname::text AS schema, relname::text AS table, n_live_tup AS live_rows, n_dead_tup AS dead_rows,
       round(100.0 * n_dead_tup / nullif(n_live_tup + n_dead_tup, 0), 1)::float8 AS dead_percent,
       pg_total_relation_size(relid) AS bytes, greatest(last_vacuum, last_autovacuum) AS vacuumed_at
FROM pg_stat_user_tables WHERE n_dead_tup > 0 ORDER BY n_dead_tup DESC LIMIT %(limit)s

-- transaction_age
-- Transactions until the server must freeze rows; over 200 million autovacuum is behind.
SELECT age(datfrozenxid) AS age FROM pg_database WHERE datname = current_database()

-- pgstac_version
-- The version of pgSTAC that was installed last.
SELECT version FROM pgstac.migrations ORDER BY datetime DESC, version DESC LIMIT 1

-- list_schemas
-- Schemas with what they hold, without PostgreSQL's own.
SELECT n.nspname::text AS schema, pg_get_userbyid(n.nspowner)::text AS owner,
       has_schema_privilege(n.oid, 'USAGE') AS may_read, has_schema_privilege(n.oid, 'CREATE') AS may_create,
       count(c.oid) FILTER (WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition) AS tables,
       count(c.oid) FILTER (WHERE c.relkind IN ('v', 'm')) AS views,
       coalesce(sum(pg_total_relation_size(c.oid)) FILTER (WHERE c.relkind IN ('r', 'm')), 0)::bigint AS bytes,
       obj_description(n.oid, 'pg_namespace') AS comment
FROM pg_namespace AS n LEFT JOIN pg_class AS c ON c.relnamespace = n.oid
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
GROUP BY n.oid, n.nspname, n.nspowner ORDER BY n.nspname LIMIT %(limit)s

-- list_tables
-- Tables of some schemas, the largest first, with the geometry that the catalogue of PostGIS knows.
SELECT n.nspname::text AS schema, c.relname::text AS table, greatest(c.reltuples, 0)::bigint AS estimated_rows,
       pg_total_relation_size(c.oid) AS bytes, g.type AS geometry_type, g.srid
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT type, srid FROM geometry_columns
    WHERE f_table_schema = n.nspname AND f_table_name = c.relname ORDER BY f_geometry_column LIMIT 1
) AS g ON true
WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY bytes DESC, 1, 2 LIMIT %(limit)s

-- sum_tables
-- Tables of some schemas, their estimated rows and bytes, added up.
SELECT count(*) AS tables, coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint AS estimated_rows,
       coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND c.relkind = 'r'

-- count_jobs
-- Jobs by status.
SELECT status::text AS name, count(*) AS jobs FROM app.jobs GROUP BY status ORDER BY status

-- count_catalog
-- Items as the statistics of pgSTAC's partitions estimate them: counting them would read all of them.
SELECT (SELECT count(*) FROM pgstac.collections) AS collections,
       (SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
        FROM pg_partition_tree('pgstac.items') AS t JOIN pg_class AS c ON c.oid = t.relid WHERE t.isleaf)
           AS estimated_items,
       (SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint
        FROM pg_partition_tree('pgstac.items') AS t WHERE t.isleaf) AS bytes

-- find_relation
-- What can be described: tables, views, materialized views, foreign tables.
SELECT c.oid::bigint AS oid, c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner,
       greatest(c.reltuples, 0)::bigint AS estimated_rows, c.reltuples >= 0 AS analyzed,
       pg_total_relation_size(c.oid) AS bytes, pg_table_size(c.oid) AS table_bytes,
       pg_indexes_size(c.oid) AS index_bytes, obj_description(c.oid, 'pg_class') AS comment,
       has_table_privilege(c.oid, 'SELECT') AS may_read
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')

-- list_relations
-- Names of what a schema holds, to find the one that was meant.
SELECT c.relname::text AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1 LIMIT %(limit)s

-- columns
-- Columns of a table in their order. Defaults and comments may be of any length, and are cut.
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
       left(pg_get_expr(d.adbin, d.adrelid), 200) AS "default", a.attidentity <> '' AS identity,
       a.attgenerated <> '' AS generated, left(col_description(a.attrelid, a.attnum), 1000) AS comment
FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
WHERE a.attrelid = %(oid)s::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum

-- geometry_columns
-- Geometry and geography columns of a table.
SELECT f_geometry_column::text AS name, 'geometry' AS kind, type, srid, coord_dimension AS dimensions
FROM geometry_columns WHERE f_table_schema = %(schema)s AND f_table_name = %(table)s
UNION ALL
SELECT f_geography_column::text, 'geography', type, srid, coord_dimension
FROM geography_columns WHERE f_table_schema = %(schema)s AND f_table_name = %(table)s
ORDER BY 1

-- indexes
-- Indexes of a table.
SELECT c.relname::text AS name, m.amname::text AS method, i.indisprimary AS is_primary, i.indisunique AS is_unique,
       i.indisvalid AS is_valid, pg_relation_size(c.oid) AS bytes, left(pg_get_indexdef(i.indexrelid), 1000) AS definition
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam
WHERE i.indrelid = %(oid)s::oid ORDER BY 1 LIMIT %(limit)s

-- constraints
-- Constraints of a table. PostgreSQL 18 lists NOT NULL here too; the columns say that already, on every version.
SELECT conname::text AS name,
       CASE contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check'
                    WHEN 'x' THEN 'exclusion' ELSE contype::text END AS kind,
       left(pg_get_constraintdef(oid), 1000) AS definition
FROM pg_constraint WHERE conrelid = %(oid)s::oid AND contype <> 'n' ORDER BY 1 LIMIT %(limit)s

-- estimated_bounds
-- Bounds of a geometry column from the statistics, so that no row is read; NULL before the first ANALYZE.
SELECT ST_XMin(b) AS xmin, ST_YMin(b) AS ymin, ST_XMax(b) AS xmax, ST_YMax(b) AS ymax
FROM ST_EstimatedExtent(%(schema)s, %(table)s, %(column)s) AS b

-- exact_bounds
-- Bounds of a geometry column from its rows.
SELECT ST_XMin(b) AS xmin, ST_YMin(b) AS ymin, ST_XMax(b) AS xmax, ST_YMax(b) AS ymax
FROM (SELECT ST_Extent({column}::geometry) AS b FROM {table}) AS e

-- libraries
-- Versions alone: PROJ's own text names folders of the server.
SELECT postgis_lib_version() AS postgis, postgis_scripts_installed() AS scripts,
       split_part(postgis_scripts_installed(), ' ', 1) = postgis_lib_version() AS scripts_are_current,
       split_part(postgis_geos_version(), ' ', 1) AS geos, split_part(postgis_proj_version(), ' ', 1) AS proj,
       postgis_libxml_version() AS libxml, postgis_wagyu_version() AS wagyu,
       current_setting('server_version') AS postgresql

-- extensions
-- Installed extensions and their versions.
SELECT extname::text AS name, extversion AS version FROM pg_extension ORDER BY extname LIMIT %(limit)s

-- reference_systems
-- Reference systems that PostGIS knows, and those that were added here.
SELECT count(*) AS known, count(*) FILTER (WHERE srid > 998999 OR auth_name IS NULL) AS own FROM spatial_ref_sys

-- geometry_types
-- Geometry columns by type and SRID.
SELECT type, srid, count(*) AS columns FROM geometry_columns GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %(limit)s
