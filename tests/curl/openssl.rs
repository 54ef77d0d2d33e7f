//! A delivery signed by the `openssl` command and posted by curl: nothing of ours has a hand in it until it arrives.

use std::{process::Command, time::Duration};

use abyssale_tests::process::{last_words, run};

use crate::{
    command::Curl,
    deliveries::EVENT,
    listeners::{PATH, SECRET, Standing, unix_now},
};

/// An installed openssl, beside an installed curl.
pub(crate) struct OpenSsl {
    program: &'static str,
    curl: Curl,
}

impl OpenSsl {
    pub(crate) fn find(curl: Curl) -> Result<Self, String> {
        let program = "openssl";
        match run(Command::new(program).arg("version"), b"", PATIENCE) {
            Ok(output) if output.status.success() => Ok(Self { program, curl }),
            Ok(output) => Err(format!("openssl does not run: {}", last_words(&output))),
            Err(error) => Err(format!("the openssl command is not installed ({error})")),
        }
    }

    fn header(&self, body: &str) -> String {
        let t = unix_now();
        let mut command = Command::new(self.program);
        let signed = format!("v1:webhook:{t}.{body}");
        let output =
            run(command.args(["dgst", "-sha256", "-hmac", SECRET]), signed.as_bytes(), PATIENCE).unwrap();
        // `SHA2-256(stdin)= 9a7e…`, or `(stdin)= 9a7e…`, depending on its age.
        let said = String::from_utf8(output.stdout).unwrap();
        let digest = said.split_whitespace().last().unwrap();
        format!("X-Abyssale-Signature: t={t},v1={digest}")
    }
}

pub(crate) fn is_genuine(openssl: &OpenSsl) {
    for standing in Standing::both() {
        let (url, header) = (format!("{}{PATH}", standing.url), openssl.header(EVENT));
        let post = |body: &str| {
            openssl.curl.send(&url, &["-H", &header, "--data-binary", "@-"], body.as_bytes()).status
        };
        assert_eq!((post(EVENT), standing.received().len()), (200, 1), "{}: {header}", standing.name);
        assert_eq!(post(&EVENT.replace("url.zip", "evil.zip")), 401, "{}", standing.name);
        assert_eq!(standing.received().len(), 1, "{}", standing.name);
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
