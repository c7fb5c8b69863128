-- A batch is what one commit of the committer appended to one tenant's log: the entries' bytes back to back, and the
-- tree head after them. The last batch of a tenant is its head. Rows are inserted, never updated, never deleted.
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
    entries     BLOB    NOT NULL, -- for each entry a big-endian u16 length and its bytes (C2SP tlog-tiles entry bundle)
    PRIMARY KEY (tenant, first_index)
) STRICT;

-- The last signed checkpoint of each tenant. A copy is kept in a guard file apart from this database.
CREATE TABLE checkpoint (
    tenant TEXT    NOT NULL PRIMARY KEY,
    size   INTEGER NOT NULL,
    note   TEXT    NOT NULL
) STRICT;

-- Who is behind a pseudonym. Outside the log, so that deleting a row erases the link.
CREATE TABLE person (
    tenant    TEXT    NOT NULL,
    pseudonym TEXT    NOT NULL,
    key_epoch INTEGER NOT NULL, -- which pseudonym key made it
    identity  TEXT    NOT NULL,
    PRIMARY KEY (tenant, pseudonym)
) STRICT;

-- One row that is filled and emptied to find out whether the disk takes writes again after one failed.
CREATE TABLE probe (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    filler BLOB    NOT NULL
) STRICT;
