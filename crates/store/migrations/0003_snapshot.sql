-- What followed from all entries of a log before one of them, as that entry's digest says: from here the log is replayed
-- where entries before it are gone. At most two of a tenant: the one in use, and the next until it is.
CREATE TABLE snapshot (
    tenant TEXT    NOT NULL,
    entry  INTEGER NOT NULL, -- index of its snapshot_taken entry
    state  BLOB    NOT NULL,
    PRIMARY KEY (tenant, entry)
) STRICT;
