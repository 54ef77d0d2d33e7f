//! What many jobs cost: memory for each that waits, and time for an event, a response and a timer with a hundred
//! thousand others beside it, as against a thousand. Prints ratios; asserts nothing. What it printed last, and where, is in
//! `README.md`.
#![allow(clippy::disallowed_types, reason = "it measures time")]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "it is what a benchmark is for")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use abyssale_core::{
    ApiKey, CallId, Config, Disposition, Endpoint, Export, Exports, Input, JobId, Limits, Order, Output,
    Timestamp, Token, TokenPlacement,
    http::Response,
    webhook::{CallbackEndpoint, Delivery, Verifier},
};

const FEW: u64 = 1_000;
const MANY: u64 = 100_000;

fn main() {
    let mut many = None;
    let built = Instant::now();
    let memory = allocation_counter::measure(|| many = Some(Bench::waiting(MANY)));
    let mut many = many.unwrap();
    println!("{MANY} jobs were asked for and accepted in {:.1?}.\n", built.elapsed());
    println!("| a waiting job takes | bytes |\n|---|--:|");
    println!("| in all | **{}** |", memory.bytes_current / i64::try_from(MANY).unwrap());
    println!("| of it the machine itself | {} |", size_of::<Export>());
    println!("| at the most, while they were made | {} |", memory.bytes_max / MANY);

    println!("\n| ns | with {FEW} jobs | with {MANY} jobs | ratio |\n|---|--:|--:|--:|");
    let mut few = Bench::waiting(FEW);
    row("nothing to do: poll, ask for the time", &mut few, &mut many, Bench::idle);
    row("a response that accepts, and what it says", &mut few, &mut many, Bench::responses);
    row("an event, and what it says", &mut few, &mut many, Bench::events);
    row("an event, from its bytes to a job that is saved", &mut few, &mut many, Bench::deliveries);
    row("a timer that ends a job, and its result", &mut few, &mut many, Bench::ticks);
}

/// The best of several rounds, in turns, so that both meet the same machine.
fn row(name: &str, few: &mut Bench, many: &mut Bench, measure: fn(&mut Bench) -> Duration) {
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (best, bench) in best.iter_mut().zip([&mut *few, &mut *many]) {
            // One round for the caches of whoever comes after the other.
            measure(bench);
            *best = (*best).min(measure(bench) / STEPS);
            bench.refill();
        }
    }
    let [few, many] = best.map(|time| time.as_nanos());
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds")]
    let ratio = many as f64 / few.max(1) as f64;
    println!("| {name} | {few} | {many} | **{ratio:.2}** |");
}

/// Many jobs, most of which wait for their event.
struct Bench {
    exports: Exports,
    now: Timestamp,
    orders: u64,
    size: usize,
    /// Those that wait, in no order.
    waiting: Vec<(JobId, u64)>,
    dice: u64,
}

impl Bench {
    fn waiting(size: u64) -> Self {
        let endpoint = Endpoint::new("https://api.abyssale.com", ApiKey::new("key").unwrap()).unwrap();
        let mut limits = Limits::default();
        (limits.jobs, limits.calls, limits.downloads) = (usize::MAX, usize::MAX, usize::MAX);
        limits.requests_per_second = u32::MAX;
        let exports = Exports::new(Arc::new(Config::new(endpoint)), limits);
        let now = Timestamp::from_secs(1_755_561_234);
        let size = usize::try_from(size).unwrap();
        let mut bench = Self { exports, now, orders: 0, size, waiting: Vec::new(), dice: 7 };
        bench.refill();
        bench.waiting.shrink_to_fit();
        bench
    }

    /// As many jobs wait as in the beginning, and nothing else is under way.
    fn refill(&mut self) {
        self.settle();
        while self.waiting.len() < self.size {
            let mut calls = self.submit(CHUNK.min(self.size - self.waiting.len()));
            // Answers come in any order, and a moment apart.
            for left in (1..=calls.len()).rev() {
                let (job, nth, call) = calls.swap_remove(self.below(left));
                self.accept(job, nth, call);
                self.waiting.push((job, nth));
                self.settle();
            }
        }
    }

    fn submit(&mut self, count: usize) -> Vec<(JobId, u64, CallId)> {
        let mut calls = Vec::with_capacity(count);
        for _ in 0..count {
            let nth = self.orders;
            self.orders += 1;
            let order =
                Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], "https://hooks.example.com/abyssale");
            let order = order.unwrap().with_token(token(nth), TokenPlacement::PathSegment).unwrap();
            let job = self.exports.submit(self.now, order).unwrap();
            let Some((_, Output::Call { call, .. })) = self.exports.poll_output() else { panic!() };
            calls.push((job, nth, call));
        }
        self.settle();
        calls
    }

    fn accept(&mut self, job: JobId, nth: u64, call: CallId) {
        self.now = self.now.saturating_add(Duration::from_millis(1));
        let body = format!(r#"{{"export_id":"{}"}}"#, export_id(nth));
        let input = Input::Response { call, response: Response::new(200, &[], body.as_bytes()) };
        assert_eq!(self.exports.handle(self.now, job, input), Disposition::Accepted);
    }

    /// Polls and saves all there is.
    fn settle(&mut self) {
        while self.exports.poll_output().is_some() {}
        self.exports.take_changes().for_each(drop);
    }

    fn cancel(&mut self, jobs: Vec<(JobId, u64)>) {
        for (job, _) in jobs {
            assert_eq!(self.exports.handle(self.now, job, Input::Cancel), Disposition::Accepted);
        }
        self.settle();
    }

    fn below(&mut self, end: usize) -> usize {
        self.dice = self.dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        usize::try_from(self.dice >> 33).unwrap() % end
    }

    fn some_that_wait(&mut self) -> Vec<(JobId, u64)> {
        let mut some = Vec::new();
        for _ in 0..STEPS {
            let at = self.below(self.waiting.len());
            some.push(self.waiting.swap_remove(at));
        }
        some
    }
}

/// What is measured, [`STEPS`] times each.
impl Bench {
    fn idle(&mut self) -> Duration {
        let start = Instant::now();
        for _ in 0..STEPS {
            self.exports.handle_timeout(self.now);
            assert!(black_box(self.exports.poll_output()).is_none());
            black_box(self.exports.poll_timeout());
        }
        start.elapsed()
    }

    fn responses(&mut self) -> Duration {
        let calls = self.submit(STEPS as usize);
        let bodies: Vec<_> =
            calls.iter().map(|(_, nth, _)| format!(r#"{{"export_id":"{}"}}"#, export_id(*nth))).collect();
        let start = Instant::now();
        for ((job, _, call), body) in calls.iter().zip(&bodies) {
            self.now = self.now.saturating_add(Duration::from_millis(1));
            let input = Input::Response { call: *call, response: Response::new(200, &[], body.as_bytes()) };
            let _ = black_box(self.exports.handle(self.now, *job, input));
            while black_box(self.exports.poll_output()).is_some() {}
        }
        let took = start.elapsed();
        self.waiting.extend(calls.into_iter().map(|(job, nth, _)| (job, nth)));
        took
    }

    fn events(&mut self) -> Duration {
        let some = self.some_that_wait();
        let deliveries: Vec<_> = some.iter().map(|(_, nth)| self.deliver(*nth)).collect();
        let start = Instant::now();
        for delivery in &deliveries {
            let _ = black_box(self.exports.handle_delivery(self.now, delivery));
            while black_box(self.exports.poll_output()).is_some() {}
        }
        let took = start.elapsed();
        self.cancel(some);
        took
    }

    fn deliveries(&mut self) -> Duration {
        let some = self.some_that_wait();
        let start = Instant::now();
        for (_, nth) in &some {
            let delivery = self.deliver(*nth);
            let _ = black_box(self.exports.handle_delivery(self.now, &delivery));
            for (_, change) in self.exports.take_changes() {
                black_box(change);
            }
            while black_box(self.exports.poll_output()).is_some() {}
        }
        let took = start.elapsed();
        self.cancel(some);
        took
    }

    fn ticks(&mut self) -> Duration {
        let mut took = Duration::ZERO;
        let mut over = self.overdue();
        let overdue = over.len();
        // Some only find that their job has more time.
        while over.len() < overdue + STEPS as usize {
            let at = self.exports.poll_timeout().unwrap();
            self.now = at;
            let start = Instant::now();
            self.exports.handle_timeout(at);
            while let Some((job, output)) = black_box(self.exports.poll_output()) {
                if let Output::Done(_) = output {
                    over.push(job);
                }
            }
            took += start.elapsed();
        }
        over.sort_unstable();
        self.waiting.retain(|(job, _)| over.binary_search(job).is_err());
        took
    }

    /// Those whose time came while others were made.
    fn overdue(&mut self) -> Vec<JobId> {
        self.exports.handle_timeout(self.now);
        let mut over = Vec::new();
        while let Some((job, output)) = self.exports.poll_output() {
            if let Output::Done(_) = output {
                over.push(job);
            }
        }
        over
    }

    fn deliver(&self, nth: u64) -> Delivery {
        let id = export_id(nth);
        let body = format!(r#"{{"export_id":"{id}","archive_url":"https://store.example.com/{id}.zip"}}"#);
        let endpoint = CallbackEndpoint::new(Verifier::new([]).accept_unsigned());
        let target = format!("/abyssale/{}", token(nth).as_str());
        endpoint.receive(self.now, "POST", &target, &(), body.as_bytes()).unwrap()
    }
}

/// As in life, tokens are in no order.
fn token(nth: u64) -> Token {
    let mut bits = nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 31;
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(bits.to_le_bytes().into_iter().cycle()) {
        *to = from;
    }
    Token::from_random(bytes)
}

fn export_id(nth: u64) -> String {
    format!("{nth:08x}-2656-455c-afd7-66d5ed3dd581")
}

/// How many answers are on their way at once.
const CHUNK: usize = 1000;
const STEPS: u32 = 250;
const ROUNDS: u32 = 12;
