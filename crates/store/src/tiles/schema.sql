-- The hash tiles of the logs: made from the logs, and made again when this file or its version changes.

-- How far each tenant's tiles go.
CREATE TABLE log (
    id     INTEGER NOT NULL PRIMARY KEY,
    tenant TEXT    NOT NULL UNIQUE,
    size   INTEGER NOT NULL, -- leaves in the tiles
    root   BLOB    NOT NULL  -- RFC 6962 root over these, 32 bytes
) STRICT;

-- Each tile once, as wide as it is by now: a narrower one of an earlier size is its beginning.
CREATE TABLE tile (
    log    INTEGER NOT NULL,
    level  INTEGER NOT NULL,
    place  INTEGER NOT NULL, -- its index in its level
    hashes BLOB    NOT NULL, -- 32 bytes each, up to 256
    digest BLOB    NOT NULL, -- of these, to find out damage: 32 bytes
    PRIMARY KEY (log, level, place)
) STRICT;

PRAGMA user_version = 1;
