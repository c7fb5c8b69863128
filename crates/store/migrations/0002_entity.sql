-- Entities that policies read and that were stored at run time. Outside the log, for they may be personal: an entry says
-- that they changed, and is written in the same transaction.
CREATE TABLE entity (
    tenant  TEXT    NOT NULL,
    kind    TEXT    NOT NULL, -- the type, as policies name it
    id      TEXT    NOT NULL,
    record  TEXT    NOT NULL, -- JSON
    version INTEGER NOT NULL, -- the version of the tenant's entities that it came with
    PRIMARY KEY (tenant, kind, id)
) STRICT, WITHOUT ROWID;

-- The version of each tenant's entities: how often they changed. The log must say the same.
CREATE TABLE entity_set (
    tenant  TEXT    NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT;
