CREATE TABLE positions (
    device_id text NOT NULL,
    ts timestamptz NOT NULL,
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
    faulty boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX positions_device_ts ON positions (device_id, ts);
CREATE INDEX positions_ts ON positions (ts DESC);
CREATE INDEX positions_faulty_idx ON positions (device_id, ts DESC) WHERE faulty = FALSE;
