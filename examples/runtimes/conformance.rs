//! The runtimes as adapters: each call and each download is a run of the program, which says what it came to as JSON.

use std::{env, path::Path, process::Command};

use abyssale_conformance::{Adapter, Client, Service};
use abyssale_core::{ExportId, Failure, Finished, Order, webhook::NewExport};
use abyssale_tests::process::{last_words, run};

use crate::PATIENCE;

/// A program of this folder.
pub(crate) struct Program(pub(crate) Vec<String>);

impl Adapter for Program {
    fn client(&self, service: &Service) -> Box<dyn Client> {
        Box::new(Runs { program: self.0.clone(), service: service.clone() })
    }

    fn speaks_tls(&self) -> bool {
        false
    }
}

struct Runs {
    program: Vec<String>,
    service: Service,
}

impl Client for Runs {
    fn create_export(&self, order: &Order) -> Result<ExportId, Box<Failure>> {
        let ids = order.ids().iter().map(|id| id.as_str().to_owned());
        let finished = self.run(Path::new("unused"), ids, ("ABYSSALE_GOAL", "acceptance".into()))?;
        Ok(finished.export_id().clone())
    }

    fn download(&self, event: &NewExport, target: &Path) -> Result<u64, Box<Failure>> {
        let event = serde_json::to_string(event).unwrap();
        match self.run(target, std::iter::empty(), ("ABYSSALE_EVENT", event))? {
            Finished::Archive { bytes, .. } => Ok(bytes),
            other => panic!("no archive: {other:?}"),
        }
    }
}

impl Runs {
    fn run(
        &self,
        target: &Path,
        ids: impl Iterator<Item = String>,
        job: (&str, String),
    ) -> Result<Finished, Box<Failure>> {
        let service = &self.service;
        let mut command = Command::new(&self.program[0]);
        command.args(&self.program[1..]).arg(target).args(ids);
        command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).envs([
            job,
            ("ABYSSALE_API_KEY", service.api_key.expose().to_owned()),
            ("ABYSSALE_BASE_URL", service.base_url.clone()),
            ("ABYSSALE_TIMEOUT_MS", service.call_timeout.as_millis().to_string()),
            ("ABYSSALE_STALL_MS", service.stall_timeout.as_millis().to_string()),
            ("ABYSSALE_MAX_RETRIES", service.max_retries.to_string()),
        ]);
        let output = run(&mut command, b"", PATIENCE).unwrap();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", last_words(&output)))
    }
}
