//! TLS for a listener: a certificate and a key from two files, read again when they change, so that a renewal needs no
//! restart.

use std::{
    fmt, fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{Counters, Error};

/// Where the certificate and its key are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    certificates: PathBuf,
    key: PathBuf,
}

impl TlsFiles {
    /// Two PEM files: the certificate with those that vouch for it behind it, and its private key.
    ///
    /// They are looked at again at most once a second, when somebody connects. If what is there then cannot be used,
    /// such as a new certificate with the old key, the former pair stays in use, which is
    /// [counted](crate::Counts::certificates_refused) once for each reason, and they are looked at again.
    pub fn new(certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificates: certificates.into(), key: key.into() }
    }
}

/// The server's side of TLS.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Reads the files; they must be usable now. `provider` is the cryptography, `counters` are the receiver's.
    pub fn open(
        files: TlsFiles,
        provider: Arc<CryptoProvider>,
        counters: Arc<Counters>,
    ) -> Result<Self, Error> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?
            .with_no_client_auth();
        let reloading = Reloading::new(files, provider, counters, LOOK_AGAIN)?;
        let mut config = builder.with_cert_resolver(Arc::new(reloading));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// What rustls asks for.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0)
    }
}

/// The pair in use, and when its files were looked at last.
struct Reloading {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    counters: Arc<Counters>,
    current: RwLock<Arc<CertifiedKey>>,
    look: Mutex<Look>,
    look_again: Duration,
}

struct Look {
    at: Instant,
    /// Of the contents: times of files are too coarse to tell a quick change.
    fingerprint: u64,
    /// Why what is there cannot be used; told once, however often it is looked at.
    refused: Option<String>,
}

impl Reloading {
    fn new(
        files: TlsFiles,
        provider: Arc<CryptoProvider>,
        counters: Arc<Counters>,
        look_again: Duration,
    ) -> Result<Self, Error> {
        let pem = Pem::read(&files)?;
        let current = RwLock::new(Arc::new(pem.pair(&files, &provider)?));
        let look = Look { at: Instant::now(), fingerprint: pem.fingerprint(), refused: None };
        Ok(Self { files, provider, counters, current, look: Mutex::new(look), look_again })
    }

    /// Reads two small files at most once a second, which is why it may happen on a thread of an asynchronous runtime.
    fn refresh(&self) {
        // If another connection is looking at this moment, what it finds is for the next.
        let Ok(mut look) = self.look.try_lock() else { return };
        if look.at.elapsed() < self.look_again {
            return;
        }
        look.at = Instant::now();
        match self.renewed(look.fingerprint) {
            Ok(renewed) => {
                look.refused = None;
                if let Some((fingerprint, pair)) = renewed {
                    look.fingerprint = fingerprint;
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                    self.counters.certificate_reloaded();
                }
            }
            // Half of a renewal, perhaps: the rest is there when they are looked at again.
            Err(error) => {
                let reason = error.to_string();
                if look.refused.as_ref() != Some(&reason) {
                    self.counters.certificate_refused(&reason);
                    look.refused = Some(reason);
                }
            }
        }
    }

    /// What is in the files, if it is not what it was.
    fn renewed(&self, before: u64) -> Result<Option<(u64, CertifiedKey)>, Error> {
        let pem = Pem::read(&self.files)?;
        let fingerprint = pem.fingerprint();
        if fingerprint == before {
            return Ok(None);
        }
        Ok(Some((fingerprint, pem.pair(&self.files, &self.provider)?)))
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.refresh();
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Reloading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The contents of both files.
struct Pem {
    certificates: Vec<u8>,
    key: Vec<u8>,
}

impl Pem {
    fn read(files: &TlsFiles) -> Result<Self, Error> {
        Ok(Self { certificates: read(&files.certificates)?, key: read(&files.key)? })
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.certificates, &self.key).hash(&mut hasher);
        hasher.finish()
    }

    fn pair(&self, files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificates).collect();
        let chain = chain.map_err(|error| unusable(&files.certificates, &error))?;
        if chain.is_empty() {
            return Err(unusable(&files.certificates, &"there is no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| unusable(&files.key, &error))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| unusable(&files.key, &error))
    }
}

/// At most a megabyte: a path to something endless is a mistake, not a certificate.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    use io::Read as _;
    let mut contents = Vec::new();
    let file = fs::File::open(path).map_err(|error| unusable(path, &error))?;
    file.take(1 << 20).read_to_end(&mut contents).map_err(|error| unusable(path, &error))?;
    Ok(contents)
}

fn unusable(path: &Path, reason: &dyn fmt::Display) -> Error {
    Error::Tls(format!("{}: {reason}", path.display()))
}

const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate for this name and its key, as PEM.
    fn made(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::ring::default_provider())
    }

    struct Folder {
        folder: tempfile::TempDir,
    }

    impl Folder {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn files(&self) -> TlsFiles {
            TlsFiles::new(self.folder.path().join("cert.pem"), self.folder.path().join("key.pem"))
        }

        fn write(&self, cert: &str, key: &str) {
            fs::write(&self.files().certificates, cert).unwrap();
            fs::write(&self.files().key, key).unwrap();
        }
    }

    fn in_use(reloading: &Reloading) -> Vec<u8> {
        reloading.refresh();
        reloading.current.read().unwrap().cert[0].to_vec()
    }

    #[test]
    fn a_renewed_certificate_is_used_once_both_files_are_there() {
        let folder = Folder::new();
        let (old, new) = (made("old.example"), made("new.example"));
        folder.write(&old.0, &old.1);
        let counters = Arc::<Counters>::default();
        let counted = || {
            let counts = counters.read();
            (counts.certificates_reloaded, counts.certificates_refused)
        };
        let reloading =
            Reloading::new(folder.files(), provider(), Arc::clone(&counters), Duration::ZERO).unwrap();
        let first = in_use(&reloading);
        assert_eq!(counted(), (0, 0));
        folder.write(&new.0, &old.1);
        assert_eq!(in_use(&reloading), first, "half of a renewal");
        assert_eq!(in_use(&reloading), first, "still half of it");
        assert_eq!(counted(), (0, 1), "each reason is told once");
        fs::remove_file(&folder.files().key).unwrap();
        assert_eq!(in_use(&reloading), first, "a file that is away for a moment");
        assert_eq!(counted(), (0, 2));
        folder.write(&new.0, &new.1);
        let second = in_use(&reloading);
        assert_ne!(second, first);
        assert_eq!(counted(), (1, 2));
        folder.write(&new.0, &old.1);
        assert_eq!(in_use(&reloading), second);
        folder.write(&new.0, &new.1);
        assert_eq!(in_use(&reloading), second, "what is in use, once more");
        folder.write(&new.0, &old.1);
        assert_eq!(in_use(&reloading), second);
        assert_eq!(counted(), (1, 4), "a reason that comes back is told again");
    }

    #[test]
    fn files_that_cannot_be_used_are_named_and_not_shown() {
        let folder = Folder::new();
        let (one, other) = (made("one.example"), made("other.example"));
        let open =
            || Tls::open(folder.files(), provider(), Arc::default()).map(drop).unwrap_err().to_string();
        assert!(open().contains("cert.pem"), "{}", open());
        for (cert, key, named) in [
            ("", &*one.1, "cert.pem"),
            (&*one.0, "", "key.pem"),
            (&*one.0, &*one.0, "key.pem"),
            (&*one.0, &*other.1, "key.pem"),
        ] {
            folder.write(cert, key);
            let error = open();
            assert!(error.contains(named), "{error}");
            let secret = one.1.lines().nth(1).unwrap();
            assert!(!error.contains(secret), "{error}");
        }
        folder.write(&one.0, &one.1);
        assert!(Tls::open(folder.files(), provider(), Arc::default()).is_ok());
    }
}
