use std::sync::{Condvar, Mutex, PoisonError};

/// Room for so many pixels in memory, which threads take and give back.
#[derive(Debug)]
pub(crate) struct Room {
    most: usize,
    taken: Mutex<usize>,
    changed: Condvar,
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
            taken: Mutex::new(0),
            changed: Condvar::new(),
        }
    }

    /// Waits until there is room, or nothing else.
    pub(crate) fn take(&self, pixels: usize) -> Taken<'_> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |taken: &mut usize| *taken > 0 && taken.saturating_add(pixels) > self.most;
        let taken = self.changed.wait_while(taken, is_full);
        *taken.unwrap_or_else(PoisonError::into_inner) += pixels;
        Taken { room: self, pixels }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let taken = self.room.taken.lock();
        *taken.unwrap_or_else(PoisonError::into_inner) -= self.pixels;
        self.room.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_but_by_one_alone() {
        let room = Room::new(10);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for pixels in [1, 4, 6, 10, 25] {
                let (room, now, most) = (&room, &now, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let _taken = room.take(pixels);
                        let all = now.fetch_add(pixels, Ordering::SeqCst) + pixels;
                        assert!(all <= 10 || all == pixels, "{all} with {pixels}");
                        most.fetch_max(all, Ordering::SeqCst);
                        now.fetch_sub(pixels, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 25);
        assert_eq!(room.taken.into_inner().ok(), Some(0));
    }
}
