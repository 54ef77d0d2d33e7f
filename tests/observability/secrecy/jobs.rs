//! Jobs that come to their end and jobs that fail in each way, through both transports.

use std::{fs, net::TcpListener, sync::Mutex, thread, time::Duration};

use abyssale_core::{Order, UnknownOutcome};
use abyssale_host::{Error, FileStore, Progress};
use abyssale_observability::Recorder;
use abyssale_simulator::{Config, Simulator};
use tokio::net::TcpSocket;

use crate::{
    KEY, QUERY, SECRET, WRONG_KEY,
    adapter::{Adapter, Async, Blocking, Setup},
    hunt::{Hunt, Secret, is_trace_of_ureq},
    world::{IDS, PATIENCE, World, config},
};

/// Long enough for a machine on this machine.
const SHORT: Duration = Duration::from_millis(100);

type Change = Box<dyn Fn(&mut Setup)>;

/// What may become of a job, the troubles that bring it about, and the settings.
fn cases() -> Vec<(&'static str, Vec<String>, Change)> {
    let grace = || -> Change {
        Box::new(|setup| setup.unknown_outcome = UnknownOutcome::AwaitEvent { grace: SHORT })
    };
    let as_it_is = || -> Change { Box::new(|_| {}) };
    let one_try = || -> Change { Box::new(|setup| setup.max_retries = 0) };
    let mut cases: Vec<(&'static str, Vec<&str>, Change)> = vec![
        ("a success", vec![], as_it_is()),
        ("a client of the user's own", vec![], Box::new(|setup| setup.own_client = true)),
        ("a refused key", vec![], Box::new(|setup| setup.api_key = WRONG_KEY.into())),
        ("a wrong id", vec!["create:status=404:id=visual_not_found"], as_it_is()),
        ("a refusal in HTML", vec!["create:status=403:as=html"], as_it_is()),
        (
            "a request that is throttled",
            vec!["create:status=429:retry-after=0:id=request_rate_limited"],
            as_it_is(),
        ),
        ("a fault of the service", vec!["create:status=503"], grace()),
        ("an answer that was lost after acceptance", vec!["create:lost-after"], as_it_is()),
        ("an answer that was lost before acceptance", vec!["create:reset-before"], grace()),
        ("an answer that is garbage", vec!["create:garbage"], as_it_is()),
        ("an answer that is no JSON", vec!["create:not-json"], as_it_is()),
        ("a redirect", vec!["create:status=307"], as_it_is()),
        ("a forged delivery", vec!["event:forged-first"], as_it_is()),
        ("a delivery of another export", vec!["event:stranger-first"], as_it_is()),
        ("a delivery of another type", vec!["event:other-type-first"], as_it_is()),
        ("a contradiction", vec!["event:conflict-after"], as_it_is()),
        ("no event", vec!["event:never"], Box::new(|setup| setup.event_timeout = SHORT)),
        ("an expired archive", vec!["archive:status=403"], one_try()),
        ("an archive that broke off", vec!["archive:cut=100"], one_try()),
        ("an archive that could not be had", vec!["archive:reset"], one_try()),
        ("no archive", vec!["archive:error-page"], one_try()),
        ("an archive that was moved", vec!["archive:redirect"], as_it_is()),
        ("a folder that is not there", vec![], as_it_is()),
    ];
    let nobody: Change = Box::new(|setup| {
        // Bound and not listening: refused, and nobody else's before the test's process ends.
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        setup.base_url = format!("http://{}", silent.local_addr().unwrap());
        setup.max_retries = 0;
        std::mem::forget(silent);
    });
    cases.push(("a host that cannot be reached", vec![], nobody));
    let no_name: Change = Box::new(|setup| {
        setup.base_url = "https://abyssale.invalid".into();
        setup.max_retries = 0;
    });
    cases.push(("a host that has no address", vec![], no_name));
    let no_tls: Change = Box::new(|setup| {
        setup.base_url = setup.base_url.replace("http://", "https://");
        setup.max_retries = 0;
    });
    cases.push(("a service that speaks no TLS", vec![], no_tls));
    let mut cases: Vec<_> = cases
        .into_iter()
        .map(|(name, troubles, change)| (name, troubles.into_iter().map(str::to_owned).collect(), change))
        .collect();
    let elsewhere = [
        ("an archive in a private network", format!("event:archive-url=https://10.0.0.1/a.zip?{QUERY}")),
        ("an address that is none", format!("event:archive-url=a.zip?{QUERY}")),
        ("a redirect into a private network", format!("archive:redirect=http://10.0.0.1/a.zip?{QUERY}")),
        ("a redirect to nowhere", format!("archive:redirect=ftp://10.0.0.1/a.zip?{QUERY}")),
    ];
    cases.extend(elsewhere.map(|(name, trouble)| (name, vec![trouble], as_it_is())));
    cases
}

fn simulator(troubles: &[String]) -> Simulator {
    let troubles: Vec<_> = troubles.iter().map(String::as_str).collect();
    let config = Config { api_key: KEY.into(), signing_secret: Some(SECRET.into()), ..config(&troubles) };
    Simulator::start(config).unwrap()
}

#[test]
fn no_secret_is_in_what_a_synchronous_program_says() {
    whatever_becomes_of_it::<Blocking>();
}

#[test]
fn no_secret_is_in_what_an_asynchronous_program_says() {
    whatever_becomes_of_it::<Async>();
}

fn whatever_becomes_of_it<A: Adapter>() {
    for (name, troubles, change) in cases() {
        let world = World::<A>::on(simulator(&troubles), |setup| {
            setup.secret = Some(SECRET.into());
            change(setup);
        });
        run(name, world);
    }
}

/// Carries out a job, and searches all that there is of it.
fn run<A: Adapter>(name: &str, world: World<A>) {
    let recorder = Recorder::installed();
    let (mut hunt, mark) = (Hunt::new(), recorder.mark());
    let told = Mutex::new(Vec::new());
    let observer = |progress: Progress<'_>| {
        told.lock().unwrap().push(format!("{progress:?} {progress:#?}"));
        if let Progress::Notice(notice) = progress {
            told.lock().unwrap().push(notice.to_string());
        }
    };
    let target = match name {
        "a folder that is not there" => world.folder.path().join("absent/banners.zip"),
        _ => world.target(),
    };
    let saved = world.adapter.save(&IDS, &target, observer);
    hunt.hear(format!("exporter of {name}"), world.adapter.shown());
    hunt.hear(format!("observer of {name}"), told.into_inner().unwrap().join("\n"));
    match &saved {
        Ok(saved) => hunt.hear_debug("the event", &saved.event),
        Err(error) => hunt.hear_error(name, error),
    }
    let World { simulator, adapter, folder, .. } = world;
    // What comes to its end in the background is heard, too.
    drop(adapter);
    for file in fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap()) {
        let file_name = file.file_name().into_string().unwrap();
        // The archive itself is what a peer sent.
        if saved.is_err() || file_name != "banners.zip" {
            let contents = fs::read(file.path()).unwrap();
            hunt.hear(format!("file {file_name} of {name}"), String::from_utf8_lossy(&contents));
        }
    }
    sent(&mut hunt, name, &simulator);
    hunt.hear_records(name, &recorder.since(mark));
    hunt.assert_clean(8);
}

/// What the simulator was sent, and by which secrets it is told.
fn sent(hunt: &mut Hunt, name: &str, simulator: &Simulator) {
    for export in simulator.exports() {
        let callback = export.callback_url.unwrap();
        hunt.seek(Secret::Token, callback.rsplit('/').next().unwrap());
        hunt.seek(Secret::Query, export.archive_url.split_once('?').unwrap().1);
    }
    for request in simulator.requests() {
        let is_archive = request.path.starts_with("/archives/");
        let (query, body, key): (&[_], &[_], &[_]) =
            if is_archive { (&[Secret::Query], &[], &[]) } else { (&[], &[Secret::Token], &[Secret::Key]) };
        hunt.hear(format!("path of a request of {name}"), request.path);
        hunt.hear_where(format!("query of a request of {name}"), request.query.unwrap_or_default(), query);
        hunt.hear_where(format!("body of a request of {name}"), String::from_utf8_lossy(&request.body), body);
        for (field, value) in &request.headers {
            let may_hold = if field == "x-api-key" { key } else { &[] };
            let value = String::from_utf8_lossy(value.as_bytes());
            hunt.hear_where(format!("{field} of a request of {name}"), value, may_hold);
        }
    }
}

#[test]
fn only_ureqs_trace_level_logs_whole_addresses() {
    let recorder = Recorder::installed();
    let run = |quiet| {
        recorder.quiet_libraries(quiet);
        let world = World::<Blocking>::on(simulator(&[]), |setup| setup.secret = Some(SECRET.into()));
        let event = world.adapter.wait(&IDS).unwrap();
        let query = event.archive_url.split_once('?').unwrap().1.to_owned();
        let mark = recorder.mark();
        world.adapter.download(&event, &world.target()).unwrap();
        let mut hunt = Hunt::new();
        hunt.seek(Secret::Query, &query);
        for record in recorder.since(mark).iter().filter(|record| is_trace_of_ureq(record)) {
            hunt.hear("log of ureq", format!("{record:?}"));
        }
        recorder.quiet_libraries(false);
        hunt
    };
    run(true).assert_clean(2);
    assert!(
        !run(false).leaks().is_empty(),
        "it is said no more: the exception can go, here and in SECURITY.md"
    );
}

#[test]
fn the_calls_about_the_signing_secret_say_nothing_of_it() {
    fn calls<A: Adapter>() {
        let recorder = Recorder::installed();
        let (mut hunt, mark) = (Hunt::new(), recorder.mark());
        let world = World::<A>::on(simulator(&[]), |setup| setup.secret = Some(SECRET.into()));
        let states = [
            world.adapter.signing_secret(),
            world.adapter.rotate(false),
            world.adapter.rotate(true),
            world.adapter.revoke(),
        ];
        for state in states {
            let state = state.unwrap();
            hunt.seek(Secret::Signing, state.secret.expose());
            hunt.hear_debug("the state", &state);
        }
        world.adapter.rotate(true).unwrap();
        hunt.hear_error("a rotation that is too early", &world.adapter.rotate(false).unwrap_err());
        let World { simulator, adapter, .. } = world;
        drop(adapter);
        sent(&mut hunt, "the calls", &simulator);
        hunt.hear_records("the calls", &recorder.since(mark));
        hunt.assert_clean(20);
    }
    calls::<Blocking>();
    calls::<Async>();
}

#[test]
fn a_store_holds_neither_the_key_nor_a_signing_secret() {
    fn crash<A: Adapter>() {
        let recorder = Recorder::installed();
        let (mut hunt, mark) = (Hunt::new(), recorder.mark());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs");
        let store = FileStore::open(&path).unwrap();
        hunt.hear_debug("the store", &store);
        let world = World::<A>::on(simulator(&[]), |setup| {
            setup.secret = Some(SECRET.into());
            setup.store = Some(Box::new(store));
        });
        let kept = Mutex::new(Vec::new());
        let observer = |progress: Progress<'_>| {
            if let Progress::Downloading { .. } = progress {
                // What was just saved is in the log beside the file.
                let files = ["jobs", "jobs-wal", "jobs.lock"].map(|name| fs::read(path.with_file_name(name)));
                kept.lock().unwrap().push(files.map(Result::unwrap_or_default).concat());
            }
        };
        world.adapter.save(&IDS, &world.target(), observer).unwrap();
        let World { simulator, adapter, .. } = world;
        drop(adapter);
        sent(&mut hunt, "the job", &simulator);
        let kept = kept.into_inner().unwrap();
        let text = String::from_utf8_lossy(&kept[0]).into_owned();
        let mut teeth = Hunt::new();
        sent(&mut teeth, "the job", &simulator);
        let before = teeth.leaks().len();
        teeth.hear("store", text.as_str());
        assert!(teeth.leaks().len() > before, "the token and the address are there, and are found");
        hunt.hear_where("store", text, &[Secret::Token, Secret::Query]);
        hunt.hear_records("the job", &recorder.since(mark));
        hunt.assert_clean(10);
    }
    crash::<Blocking>();
    crash::<Async>();
}

#[test]
fn a_call_by_itself_says_no_secret_either() {
    fn calls<A: Adapter>() {
        let recorder = Recorder::installed();
        let mut hunt = Hunt::new();
        let world = World::<A>::on(simulator(&[]), |setup| setup.secret = Some(SECRET.into()));
        let mark = recorder.mark();
        let order = Order::new(IDS, "http://127.0.0.1:9/elsewhere/0123456789abcdef0123456789abcdef").unwrap();
        world.adapter.create_export(&order).unwrap();
        let event = world.adapter.wait(&IDS).unwrap();
        world.adapter.download(&event, &world.target()).unwrap();
        let missing = world.folder.path().join("missing").join("banners.zip");
        hunt.hear_error("a folder that is not there", &world.adapter.download(&event, &missing).unwrap_err());
        let World { simulator, adapter, .. } = world;
        drop(adapter);
        sent(&mut hunt, "the calls", &simulator);
        hunt.hear_records("the calls", &recorder.since(mark));
        hunt.assert_clean(20);
    }
    calls::<Blocking>();
    calls::<Async>();
}

#[test]
fn a_service_that_repeats_what_it_was_sent_is_not_repeated() {
    fn repeated<A: Adapter>(status: u16, wrap: fn(&str) -> String) {
        let recorder = Recorder::installed();
        let (mut hunt, mark) = (Hunt::new(), recorder.mark());
        let (address, token) = repeating(status, wrap);
        let world = World::<A>::on(simulator(&[]), |setup| {
            setup.secret = Some(SECRET.into());
            setup.base_url = format!("http://{address}");
            setup.unknown_outcome = UnknownOutcome::AwaitEvent { grace: SHORT };
            setup.max_retries = 0;
        });
        let told = Mutex::new(Vec::new());
        let observer = |progress: Progress<'_>| told.lock().unwrap().push(format!("{progress:?}"));
        let error = world.adapter.save(&IDS, &world.target(), observer).map(drop).unwrap_err();
        hunt.hear_error("a service that repeats", &error);
        if let Error::Failure(failure) = &error {
            hunt.hear("failure as JSON", serde_json::to_string(failure).unwrap());
        }
        hunt.hear_error("a secret's call", &world.adapter.signing_secret().map(drop).unwrap_err());
        hunt.hear("observer", told.into_inner().unwrap().join("\n"));
        drop(world);
        hunt.seek(Secret::Token, &token.lock().unwrap());
        hunt.hear_records("a service that repeats", &recorder.since(mark));
        hunt.assert_clean(10);
    }
    let as_it_is: fn(&str) -> String = |request| request.to_owned();
    let as_message: fn(&str) -> String =
        |request| serde_json::json!({ "id": "unauthorized", "message": request }).to_string();
    let as_problem: fn(&str) -> String = |request| {
        let problem = serde_json::json!({ "path": "callback_url", "code": "wrong", "message": "No.", "received": request });
        serde_json::json!({ "id": "invalid_payload", "message": "No.", "errors": [problem] }).to_string()
    };
    for wrap in [as_it_is, as_message, as_problem] {
        for status in [200, 400, 401, 503] {
            repeated::<Blocking>(status, wrap);
            repeated::<Async>(status, wrap);
        }
    }
}

/// A service that answers with what it was sent, and the token that it was sent.
fn repeating(status: u16, wrap: fn(&str) -> String) -> (std::net::SocketAddr, std::sync::Arc<Mutex<String>>) {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let token = std::sync::Arc::new(Mutex::new(String::new()));
    let seen = std::sync::Arc::clone(&token);
    // It ends with its second request, the last.
    thread::spawn(move || {
        for mut connection in listener.incoming().take(2).flatten() {
            connection.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|read| read == 1) {
                request.extend(byte);
            }
            let head = String::from_utf8(request.clone()).unwrap().to_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            connection.read_exact(&mut body).unwrap();
            if let Some(callback) = String::from_utf8_lossy(&body).split("/abyssale/").nth(1) {
                callback.split('"').next().unwrap().clone_into(&mut seen.lock().unwrap());
            }
            request.extend(body);
            let answer = wrap(&String::from_utf8(request).unwrap());
            let length = answer.len();
            let head = format!(
                "HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            connection.write_all(&[head.as_bytes(), answer.as_bytes()].concat()).unwrap();
        }
    });
    (address, token)
}
