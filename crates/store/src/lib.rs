//! SQLite: the data directory, migrations, readers, the committer, the projection for cost reports, and the tiles.
//!
//! The log is the only truth in the database. A [`Store`] opens it, folds each tenant's log into its
//! [`State`](entry::State) and hands both to the committer, the one task that writes: it gathers what is waiting, admits
//! holds through the ledger, appends one batch a tenant in one transaction, and only then answers.

mod clock;
mod committer;
mod datadir;
mod db;
mod derived;
mod entity;
mod error;
mod feed;
mod hold;
mod log;
mod packing;
mod projection;
mod reader;
mod refold;
mod spool;
mod tiles;

pub use clock::{Clock, SystemClock};
pub use committer::{
    Ask, BalanceQuery, Balances, BreakerDeed, ChangeError, Changed, Committer, Config, DECISIONS_WAITING, DecideError,
    Denied, EditOrder, Handle, Head, Heads, Health, HoldAnswer, HoldRequest, Kept, Person, Recording, Replayed,
    Restoring, Rules, RulesQuery, Stats, Threshold, Unavailable, View,
};
pub use datadir::DataDir;
pub use db::Store;
pub use entity::{
    ENTITY_BYTES_MAX, ENTITY_CHANGES_MAX, ENTITY_NAME_MAX, EntityChange, EntityChanges, EntityDeed, EntityError,
    EntityExpected, EntityName, EntityPage, EntityRow,
};
pub use error::StoreError;
pub use feed::{Fed, LogFeed};
pub use hold::{Ending, Hold, Pending, Warning};
pub use log::{Batch, BatchError};
pub use projection::{
    CostAnswer, CostError, CostGroup, CostLabel, CostQuestion, CostSums, CostTokens, Facts, Field, MAX_CALL_TOKENS,
    MAX_GROUPS, MAX_NAMES, OTHERS, Position, Progress, Projection, RebuildError, Rebuilt, SEARCH_LIMIT_MAX, STATUSES,
    SearchAnswer, SearchError, SearchQuestion, decision, follows, rebuild, status, words,
};
pub use reader::{Expiry, Reader};
pub use refold::{Refold, Snapshot};
pub use tiles::{Bundle, Tiles, append as append_tiles};
