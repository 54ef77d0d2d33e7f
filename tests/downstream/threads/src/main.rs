//! Twenty threads share an exporter, and each exports banners of its own. `downstream-threads CALLBACK_URL LISTEN FOLDER`

use std::{
    env,
    error::Error,
    io::{self, Write as _},
    path::PathBuf,
    thread,
};

use abyssale_blocking::Exporter;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut args = env::args().skip(1);
    let (Some(callback), Some(listen), Some(folder)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: downstream-threads CALLBACK_URL LISTEN FOLDER".into());
    };
    let exporter = Exporter::builder().callback(callback).listen(listen).build()?;
    let threads: Vec<_> = (0..20)
        .map(|number| {
            let (exporter, folder) = (exporter.clone(), PathBuf::from(&folder));
            thread::spawn(move || {
                let id = format!("64238d01-d402-474b-8c2d-{number:012}");
                exporter
                    .export([id])?
                    .save_to(folder.join(format!("{number}.zip")))
                    .map(|archive| archive.bytes())
            })
        })
        .collect();
    for thread in threads {
        let bytes = thread.join().map_err(|_| "a thread panicked")??;
        writeln!(io::stdout(), "{bytes} bytes")?;
    }
    Ok(())
}
