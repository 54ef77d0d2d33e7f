//! What `export` and `export-async` say, and the status that they exit with: each test runs them as a user does.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use abyssale_simulator::{Config, Simulator};
use abyssale_tests::{
    outside::{look_for, trial},
    process::run,
};
use libtest_mimic::{Arguments, Trial};
use tempfile::TempDir;

const ID: &str = "64238d01-d402-474b-8c2d-fbc957e9d290";
const OTHER: &str = "39a6f0c8-5e2d-4b71-b3f7-d94c1e80652a";
const PROGRAMS: [&str; 2] = [env!("CARGO_BIN_EXE_export"), env!("CARGO_BIN_EXE_export-async")];
/// Far longer than a program takes; only a failing test meets it.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let script = look_for("words", || {
        run(Command::new("script").arg("--version"), b"", PATIENCE)
            .map(drop)
            .map_err(|error| format!("there is no script(1), which makes a terminal: {error}"))
    });
    let plain = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        plain("all_that_is_missing_or_wrong_is_told_in_one_run", all_problems),
        plain("each_option_that_cannot_be_used_is_named_with_a_remedy", each_problem),
        plain("a_service_that_cannot_be_reached_is_named_by_host_and_port", unreachable),
        plain("a_retry_says_what_is_repeated", retries),
        plain("missing_banners_have_a_status_of_their_own", missing),
        plain("a_check_says_of_each_subject_whether_it_is_well", checks),
        plain("ctrl_c_says_what_becomes_of_the_export", interrupted),
        trial(&script, "a_dumb_terminal_loses_no_line", |()| dumb_terminal()),
        trial(&script, "the_bar_counts_within_its_bounds_and_fits_its_terminal", |()| bar()),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A program with a key, in a folder of its own.
fn program(path: &str, room: &Path) -> Command {
    let mut command = Command::new(path);
    command.current_dir(room).env("ABYSSALE_API_KEY", "simulator-key").env_remove("ABYSSALE_SIGNING_SECRET");
    command
}

/// The exit status, and what standard output and standard error got.
fn outcome(command: &mut Command) -> (i32, String, String) {
    let output = run(command, b"", PATIENCE).unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code().unwrap(), out, err)
}

fn room() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn simulator(change: impl FnOnce(&mut Config)) -> Simulator {
    let mut config = Config { render_delay: Duration::from_millis(20), ..Config::default() };
    change(&mut config);
    Simulator::start(config).unwrap()
}

/// The options of an export from this simulator.
fn options(command: &mut Command, simulator: &Simulator) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (callback, listen) = (format!("http://127.0.0.1:{port}/hook"), format!("127.0.0.1:{port}"));
    command.env("ABYSSALE_BASE_URL", simulator.base_url());
    command.args(["--callback-url", &callback, "--listen", &listen, "--output", "out"]);
}

fn all_problems() {
    let room = room();
    for path in PROGRAMS {
        let (status, _, err) = outcome(program(path, room.path()).args(["--wait", "soon", "--nonsense"]));
        for named in ["--wait soon", "--nonsense", "--callback-url", "--listen", "no banner ids", "--help"] {
            assert!(err.contains(named), "{named}: {err}");
        }
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        assert!(err.lines().all(|line| line.starts_with(&format!("{name}: "))), "{err}");
        assert_eq!((status, err.lines().count()), (2, 6), "{err}");
        assert!(!room.path().join("abyssale-export").read_dir().is_ok_and(|mut all| all.next().is_some()));
    }
}

fn each_problem() {
    let room = room();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    std::fs::write(room.path().join("file"), "").unwrap();
    let working = ["--callback-url", "https://hooks.example.com/a", "--listen", "127.0.0.1:0", ID];
    for (args, expected) in [
        (&["--listen", "8080"][..], "--listen 8080: give a host and a port, such as 0.0.0.0:8080"),
        (&["--listen", "here"], "--listen here: give a host and a port, such as 0.0.0.0:8080"),
        (&["--listen", &taken], "choose another address of this machine, or another port"),
        (&["--output", "file"], "--output file: it is a file; choose a folder that is absent or empty"),
        (&["--output", "."], "--output .: there are files in it; choose a folder that is absent or empty"),
        (&["-o", "file/below"], "--output file/below: the folder cannot be created: "),
        (&["--wait", "-1"], "--wait -1: give a number of seconds, 0 or more, such as --wait 600"),
        (&["--callback-url", "hooks.example.com"], "hooks.example.com"),
        (&["not-an-id"], "\"not-an-id\" is not a banner id"),
    ] {
        for path in PROGRAMS {
            let (status, _, err) = outcome(program(path, room.path()).args(working).args(args));
            assert!(err.contains(expected), "{args:?}: {err}");
            assert_eq!((status, err.lines().count()), (2, 1), "{err}");
        }
    }
    for path in PROGRAMS {
        let (status, _, err) =
            outcome(program(path, room.path()).args(working).env("ABYSSALE_SIGNING_SECRET", "a\u{fc}"));
        assert!(status == 2 && err.contains("ABYSSALE_SIGNING_SECRET: "), "{err}");
        let (status, _, err) =
            outcome(program(path, room.path()).args(working).env("ABYSSALE_BASE_URL", "http://h"));
        assert!(status == 2 && err.contains("base URL"), "{err}");
    }
}

fn unreachable() {
    let room = room();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for path in PROGRAMS {
        let mut command = program(path, room.path());
        command.env("ABYSSALE_BASE_URL", format!("http://{nobody}")).env("ABYSSALE_MAX_RETRIES", "1");
        let callback = ["--callback-url", "http://127.0.0.1:1/a", "--listen", "127.0.0.1:0", ID];
        let (status, _, err) = outcome(command.args(callback));
        assert_eq!(status, 1, "{err}");
        let reason = format!("cannot reach {nobody}: Connection refused");
        assert_eq!(err.matches(&reason).count(), 2, "{err}");
        assert!(err.contains("retry 1 of the request in 1."), "{err}");
        assert!(!err.contains("io:") && !err.contains("tcp connect error"), "{err}");
    }
}

fn retries() {
    for path in PROGRAMS {
        let room = room();
        let simulator = simulator(|config| config.troubles.push("archive:cut=100".parse().unwrap()));
        let mut command = program(path, room.path());
        options(&mut command, &simulator);
        let (status, _, err) = outcome(command.arg(ID));
        assert_eq!(status, 0, "{err}");
        assert!(err.contains("retry 1 of the download in 1."), "{err}");
    }
}

fn missing() {
    for path in PROGRAMS {
        let room = room();
        let simulator = simulator(|config| config.unknown_ids.push(OTHER.into()));
        let mut command = program(path, room.path());
        options(&mut command, &simulator);
        let (status, out, err) = outcome(command.args([ID, OTHER]));
        assert_eq!(status, 3, "{out}{err}");
        assert!(out.contains("1 of the 2 banners asked for is missing\n"), "{out}");
        assert!(out.contains(&format!("missing: {OTHER}, which the service does not know\n")), "{out}");
        let mut command = program(path, room.path());
        options(&mut command, &simulator);
        let (status, out, err) = outcome(command.args([ID, ID, "--output", "twice"]));
        assert_eq!((status, out.contains("missing")), (0, false), "{out}{err}");
        let help = outcome(program(path, room.path()).arg("--help")).1;
        assert!(help.contains("\n  3    banners are missing"), "{help}");
        assert!(
            help.lines().all(|line| line.starts_with("  export") || line.chars().count() <= 100),
            "{help}"
        );
    }
}

fn checks() {
    for path in PROGRAMS {
        let room = room();
        let simulator = simulator(|_| {});
        let mut command = program(path, room.path());
        options(&mut command, &simulator);
        let (status, out, err) = outcome(command.arg("--check"));
        assert_eq!(
            (status, out.as_str()),
            (0, "key       ok\nclock     ok\ncallback  ok\nfolder    ok\n"),
            "{err}"
        );
        assert!(simulator.exports().is_empty() && !room.path().join("out").exists());

        let mut command = program(path, room.path());
        options(&mut command, &simulator);
        let elsewhere = format!("{}/hook", simulator.base_url());
        command.args(["--check", "--callback-url", &elsewhere]).env("ABYSSALE_API_KEY", "another");
        let (status, out, _) = outcome(&mut command);
        assert_eq!(status, 1, "{out}");
        assert!(out.starts_with("key       the API key is refused: "), "{out}");
        assert!(out.contains("\ncallback  the callback URL does not lead to this program: "), "{out}");
        assert!(out.ends_with("\nfolder    ok\n"), "{out}");
    }
}

fn interrupted() {
    for path in PROGRAMS {
        let room = room();
        let simulator = simulator(|config| config.render_delay = PATIENCE);
        let mut command = program(path, room.path());
        options(&mut command, &simulator);
        let mut child = command.arg(ID).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("was accepted") {
            assert!(err.read_line(&mut said).unwrap() > 0, "{said}");
        }
        let pid = child.id().to_string();
        assert!(run(Command::new("kill").args(["-s", "INT", &pid]), b"", PATIENCE).unwrap().status.success());
        err.read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
        let export_id = &simulator.exports()[0].export_id;
        assert!(said.contains(&format!("interrupted; export {export_id} goes on at Abyssale")), "{said}");
        assert!(!room.path().join("out").exists(), "an empty folder is removed");
    }
}

/// Runs a program on a terminal that has `columns`, and returns all that it wrote there.
fn on_a_terminal(path: &str, term: &str, columns: u16) -> String {
    let room = room();
    let line = format!("stty cols {columns} rows 24; {path} --output out");
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(room.path());
    command.env("TERM", term).env("SHELL", "/bin/sh").env_remove("ABYSSALE_API_KEY");
    let output = run(&mut command, b"", PATIENCE).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

fn dumb_terminal() {
    for path in PROGRAMS {
        let text = on_a_terminal(path, "dumb", 80);
        for line in
            ["ABYSSALE_API_KEY is not set", "was accepted", "is ready", " downloaded", "in out/banners"]
        {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}

fn bar() {
    for path in PROGRAMS {
        for columns in [40, 120] {
            let text = on_a_terminal(path, "xterm", columns);
            for line in ["ABYSSALE_API_KEY is not set", "was accepted", "is ready", " downloaded"] {
                assert!(text.contains(line), "{line}: {text}");
            }
            // A moving line is drawn again and again, each time from the first column.
            let plain = without_escapes(&text);
            let drawn = plain.split(['\r', '\n']).filter(|line| line.starts_with(is_spinner));
            let drawn: Vec<_> = drawn.map(str::trim_end).collect();
            assert!(drawn.iter().any(|line| line.contains("waiting for the event")), "{drawn:#?}");
            for line in drawn {
                assert!(line.chars().count() <= usize::from(columns), "{line}");
                for word in line.split(' ') {
                    if let Some((position, length)) = word.split_once('/')
                        && let (Ok(position), Ok(length)) = (position.parse::<u64>(), length.parse::<u64>())
                    {
                        assert!(position <= length, "{line}");
                    }
                }
            }
            let table = plain.lines().filter(|line| line.contains('×'));
            assert!(table.clone().count() > 1, "{plain}");
            assert!(table.into_iter().all(|line| line.chars().count() <= usize::from(columns)), "{plain}");
        }
    }
}

fn is_spinner(c: char) -> bool {
    ('\u{2800}'..='\u{28ff}').contains(&c)
}

/// Removes the sequences that move the cursor or set a colour.
fn without_escapes(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| {
        let (sequence, rest) =
            piece.split_at(piece.find(|c: char| c.is_ascii_alphabetic()).map_or(piece.len(), |at| at + 1));
        // A cursor that is moved to the left or up begins a line anew.
        let begins = if sequence.ends_with(['A', 'G', 'D', 'K']) { "\r" } else { "" };
        plain + begins + rest
    })
}
