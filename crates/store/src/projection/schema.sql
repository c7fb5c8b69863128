-- What was booked, by time and labels, and what entries can be found by: made from the logs, and made again when this
-- file or its version changes.

-- How far each tenant's log was read.
CREATE TABLE cursor (
    id     INTEGER NOT NULL PRIMARY KEY,
    tenant TEXT    NOT NULL UNIQUE,
    size   INTEGER NOT NULL, -- entries read
    root   BLOB    NOT NULL  -- RFC 6962 root of these, 32 bytes
) STRICT;

-- A combination of labels that a call had. Empty text is none.
CREATE TABLE label_set (
    id          INTEGER NOT NULL PRIMARY KEY,
    tenant      INTEGER NOT NULL,
    team        TEXT    NOT NULL,
    product     TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    agent       TEXT    NOT NULL,
    tier        TEXT    NOT NULL,
    user        TEXT    NOT NULL, -- pseudonym
    task        TEXT    NOT NULL,
    operation   TEXT    NOT NULL,
    upstream    TEXT    NOT NULL,
    model       TEXT    NOT NULL,
    UNIQUE (tenant, agent, model, user, task, operation, upstream, tier, team, product, environment)
) STRICT;

-- Sums of attempts that have ended, at the time of their intents. Each attempt is in one row of every span.
CREATE TABLE booked (
    tenant       INTEGER NOT NULL,
    span         INTEGER NOT NULL, -- minutes: 1, 60 or 1440
    start        INTEGER NOT NULL, -- minutes since 1970, a multiple of the span
    labels       INTEGER NOT NULL,
    calls        INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    cost         INTEGER NOT NULL, -- nano-dollars
    input        INTEGER NOT NULL, -- tokens, as all below but the last
    cache_read   INTEGER NOT NULL,
    cache_write  INTEGER NOT NULL,
    audio_input  INTEGER NOT NULL,
    image_input  INTEGER NOT NULL,
    output       INTEGER NOT NULL,
    reasoning    INTEGER NOT NULL,
    audio_output INTEGER NOT NULL,
    image_output INTEGER NOT NULL,
    duration_us  INTEGER NOT NULL,
    PRIMARY KEY (tenant, span, start, labels)
) STRICT, WITHOUT ROWID;

-- Attempts that had not ended at the cursor.
CREATE TABLE open (
    tenant   INTEGER NOT NULL,
    intent   INTEGER NOT NULL, -- its entry
    labels   INTEGER NOT NULL,
    minute   INTEGER NOT NULL, -- since 1970
    terms    TEXT    NOT NULL, -- what its outcome can be found by, too
    followed INTEGER NOT NULL, -- how many bytes of that hold for what follows from the outcome, too
    PRIMARY KEY (tenant, intent)
) STRICT, WITHOUT ROWID;

-- The labels of agents, as of the cursor.
CREATE TABLE agent (
    tenant      INTEGER NOT NULL,
    agent       TEXT    NOT NULL,
    team        TEXT    NOT NULL,
    product     TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    PRIMARY KEY (tenant, agent)
) STRICT, WITHOUT ROWID;

-- The tiers of credentials.
CREATE TABLE credential (
    tenant INTEGER NOT NULL,
    key    TEXT    NOT NULL,
    tier   TEXT    NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

-- Every entry. The id is the tenant's number times 2^44, and the entry's index in its log.
CREATE TABLE entry (
    id   INTEGER NOT NULL PRIMARY KEY,
    time INTEGER NOT NULL, -- microseconds since 1970; never less than that of the entry before it in its log
    cost INTEGER           -- nano-dollars, of outcomes
) STRICT;

-- The ids of the entries that have a term; see search/terms.rs. The texts themselves are not kept.
CREATE VIRTUAL TABLE term USING fts5 (terms, content = '', columnsize = 0, detail = none, tokenize = 'ascii');

PRAGMA user_version = 2;
