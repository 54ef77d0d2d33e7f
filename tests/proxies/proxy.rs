//! One proxy, started with a configuration in a temporary folder, and ended with the value.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use abyssale_tests::process::run;

use crate::standing::PATIENCE;

/// The proxies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Nginx,
    HaProxy,
    Apache,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Nginx, Self::HaProxy, Self::Apache];

    /// Whether it is here.
    pub(crate) fn find(self) -> Result<(), String> {
        for program in [self.program(), "curl"] {
            run(Command::new(program).arg(if program == "curl" { "-V" } else { "-v" }), b"", PATIENCE)
                .map_err(|error| format!("there is no {program}: {error}"))?;
        }
        Ok(())
    }

    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "/usr/sbin/nginx",
            Self::HaProxy => "/usr/sbin/haproxy",
            Self::Apache => "/usr/sbin/apache2",
        }
    }

    fn configuration(self, folder: &str, backend: SocketAddr, plain: SocketAddr, tls: SocketAddr) -> String {
        let (frame, addresses) = match self {
            Self::Nginx => (NGINX, ("listen 443 ssl;", "listen @PLAIN@; listen @TLS@ ssl;")),
            Self::HaProxy => (HAPROXY, ("bind :443 ssl", "bind @PLAIN@\n    bind @TLS@ ssl")),
            Self::Apache => (APACHE, ("<VirtualHost *:443>", "<VirtualHost @TLS@>")),
        };
        let files = if matches!(self, Self::HaProxy) {
            &[("/etc/ssl/hooks-with-key.pem", "@FOLDER@/both.pem")][..]
        } else {
            &[("/etc/ssl/hooks.pem", "@FOLDER@/cert.pem"), ("/etc/ssl/hooks.key", "@FOLDER@/key.pem")]
        };
        let mut text = frame.replace("@SITE@", self.documented());
        for (shown, here) in files.iter().chain([&addresses, &("127.0.0.1:8080", "@BACKEND@")]) {
            assert!(text.contains(shown), "the page does not show {shown}");
            text = text.replace(shown, here);
        }
        let fields = [
            ("@FOLDER@", folder.to_owned()),
            ("@BACKEND@", backend.to_string()),
            ("@PLAIN@", plain.to_string()),
            ("@TLS@", tls.to_string()),
        ];
        fields.iter().fold(text, |text, (field, value)| text.replace(field, value))
    }

    /// Returns the configuration that the page for users shows.
    fn documented(self) -> &'static str {
        let fence = match self {
            Self::Nginx => "```nginx\n",
            Self::HaProxy => "```haproxy\n",
            Self::Apache => "```apache\n",
        };
        let block = include_str!("../../examples/DEPLOYING.md").split_once(fence).unwrap().1;
        block.split_once("```").unwrap().0
    }

    fn arguments(self, configuration: &str, folder: &str) -> Vec<String> {
        let arguments = match self {
            Self::Nginx => vec!["-p", folder, "-c", configuration],
            Self::HaProxy => vec!["-W", "-f", configuration],
            Self::Apache => vec!["-f", configuration, "-D", "FOREGROUND"],
        };
        arguments.into_iter().map(str::to_owned).collect()
    }
}

pub(crate) struct Proxy {
    kind: Kind,
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
}

impl Proxy {
    /// A proxy that forwards what comes to `/prod/…`, `/stage/…` and `/healthz`.
    pub(crate) fn start(kind: Kind, backend: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        fs::write(folder.path().join("cert.pem"), &certificate).unwrap();
        fs::write(folder.path().join("key.pem"), &key).unwrap();
        fs::write(folder.path().join("both.pem"), certificate + &key).unwrap();
        let [plain, tls] = free_addresses();
        let path = folder.path().to_str().unwrap();
        let configuration = folder.path().join("proxy.conf");
        fs::write(&configuration, kind.configuration(path, backend, plain, tls)).unwrap();
        let log = || fs::File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
        let child = Command::new(kind.program())
            .args(kind.arguments(configuration.to_str().unwrap(), path))
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .unwrap();
        let mut proxy = Self { kind, child, folder, plain, tls };
        let started = Instant::now();
        while [plain, tls].iter().any(|address| TcpStream::connect(address).is_err()) {
            assert!(proxy.child.try_wait().unwrap().is_none(), "{kind:?} ended: {}", proxy.log());
            assert!(started.elapsed() < PATIENCE, "{kind:?} does not listen: {}", proxy.log());
            thread::park_timeout(Duration::from_millis(10));
        }
        proxy
    }

    /// Loads the configuration again, as an operator does.
    pub(crate) fn reload(&self) {
        match self.kind {
            Kind::Nginx => self.signal("HUP"),
            Kind::HaProxy => self.signal("USR2"),
            Kind::Apache => self.signal("USR1"),
        }
    }

    pub(crate) fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("{}{}", read("log"), read("error.log"))
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let output = run(Command::new("kill").args(["-s", name, &pid]), b"", PATIENCE).unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The first process ends its workers.
        let pid = self.child.id().to_string();
        let _told = run(Command::new("kill").args(["-s", "TERM", &pid]), b"", PATIENCE);
        let started = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if started.elapsed() > Duration::from_secs(10) {
                let _ended = self.child.kill();
                let _waited = self.child.wait();
            }
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// Two ports that were free a moment ago.
fn free_addresses() -> [SocketAddr; 2] {
    let sockets = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    sockets.map(|socket| socket.local_addr().unwrap())
}

/// The configuration of `examples/DEPLOYING.md`, in the frame that a test needs around it.
const NGINX: &str = r"
daemon off;
user root;
worker_processes 2;
pid @FOLDER@/pid;
error_log @FOLDER@/error.log warn;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path @FOLDER@/body;
    proxy_temp_path @FOLDER@/proxy;
    fastcgi_temp_path @FOLDER@/fastcgi;
    uwsgi_temp_path @FOLDER@/uwsgi;
    scgi_temp_path @FOLDER@/scgi;
    @SITE@
}
";

const HAPROXY: &str = r"
global
    stats socket @FOLDER@/socket expose-fd listeners level admin
    stats timeout 5s
@SITE@";

const APACHE: &str = r"
ServerRoot /usr/lib/apache2
ServerName localhost
PidFile @FOLDER@/pid
ErrorLog @FOLDER@/error.log
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule proxy_module modules/mod_proxy.so
LoadModule proxy_http_module modules/mod_proxy_http.so
LoadModule ssl_module modules/mod_ssl.so
Listen @PLAIN@
Listen @TLS@
SSLSessionCache none
<VirtualHost @PLAIN@>
</VirtualHost>
@SITE@";
