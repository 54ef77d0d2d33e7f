//! The two transports behind one face, so that a scenario is written once.

use std::{
    future::Future,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use abyssale_core::{
    ApiKey, ExportId, Order, SigningSecret, SigningSecretState, Store, TokenPlacement, UnknownOutcome,
    archive::ArchivePolicy, download::MinRate, webhook::NewExport,
};
use abyssale_host::{
    Error, Finding, MissingBanners, Observer, Progress,
    unpack::{Options, Unpacked},
};

/// How an exporter is to be set up.
pub(crate) struct Setup {
    pub(crate) api_key: String,
    pub(crate) base_url: String,
    pub(crate) callback: Option<String>,
    pub(crate) socket: Option<TcpListener>,
    pub(crate) listen: Option<String>,
    pub(crate) secret: Option<String>,
    pub(crate) token: Option<TokenPlacement>,
    pub(crate) timeout: Duration,
    pub(crate) max_retries: u32,
    pub(crate) event_timeout: Duration,
    pub(crate) stall_timeout: Duration,
    /// What the defaults are otherwise.
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) first_byte_timeout: Option<Duration>,
    pub(crate) min_download_rate: Option<MinRate>,
    pub(crate) unknown_outcome: UnknownOutcome,
    pub(crate) archive: ArchivePolicy,
    pub(crate) banner_lookups: Option<usize>,
    /// Hand in a client of the user's own.
    pub(crate) own_client: bool,
    pub(crate) store: Option<Box<dyn Store>>,
}

pub(crate) struct Saved {
    pub(crate) bytes: u64,
    pub(crate) event: NewExport,
    pub(crate) asked_for: usize,
    pub(crate) missing: MissingBanners,
}

/// What came of a job that was resumed.
pub(crate) enum Resumed {
    Saved(Saved, PathBuf),
    Event(NewExport),
}

/// What both transports can do.
pub(crate) trait Adapter: Sized + Send + Sync {
    /// The module that its tests are in.
    const NAME: &str;

    fn build(setup: Setup) -> Result<Self, Error>;
    fn save(&self, ids: &[&str], path: &Path, observer: impl Observer) -> Result<Saved, Error>;
    fn unpack(&self, ids: &[&str], path: &Path, observer: impl Observer + 'static)
    -> Result<Unpacked, Error>;
    fn unpack_to(&self, ids: &[&str], path: &Path, folder: &Path) -> Result<Unpacked, Error>;
    fn wait(&self, ids: &[&str]) -> Result<NewExport, Error> {
        self.wait_observed(ids, |_: Progress<'_>| {})
    }
    fn wait_observed(&self, ids: &[&str], observer: impl Observer) -> Result<NewExport, Error>;
    fn resume(&self) -> Vec<Result<Resumed, Error>>;
    fn create_export(&self, order: &Order) -> Result<ExportId, Error>;
    fn create_export_observed(&self, order: &Order, observer: impl Observer) -> Result<ExportId, Error>;
    fn download(&self, event: &NewExport, path: &Path) -> Result<u64, Error>;
    fn download_observed(
        &self,
        event: &NewExport,
        path: &Path,
        observer: impl Observer,
    ) -> Result<u64, Error>;
    fn signing_secret(&self) -> Result<SigningSecretState, Error>;
    fn rotate(&self, force: bool) -> Result<SigningSecretState, Error>;
    fn rotate_and_accept(&self) -> Result<SigningSecretState, Error>;
    fn revoke(&self) -> Result<SigningSecretState, Error>;
    fn check(&self, folder: Option<&Path>) -> Result<Vec<Finding>, Error>;
    fn shown(&self) -> String;
}

/// Both builders have the same methods, so one text sets up both.
macro_rules! configured {
    ($builder:expr, $setup:ident) => {{
        let mut builder = $builder
            .api_key(ApiKey::new($setup.api_key).unwrap())
            .base_url($setup.base_url)
            .token($setup.token)
            .settings(|settings| {
                settings.event_timeout = Some($setup.event_timeout);
                settings.unknown_outcome = $setup.unknown_outcome;
                settings.timeout = Some($setup.timeout);
                settings.max_retries = Some($setup.max_retries);
                settings.stall_timeout = Some($setup.stall_timeout);
                settings.connect_timeout = $setup.connect_timeout;
                settings.first_byte_timeout = $setup.first_byte_timeout;
                settings.min_download_rate = $setup.min_download_rate;
                settings.archive = $setup.archive;
                settings.banner_lookups = $setup.banner_lookups;
            });
        if let Some(callback) = $setup.callback {
            builder = builder.callback(callback);
        }
        if let Some(socket) = $setup.socket {
            builder = builder.listen_on(socket);
        }
        if let Some(address) = $setup.listen {
            builder = builder.listen(address);
        }
        if let Some(store) = $setup.store {
            builder = builder.store(store);
        }
        if let Some(secret) = $setup.secret {
            builder = builder.signing_secret(SigningSecret::new(secret).unwrap());
        }
        builder
    }};
}

/// And their archives do.
macro_rules! saved {
    ($archive:expr) => {
        Saved {
            bytes: $archive.bytes(),
            event: $archive.event().clone(),
            asked_for: $archive.asked_for(),
            missing: $archive.missing().clone(),
        }
    };
}

pub(crate) struct Blocking(pub(crate) abyssale_blocking::Exporter);

impl Adapter for Blocking {
    const NAME: &str = "blocking";

    fn build(setup: Setup) -> Result<Self, Error> {
        let own = setup.own_client;
        let mut builder = configured!(abyssale_blocking::Exporter::builder(), setup);
        if own {
            builder = builder.client(|client| client.agent(own_client::agent()));
        }
        builder.build().map(Self)
    }

    fn save(&self, ids: &[&str], path: &Path, observer: impl Observer) -> Result<Saved, Error> {
        let archive = self.0.export(ids.iter().copied())?.observe(observer).save_to(path)?;
        Ok(saved!(archive))
    }

    fn unpack(
        &self,
        ids: &[&str],
        path: &Path,
        observer: impl Observer + 'static,
    ) -> Result<Unpacked, Error> {
        let archive = self.0.export(ids.iter().copied())?.save_to(path)?;
        archive.unpack_observed(path.with_file_name("images"), Options::default(), observer)
    }

    fn unpack_to(&self, ids: &[&str], path: &Path, folder: &Path) -> Result<Unpacked, Error> {
        self.0.export(ids.iter().copied())?.save_to(path)?.unpack_into(folder)
    }

    fn wait_observed(&self, ids: &[&str], observer: impl Observer) -> Result<NewExport, Error> {
        self.0.export(ids.iter().copied())?.observe(observer).wait()
    }

    fn resume(&self) -> Vec<Result<Resumed, Error>> {
        use abyssale_blocking::Outcome;
        let carry_out = |job: Result<abyssale_blocking::Resumed<'_>, Error>| {
            Ok(match job?.carry_out()? {
                Outcome::Archive(archive) => Resumed::Saved(saved!(archive), archive.path().to_owned()),
                Outcome::Event(event) => Resumed::Event(event),
            })
        };
        self.0.resumed().into_iter().map(carry_out).collect()
    }

    fn create_export(&self, order: &Order) -> Result<ExportId, Error> {
        self.0.client().create_export(order, None)
    }

    fn download(&self, event: &NewExport, path: &Path) -> Result<u64, Error> {
        self.0.client().download(event, path, None)
    }

    fn create_export_observed(&self, order: &Order, mut observer: impl Observer) -> Result<ExportId, Error> {
        self.0.client().create_export(order, Some(&mut observer))
    }

    fn download_observed(
        &self,
        event: &NewExport,
        path: &Path,
        mut observer: impl Observer,
    ) -> Result<u64, Error> {
        self.0.client().download(event, path, Some(&mut observer))
    }

    fn signing_secret(&self) -> Result<SigningSecretState, Error> {
        self.0.client().signing_secret()
    }

    fn rotate(&self, force: bool) -> Result<SigningSecretState, Error> {
        self.0.client().rotate_signing_secret(force)
    }

    fn rotate_and_accept(&self) -> Result<SigningSecretState, Error> {
        self.0.rotate_signing_secret_and_accept(false)
    }

    fn revoke(&self) -> Result<SigningSecretState, Error> {
        self.0.client().revoke_signing_secret()
    }

    fn check(&self, folder: Option<&Path>) -> Result<Vec<Finding>, Error> {
        self.0.check(folder)
    }

    fn shown(&self) -> String {
        format!("{:?}", self.0)
    }
}

pub(crate) struct Async {
    pub(crate) exporter: abyssale_async::Exporter,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Async {
    /// Runs a future as a task of the runtime's threads, as a program would.
    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Begins a download, and drops its future as soon as `moment` has come.
    pub(crate) fn drop_download(&self, event: &NewExport, path: &Path, moment: impl Future<Output = ()>) {
        self.run(async {
            tokio::select! {
                result = self.exporter.client().download(event, path, None) => panic!("it is over: {result:?}"),
                () = moment => {}
            }
        });
    }
}

impl Adapter for Async {
    const NAME: &str = "asynchronous";

    fn build(setup: Setup) -> Result<Self, Error> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let own = setup.own_client;
        let mut builder = configured!(abyssale_async::Exporter::builder(), setup);
        if own {
            builder = builder.client(|client| client.http_client(own_client::hyper()));
        }
        let exporter = runtime.block_on(builder.build())?;
        Ok(Self { exporter, runtime })
    }

    fn save(&self, ids: &[&str], path: &Path, observer: impl Observer) -> Result<Saved, Error> {
        let archive = self.run(self.exporter.export(ids.iter().copied())?.observe(observer).save_to(path))?;
        Ok(saved!(archive))
    }

    fn unpack(
        &self,
        ids: &[&str],
        path: &Path,
        observer: impl Observer + 'static,
    ) -> Result<Unpacked, Error> {
        self.run(async {
            let archive = self.exporter.export(ids.iter().copied())?.save_to(path).await?;
            archive.unpack_observed(path.with_file_name("images"), Options::default(), observer).await
        })
    }

    fn unpack_to(&self, ids: &[&str], path: &Path, folder: &Path) -> Result<Unpacked, Error> {
        self.run(async {
            self.exporter.export(ids.iter().copied())?.save_to(path).await?.unpack_into(folder).await
        })
    }

    fn wait_observed(&self, ids: &[&str], observer: impl Observer) -> Result<NewExport, Error> {
        self.run(self.exporter.export(ids.iter().copied())?.observe(observer).wait())
    }

    fn resume(&self) -> Vec<Result<Resumed, Error>> {
        use abyssale_async::Outcome;
        let carry_out = |job: Result<abyssale_async::Resumed<'_>, Error>| {
            Ok(match self.run(job?.carry_out())? {
                Outcome::Archive(archive) => Resumed::Saved(saved!(archive), archive.path().to_owned()),
                Outcome::Event(event) => Resumed::Event(event),
            })
        };
        self.exporter.resumed().into_iter().map(carry_out).collect()
    }

    fn create_export(&self, order: &Order) -> Result<ExportId, Error> {
        self.run(self.exporter.client().create_export(order, None))
    }

    fn download(&self, event: &NewExport, path: &Path) -> Result<u64, Error> {
        self.run(self.exporter.client().download(event, path, None))
    }

    fn create_export_observed(&self, order: &Order, mut observer: impl Observer) -> Result<ExportId, Error> {
        self.run(self.exporter.client().create_export(order, Some(&mut observer)))
    }

    fn download_observed(
        &self,
        event: &NewExport,
        path: &Path,
        mut observer: impl Observer,
    ) -> Result<u64, Error> {
        self.run(self.exporter.client().download(event, path, Some(&mut observer)))
    }

    fn signing_secret(&self) -> Result<SigningSecretState, Error> {
        self.run(self.exporter.client().signing_secret())
    }

    fn rotate(&self, force: bool) -> Result<SigningSecretState, Error> {
        self.run(self.exporter.client().rotate_signing_secret(force))
    }

    fn rotate_and_accept(&self) -> Result<SigningSecretState, Error> {
        self.run(self.exporter.rotate_signing_secret_and_accept(false))
    }

    fn revoke(&self) -> Result<SigningSecretState, Error> {
        self.run(self.exporter.client().revoke_signing_secret())
    }

    fn check(&self, folder: Option<&Path>) -> Result<Vec<Finding>, Error> {
        self.run(self.exporter.check(folder))
    }

    fn shown(&self) -> String {
        format!("{:?}", self.exporter)
    }
}

/// Clients as a user might bring them: with a pool, and with nothing set for our sake.
mod own_client {
    use bytes::Bytes;
    use http_body_util::Full;
    use hyper_util::client::legacy;

    pub(super) fn agent() -> ureq::Agent {
        ureq::Agent::config_builder().proxy(None).build().new_agent()
    }

    pub(super) fn hyper() -> legacy::Client<legacy::connect::HttpConnector, Full<Bytes>> {
        legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http()
    }
}
