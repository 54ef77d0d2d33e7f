//! The program as it is installed: each command runs, and each shell can complete it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

fn abyssale(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_abyssale"))
        .args(args)
        .env_remove("ABYSSALE_API_KEY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn an_export_is_made_unpacked_again_and_its_refusals_explained() {
    let room = tempfile::tempdir().unwrap();
    let path = |name: &str| room.path().join(name).to_str().unwrap().to_owned();
    let exported = abyssale(&["export", "--output", &path("out")], "");
    assert!(exported.status.success(), "{exported:?}");
    assert!(text(&exported.stdout).contains("6 files, "), "{exported:?}");
    let unpacked = abyssale(&["unpack", &path("out/banners.zip"), &path("again")], "");
    assert_eq!((unpacked.status.code(), text(&unpacked.stdout).lines().count()), (Some(0), 6));
    let explained =
        abyssale(&["explain"], r#"{"errors": {"media": {"ids": {"0": ["Length must be 36."]}}}}"#);
    assert!(text(&explained.stdout).contains("Length must be 36."), "{explained:?}");
    let checked = abyssale(&["check", "--output", &path("other")], "");
    assert!(checked.status.success() && text(&checked.stdout).contains("callback  ok\n"), "{checked:?}");
    let simulated = abyssale(&["simulate", "--seconds", "0"], "");
    assert!(simulated.status.success() && text(&simulated.stdout).starts_with("http://127.0.0.1:"));
}

#[test]
fn a_command_that_does_not_exist_is_told() {
    for (args, status) in
        [(&["--help"][..], 0), (&["--version"], 0), (&[], 2), (&["exprot"], 2), (&["--completions"], 2)]
    {
        let output = abyssale(args, "");
        assert_eq!(output.status.code(), Some(status), "{args:?}");
        let said = text(if status == 0 { &output.stdout } else { &output.stderr });
        assert!(said.contains("abyssale"), "{said}");
    }
}

/// Each option that a command's help lists is completed, and none that it does not have.
#[test]
fn completions_know_the_options_of_the_help() {
    let options = |text: &str| -> std::collections::BTreeSet<String> {
        let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
        let words = text.split(|c: char| !is_part(c)).filter(|word| word.starts_with("--") && word.len() > 2);
        words.map(str::to_owned).collect()
    };
    let script = text(&abyssale(&["--completions", "bash"], "").stdout);
    for command in ["export", "explain", "unpack", "simulate"] {
        let help = text(&abyssale(&[command, "--help"], "").stdout);
        let start = format!("        {command}) ");
        let line = script.lines().find(|line| line.starts_with(&start)).unwrap();
        assert_eq!(options(line), options(&help), "{command}");
    }
}
