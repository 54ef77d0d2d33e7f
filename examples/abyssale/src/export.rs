//! The main job: banner ids in, images on disk out.

use std::{ffi::OsString, process::ExitCode};

use abyssale_blocking::{Exporter, Observer as _, Progress, unpack::Options};

use crate::{
    AnyError, Display, Stage, UsageError, exit, parse, print_findings, print_table, status, with_causes,
};

/// Carries out an export, against a simulator unless there is a key. `name` is what the program is called.
pub fn export(name: &str, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    exit(name, run(name, args))
}

fn run(name: &str, args: impl IntoIterator<Item = OsString>) -> Result<ExitCode, AnyError> {
    let Some(options) = parse(name, args) else { return Ok(ExitCode::SUCCESS) };
    let is_check = options.check;
    let stage = Stage::set(options)?;
    let mut display = Display::new();
    display.end_at_ctrl_c(name, stage.remove_empty_folder())?;
    if stage.is_simulated() {
        display.keep("ABYSSALE_API_KEY is not set: a simulator inside this program is the service");
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
    let exporter = builder.build().map_err(|error| UsageError(vec![with_causes(&error)]))?;

    if is_check {
        return Ok(print_findings(&exporter.check(Some(stage.folder()))?)?);
    }

    let watch = |seen: Progress<'_>| display.observe(seen);
    let archive = exporter.export(&stage.ids)?.observe(watch).save_to(stage.archive())?;
    let unpacked = archive.unpack_observed(stage.images(), Options::default(), display)?;
    print_table(&unpacked, archive.asked_for(), archive.missing(), &stage.images())?;
    Ok(status(&unpacked, archive.asked_for()))
}
