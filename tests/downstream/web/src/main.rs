//! A web application: `POST /exports` begins an export in the background, `GET /health` says whether it would, and SIGTERM
//! ends it in order: no new exports, those under way to their end, then the server. `downstream-web PUBLIC_URL LISTEN FOLDER`
//!
//! In the other order a delivery would be refused, and its export would wait in vain.

use std::{
    env,
    error::Error,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use abyssale_async::Exporter;
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Mutex,
    task::JoinSet,
    time::timeout,
};

struct App {
    exporter: Exporter,
    folder: PathBuf,
    is_closing: AtomicBool,
    begun: AtomicUsize,
    under_way: Mutex<JoinSet<()>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(public), Some(listen), Some(folder)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: downstream-web PUBLIC_URL LISTEN FOLDER".into());
    };
    let exporter = Exporter::builder().callback(format!("{public}/abyssale")).build().await?;
    let app = Arc::new(App {
        exporter: exporter.clone(),
        folder: folder.into(),
        is_closing: AtomicBool::new(false),
        begun: AtomicUsize::new(0),
        under_way: Mutex::default(),
    });
    let router = Router::new()
        .route("/exports", post(begin))
        .route("/health", get(health))
        .with_state(Arc::clone(&app))
        .route_service("/abyssale/{token}", exporter.service());
    let mut terminate = signal(SignalKind::terminate())?;
    let drained = async move {
        terminate.recv().await;
        app.is_closing.store(true, Ordering::Relaxed);
        let mut under_way = app.under_way.lock().await;
        // What is not over by then is lost with the process, unless the exporter has a store.
        let _late =
            timeout(Duration::from_secs(50), async { while under_way.join_next().await.is_some() {} }).await;
    };
    Ok(axum::serve(TcpListener::bind(listen).await?, router).with_graceful_shutdown(drained).await?)
}

/// Takes banner ids, one a line.
async fn begin(State(app): State<Arc<App>>, ids: String) -> (StatusCode, String) {
    // A shutdown holds this lock until the last export is over.
    let Ok(mut under_way) = app.under_way.try_lock() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down".into());
    };
    if app.is_closing.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down".into());
    }
    let number = app.begun.fetch_add(1, Ordering::Relaxed);
    let task = {
        let app = Arc::clone(&app);
        async move {
            let target = app.folder.join(format!("{number}.zip"));
            let saved = match app.exporter.export(ids.lines()) {
                Ok(job) => job.save_to(target).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = saved {
                // An application would log it and report it to its user.
                let _unwritten =
                    tokio::fs::write(app.folder.join(format!("{number}.txt")), error.to_string()).await;
            }
        }
    };
    under_way.spawn(task);
    (StatusCode::ACCEPTED, number.to_string())
}

async fn health(State(app): State<Arc<App>>) -> StatusCode {
    if app.is_closing.load(Ordering::Relaxed) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}
