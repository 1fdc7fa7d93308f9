-- Statements of the migration run.

-- lock
-- Held until the connection closes.
SELECT pg_advisory_lock(%(key)s);

-- create_ledger
-- The ledger stands in a schema of its own, so that the first migration finds nothing of ours.
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
-- What the database has.
SELECT name FROM geostage_migrations.applied ORDER BY name;

-- record
-- In the transaction of the migration itself.
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
SELECT to_regclass('pgstac.migrations');

-- pgstac_version
SELECT version FROM pgstac.migrations ORDER BY datetime DESC, version DESC LIMIT 1;
