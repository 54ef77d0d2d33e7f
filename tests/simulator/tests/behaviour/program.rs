//! The program: what it prints first, what it takes, what it says when it does not.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use crate::common::send;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulator")).args(arguments).output().unwrap()
}

#[test]
fn its_first_line_is_where_it_is_and_it_ends_by_itself() {
    let arguments = [
        "--seconds",
        "2",
        "--dialect",
        "legacy",
        "--api-key",
        "k",
        "--trouble",
        "create:status=503:as=empty",
    ];
    let mut program =
        Command::new(env!("CARGO_BIN_EXE_simulator")).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut base = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut base).unwrap();
    let create = |key| send(base.trim_end(), "POST", "/async/banners/export", &[("x-api-key", key)], "");
    assert_eq!(create("k").status, 503);
    assert_eq!(create("wrong").text(), r#"{"message": "Unauthorized"}"#);
    assert!(program.wait().unwrap().success());
}

#[test]
fn help_explains_every_trouble() {
    let help = run(&["--help"]);
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success());
    for word in
        ["--listen", "create:WHAT", "event:WHAT", "archive:WHAT", "64238d01-d402-474b-8c2d-fbc957e9d290"]
    {
        assert!(text.contains(word), "{word}");
    }
}

#[test]
fn an_impossible_option_is_refused_in_one_line() {
    for (arguments, reason) in [
        (["--trouble", "create:sleepy"], "there is no trouble `create:sleepy`"),
        (["--listen", "0.0.0.0:0"], "0.0.0.0:0 is not a loopback address"),
        (["--dialect", "klingon"], "the dialects are legacy and current"),
    ] {
        let refused = run(&arguments);
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && refused.stdout.is_empty());
        assert!(
            text.starts_with("simulator: ") && text.contains(reason) && text.lines().count() == 1,
            "{text}"
        );
    }
}
