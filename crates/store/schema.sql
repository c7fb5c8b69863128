-- What the migrations add up to; a test compares.

CREATE TABLE batch (
    tenant      TEXT    NOT NULL,
    first_index INTEGER NOT NULL, -- index of the first entry
    count       INTEGER NOT NULL, -- entries in this batch, at least 1
    batch_id    BLOB    NOT NULL, -- random, the same for all tenants of one commit
    boot        INTEGER NOT NULL, -- which start of the server wrote it
    epoch       INTEGER NOT NULL, -- control epoch after it
    time_us     INTEGER NOT NULL, -- tenant time, microseconds since 1970
    root        BLOB    NOT NULL, -- RFC 6962 root after it, 32 bytes
    range       BLOB    NOT NULL, -- compact range after it, popcount(size) hashes of 32 bytes
    entries     BLOB    NOT NULL, form INTEGER NOT NULL DEFAULT 0 /* 0: entries are plain; 1: packed with the first dictionary */, -- for each entry a big-endian u16 length and its bytes (C2SP tlog-tiles entry bundle)
    PRIMARY KEY (tenant, first_index)
) STRICT;

CREATE TABLE checkpoint (
    tenant TEXT    NOT NULL PRIMARY KEY,
    size   INTEGER NOT NULL,
    note   TEXT    NOT NULL
) STRICT;

CREATE TABLE entity (
    tenant  TEXT    NOT NULL,
    kind    TEXT    NOT NULL, -- the type, as policies name it
    id      TEXT    NOT NULL,
    record  TEXT    NOT NULL, -- JSON
    version INTEGER NOT NULL, -- the version of the tenant's entities that it came with
    PRIMARY KEY (tenant, kind, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE entity_set (
    tenant  TEXT    NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE person (
    tenant    TEXT    NOT NULL,
    pseudonym TEXT    NOT NULL,
    key_epoch INTEGER NOT NULL, -- which pseudonym key made it
    identity  TEXT    NOT NULL,
    PRIMARY KEY (tenant, pseudonym)
) STRICT;

CREATE TABLE probe (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    filler BLOB    NOT NULL
) STRICT;

CREATE TABLE snapshot (
    tenant TEXT    NOT NULL,
    entry  INTEGER NOT NULL, -- index of its snapshot_taken entry
    state  BLOB    NOT NULL,
    PRIMARY KEY (tenant, entry)
) STRICT;
