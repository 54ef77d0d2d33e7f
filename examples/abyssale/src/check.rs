//! What a check found, for a person.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use abyssale_host::Finding;

/// Prints a line for each subject of a check. The exit status is 0 if all is well, and 1 if not.
pub fn print_findings(findings: &[Finding]) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let is_silent = findings.iter().any(|finding| matches!(finding, Finding::NoService(_)));
    for subject in ["key", "clock", "callback", "folder"] {
        let found = findings.iter().filter(|finding| finding.subject() == subject);
        let words: Vec<_> = found.map(ToString::to_string).collect();
        let words = match words.as_slice() {
            [] if subject == "clock" && is_silent => "not checked".into(),
            [] => "ok".into(),
            words => words.join("; "),
        };
        writeln!(out, "{subject:8}  {words}")?;
    }
    Ok(ExitCode::from(u8::from(!findings.is_empty())))
}
