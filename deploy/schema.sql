-- The table `positions` as pitwall needs it, for development and tests. `pitwall schema apply` runs
-- this text, `pitwall schema print` prints it, and psql takes it as well.
--
-- On a platform its own migrations make this table: there is nothing to apply there. When a table
-- `positions` is found along the search path, nothing is changed, whatever it looks like.

-- TimescaleDB, when the server has loaded it and this database does not have it yet. Its setting is
-- visible exactly then; to ask for the extension without it would end the session.
DO $extension$
BEGIN
    IF to_regclass('positions') IS NULL
        AND EXISTS (SELECT FROM pg_available_extensions
                    WHERE name = 'timescaledb' AND installed_version IS NULL)
        AND EXISTS (SELECT FROM pg_settings WHERE name = 'timescaledb.disable_load')
    THEN
        CREATE EXTENSION timescaledb;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'this user may not make the extension timescaledb: positions becomes a plain table';
END
$extension$;

DO $table$
DECLARE
    extension_schema name;
BEGIN
    -- Two who run this at the same time take turns.
    PERFORM pg_advisory_xact_lock(hashtext('pitwall schema'));
    IF to_regclass('positions') IS NOT NULL THEN
        RAISE NOTICE 'positions is there: nothing was changed';
        RETURN;
    END IF;

    BEGIN
        CREATE TABLE positions (
            device_id text NOT NULL,                          -- the IMEI
            ts timestamptz NOT NULL,                          -- the device's time
            ingested_at timestamptz NOT NULL DEFAULT now(),
            latitude double precision NOT NULL,
            longitude double precision NOT NULL,
            altitude real NOT NULL,
            angle real NOT NULL,
            speed real NOT NULL,
            satellites smallint NOT NULL,
            priority smallint NOT NULL,
            codec text NOT NULL,
            attributes jsonb NOT NULL,
            faulty boolean NOT NULL DEFAULT false             -- set by operators only
        );
    EXCEPTION WHEN duplicate_table THEN
        -- Who had to wait may not see by its name what was made meanwhile.
        RAISE NOTICE 'positions was just made by somebody else: nothing was changed';
        RETURN;
    END;

    SELECT nspname INTO extension_schema
    FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
    WHERE extname = 'timescaledb';
    IF extension_schema IS NOT NULL THEN
        -- The older of its two interfaces, which every version 2 has.
        EXECUTE format(
            'SELECT %I.create_hypertable(''positions'', ''ts'',
                chunk_time_interval => interval ''1 day'', create_default_indexes => false)',
            extension_schema);
    END IF;

    -- A device and a time name one row: what pitwall writes again is a duplicate by this index.
    CREATE UNIQUE INDEX positions_device_ts ON positions (device_id, ts);
    CREATE INDEX positions_ts ON positions (ts DESC);
    -- The newest good position of each device, which pitwall reads when it starts.
    CREATE INDEX positions_faulty_idx ON positions (device_id, ts DESC) WHERE faulty = FALSE;
END
$table$;
