//! What is kept of a job: its snapshot, and where its archive goes.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use abyssale_core::{RestoreError, Snapshot};
use serde::{Deserialize, Serialize};
use serde_json::{Value, error::Category};

/// A job's record, as JSON that a person can read.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) target: Option<PathBuf>,
    pub(crate) snapshot: Snapshot,
}

#[derive(Deserialize, Serialize)]
struct Written<J> {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    job: J,
}

/// A path is text nearly always, and then it is written as text.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Target {
    Text(String),
    Other(OsString),
}

impl Record {
    /// The version that is written. All versions from 1 up to it are read.
    const VERSION: u32 = 1;

    pub(crate) fn write(target: Option<&Path>, snapshot: &Snapshot) -> Vec<u8> {
        let target = target.map(|path| match path.to_str() {
            Some(text) => Target::Text(text.to_owned()),
            None => Target::Other(path.into()),
        });
        let written = Written { version: Self::VERSION, target, job: snapshot };
        // Plain data with text keys into memory: nothing here can fail.
        serde_json::to_vec(&written).unwrap_or_default()
    }

    pub(crate) fn read(record: &[u8]) -> Result<Self, RestoreError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let damaged = |error: serde_json::Error| {
            // Some of its reasons quote the offending value, which may be a token or an address.
            let reason = match error.classify() {
                Category::Data => {
                    format!("it is no record, at line {} column {}", error.line(), error.column())
                }
                _ => error.to_string(),
            };
            RestoreError::Damaged { reason: reason.into() }
        };
        let Version { version } = serde_json::from_slice(record).map_err(damaged)?;
        if version == 0 {
            return Err(RestoreError::Damaged { reason: "its version is 0, which was never written".into() });
        }
        if version > Self::VERSION {
            return Err(RestoreError::Newer { found: version });
        }
        let Written { target, job, .. } =
            serde_json::from_slice::<Written<Value>>(record).map_err(damaged)?;
        let target = target.map(|target| match target {
            Target::Text(text) => text.into(),
            Target::Other(path) => path.into(),
        });
        Ok(Self { target, snapshot: Snapshot::from_json(&job.to_string())? })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use abyssale_core::{ApiKey, Config, Endpoint, Export, Order, Timestamp};

    use super::*;

    fn snapshot() -> Snapshot {
        let endpoint = Endpoint::new("https://h", ApiKey::new("hunter2").unwrap()).unwrap();
        let order =
            Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], "https://hooks.example.com").unwrap();
        Export::new(Arc::new(Config::new(endpoint)), order, Timestamp::from_secs(1_755_561_234)).snapshot()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for target in [None, Some(Path::new("/somewhere/banners.zip"))] {
            let written = Record::write(target, &snapshot());
            let text = String::from_utf8(written.clone()).unwrap();
            assert!(!text.contains("hunter2") && text.starts_with(r#"{"version":1,"#), "{text}");
            let read = Record::read(&written).unwrap();
            assert_eq!((read.target.as_deref(), read.snapshot), (target, snapshot()));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_text_survives() {
        use std::os::unix::ffi::OsStringExt as _;
        let target = PathBuf::from(OsString::from_vec(b"/somewhere/\xff.zip".to_vec()));
        let read = Record::read(&Record::write(Some(&target), &snapshot())).unwrap();
        assert_eq!(read.target, Some(target));
    }

    #[test]
    fn what_is_newer_or_damaged_is_told_apart() {
        let text = String::from_utf8(Record::write(None, &snapshot())).unwrap();
        let newer_record = text.replacen(r#""version":1"#, r#""version":7,"more":{}"#, 1);
        assert_eq!(Record::read(newer_record.as_bytes()).unwrap_err(), RestoreError::Newer { found: 7 });
        let unversioned = text.replacen(r#""version":1"#, r#""version":0"#, 1);
        assert!(matches!(Record::read(unversioned.as_bytes()), Err(RestoreError::Damaged { .. })));
        let (head, job) = text.split_at(text.find(r#""job""#).unwrap());
        let newer_job = format!("{head}{}", job.replacen(r#""version":1"#, r#""version":9"#, 1));
        assert_eq!(Record::read(newer_job.as_bytes()).unwrap_err(), RestoreError::Newer { found: 9 });
        for end in 0..text.len() {
            let cut = Record::read(text.as_bytes().get(..end).unwrap());
            assert!(matches!(cut, Err(RestoreError::Damaged { .. })), "{end}");
        }
    }
}
