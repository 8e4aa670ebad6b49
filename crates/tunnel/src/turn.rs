//! Order among workers: what was decided in an order happens in that order, though what lies between
//! is done side by side.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

// Waking a thread on a core that sleeps takes about as long; most turns come sooner.
pub(crate) const SPINS: u32 = 1500;

/// A queue of tickets. Whoever draws one must wait for its turn and pass it on.
#[derive(Default)]
pub(crate) struct Turns {
    drawn: AtomicU64,
    serving: AtomicU64,
    sleepers: Mutex<Sleepers>,
    passed: Condvar,
}

#[derive(Default)]
struct Sleepers {
    count: usize,
    closed: bool,
}

/// A place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// A turn, until it is dropped.
pub(crate) struct Turn<'a>(&'a Turns);

impl Turns {
    /// Draws the next place. Call it where the order is decided: under the lock of the decision.
    pub(crate) fn draw(&self) -> Ticket {
        Ticket(self.drawn.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits until all earlier places had their turn; `None` when one of them never will.
    pub(crate) fn wait(&self, ticket: Ticket) -> Option<Turn<'_>> {
        for _ in 0..SPINS {
            if self.serving.load(Ordering::Acquire) == ticket.0 {
                return Some(Turn(self));
            }
            std::hint::spin_loop();
        }
        let mut sleepers = self.lock();
        loop {
            if self.serving.load(Ordering::Acquire) == ticket.0 {
                return Some(Turn(self));
            }
            if sleepers.closed {
                return None;
            }
            sleepers.count += 1;
            sleepers = self
                .passed
                .wait(sleepers)
                .unwrap_or_else(PoisonError::into_inner);
            sleepers.count -= 1;
        }
    }

    /// Nobody waits any longer: a worker has ended with a ticket.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.passed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // With a panic under way what should have happened in this turn did not: it is the last one.
        if std::thread::panicking() {
            return;
        }
        self.0.serving.fetch_add(1, Ordering::Release);
        // Under the lock, so that nobody falls asleep between looking and waiting.
        if self.0.lock().count > 0 {
            self.0.passed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_in_the_order_of_the_tickets() {
        let (turns, order) = (Turns::default(), Mutex::new(Vec::new()));
        let tickets: Vec<_> = (0..200).map(|_| turns.draw()).collect();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (turns, order, tickets) = (&turns, &order, &tickets);
                scope.spawn(move || {
                    for ticket in tickets.iter().skip(worker).step_by(4) {
                        let turn = turns.wait(*ticket).unwrap();
                        order.lock().unwrap().push(*ticket);
                        drop(turn);
                    }
                });
            }
        });
        assert_eq!(*order.lock().unwrap(), tickets);
    }

    #[test]
    fn who_waits_for_one_that_never_comes_is_told() {
        let turns = Turns::default();
        let (_lost, next) = (turns.draw(), turns.draw());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| turns.wait(next).is_none());
            turns.close();
            assert!(waiting.join().unwrap());
        });
    }
}
