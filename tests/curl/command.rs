//! The curl command: found, run without the user's settings, and its answers taken apart.

use std::{process::Command, time::Duration};

use abyssale_tests::process::{last_words, run};

/// An installed curl.
pub(crate) struct Curl {
    program: &'static str,
}

/// What curl got for one request, and how.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The statuses of the heads before it, such as 100.
    pub(crate) interim: Vec<u16>,
    /// `allow`, `connection` and the like, with names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// How many connections were made for it: 0 if it went over an open one.
    pub(crate) connects: u32,
    /// How many bytes of the body were sent.
    pub(crate) sent: u64,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Curl {
    pub(crate) fn find() -> Result<Self, String> {
        let program = "curl";
        match run(Command::new(program).arg("--version"), b"", PATIENCE) {
            Ok(output) if output.status.success() => Ok(Self { program }),
            Ok(output) => Err(format!("curl does not run: {}", last_words(&output))),
            Err(error) => Err(format!("curl is not installed ({error})")),
        }
    }

    /// Sends one request with these options; `body` is what `@-` stands for among them.
    pub(crate) fn send(&self, url: &str, options: &[&str], body: &[u8]) -> Answer {
        let mut answers = self.send_each(&[url], options, body);
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    /// Sends the same request to each address in turn, over one connection where the other side allows it.
    pub(crate) fn send_each(&self, urls: &[&str], options: &[&str], body: &[u8]) -> Vec<Answer> {
        let mut command = Command::new(self.program);
        // The first keeps out what the user's own settings say.
        command.args(["--disable", "--silent", "--show-error", "--include", "--noproxy", "*"]);
        command.args(["--max-time", "20", "--write-out", WRITE_OUT]).args(options).args(urls);
        let output = run(&mut command, body, PATIENCE).unwrap();
        assert!(output.status.success(), "{}: {options:?} to {urls:?}", last_words(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator(END).map(answer).collect()
    }
}

fn answer(text: &str) -> Answer {
    let (mut rest, figures) = text.rsplit_once(FIGURES).expect("curl writes what it is told to");
    let mut figures = figures.split(' ');
    let mut figure = || figures.next().and_then(|text| text.parse().ok()).expect("two figures");
    let (connects, sent) = (figure(), figure());
    let mut interim = Vec::new();
    loop {
        let (head, behind) = rest.split_once("\r\n\r\n").expect("an answer begins with a head");
        let mut lines = head.lines();
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status line");
        if (100..200).contains(&status) {
            interim.push(status);
            rest = behind;
            continue;
        }
        let fields = lines.filter_map(|line| line.split_once(':'));
        let headers = fields.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
        let connects = u32::try_from(connects).expect("a small number");
        return Answer { status, interim, headers, body: behind.to_owned(), connects, sent };
    }
}

/// What curl writes behind each answer.
const WRITE_OUT: &str = "\n<figures>%{num_connects} %{size_upload}\n<end>";
const FIGURES: &str = "\n<figures>";
const END: &str = "\n<end>";
/// Longer than curl is told to take at most.
const PATIENCE: Duration = Duration::from_secs(30);
