//! Both transports pass what every adapter must do, with their own clients and with ones that a user brings.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{path::Path, process::ExitCode, sync::Arc};

use abyssale_conformance::{Adapter, Client, Service, checks};
use abyssale_core::{ExportId, Failure, Order, webhook::NewExport};
use abyssale_host::Error;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let adapters: [(&str, Arc<dyn Adapter + Send + Sync>); 4] = [
        ("blocking", Arc::new(Blocking { brings_agent: false })),
        ("blocking_with_an_agent_of_ones_own", Arc::new(Blocking { brings_agent: true })),
        ("asynchronous", Arc::new(Async { brings_client: false })),
        ("asynchronous_with_a_client_of_ones_own", Arc::new(Async { brings_client: true })),
    ];
    for (name, adapter) in adapters {
        for check in checks() {
            let adapter = Arc::clone(&adapter);
            trials.push(Trial::test(format!("{name}::{}", check.name), move || {
                (check.run)(&*adapter);
                Ok(())
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Both builders have the same methods.
macro_rules! configured {
    ($builder:expr, $service:ident) => {
        $builder.api_key($service.api_key.clone()).base_url(&$service.base_url).settings(|settings| {
            settings.timeout = Some($service.call_timeout);
            settings.stall_timeout = Some($service.stall_timeout);
            settings.max_retries = Some($service.max_retries);
        })
    };
}

struct Blocking {
    brings_agent: bool,
}

impl Adapter for Blocking {
    fn client(&self, service: &Service) -> Box<dyn Client> {
        let mut builder = configured!(abyssale_blocking::Client::builder(), service);
        if self.brings_agent {
            builder = builder.agent(ureq::Agent::config_builder().proxy(None).build().new_agent());
        }
        Box::new(BlockingClient(builder.build().unwrap()))
    }

    fn watches(&self) -> bool {
        // Nothing of ours is between ureq and the socket of an agent that was brought.
        !self.brings_agent
    }

    fn speaks_tls(&self) -> bool {
        // The agent that is brought here has no TLS built in.
        !self.brings_agent
    }
}

struct BlockingClient(abyssale_blocking::Client);

impl Client for BlockingClient {
    fn create_export(&self, order: &Order) -> Result<ExportId, Box<Failure>> {
        self.0.create_export(order, None).map_err(failure)
    }

    fn download(&self, event: &NewExport, target: &Path) -> Result<u64, Box<Failure>> {
        self.0.download(event, target, None).map_err(failure)
    }
}

struct Async {
    brings_client: bool,
}

impl Adapter for Async {
    fn client(&self, service: &Service) -> Box<dyn Client> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut builder = configured!(abyssale_async::Client::builder(), service);
        if self.brings_client {
            let executor = hyper_util::rt::TokioExecutor::new();
            builder = builder.http_client(hyper_util::client::legacy::Client::builder(executor).build_http());
        }
        let client = builder.build().unwrap();
        Box::new(AsyncClient { client, runtime })
    }

    fn speaks_tls(&self) -> bool {
        !self.brings_client
    }
}

struct AsyncClient {
    client: abyssale_async::Client,
    runtime: tokio::runtime::Runtime,
}

impl Client for AsyncClient {
    fn create_export(&self, order: &Order) -> Result<ExportId, Box<Failure>> {
        self.runtime.block_on(self.client.create_export(order, None)).map_err(failure)
    }

    fn download(&self, event: &NewExport, target: &Path) -> Result<u64, Box<Failure>> {
        self.runtime.block_on(self.client.download(event, target, None)).map_err(failure)
    }
}

#[expect(clippy::unnecessary_box_returns, reason = "it is what the suite's traits return")]
fn failure(error: Error) -> Box<Failure> {
    match error {
        Error::Failure(failure) => failure,
        other => panic!("not a job's failure: {other}"),
    }
}
