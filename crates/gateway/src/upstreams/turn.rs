//! Driving a connection and what waits for it in one task, without waking that task for what one hands the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// How often the parts are polled again before the task is woken after all. More than one hand-over in each direction is
/// never needed; a part that wakes itself to give others a turn must not go round for ever.
const ROUNDS: usize = 4;

/// Nobody polls: a wake goes to the task.
const IDLE: u8 = 0;
/// The parts are being polled.
const POLLING: u8 = 1;
/// They are, and one of them has something for another since.
const AGAIN: u8 = 2;

/// A turn of the task at parts that wake each other.
pub(super) struct Turn {
    inner: Arc<Inner>,
    waker: Waker,
}

struct Inner {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let marked = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            (state != IDLE).then_some(AGAIN)
        });
        if marked.is_err() {
            self.task.wake();
        }
    }
}

impl Turn {
    pub(super) fn new() -> Self {
        let inner = Arc::new(Inner {
            state: AtomicU8::new(IDLE),
            task: AtomicWaker::new(),
        });
        let waker = Waker::from(inner.clone());
        Self { inner, waker }
    }

    /// Polls the parts until one of them is ready or none has anything for another.
    pub(super) fn poll<T>(&self, cx: &Context<'_>, mut parts: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.inner.task.register(cx.waker());
        let mut ours = Context::from_waker(&self.waker);
        for _ in 0..ROUNDS {
            self.inner.state.store(POLLING, Ordering::Release);
            let polled = parts(&mut ours);
            // A wake that came while polling found the state and changed it: it is not lost on either way out. After
            // something ready the caller polls again.
            let left = self.inner.state.swap(IDLE, Ordering::AcqRel);
            if polled.is_ready() || left == POLLING {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        (count.clone(), Waker::from(count))
    }

    #[test]
    fn a_wake_within_polls_again_and_one_outside_wakes_the_task() {
        let (count, waker) = counted();
        let turn = Turn::new();
        let mut rounds = 0;
        let mut kept = None;
        let polled = turn.poll(&Context::from_waker(&waker), |cx| {
            rounds += 1;
            kept = Some(cx.waker().clone());
            match rounds {
                1 => {
                    cx.waker().wake_by_ref();
                    Poll::<()>::Pending
                }
                _ => Poll::Pending,
            }
        });
        assert!(polled.is_pending());
        assert_eq!((rounds, count.0.load(Ordering::Relaxed)), (2, 0));
        kept.unwrap().wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_wakes_itself_for_ever_gives_others_a_turn() {
        let (count, waker) = counted();
        let mut rounds = 0;
        let polled = Turn::new().poll(&Context::from_waker(&waker), |cx| {
            rounds += 1;
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((rounds, count.0.load(Ordering::Relaxed)), (ROUNDS, 1));
    }
}
