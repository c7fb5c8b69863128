//! The places of a route, shared fairly among agents.
//!
//! Who gets the next free place is the agent with the fewest calls running; among equals, the one that was served the
//! longest ago. So an agent with a thousand calls waiting delays another's first by one place, not by a thousand. The
//! queue is bounded; when it is full, the newest call of the agent with the most waiting gives way to an agent that has
//! fewer.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::{AgentName, TenantName};
use tokio::{sync::oneshot, time::Instant};

use super::Places;

/// Whose share a call is of.
pub type Sharer = (TenantName, AgentName);

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// As many wait as may.
    Full,
    /// None became free in time.
    Late,
}

/// The places of a route.
#[derive(Debug)]
pub struct Gate {
    places: Places,
    share: Mutex<Share<oneshot::Sender<()>>>,
}

impl Gate {
    /// A gate with so many places, all free.
    pub fn new(places: Places) -> Self {
        Self {
            places,
            share: Mutex::new(Share::new(places.running, places.waiting)),
        }
    }

    /// How many there are, and who may wait.
    pub fn places(&self) -> Places {
        self.places
    }

    /// Waits for a place, but not beyond `deadline`. Dropped, it waits no more.
    pub async fn enter(self: &Arc<Self>, who: Sharer, deadline: Instant) -> Result<Place, Busy> {
        let until = Instant::now() + self.places.patience;
        let until = until.min(deadline);
        let (turn, called) = oneshot::channel();
        let (entered, displaced) = self.share().enter(&who, turn);
        // Dropping its sender tells the call that gave way.
        drop(displaced);
        let ticket = match entered {
            Entered::Now => return Ok(self.place(who)),
            Entered::Full => return Err(Busy::Full),
            Entered::Waits(ticket) => ticket,
        };
        let mut waiting = Waiting {
            gate: self,
            who: &who,
            ticket,
            called,
        };
        match tokio::time::timeout_at(until, &mut waiting.called).await {
            // Its message was taken, so dropping `waiting` gives nothing back.
            Ok(Ok(())) => {
                drop(waiting);
                Ok(self.place(who))
            }
            Ok(Err(_)) => Err(Busy::Full),
            Err(_) => Err(Busy::Late),
        }
    }

    fn place(self: &Arc<Self>, who: Sharer) -> Place {
        Place {
            gate: self.clone(),
            who,
        }
    }

    /// A poisoned lock only means that somebody died between two calls of these few lines.
    fn share(&self) -> MutexGuard<'_, Share<oneshot::Sender<()>>> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, who: &Sharer) {
        let mut share = self.share();
        let mut leaving = who.clone();
        // Whoever is called but has gone meanwhile gives the place on.
        while let Some((next, turn)) = share.leave(&leaving) {
            if turn.send(()).is_ok() {
                return;
            }
            leaving = next;
        }
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.share().waiting
    }
}

/// A call that waits.
struct Waiting<'a> {
    gate: &'a Gate,
    who: &'a Sharer,
    ticket: u64,
    called: oneshot::Receiver<()>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.gate.share().withdraw(self.who, self.ticket).is_some() {
            return;
        }
        // It was called, or gave way. Only a call that has arrived is a place to give back: whoever calls after this finds
        // nobody, and gives the place on.
        self.called.close();
        if self.called.try_recv().is_ok() {
            self.gate.leave(self.who);
        }
    }
}

/// A place. Dropped, the next may have it.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    who: Sharer,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.leave(&self.who);
    }
}

/// What asking for a place leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entered {
    Now,
    /// Under this number.
    Waits(u64),
    Full,
}

/// Who runs and who waits: each step costs the logarithm of their number.
#[derive(Debug)]
struct Share<W> {
    free: usize,
    most_waiting: usize,
    waiting: usize,
    /// Counts places given and numbers handed out.
    clock: u64,
    agents: HashMap<Sharer, Seat<W>>,
    /// Agents that wait, the next one first: by calls running, then by when they were last served.
    next: BTreeSet<(usize, u64, Sharer)>,
    /// Agents that wait, by how many calls.
    longest: BTreeSet<(usize, Sharer)>,
}

#[derive(Debug)]
struct Seat<W> {
    running: usize,
    served: u64,
    queue: BTreeMap<u64, W>,
}

impl<W> Share<W> {
    fn new(places: usize, most_waiting: usize) -> Self {
        Self {
            free: places,
            most_waiting,
            waiting: 0,
            clock: 0,
            agents: HashMap::new(),
            next: BTreeSet::new(),
            longest: BTreeSet::new(),
        }
    }

    /// Asks for a place. Gives the call of another agent that has to give way, if there is one.
    fn enter(&mut self, who: &Sharer, call: W) -> (Entered, Option<W>) {
        self.clock += 1;
        if self.free > 0 {
            self.free -= 1;
            self.run(who);
            return (Entered::Now, None);
        }
        let mut displaced = None;
        if self.waiting >= self.most_waiting {
            let mine = self.agents.get(who).map_or(0, |seat| seat.queue.len());
            let longest = self.longest.last().filter(|(calls, _)| *calls > mine + 1);
            let Some((_, other)) = longest.cloned() else {
                return (Entered::Full, None);
            };
            displaced = self.change(&other, |seat| seat.queue.pop_last().map(|(_, call)| call));
            self.waiting -= usize::from(displaced.is_some());
        }
        let ticket = self.clock;
        self.change(who, |seat| seat.queue.insert(ticket, call));
        self.waiting += 1;
        (Entered::Waits(ticket), displaced)
    }

    /// Gives a place back. Says whose call has it now.
    fn leave(&mut self, who: &Sharer) -> Option<(Sharer, W)> {
        self.change(who, |seat| seat.running = seat.running.saturating_sub(1));
        let Some((_, _, next)) = self.next.first().cloned() else {
            self.free += 1;
            return None;
        };
        let call = self.change(&next, |seat| seat.queue.pop_first().map(|(_, call)| call));
        self.waiting -= usize::from(call.is_some());
        self.run(&next);
        call.map(|call| (next, call))
    }

    /// Stops waiting. `None` if the call does not wait (any more).
    fn withdraw(&mut self, who: &Sharer, ticket: u64) -> Option<W> {
        let call = self.change(who, |seat| seat.queue.remove(&ticket));
        self.waiting -= usize::from(call.is_some());
        call
    }

    fn run(&mut self, who: &Sharer) {
        self.clock += 1;
        let now = self.clock;
        self.change(who, |seat| {
            seat.running += 1;
            seat.served = now;
        });
    }

    /// Changes an agent's seat and keeps both orders, and nothing of an agent that neither runs nor waits.
    fn change<R>(&mut self, who: &Sharer, change: impl FnOnce(&mut Seat<W>) -> R) -> R {
        let arrived = self.clock;
        let seat = self.agents.entry(who.clone()).or_insert_with(|| Seat {
            running: 0,
            // Whoever comes anew comes behind those who wait, or many who come and go could keep one waiting for ever.
            served: arrived,
            queue: BTreeMap::new(),
        });
        if !seat.queue.is_empty() {
            self.next.remove(&(seat.running, seat.served, who.clone()));
            self.longest.remove(&(seat.queue.len(), who.clone()));
        }
        let result = change(seat);
        let (running, served, waiting) = (seat.running, seat.served, seat.queue.len());
        if waiting > 0 {
            self.next.insert((running, served, who.clone()));
            self.longest.insert((waiting, who.clone()));
        } else if running == 0 {
            self.agents.remove(who);
        }
        result
    }
}

#[cfg(test)]
mod tests;
