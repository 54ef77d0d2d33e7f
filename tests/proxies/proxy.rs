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
        let template = match self {
            Self::Nginx => NGINX,
            Self::HaProxy => HAPROXY,
            Self::Apache => APACHE,
        };
        let fields = [
            ("FOLDER", folder.to_owned()),
            ("BACKEND", backend.to_string()),
            ("PLAIN", plain.to_string()),
            ("TLS", tls.to_string()),
        ];
        fields
            .iter()
            .fold(template.to_owned(), |text, (field, value)| text.replace(&format!("@{field}@"), value))
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
    upstream listener { server @BACKEND@; keepalive 8; }
    server {
        listen @PLAIN@;
        listen @TLS@ ssl;
        ssl_certificate @FOLDER@/cert.pem;
        ssl_certificate_key @FOLDER@/key.pem;
        proxy_http_version 1.1;
        proxy_set_header Connection '';
        location /prod/ { proxy_pass http://listener/; }
        location /stage/ { proxy_pass http://listener; }
        location /healthz { proxy_pass http://listener; }
    }
}
";

const HAPROXY: &str = r"
global
    stats socket @FOLDER@/socket expose-fd listeners level admin
    stats timeout 5s
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    option http-keep-alive
frontend edge
    bind @PLAIN@
    bind @TLS@ ssl crt @FOLDER@/both.pem
    http-request set-path %[path,regsub(^/+prod/,/)]
    default_backend listener
backend listener
    http-reuse always
    server one @BACKEND@
";

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
ProxyPass /prod/ http://@BACKEND@/
ProxyPass /stage/ http://@BACKEND@/stage/
ProxyPass /healthz http://@BACKEND@/healthz
<VirtualHost @PLAIN@>
</VirtualHost>
<VirtualHost @TLS@>
    SSLEngine on
    SSLCertificateFile @FOLDER@/cert.pem
    SSLCertificateKeyFile @FOLDER@/key.pem
</VirtualHost>
";
