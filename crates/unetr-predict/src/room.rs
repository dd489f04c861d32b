use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Room for so many pixels in memory, which threads take and give back.
#[derive(Debug)]
pub(crate) struct Room {
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// Who comes next gets this number.
    number: u64,
    /// Whose turn it is, so that many small photos do not keep a large one waiting for ever.
    turn: u64,
}

/// Some of it, until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    room: &'a Room,
    pixels: usize,
}

impl Room {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Waits for those who came before, and until the pixels fit or nothing else is taken.
    pub(crate) fn take(&self, pixels: usize) -> Taken<'_> {
        let mut state = self.state();
        let number = state.number;
        state.number += 1;
        let has_to_wait = |state: &mut State| {
            let is_full = state.taken > 0 && state.taken.saturating_add(pixels) > self.most;
            state.turn != number || is_full
        };
        let state = self.changed.wait_while(state, has_to_wait);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.taken += pixels;
        state.turn += 1;
        self.changed.notify_all();
        Taken { room: self, pixels }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.room.state().taken -= self.pixels;
        self.room.changed.notify_all();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_but_by_one_alone() {
        let room = Room::new(10);
        let now = AtomicUsize::new(0);
        thread::scope(|scope| {
            for pixels in [1, 4, 6, 10, 25] {
                let (room, now) = (&room, &now);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let _taken = room.take(pixels);
                        let all = now.fetch_add(pixels, Ordering::SeqCst) + pixels;
                        assert!(all <= 10 || all == pixels, "{all} with {pixels}");
                        now.fetch_sub(pixels, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(room.state().taken, 0);
    }

    #[test]
    fn small_ones_do_not_pass_a_large_one_that_waits() {
        let room = Room::new(10);
        let order = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let first = room.take(4);
            for (number, pixels) in [(1, 9), (2, 4)] {
                let (room, order) = (&room, &order);
                scope.spawn(move || {
                    let _taken = room.take(pixels);
                    order.lock().unwrap().push(pixels);
                });
                // It has come, and waits.
                while room.state().number <= number {
                    thread::yield_now();
                }
            }
            drop(first);
        });
        assert_eq!(order.into_inner().unwrap(), [9, 4]);
    }
}
