//! One call or one download in a process of its own, since whom a process trusts is told to it when it starts.

use std::{env, fmt::Display, path::Path, process::Command, time::Duration};

use abyssale_core::{ApiKey, Order, webhook::NewExport};

/// The argument that makes this program the child.
pub(crate) const NAME: &str = "child";

/// What a client says of `create BASE ""` or `download BASE ADDRESS`, where only the authority in this file is trusted.
pub(crate) fn ask(transport: &str, trusted: &Path, what: [&str; 3]) -> String {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([NAME, transport]).args(what).env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR");
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Does it, and prints the export's id, the archive's size, or the error.
pub(crate) fn run(arguments: &[String]) {
    let [transport, what, base, address] = arguments else { panic!("{arguments:?}") };
    let key = ApiKey::new("none").unwrap();
    let order = Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], "https://hooks.example.com/abyssale");
    let event = serde_json::json!({ "export_id": "e", "archive_url": address });
    let event: NewExport = serde_json::from_value(event).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("archive.zip");
    if transport == "blocking" {
        let client = abyssale_blocking::Client::builder().api_key(key).base_url(base);
        let client =
            client.settings(|settings| (settings.timeout, settings.max_retries) = (Some(PATIENCE), Some(0)));
        let client = client.build().unwrap();
        match what.as_str() {
            "create" => tell(client.create_export(&order.unwrap(), None)),
            _ => tell(client.download(&event, &target, None)),
        }
    } else {
        let client = abyssale_async::Client::builder().api_key(key).base_url(base);
        let client =
            client.settings(|settings| (settings.timeout, settings.max_retries) = (Some(PATIENCE), Some(0)));
        let client = client.build().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            match what.as_str() {
                "create" => tell(client.create_export(&order.unwrap(), None).await),
                _ => tell(client.download(&event, &target, None).await),
            }
        });
    }
}

fn tell(result: Result<impl Display, impl Display>) {
    match result {
        Ok(done) => println!("{done}"),
        Err(error) => println!("{error}"),
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
