-- Statements of the migration run.

-- lock
-- Wait for a migration run of another process; the lock is held until the connection closes.
SELECT pg_advisory_lock(%(key)s);

-- create_ledger
-- In a schema of its own: the first migration finds nothing of ours, and schema.sql equals the sum of the migrations.
DO $$
BEGIN
    IF to_regclass('geostage_migrations.applied') IS NULL THEN
        CREATE SCHEMA IF NOT EXISTS geostage_migrations;
        CREATE TABLE geostage_migrations.applied (
            name text PRIMARY KEY,
            applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
    END IF;
END
$$;

-- applied
-- The migrations that the database has.
SELECT name FROM geostage_migrations.applied ORDER BY name;

-- record
-- Note that a migration was applied, in its own transaction.
INSERT INTO geostage_migrations.applied (name) VALUES (%(name)s);

-- pin_isolation
-- The protocol's "lock, act, look" needs READ COMMITTED; a role's default holds behind a connection pooler too.
ALTER ROLE CURRENT_USER SET default_transaction_isolation = 'read committed';

-- prepare_pgstac
-- pgSTAC makes these roles itself, but then acts as each, which only a superuser may without being a member.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['pgstac_admin', 'pgstac_ingest', 'pgstac_read'] LOOP
        IF to_regrole(name) IS NULL THEN
            EXECUTE format('CREATE ROLE %I', name);
        END IF;
        EXECUTE format('GRANT %I TO CURRENT_USER', name);
    END LOOP;
END
$$;

-- find_pgstac
-- NULL when the database has no pgSTAC.
SELECT to_regclass('pgstac.migrations');

-- pgstac_version
-- The newest version of pgSTAC that was applied.
SELECT version FROM pgstac.migrations ORDER BY datetime DESC, version DESC LIMIT 1;
