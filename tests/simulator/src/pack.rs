//! From banner ids to a ZIP. Slow by nature (it draws), so it runs where blocking is allowed.

use std::collections::BTreeSet;
use std::io::{Cursor, Write};

use zip::result::ZipResult;
use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipWriter};

use crate::banner::Banner;

/// The archive of these banners: one file each, in the order asked for.
pub(crate) fn pack(ids: &[String]) -> ZipResult<Vec<u8>> {
    let options =
        SimpleFileOptions::default().last_modified_time(DateTime::from_date_and_time(2026, 1, 1, 0, 0, 0)?);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut names = BTreeSet::new();
    for banner in ids.iter().map(|id| Banner::of(id)) {
        let mut name = banner.file_name();
        if names.contains(&name) {
            name = banner.long_file_name();
        }
        archive.start_file(name.as_str(), options)?;
        archive.write_all(&banner.render())?;
        names.insert(name);
    }
    Ok(archive.finish()?.into_inner())
}
