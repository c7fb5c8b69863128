//! The decision point: what policy enforcement points ask, and what they are answered (AuthZEN Authorization API 1.0).
//!
//! `caller.rs` says who asks, `evaluate.rs` and `search.rs` answer, `telling.rs` says what an answer may tell, `page.rs`
//! has the tokens by which a search goes on, `recording.rs` what the log keeps, `identity.rs` what the decision point says
//! of itself. Each call is one entry, and nothing is answered that is not recorded.

mod caller;
mod evaluate;
mod identity;
mod page;
mod recording;
mod search;
mod telling;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use authzen::Answer;
use entry::{Decided, DecidedCall, PepRight};
use model::{ActionId, TenantName};
use store::DecideError;
use tokio::sync::OwnedSemaphorePermit;

pub(crate) use caller::Peps;
pub use caller::{PepSession, Presented};
pub(crate) use identity::PdpKey;
pub use identity::endpoints;

use crate::{Control, metrics::Outcomes, snapshot::Tenant};

/// How often a question is decided again because something changed while it was.
const AGAIN: usize = 8;
/// When to come again if too much is asked at once.
const RETRY: Duration = Duration::from_secs(1);

/// What an enforcement point is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct PepAnswer {
    /// The call's id in the log.
    pub id: ActionId,
    /// The answer.
    pub answer: Answer,
}

/// Why an enforcement point is not answered. The texts are for whoever runs it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PepError {
    /// It is not known who asks.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// Who asks may not ask this.
    #[error("{0}")]
    Forbidden(String),
    /// The question makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// As many questions are being answered as may be.
    #[error("as many questions are being answered as may be at once; ask again in a moment")]
    Overloaded,
    /// The answer cannot be recorded, so there is none.
    #[error("the decision cannot be recorded now, so none is given")]
    Unavailable,
}

impl PepError {
    /// When it is worth another try, if it is the moment that is wrong.
    pub fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Overloaded | Self::Unavailable).then_some(RETRY)
    }
}

/// A question in all that it is decided on.
struct Grounds {
    session: PepSession,
    name: TenantName,
    tenant: Arc<Tenant>,
}

impl Control {
    /// A place among the questions that are being answered.
    fn place(&self) -> Result<OwnedSemaphorePermit, PepError> {
        let place = self.inner.places.clone().try_acquire_owned();
        place.map_err(|_| PepError::Overloaded)
    }

    /// Works beside the requests, as many at once as there are cores: what takes long would hold them up.
    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PepError> {
        let turn = self.inner.aside.clone().acquire_owned().await;
        let turn = turn.map_err(|_| PepError::Unavailable)?;
        // The turn is the work's: whoever asked may leave before it is done.
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        })
        .await;
        done.map_err(|_| PepError::Unavailable)
    }

    /// What is in effect for whoever asks.
    fn grounds(&self, session: &PepSession, right: PepRight) -> Result<Grounds, PepError> {
        let session = self.again(session)?;
        // What it may ask can have changed since its request began.
        session.require(right)?;
        let name = session.tenant().clone();
        let tenant = self.snapshot().tenants.get(&name).cloned();
        let tenant = tenant.ok_or(PepError::Unauthenticated(caller::UNKNOWN))?;
        Ok(Grounds { session, name, tenant })
    }

    /// Answers a question if there is a place for it, and counts how it ended.
    async fn answered<F>(
        &self,
        session: &PepSession,
        call: DecidedCall,
        decide: impl Fn(Grounds) -> F,
    ) -> Result<PepAnswer, PepError>
    where
        F: Future<Output = Result<(Decided, Answer), PepError>>,
    {
        let began = Instant::now();
        let answered = match self.place() {
            Ok(_place) => self.recorded_answer(session, call, decide).await,
            Err(error) => Err(error),
        };
        let ended = answered.as_ref().map(|(_, outcomes)| *outcomes);
        self.metrics().decided(call, ended, began.elapsed());
        answered.map(|(answer, _)| answer)
    }

    /// Decides by what is in effect and records it, again if something changed meanwhile.
    async fn recorded_answer<F>(
        &self,
        session: &PepSession,
        call: DecidedCall,
        decide: impl Fn(Grounds) -> F,
    ) -> Result<(PepAnswer, Outcomes), PepError>
    where
        F: Future<Output = Result<(Decided, Answer), PepError>>,
    {
        let right = match call {
            DecidedCall::Evaluation | DecidedCall::Evaluations => PepRight::Evaluate,
            DecidedCall::SearchSubject | DecidedCall::SearchResource | DecidedCall::SearchAction => PepRight::Search,
        };
        for _ in 0..AGAIN {
            let grounds = self.grounds(session, right)?;
            let (name, epoch) = (grounds.name.clone(), grounds.tenant.epoch);
            let (decided, answer) = decide(grounds).await?;
            let (id, outcomes) = (decided.id, Outcomes::of(&decided));
            let mode = self.inner.authzen.record.into();
            match self.committer().decide(name.clone(), epoch, decided, mode).await {
                Ok(_) => return Ok((PepAnswer { id, answer }, outcomes)),
                Err(DecideError::Stale { epoch, .. }) => self.await_epoch(&name, epoch).await,
                Err(DecideError::Unavailable(_)) => return Err(PepError::Unavailable),
            }
        }
        Err(PepError::Overloaded)
    }
}

impl From<crate::Recording> for store::Recording {
    fn from(recording: crate::Recording) -> Self {
        match recording {
            crate::Recording::Durable => Self::Durable,
            crate::Recording::Buffered => Self::Buffered,
        }
    }
}
