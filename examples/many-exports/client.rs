//! The client's process: a program that has many exports to carry out, written once for threads and once for tasks.

use std::{
    net::TcpListener,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use abyssale_host::FileStore;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

use crate::{AnyError, Options, by_hand, summary::Summary};

pub(crate) fn run(transport: &str, options: &Options) -> Result<(), AnyError> {
    let folder = tempfile::tempdir()?;
    let bar = ProgressBar::new(options.exports as u64);
    bar.set_style(ProgressStyle::with_template(
        "{msg:9} [{bar:40.cyan}] {pos}/{len} {per_sec:.dim} {elapsed:.dim}",
    )?);
    bar.set_message(transport.to_owned());
    let started = Instant::now();
    let latencies = match transport {
        "blocking" => blocking(folder.path(), options, &bar)?,
        "async" => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(asynchronous(folder.path(), options, &bar))?
        }
        "ureq" => by_hand::with_ureq(folder.path(), options, &bar)?,
        "hyper" => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(by_hand::with_hyper(folder.path(), options, &bar))?
        }
        other => return Err(format!("there is no transport {other}").into()),
    };
    let took = started.elapsed();
    bar.finish_and_clear();
    let archives = std::fs::read_dir(folder.path())?.filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|kind| kind == "zip"))
    });
    if archives.count() != options.exports {
        return Err("an archive is missing".into());
    }
    Summary::new(transport, took, latencies).print()?;
    Ok(())
}

/// A banner of its own for each export.
pub(crate) fn banner(number: usize) -> String {
    format!("64238d01-d402-474b-8c2d-{number:012x}")
}

/// Both builders have the same methods, so one text sets up both.
macro_rules! builder {
    ($builder:expr, $folder:expr, $options:expr) => {{
        let socket = TcpListener::bind("127.0.0.1:0")?;
        let builder = $builder
            .callback(format!("http://{}/abyssale", socket.local_addr()?))
            .listen_on(socket)
            // The service allows 10 requests a second; this is no service.
            .limits(|limits| limits.requests_per_second = u32::MAX);
        if $options.durable { builder.store(FileStore::open($folder.join("jobs"))?) } else { builder }
    }};
}

/// A thread for each export would be 10,000 threads that wait. A program that has so many takes a fixed number of threads,
/// each of which carries out one export after the other.
fn blocking(folder: &Path, options: &Options, bar: &ProgressBar) -> Result<Vec<Duration>, AnyError> {
    let exporter = builder!(abyssale_blocking::Exporter::builder(), folder, options).build()?;
    let (next, latencies) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || -> Result<(), abyssale_blocking::Error> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= options.exports {
                return Ok(());
            }
            let began = Instant::now();
            exporter.export([banner(number)])?.save_to(folder.join(format!("{number}.zip")))?;
            latencies.lock().unwrap_or_else(PoisonError::into_inner).push(began.elapsed());
            bar.inc(1);
        }
    };
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..options.threads.min(options.exports) {
            // Each waits most of the time, and needs little.
            threads.push(thread::Builder::new().stack_size(512 << 10).spawn_scoped(scope, work)?);
        }
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok::<_, AnyError>(())
    })?;
    Ok(latencies.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// All at once, a task for each.
async fn asynchronous(
    folder: &Path,
    options: &Options,
    bar: &ProgressBar,
) -> Result<Vec<Duration>, AnyError> {
    let exporter = builder!(abyssale_async::Exporter::builder(), folder, options).build().await?;
    let folder: Arc<Path> = folder.into();
    let mut tasks = JoinSet::new();
    for number in 0..options.exports {
        let (exporter, folder) = (exporter.clone(), Arc::clone(&folder));
        tasks.spawn(async move {
            let began = Instant::now();
            exporter.export([banner(number)])?.save_to(folder.join(format!("{number}.zip"))).await?;
            Ok::<_, abyssale_async::Error>(began.elapsed())
        });
    }
    let mut latencies = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        latencies.push(ended??);
        bar.inc(1);
    }
    Ok(latencies)
}
