-- The tables of the platform that pitwall reads, as Directus keeps them: every key is a uuid, and a
-- device is named by its IMEI only in devices.imei.
CREATE TABLE directus_users (
    id uuid PRIMARY KEY,
    email varchar(255) UNIQUE,
    first_name varchar(50),
    last_name varchar(50),
    status varchar(16) NOT NULL DEFAULT 'active',
    role uuid
);
CREATE TABLE organization_users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid,
    user_id uuid,
    role varchar(255)
);
CREATE TABLE events (
    id uuid PRIMARY KEY,
    organization_id uuid,
    name varchar(255),
    slug varchar(255),
    starts_at timestamptz,
    ends_at timestamptz
);
CREATE TABLE entries (
    id uuid PRIMARY KEY,
    event_id uuid REFERENCES events (id) ON DELETE CASCADE,
    race_number integer,
    status varchar(255) DEFAULT 'active'
);
CREATE TABLE devices (
    id uuid PRIMARY KEY,
    imei varchar(255) UNIQUE
);
CREATE TABLE entry_devices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    entry_id uuid REFERENCES entries (id) ON DELETE CASCADE,
    device_id uuid REFERENCES devices (id) ON DELETE CASCADE
);
