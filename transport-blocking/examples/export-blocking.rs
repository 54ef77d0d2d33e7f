//! An export in a few lines. `cargo run --example export-blocking -- CALLBACK_URL LISTEN ID...`, with the key in `ABYSSALE_API_KEY`.
//!
//! To try it without a key, start `cargo run --bin simulator -- --listen 127.0.0.1:4000` elsewhere, and this with
//! `ABYSSALE_API_KEY=simulator-key ABYSSALE_BASE_URL=http://127.0.0.1:4000`, and `http://127.0.0.1:8080/abyssale
//! 127.0.0.1:8080` for the first two.

use std::{env, error::Error, io::Write as _};

use abyssale_blocking::{Exporter, Progress};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(callback), Some(listen)) = (args.next(), args.next()) else {
        return Err("usage: export-blocking CALLBACK_URL LISTEN ID...".into());
    };
    let exporter = Exporter::builder().callback(callback).listen(listen).build()?;
    let mut err = std::io::stderr();
    let watch = move |progress: Progress<'_>| {
        if let Progress::Notice(notice) = progress {
            // Nobody may be reading it.
            let _closed = writeln!(err, "{notice}");
        }
    };
    let archive = exporter.export(args)?.observe(watch).save_to("banners.zip")?;
    writeln!(std::io::stdout(), "{} bytes in {}", archive.bytes(), archive.path().display())?;
    Ok(())
}
