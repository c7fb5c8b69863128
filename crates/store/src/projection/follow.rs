//! The follower: the task that reads the logs behind a cursor and writes the projection.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use model::TenantName;
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::JoinHandle,
};

use super::{
    file::{self, File},
    fold::Tenant,
};
use crate::{Heads, Reader, StoreError, derived::lacks_room};

/// How long new entries wait for company, unless somebody asks: a transaction for each commit would be for nothing.
const LINGER: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 250 });
/// The waits after failures, in milliseconds; the last one is repeated.
const WAITS: [u64; 4] = if cfg!(test) {
    [1, 1, 2, 5]
} else {
    [100, 500, 2_000, 5_000]
};
/// How many questions for sums are answered at once, and as many searches: each keeps a thread busy.
const ASKING: usize = 2;

/// How far the follower is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many entries of each log it has read.
    pub read: BTreeMap<TenantName, u64>,
    /// Why it does not go on, if so. It tries again by itself.
    pub trouble: Option<String>,
    /// How often the file was thrown away and made again since the start.
    pub made_again: u64,
    /// Since when something is committed that is not read; `None` where all of it was read.
    pub unread_since: Option<Instant>,
}

/// What was booked, by minute and labels. Dropping it ends the follower at its next step; [`Projection::stop`] waits for
/// that.
#[derive(Debug)]
pub struct Projection {
    pub(super) path: PathBuf,
    pub(super) heads: watch::Receiver<Heads>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) nudge: Arc<Notify>,
    again: Arc<AtomicBool>,
    pub(super) asking: Arc<Semaphore>,
    pub(super) searching: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    task: std::sync::Mutex<Option<JoinHandle<()>>>,
    #[cfg(test)]
    pub(super) faults: super::faults::Faults,
}

impl Projection {
    /// Starts to follow the logs of a data directory, in a task of its own. While the directory's disk has less free than
    /// `reserve` bytes, nothing is written: that is kept for the logs.
    pub fn start(dir: &Path, reader: Reader, heads: watch::Receiver<Heads>, reserve: u64) -> Self {
        let (progress, watch_progress) = watch::channel(Progress {
            unread_since: Some(Instant::now()),
            ..Progress::default()
        });
        let (stop, stopping) = watch::channel(false);
        let nudge = Arc::<Notify>::default();
        let again = Arc::<AtomicBool>::default();
        let path = file::path(dir);
        let follower = Follower {
            path: path.clone(),
            reader,
            heads: heads.clone(),
            reserve,
            progress,
            nudge: nudge.clone(),
            again: again.clone(),
            stopping,
            file: None,
            tenants: BTreeMap::new(),
            #[cfg(test)]
            faults: super::faults::Faults::default(),
        };
        #[cfg(test)]
        let faults = follower.faults.clone();
        Self {
            path,
            heads,
            progress: watch_progress,
            nudge,
            again,
            asking: Arc::new(Semaphore::new(ASKING)),
            searching: Arc::new(Semaphore::new(ASKING)),
            stop,
            task: std::sync::Mutex::new(Some(tokio::spawn(follower.run()))),
            #[cfg(test)]
            faults,
        }
    }

    /// How far it is, as it goes on.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// How many committed entries are not read yet, of all logs together.
    pub fn behind(&self) -> u64 {
        let (heads, progress) = (self.heads.borrow(), self.progress.borrow());
        let behind = heads.iter().map(|(tenant, head)| {
            let read = progress.read.get(tenant).copied().unwrap_or(0);
            head.size.saturating_sub(read)
        });
        behind.sum()
    }

    /// For how long what is committed has not been read whole: zero where all of it is read.
    pub fn lag(&self) -> Duration {
        if self.behind() == 0 {
            return Duration::ZERO;
        }
        // What was committed this moment is not seen yet.
        let since = self.progress.borrow().unread_since;
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Throws the file away and makes it again from the logs. Returns when it is thrown away, or `patience` is over.
    pub async fn make_again(&self, patience: Duration) -> bool {
        let mut progress = self.progress.clone();
        let before = progress.borrow().made_again;
        self.again.store(true, Ordering::SeqCst);
        self.nudge.notify_one();
        let made = progress.wait_for(|progress| progress.made_again > before);
        matches!(tokio::time::timeout(patience, made).await, Ok(Ok(_)))
    }

    /// Ends the follower and closes its file. What it has not read it reads after the next start.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        if let Some(task) = self.take_task() {
            // A follower that panicked has nothing left to close.
            drop(task.await);
        }
    }

    fn take_task(&self) -> Option<JoinHandle<()>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Dies as a process does: at once, wherever it is.
    #[cfg(test)]
    pub(super) async fn crash(self) {
        if let Some(task) = self.take_task() {
            task.abort();
            drop(task.await);
        }
    }
}

/// Why it does not go on.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Log(StoreError),
    #[error("{0}")]
    File(StoreError),
    #[error("{0}")]
    Room(String),
}

struct Follower {
    path: PathBuf,
    reader: Reader,
    heads: watch::Receiver<Heads>,
    reserve: u64,
    progress: watch::Sender<Progress>,
    nudge: Arc<Notify>,
    /// Whether somebody wants the file to be made again.
    again: Arc<AtomicBool>,
    stopping: watch::Receiver<bool>,
    file: Option<File>,
    tenants: BTreeMap<TenantName, Tenant>,
    #[cfg(test)]
    faults: super::faults::Faults,
}

impl Follower {
    async fn run(mut self) {
        let mut waits = WAITS.into_iter();
        let mut wait = 0;
        while !*self.stopping.borrow() {
            match self.round().await {
                Ok(()) => {
                    self.tell(None);
                    waits = WAITS.into_iter();
                    if !self.more().await {
                        break;
                    }
                }
                Err(trouble) => {
                    self.tell(Some(&trouble));
                    // What is in memory may be ahead of what is stored.
                    self.close(matches!(&trouble, Trouble::File(error) if error.is_damage()))
                        .await;
                    wait = waits.next().unwrap_or(wait);
                    self.pause(Duration::from_millis(wait), false).await;
                }
            }
        }
        self.close(false).await;
    }

    /// Waits until there is more to read. `false` if there will not be.
    async fn more(&mut self) -> bool {
        let nudged = tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stop| *stop) => return false,
            () = self.nudge.notified() => true,
            grown = self.heads.changed() => match grown {
                Ok(()) => false,
                // The committer is gone: nothing comes any more.
                Err(_) => return false,
            },
        };
        if !nudged {
            // Nobody waits for that: who waits for something is woken when a page was read.
            self.progress.send_if_modified(|progress| {
                progress.unread_since.get_or_insert_with(Instant::now);
                false
            });
            self.pause(LINGER, true).await;
        }
        true
    }

    /// Waits, at most until it is told to stop or, if that matters, until somebody asks.
    async fn pause(&mut self, length: Duration, unless_asked: bool) {
        tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stop| *stop) => {}
            () = self.nudge.notified(), if unless_asked => {}
            () = tokio::time::sleep(length) => {}
        }
    }

    /// Reads what was committed before it began, and maybe more.
    async fn round(&mut self) -> Result<(), Trouble> {
        if self.file.as_ref().is_some_and(|file| !file.is_in_place()) {
            tracing::info!("the projection was deleted: it is made again from the logs");
            self.close(false).await;
        }
        if self.again.load(Ordering::SeqCst) {
            self.throw_away().await?;
        }
        if self.file.is_none() {
            self.open().await?;
        }
        let began = Instant::now();
        let heads = self.heads.borrow_and_update().clone();
        for (name, head) in heads {
            while self.tenants.get(&name).map_or(0, |tenant| tenant.size) < head.size {
                // Who wants it to be made again has nudged, so that the next round begins at once.
                if *self.stopping.borrow() || self.again.load(Ordering::SeqCst) {
                    return Ok(());
                }
                self.check_room()?;
                self.page(&name).await?;
            }
        }
        // What has come meanwhile came after this round began.
        let more = self.heads.has_changed().unwrap_or(false);
        self.progress
            .send_modify(|progress| progress.unread_since = more.then_some(began));
        Ok(())
    }

    /// Deletes the file, because somebody wants it to be made again.
    async fn throw_away(&mut self) -> Result<(), Trouble> {
        tracing::info!("the projection is made again from the logs, as somebody wants it");
        if self.file.is_none() {
            // One that cannot be used is made again by that.
            self.open().await?;
        }
        self.tenants.clear();
        if let Some(file) = self.file.take() {
            file.delete().await.map_err(Trouble::File)?;
        }
        self.again.store(false, Ordering::SeqCst);
        self.progress.send_modify(|progress| {
            progress.read.clear();
            progress.made_again += 1;
            progress.unread_since = Some(Instant::now());
        });
        Ok(())
    }

    /// Takes one page of a log.
    async fn page(&mut self, name: &TenantName) -> Result<(), Trouble> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut tenant = self.tenants.remove(name).unwrap_or_default();
        let page = self.reader.page(name, tenant.size).await.map_err(Trouble::Log)?;
        if page.is_empty() {
            let missing = StoreError::Projection("the log is shorter than what was committed".to_owned());
            return Err(Trouble::Log(missing));
        }
        // A page may be a second's work for a processor, which others on this thread must not wait for.
        let folded = tokio::task::spawn_blocking(move || {
            let delta = tenant.fold(&page);
            (tenant, delta)
        });
        let lost = |error: tokio::task::JoinError| Trouble::Log(StoreError::Projection(error.to_string()));
        let (mut tenant, delta) = folded.await.map_err(lost)?;
        let delta = delta.map_err(|source| {
            let tenant = name.clone();
            Trouble::Log(StoreError::Corrupt { tenant, source })
        })?;
        file.write(name, &mut tenant, &delta).await.map_err(Trouble::File)?;
        let size = tenant.size;
        self.tenants.insert(name.clone(), tenant);
        self.progress.send_modify(|progress| {
            progress.read.insert(name.clone(), size);
        });
        Ok(())
    }

    /// Opens the file and checks that it is of these logs; else it is made again.
    async fn open(&mut self) -> Result<(), Trouble> {
        let mut file = File::open(&self.path).await.map_err(Trouble::File)?;
        if !self.is_of_these_logs(&file).await.map_err(Trouble::Log)? {
            tracing::warn!(
                "the projection is of another log, such as before a restore: it is made again from the logs"
            );
            file.delete().await.map_err(Trouble::File)?;
            file = File::open(&self.path).await.map_err(Trouble::File)?;
        }
        #[cfg(test)]
        {
            file.faults = self.faults.clone();
        }
        let names: Vec<TenantName> = file.cursors.keys().cloned().collect();
        // From here on damage is told by `close`.
        let file = self.file.insert(file);
        let mut read = BTreeMap::new();
        for name in names {
            let tenant = file.load(&name).await.map_err(Trouble::File)?;
            read.insert(name.clone(), tenant.size);
            self.tenants.insert(name, tenant);
        }
        self.progress.send_modify(|progress| progress.read = read);
        Ok(())
    }

    /// Whether each cursor stands where the log has the same root.
    async fn is_of_these_logs(&self, file: &File) -> Result<bool, StoreError> {
        for (tenant, cursor) in &file.cursors {
            if self.reader.root_at(tenant, cursor.size).await? != Some(cursor.root) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Closes the file, and deletes it if it is damaged.
    async fn close(&mut self, damaged: bool) {
        self.tenants.clear();
        let Some(file) = self.file.take() else { return };
        if !damaged {
            return file.close().await;
        }
        tracing::warn!("the projection is damaged: it is made again from the logs");
        if let Err(error) = file.delete().await {
            tracing::warn!(%error, "the damaged projection cannot be deleted");
        }
    }

    /// The logs go before: what is kept for them is not written to.
    fn check_room(&self) -> Result<(), Trouble> {
        let lacking = lacks_room(&self.path, self.reserve);
        lacking.map_or(Ok(()), |why| Err(Trouble::Room(why)))
    }

    /// Says once what the trouble is, and once that it is over.
    fn tell(&self, trouble: Option<&Trouble>) {
        let text = trouble.map(ToString::to_string);
        self.progress.send_if_modified(|progress| {
            if progress.trouble == text {
                return false;
            }
            match (&progress.trouble, &text) {
                (None, Some(text)) => tracing::warn!("cost reports and searches wait: {text}"),
                (Some(_), Some(text)) => tracing::debug!("cost reports and searches still wait: {text}"),
                (Some(_), None) => tracing::info!("cost reports and searches go on"),
                (None, None) => {}
            }
            progress.trouble = text;
            true
        });
    }
}
