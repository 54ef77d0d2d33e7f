//! What is measured in a process of its own, this program again: its peak of memory is then its own too.

use std::{env, ffi::OsStr, process::Command};

use crate::memory;

/// The argument that makes this program the child.
pub(crate) const NAME: &str = "child";

/// By how many KiB the resident memory of a child grows at most: `download TRANSPORT URL TARGET`, or
/// `unpack ARCHIVE FOLDER`.
pub(crate) fn grows_by(arguments: &[&OsStr]) -> u64 {
    let child = Command::new(env::current_exe().unwrap()).arg(NAME).args(arguments).output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    String::from_utf8(child.stdout).unwrap().trim().parse().unwrap()
}

/// Does it, and prints how much that is.
pub(crate) fn run(arguments: &[String]) {
    let grown = match arguments {
        [what, transport, url, target] if what == "download" => download(transport, url, target),
        [what, archive, folder] if what == "unpack" => unpack(archive, folder),
        other => panic!("{other:?}"),
    };
    println!("{grown}");
}

fn download(transport: &str, url: &str, target: &str) -> u64 {
    let base = url.rsplit_once('/').unwrap().0.to_owned();
    let event = serde_json::from_value(serde_json::json!({
        "export_id": "54e62358-2656-455c-afd7-66d5ed3dd581",
        "archive_url": url,
    }))
    .unwrap();
    let key = abyssale_core::ApiKey::new("none").unwrap();
    let before = memory::resident();
    if transport == "blocking" {
        let client = abyssale_blocking::Client::builder().api_key(key).base_url(base).build().unwrap();
        client.download(&event, target, None).unwrap();
    } else {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let client = abyssale_async::Client::builder().api_key(key).base_url(base).build().unwrap();
        runtime.block_on(client.download(&event, target, None)).unwrap();
    }
    memory::peak().saturating_sub(before)
}

fn unpack(archive: &str, folder: &str) -> u64 {
    use abyssale_host::{
        Progress,
        unpack::{Options, unpack},
    };
    let before = memory::resident();
    let mut ignore = |_: Progress<'_>| {};
    let unpacked = unpack(archive.as_ref(), folder.as_ref(), Options::default(), 0, &mut ignore).unwrap();
    assert!(!unpacked.is_partial());
    memory::peak().saturating_sub(before)
}
