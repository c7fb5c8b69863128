//! Reading request bodies whole, within what all of them may take together.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use control::Limits;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a permit is for, in bytes. In larger pieces small calls would count too much; in smaller ones more would be counted
/// than a semaphore can.
const PIECE: usize = 1_024;

/// The room for request bodies.
#[derive(Debug)]
pub(crate) struct Bodies {
    room: Arc<Semaphore>,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is longer than it may be.
    TooLarge,
    /// Other bodies leave no room for it.
    NoRoom,
    /// The caller broke it off.
    BrokenOff,
    /// It took too long.
    Late,
}

impl Bodies {
    pub(crate) fn new(limits: &Limits) -> Self {
        let pieces = limits.bodies_bytes.div_ceil(PIECE).min(Semaphore::MAX_PERMITS);
        Self {
            room: Arc::new(Semaphore::new(pieces)),
        }
    }

    /// Reads a body to its end. What it takes counts until the last that holds it has dropped it, which the call does.
    ///
    /// It counts as it comes and not as it is announced: who announces much and sends nothing takes no room from others.
    pub(crate) async fn read(&self, body: &mut Incoming, most: usize, within: Duration) -> Result<Bytes, Unread> {
        if http_body::Body::size_hint(body).lower() > u64::try_from(most).unwrap_or(u64::MAX) {
            return Err(Unread::TooLarge);
        }
        let read = tokio::time::timeout(within, self.collect(body, most));
        read.await.unwrap_or(Err(Unread::Late))
    }

    async fn collect(&self, body: &mut Incoming, most: usize) -> Result<Bytes, Unread> {
        let mut first = Bytes::new();
        let mut more = BytesMut::new();
        let mut place = Place::default();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Unread::BrokenOff)?.into_data() else {
                // Trailers say nothing that is forwarded.
                continue;
            };
            if data.is_empty() {
                continue;
            }
            let length = first.len() + more.len() + data.len();
            if length > most {
                return Err(Unread::TooLarge);
            }
            place.grow(&self.room, length)?;
            if length == data.len() {
                // Most bodies come in one piece, which then is not copied.
                first = data;
            } else {
                if more.is_empty() {
                    more.extend_from_slice(&std::mem::take(&mut first));
                }
                more.extend_from_slice(&data);
            }
        }
        let bytes = if more.is_empty() { first } else { more.freeze() };
        if bytes.is_empty() {
            return Ok(bytes);
        }
        Ok(Bytes::from_owner(Placed { bytes, _place: place }))
    }
}

/// The room that a body takes.
#[derive(Debug, Default)]
struct Place(Option<OwnedSemaphorePermit>);

impl Place {
    fn grow(&mut self, room: &Arc<Semaphore>, bytes: usize) -> Result<(), Unread> {
        let has = self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = bytes.div_ceil(PIECE).saturating_sub(has);
        if wanted == 0 {
            return Ok(());
        }
        let wanted = u32::try_from(wanted).map_err(|_| Unread::NoRoom)?;
        let permit = room
            .clone()
            .try_acquire_many_owned(wanted)
            .map_err(|_| Unread::NoRoom)?;
        match &mut self.0 {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }
}

/// A body with the room it takes, which is free again when the last reference to the body is gone.
struct Placed {
    bytes: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
