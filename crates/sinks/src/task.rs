//! The task of one sink: read, pick, hand over, and only then move the cursor.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use control::{Fed, Feed, SinkSpec, SinkStart, SinkStatus, StoreError};
use model::TenantName;
use tokio::{sync::watch, time::Instant};

use crate::{
    cursor::{Cursor, Place},
    filter::{Filter, Seen},
    format::Writer,
    output::{Output, Refused},
    retry::Backoff,
};

/// A page of the log ends with the commit that brings it to so many bytes: what a sink has in memory, beside one parcel.
const PAGE: usize = 256 * 1024;
/// A parcel that has so many bytes takes no more entries.
const PARCEL: usize = 256 * 1024;
/// How long new entries wait for company: a request, or a write to the disk, for each commit would be for nothing.
const LINGER: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 250 });
/// The cursor is written at most so often: it is three writes to the disk that the log is on. What was handed over in this
/// time before a crash is handed over again.
const SAVE: Duration = Duration::from_millis(if cfg!(test) { 0 } else { 1_000 });
/// How long what is being handed over may take after the server was told to stop.
const GRACE: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 5_000 });

/// Why a sink does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the cursor cannot be used: {0}")]
    Cursor(String),
    #[error("an entry cannot be read: {0}")]
    Entry(#[from] serde_json::Error),
    #[error("{}", .0.why)]
    Refused(Refused),
    /// It was told to stop, and what was being handed over did not arrive in time, as far as is known.
    #[error("it was stopped while it handed something over")]
    Stopped,
}

#[derive(Debug)]
pub(crate) struct Task {
    spec: SinkSpec,
    feed: Feed,
    status: Arc<SinkStatus>,
    output: Output,
    filter: Filter,
    stopping: watch::Receiver<bool>,
    /// `None` until it was read.
    cursor: Option<Cursor>,
    /// Whether the output was prepared since something failed.
    prepared: bool,
    /// Since when what is kept of the cursor is not what it is.
    unsaved: Option<Instant>,
    backoff: Backoff,
    #[cfg(test)]
    pub(crate) faults: tests::Faults,
}

impl Task {
    pub(crate) fn new(
        spec: SinkSpec,
        feed: Feed,
        status: Arc<SinkStatus>,
        output: Output,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            filter: Filter::new(&spec),
            spec,
            feed,
            status,
            output,
            stopping,
            cursor: None,
            prepared: false,
            unsaved: None,
            backoff: Backoff::default(),
            #[cfg(test)]
            faults: tests::Faults::default(),
        }
    }

    pub(crate) async fn run(mut self) {
        while !self.is_stopping() {
            match self.round().await {
                Ok(()) => {
                    self.went_well();
                    if !self.more().await {
                        break;
                    }
                }
                Err(Trouble::Stopped) => break,
                // It is smaller from now on.
                Err(Trouble::Refused(Refused {
                    too_large: true, why, ..
                })) => {
                    tracing::warn!(sink = %self.spec.name, "{why}: the next requests have half as many entries");
                }
                Err(trouble) => self.failed(&trouble).await,
            }
        }
        if let Err(trouble) = self.save().await {
            tracing::warn!(sink = %self.spec.name, "{trouble}: what arrived since it was last kept arrives again");
        }
    }

    /// Whether it was told to stop, or nobody is there any more who could.
    fn is_stopping(&self) -> bool {
        *self.stopping.borrow() || self.stopping.has_changed().is_err()
    }

    /// Hands over everything that was committed before it began, and maybe more. All logs have their turn.
    async fn round(&mut self) -> Result<(), Trouble> {
        if self.cursor.is_none() {
            self.open().await?;
        }
        // What cannot be kept is not added to.
        self.save_if_due().await?;
        if !self.prepared {
            self.output.prepare().await.map_err(Trouble::Refused)?;
            self.prepared = true;
        }
        loop {
            let mut is_behind = false;
            for (tenant, size) in self.feed.log.sizes() {
                if self.is_stopping() {
                    return Ok(());
                }
                if self.filter.takes_tenant(&tenant) && self.size_of(&tenant) < size {
                    self.page(&tenant).await?;
                    is_behind |= self.size_of(&tenant) < size;
                }
                self.save_if_due().await?;
            }
            if !is_behind {
                return Ok(());
            }
        }
    }

    fn size_of(&self, tenant: &TenantName) -> u64 {
        let place = self.cursor.as_ref().and_then(|cursor| cursor.0.get(tenant));
        place.map_or(0, |place| place.range.size())
    }

    /// Waits until there is more to do. `false` if there will not be.
    async fn more(&mut self) -> bool {
        let due = self.unsaved.map(|since| since + SAVE);
        tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stop| *stop) => return false,
            grown = self.feed.log.grown() => if !grown { return false },
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => return true,
        }
        self.pause(LINGER).await;
        true
    }

    /// Waits, at most until it is told to stop.
    async fn pause(&mut self, length: Duration) {
        tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stop| *stop) => {}
            () = tokio::time::sleep(length) => {}
        }
    }

    /// Finds its place in all logs.
    async fn open(&mut self) -> Result<(), Trouble> {
        let name = &self.spec.name;
        let cursor = match self.feed.kept(name)? {
            Some(bytes) => {
                let (cursor, forks) = Cursor::read(&bytes, name, &self.feed).await?;
                for fork in forks {
                    tracing::warn!(
                        sink = %name,
                        tenant = %fork.tenant,
                        passed = fork.had,
                        again_from = fork.from,
                        "the log is not the one that this sink has read, such as after a backup was restored: it goes on \
                         behind the last place that both have, so some entries are handed over again, and some that it \
                         has handed over are not in the log"
                    );
                    self.unsaved = Some(Instant::now());
                }
                cursor
            }
            None => self.begin().await?,
        };
        let places = cursor.0.iter();
        let passed = places
            .map(|(tenant, place)| (tenant.clone(), place.range.size()))
            .collect();
        self.cursor = Some(cursor);
        // Before anything is handed over: otherwise "now" would be later after a crash.
        if let Err(trouble) = self.save().await {
            (self.cursor, self.unsaved) = (None, None);
            return Err(trouble);
        }
        self.status.begun(passed);
        Ok(())
    }

    /// Where a new sink begins.
    async fn begin(&mut self) -> Result<Cursor, Trouble> {
        self.unsaved = Some(Instant::now());
        let mut places = BTreeMap::new();
        for (tenant, size) in self.feed.log.sizes() {
            let range = match self.spec.start {
                SinkStart::Beginning => continue,
                SinkStart::Now => self.feed.log.range_at(&tenant, size).await?,
            };
            let range = range
                .ok_or_else(|| Trouble::Cursor(format!("the log of {tenant} is shorter than what was committed")))?;
            places.insert(tenant, Place::at(range));
        }
        Ok(Cursor(places))
    }

    /// Hands over a page of one log.
    async fn page(&mut self, tenant: &TenantName) -> Result<(), Trouble> {
        let mut before = self.place(tenant).range.clone();
        let page = self.feed.log.page(tenant, &before, PAGE).await?;
        let mut rest = page.as_slice();
        while !rest.is_empty() && !self.is_stopping() {
            let (parcel, taken) = self.parcel(tenant, rest).await?;
            let count = parcel.count();
            if count > 0 {
                self.hand_over(parcel.finish()).await?;
                self.status.delivered(count);
                self.went_well();
            }
            let (passed, left) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            self.tell_gone(tenant, passed);
            before.extend(passed.iter().map(|fed| fed.leaf));
            rest = left;
            self.place(tenant).range.clone_from(&before);
            self.status.passed(tenant, before.size());
            self.unsaved.get_or_insert_with(Instant::now);
            self.save_if_due().await?;
        }
        Ok(())
    }

    /// Entries wait for the sinks that are declared, so these were let go while this one was not, or before it was new.
    fn tell_gone(&self, tenant: &TenantName, passed: &[Fed]) {
        let gone: Vec<u64> = passed.iter().filter(|fed| fed.is_gone()).map(|fed| fed.index).collect();
        if let (Some(first), Some(last)) = (gone.first(), gone.last()) {
            let count = u64::try_from(gone.len()).unwrap_or(u64::MAX);
            self.status.let_go(count);
            tracing::warn!(
                sink = %self.spec.name, %tenant, count, first, last,
                "entries were let go before this sink came to them: it passes them over"
            );
        }
    }

    fn place(&mut self, tenant: &TenantName) -> &mut Place {
        let cursor = self.cursor.get_or_insert_default();
        cursor.0.entry(tenant.clone()).or_default()
    }

    /// As many of the entries as make a parcel, and how many those are with the ones that are not wanted.
    async fn parcel(&mut self, tenant: &TenantName, entries: &[Fed]) -> Result<(Writer, usize), Trouble> {
        let format = self.spec.format;
        let mut writer = Writer::new(format, self.output.together(format));
        let most = u64::try_from(self.output.batch()).unwrap_or(u64::MAX);
        let origin = self.feed.origin(tenant);
        let reads = self.filter.reads() || format == control::SinkFormat::CloudEvents;
        let mut taken = 0;
        for fed in entries {
            if writer.count() >= most || writer.len() >= PARCEL {
                break;
            }
            taken += 1;
            if fed.is_gone() {
                // A new sink that begins at the beginning gets what is left.
                continue;
            }
            let seen = reads.then(|| Seen::read(&fed.bytes)).transpose()?;
            let takes = match &seen {
                Some(seen) => self.filter.takes(&self.feed, tenant, fed, seen).await?,
                None => true,
            };
            if takes {
                writer.add(&origin, tenant, fed, seen.as_ref())?;
            }
        }
        Ok((writer, taken))
    }

    async fn hand_over(&mut self, parcel: Vec<u8>) -> Result<(), Trouble> {
        #[cfg(test)]
        self.faults.before_delivery()?;
        let mut stopping = self.stopping.clone();
        let late = async move {
            // An end of the server without a word is no stop.
            if stopping.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            delivered = self.output.deliver(parcel) => delivered.map_err(Trouble::Refused)?,
            () = late => return Err(Trouble::Stopped),
        }
        #[cfg(test)]
        self.faults.after_delivery()?;
        Ok(())
    }

    async fn save_if_due(&mut self) -> Result<(), Trouble> {
        match self.unsaved {
            Some(since) if since.elapsed() >= SAVE => self.save().await,
            _ => Ok(()),
        }
    }

    /// Keeps the cursor, if it moved.
    async fn save(&mut self) -> Result<(), Trouble> {
        let Some(cursor) = self.cursor.as_mut().filter(|_| self.unsaved.is_some()) else {
            return Ok(());
        };
        let bytes = cursor.write(&self.spec.name)?;
        #[cfg(test)]
        self.faults.before_save()?;
        self.feed.keep(&self.spec.name, bytes).await?;
        #[cfg(test)]
        self.faults.after_save()?;
        self.unsaved = None;
        Ok(())
    }

    fn went_well(&mut self) {
        self.backoff.reset();
        if self.status.recovered() {
            tracing::info!(sink = %self.spec.name, "entries are streamed again");
        }
    }

    /// Says once what the trouble is, and waits.
    async fn failed(&mut self, trouble: &Trouble) {
        let asked = match trouble {
            Trouble::Refused(refused) => refused.wait,
            _ => None,
        };
        let wait = self.backoff.next(asked);
        let first = self.status.failed(trouble.to_string(), self.feed.now());
        let name = &self.spec.name;
        match first {
            true => {
                tracing::warn!(sink = %name, "entries are not streamed: {trouble}. It is tried again until it succeeds")
            }
            false => tracing::debug!(sink = %name, ?wait, "entries are still not streamed: {trouble}"),
        }
        self.prepared = false;
        self.pause(wait).await;
    }
}

#[cfg(test)]
mod tests;
