//! The main job: banner ids in, images on disk out.

use std::{ffi::OsString, process::ExitCode};

use abyssale_blocking::{Exporter, Observer as _, Progress, unpack::Options};

use crate::{AnyError, Display, Stage, exit, parse, print_table};

/// Carries out an export, against a simulator unless there is a key. `name` is what the program is called.
pub fn export(name: &str, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    exit(name, run(name, args))
}

fn run(name: &str, args: impl IntoIterator<Item = OsString>) -> Result<(), AnyError> {
    let Some(options) = parse(name, args)? else { return Ok(()) };
    let stage = Stage::set(options)?;
    let mut display = Display::new();
    if stage.is_simulated() {
        display.keep("ABYSSALE_API_KEY is not set: the simulator inside plays the service");
    }

    let mut builder = Exporter::builder()
        .callback(&stage.callback_url)
        .listen_on(stage.socket.try_clone()?)
        .settings(|settings| settings.event_timeout = Some(stage.wait));
    if let Some(key) = &stage.api_key {
        builder = builder.api_key(key.clone());
    }
    if let Some(base) = &stage.base_url {
        builder = builder.base_url(base);
    }
    if let Some(secret) = &stage.signing_secret {
        builder = builder.signing_secret(secret.clone());
    }
    let exporter = builder.build()?;

    let watch = |seen: Progress<'_>| display.observe(seen);
    let archive = exporter.export(&stage.ids)?.observe(watch).save_to(stage.archive())?;
    let unpacked = archive.unpack_observed(stage.images(), Options::default(), display)?;
    print_table(&unpacked, archive.asked_for(), &stage.images())?;
    Ok(())
}
