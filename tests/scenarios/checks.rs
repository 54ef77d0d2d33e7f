//! The check before the first export: each thing that would cost the export its archive is found, and nothing else.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, SystemTime},
};

use abyssale_core::{TokenPlacement, webhook::Reply};
use abyssale_host::Finding;
use abyssale_simulator::{Config, Simulator};

use crate::{
    adapter::Adapter,
    world::{PATIENCE, SECRET, World, config, setup, simulator},
};

pub(crate) fn a_check_of_what_works_finds_nothing<A: Adapter>() {
    for token in [Some(TokenPlacement::PathSegment), Some(TokenPlacement::QueryParameter("t".into())), None] {
        for secret in [Some(SECRET.to_owned()), None] {
            if secret.is_none() && token.is_none() {
                continue;
            }
            let world = World::<A>::with(&[], |setup| {
                setup.token.clone_from(&token);
                setup.secret.clone_from(&secret);
            });
            let findings = check(&world);
            assert!(findings.is_empty(), "{token:?} {findings:?}");
            let paths: Vec<_> = world.simulator.requests().into_iter().map(|request| request.path).collect();
            assert_eq!(paths, ["/auth"], "nothing is exported");
            assert!(world.left_behind().is_empty());
            // What was probed with is of no use afterwards, and exports go as ever.
            world.assert_saved();
        }
    }
}

pub(crate) fn a_wrong_key_is_found<A: Adapter>() {
    let world = World::<A>::with(&[], |setup| setup.api_key = "not-the-key".into());
    let [Finding::Key(error)] = &check(&world)[..] else { panic!() };
    assert_eq!(error.status(), 401);
}

pub(crate) fn a_service_that_is_not_there_is_found<A: Adapter>() {
    let world = World::<A>::with(&[], |setup| setup.base_url = format!("http://{}", nobody()));
    let [Finding::NoService(error)] = &check(&world)[..] else { panic!() };
    assert!(error.reason.contains("cannot reach 127.0.0.1:"), "{error}");
}

pub(crate) fn a_callback_url_that_leads_elsewhere_is_found<A: Adapter>() {
    // Another server, and another program that takes exports of the same workspace.
    for status in [200, 404] {
        let other = serve(move |_| format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"));
        elsewhere::<A>(&format!("http://{other}/abyssale"), status);
    }
    let simulator = simulator(&[]);
    let theirs = setup(&simulator);
    let callback = theirs.callback.clone().unwrap();
    let _other = A::build(theirs).unwrap();
    elsewhere::<A>(&callback, 404);
}

fn elsewhere<A: Adapter>(callback: &str, expected: u16) {
    let world = World::<A>::with(&[], |setup| setup.callback = Some(callback.into()));
    let findings = check(&world);
    assert!(
        matches!(findings[..], [Finding::CallbackElsewhere { status }] if status == expected),
        "{findings:?}"
    );
}

pub(crate) fn a_callback_url_that_leads_nowhere_is_found<A: Adapter>() {
    for host in [nobody().to_string(), "hooks.invalid:443".into()] {
        let world = World::<A>::with(&[], |setup| setup.callback = Some(format!("http://{host}/abyssale")));
        let [Finding::CallbackUnreachable(error)] = &check(&world)[..] else { panic!() };
        assert!(error.reason.starts_with(&format!("cannot reach {host}: ")), "{error}");
    }
}

pub(crate) fn a_proxy_that_changes_deliveries_or_answers_is_found<A: Adapter>() {
    // It drops the signature.
    let findings = check(&behind::<A>(|request| request.replace("x-abyssale-signature", "x-dropped"), |a| a));
    assert!(matches!(&findings[..], [Finding::CallbackChanged(Reply::Unauthorized(_))]), "{findings:?}");
    // It makes a GET of it.
    let findings = check(&behind::<A>(|request| request.replacen("POST ", "GET ", 1), |a| a));
    assert!(matches!(&findings[..], [Finding::CallbackChanged(Reply::MethodNotAllowed)]), "{findings:?}");
    // It answers itself.
    let findings = check(&behind::<A>(|r| r, |answer| answer.replacen(" 200 ", " 202 ", 1)));
    assert!(matches!(&findings[..], [Finding::CallbackAnswer { answer: Ok(202) }]), "{findings:?}");
    // And one that passes all of it.
    let findings = check(&behind::<A>(|r| r, |answer| answer));
    assert!(findings.is_empty(), "{findings:?}");
}

pub(crate) fn a_clock_that_differs_is_found<A: Adapter>() {
    let ten_minutes = Duration::from_secs(600);
    for (date, ahead) in [(SystemTime::now() - ten_minutes, true), (SystemTime::now() + ten_minutes, false)] {
        let simulator = Simulator::start(Config { date: Some(date), ..config(&[]) }).unwrap();
        let world = World::<A>::on(simulator, |_| {});
        let [Finding::Clock { by, is_ahead }] = check(&world)[..] else { panic!() };
        assert_eq!(is_ahead, ahead);
        // The service's date does not move here, and the test may be slow.
        assert!(by.abs_diff(ten_minutes) < PATIENCE, "{by:?}");
    }
}

pub(crate) fn a_folder_that_is_not_writable_is_found<A: Adapter>() {
    let world = World::<A>::new(&[]);
    let file = world.folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [world.folder.path().join("absent"), file] {
        let findings = world.adapter.check(Some(&path)).unwrap();
        assert!(
            matches!(&findings[..], [Finding::Folder { path: found, .. }] if *found == path),
            "{findings:?}"
        );
        assert!(findings[0].to_string().contains("choose another"), "{}", findings[0]);
    }
    assert!(world.adapter.check(None).unwrap().is_empty());
}

fn check<A: Adapter>(world: &World<A>) -> Vec<Finding> {
    world.adapter.check(Some(world.folder.path())).unwrap()
}

/// An address that nobody listens at.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// An exporter behind a proxy that changes what it forwards.
fn behind<A: Adapter>(
    request: impl Fn(String) -> String + Send + 'static,
    answer: impl Fn(String) -> String + Send + 'static,
) -> World<A> {
    World::with(&[], |setup| {
        let listener = setup.socket.as_ref().unwrap().local_addr().unwrap();
        let proxy = serve(move |head| {
            let mut stream = TcpStream::connect(listener).unwrap();
            stream.write_all(request(head).as_bytes()).unwrap();
            let mut bytes = vec![0; 4096];
            let read = stream.read(&mut bytes).unwrap();
            answer(String::from_utf8(bytes[..read].to_vec()).unwrap())
        });
        setup.callback = Some(format!("http://{proxy}/abyssale"));
    })
}

/// A server that gives each request, head and body, to a function. It lives as long as the test program.
fn serve(answer: impl Fn(String) -> String + Send + 'static) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        for stream in socket.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            // The body is one JSON object.
            while !request.ends_with(b"}") {
                match stream.read(&mut piece).unwrap() {
                    0 => break,
                    read => request.extend_from_slice(&piece[..read]),
                }
            }
            let answer = answer(String::from_utf8(request).unwrap());
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}
