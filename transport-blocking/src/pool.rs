//! A bounded pool of threads: they are started when there is work, kept for a while when there is none, and none is
//! lost to a handler that panics.

use std::{
    cell::Cell,
    collections::VecDeque,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Threads that do one kind of work.
pub(crate) struct Pool<T> {
    run: Box<dyn Fn(T) + Send + Sync>,
    most: usize,
    queues: Mutex<Queues<T>>,
    /// There is work, or never will be again.
    work: Condvar,
    /// There is room for more work, or nothing is being done.
    relief: Condvar,
}

struct Queues<T> {
    waiting: VecDeque<T>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl<T: Send + 'static> Pool<T> {
    /// At most `most` threads that `run`.
    pub(crate) fn new(most: usize, run: impl Fn(T) + Send + Sync + 'static) -> Arc<Self> {
        let queues = Queues { waiting: VecDeque::new(), threads: 0, idle: 0, closed: false };
        let (work, relief) = (Condvar::new(), Condvar::new());
        Arc::new(Self { run: Box::new(run), most, queues: Mutex::new(queues), work, relief })
    }

    /// Hands over work. Waits while as much is waiting already as there are threads at most.
    pub(crate) fn submit(self: &Arc<Self>, work: T) -> io::Result<()> {
        let mut queues = self.queues();
        while queues.waiting.len() >= self.most {
            queues = self.relief.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
        queues.waiting.push_back(work);
        if queues.waiting.len() <= queues.idle {
            self.work.notify_one();
        } else if queues.threads < self.most {
            queues.threads += 1;
            drop(queues);
            let pool = Arc::clone(self);
            // The stack is as large as any thread's: what a handler does with it is the user's.
            let started = thread::Builder::new().name("abyssale-deliver".into()).spawn(move || pool.work());
            if let Err(error) = started {
                let mut queues = self.queues();
                queues.threads -= 1;
                if queues.threads == 0 {
                    // Nobody will ever do it.
                    queues.waiting.clear();
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes no more work, and waits until all is done or it is `until`. Whether all is done.
    pub(crate) fn finish(&self, until: Instant) -> bool {
        let mut queues = self.queues();
        queues.closed = true;
        self.work.notify_all();
        while queues.threads > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            queues = self.relief.wait_timeout(queues, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn work(&self) {
        IN_POOL.set(true);
        let mut queues = self.queues();
        loop {
            if let Some(work) = queues.waiting.pop_front() {
                self.relief.notify_all();
                drop(queues);
                // What a handler of the user's own leaves behind is the user's; ours is dropped on the way.
                let _panicked = catch_unwind(AssertUnwindSafe(|| (self.run)(work)));
                queues = self.queues();
                continue;
            }
            if queues.closed {
                break;
            }
            queues.idle += 1;
            let (woken, waited) =
                self.work.wait_timeout(queues, SPARE).unwrap_or_else(PoisonError::into_inner);
            queues = woken;
            queues.idle -= 1;
            if waited.timed_out() && queues.waiting.is_empty() {
                break;
            }
        }
        queues.threads -= 1;
        self.relief.notify_all();
    }

    fn queues(&self) -> MutexGuard<'_, Queues<T>> {
        // No work is done while they are locked, so no panic can leave them half changed.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this thread belongs to a pool, which cannot wait for itself.
pub(crate) fn is_worker() -> bool {
    IN_POOL.get()
}

thread_local! {
    static IN_POOL: Cell<bool> = const { Cell::new(false) };
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("most", &self.most).finish_non_exhaustive()
    }
}

/// How long a thread without work is kept.
const SPARE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn a_panic_costs_no_thread() {
        let (done, results) = mpsc::channel();
        let pool = Pool::new(1, move |number: u32| {
            assert_ne!(number, 0, "as it should be");
            done.send(number).unwrap();
        });
        for number in [0, 1, 0, 2] {
            pool.submit(number).unwrap();
        }
        assert_eq!(results.recv_timeout(PATIENCE), Ok(1));
        assert_eq!(results.recv_timeout(PATIENCE), Ok(2));
        assert_eq!(pool.queues().threads, 1);
        assert!(pool.finish(Instant::now() + PATIENCE));
    }

    #[test]
    fn work_that_was_taken_is_done_before_the_end() {
        let (done, results) = mpsc::channel();
        let pool = Pool::new(2, move |number: u32| done.send(number).unwrap());
        for number in 0..100 {
            pool.submit(number).unwrap();
        }
        assert!(pool.finish(Instant::now() + PATIENCE));
        assert_eq!(results.try_iter().count(), 100);
    }
}
