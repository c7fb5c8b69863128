//! Work on numbered pieces by several threads, taken up in order by one.

use std::{
    ops::ControlFlow,
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

use crate::read::workers;

/// How many finished pieces may wait for each worker's turn.
const WAITING: usize = 4;

/// Does `work` for each piece from 0 to `count` on several threads and hands the results to `take` in order, until that
/// says to stop. No more than a few pieces are in memory at a time.
pub(crate) fn in_order<T: Send>(
    count: u64,
    work: impl Fn(u64) -> T + Sync,
    mut take: impl FnMut(T) -> ControlFlow<()>,
) {
    let threads = workers();
    let stride = u64::try_from(threads).unwrap_or(1);
    thread::scope(|scope| {
        let (work, mut results) = (&work, Vec::<Receiver<T>>::new());
        for first in 0..stride.min(count) {
            let (sender, receiver) = sync_channel(WAITING);
            results.push(receiver);
            scope.spawn(move || {
                let mut piece = first;
                // A failure to hand over means that nobody wants more.
                while piece < count && sender.send(work(piece)).is_ok() {
                    piece += stride;
                }
            });
        }
        // Each thread has every so-many-th piece, so asking them in turn gives the pieces in order.
        let mut turns = results.iter().cycle();
        for _ in 0..count {
            // A thread that is gone without its piece has panicked; leaving the scope says so.
            let Some(Ok(piece)) = turns.next().map(Receiver::recv) else {
                return;
            };
            if take(piece).is_break() {
                return;
            }
        }
    });
}
