//! The main job, in an asynchronous program: banner ids in, images on disk out.
//!
//! `cargo run --bin export-async` does it against a simulator; with `ABYSSALE_API_KEY`, against the service.

use std::{env, error::Error, process::ExitCode};

use abyssale::{Display, Stage, UsageError, exit, parse, print_findings, print_table, status, with_causes};
use abyssale_async::{Exporter, Observer as _, Progress, unpack::Options};

#[tokio::main]
async fn main() -> ExitCode {
    exit("export-async", run().await)
}

async fn run() -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let Some(options) = parse("export-async", env::args_os().skip(1)) else { return Ok(ExitCode::SUCCESS) };
    let is_check = options.check;
    let stage = Stage::set(options)?;
    let mut display = Display::new();
    display.end_at_ctrl_c("export-async", stage.remove_empty_folder())?;
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
    let exporter = builder.build().await.map_err(|error| UsageError(vec![with_causes(&error)]))?;

    if is_check {
        return Ok(print_findings(&exporter.check(Some(stage.folder())).await?)?);
    }

    let watch = |seen: Progress<'_>| display.observe(seen);
    let archive = exporter.export(&stage.ids)?.observe(watch).save_to(stage.archive()).await?;
    let unpacked = archive.unpack_observed(stage.images(), Options::default(), display).await?;
    print_table(&unpacked, archive.asked_for(), archive.missing(), &stage.images())?;
    Ok(status(&unpacked, archive.asked_for()))
}
