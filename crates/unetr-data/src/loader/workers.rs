use super::job::Job;
use crate::{Result, batch::Item};
use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

/// Threads that read a job's samples ahead of their consumer, under a bound.
#[derive(Debug)]
pub(super) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    job: Job,
    /// How many samples may be taken up and not yet released.
    limit: usize,
    state: Mutex<State>,
    /// A sample was released, or all is over.
    room: Condvar,
    /// A sample is ready.
    arrival: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many positions workers have taken up.
    taken: usize,
    /// How many positions the consumer is done with.
    released: usize,
    /// Samples that wait for the consumer, by position.
    ready: BTreeMap<usize, Result<Item>>,
    stopped: bool,
}

impl Workers {
    /// Starts up to `count` threads; fewer, or none, when the system refuses more.
    pub(super) fn start(job: Job, count: usize, limit: usize) -> Self {
        let shared = Arc::new(Shared {
            job,
            limit,
            state: Mutex::default(),
            room: Condvar::new(),
            arrival: Condvar::new(),
        });
        let count = count.min(shared.job.order.len());
        let mut threads = Vec::with_capacity(count);
        for i in 0..count {
            let worker = shared.clone();
            let builder = thread::Builder::new().name(format!("unetr-data {i}"));
            match builder.spawn(move || worker.run()) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    log::warn!("data loader: {i} of {count} worker threads started: {error}");
                    break;
                }
            }
        }
        Self { shared, threads }
    }

    /// Waits for the sample at `position`.
    pub(super) fn receive(&self, position: usize) -> Result<Item> {
        if self.threads.is_empty() {
            return self.shared.job.load(position);
        }
        let mut state = self.shared.lock();
        loop {
            if let Some(item) = state.ready.remove(&position) {
                return item;
            }
            state = wait(&self.shared.arrival, state);
        }
    }

    /// How many samples the job has.
    pub(super) fn len(&self) -> usize {
        self.shared.job.order.len()
    }

    /// Makes room for `count` more samples.
    pub(super) fn release(&self, count: usize) {
        self.shared.lock().released += count;
        self.shared.room.notify_all();
    }
}

impl Drop for Workers {
    /// Ends the threads; each finishes at most the sample it is at.
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // A worker catches the panics of datasets and transforms; there is nothing to report.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        while let Some(position) = self.take() {
            let item = self.job.load(position);
            self.lock().ready.insert(position, item);
            self.arrival.notify_one();
        }
    }

    /// Waits for room and takes up the next position; none when all are taken or all is over.
    fn take(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.taken == self.job.order.len() {
                return None;
            }
            if state.taken - state.released < self.limit {
                state.taken += 1;
                return Some(state.taken - 1);
            }
            state = wait(&self.room, state);
        }
    }

    /// No code panics under the lock, so that a poisoned state is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}
