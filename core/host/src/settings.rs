//! Settings, with the names and meanings of the official clients: an argument, else the
//! environment, else a default.

use std::{env, ffi::OsString, time::Duration};

use abyssale_core::{
    ApiKey, Config, Endpoint, InvalidEndpoint, InvalidSecret, UnknownOutcome, archive::ArchivePolicy,
    download::MinRate,
};
use thiserror::Error;

/// What is set explicitly; everything else comes from the environment or is a default.
///
/// | variable | meaning | default |
/// |---|---|---|
/// | `ABYSSALE_API_KEY` | the key | none: an error |
/// | `ABYSSALE_BASE_URL` | the service's base address | `https://api.abyssale.com` |
/// | `ABYSSALE_TIMEOUT_MS` | time-out of one call, in milliseconds | 30000 |
/// | `ABYSSALE_MAX_RETRIES` | retries of one call | 3 |
/// | `ABYSSALE_MAX_RETRY_WAIT_MS` | longest `Retry-After` that is waited out, in milliseconds, or `inf` | 30000 |
///
/// An empty variable counts as absent.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Settings {
    /// The key.
    pub api_key: Option<ApiKey>,
    /// The service's base address.
    pub base_url: Option<String>,
    /// The time-out of one call.
    pub timeout: Option<Duration>,
    /// The retries of one call.
    pub max_retries: Option<u32>,
    /// The longest `Retry-After` that is waited out; [`Duration::MAX`] for any.
    pub max_retry_wait: Option<Duration>,
    /// How long an event is waited for once its export is accepted.
    pub event_timeout: Option<Duration>,
    /// How long resolving, connecting and TLS may take.
    pub connect_timeout: Option<Duration>,
    /// How long a download may take until the head of its answer is there; as long as the next unless it is set.
    pub first_byte_timeout: Option<Duration>,
    /// How long a download may go without a sign of life.
    pub stall_timeout: Option<Duration>,
    /// The lowest rate of a download.
    pub min_download_rate: Option<MinRate>,
    /// How long to repeat a download while the archive does not exist yet.
    pub archive_wait: Option<Duration>,
    /// What to do when it is not known whether a request was taken.
    pub unknown_outcome: UnknownOutcome,
    /// Where archives may be fetched from.
    pub archive: ArchivePolicy,
    /// How many banners the service is asked about after an archive that holds too few files; 0 for none.
    pub banner_lookups: Option<usize>,
}

impl Settings {
    /// The configuration of jobs that these settings and the environment amount to.
    pub fn config(&self) -> Result<Config, InvalidSetting> {
        self.config_from(|name| env::var_os(name))
    }

    fn config_from(&self, env: impl Fn(&str) -> Option<OsString>) -> Result<Config, InvalidSetting> {
        let env = |name: &'static str| match env(name).filter(|value| !value.is_empty()) {
            Some(value) => value.into_string().map(Some).map_err(|_| InvalidSetting::NotText { name }),
            None => Ok(None),
        };
        let key = match (&self.api_key, env(API_KEY)?) {
            (Some(key), _) => key.clone(),
            (None, Some(key)) => ApiKey::new(key).map_err(|source| InvalidSetting::Key { source })?,
            (None, None) => return Err(InvalidSetting::NoKey),
        };
        let base = match (&self.base_url, env(BASE_URL)?) {
            (Some(base), _) => base.clone(),
            (None, Some(base)) => base,
            (None, None) => Endpoint::DEFAULT_BASE_URL.to_owned(),
        };
        let timeout = match self.timeout {
            None => millis(TIMEOUT_MS, env(TIMEOUT_MS)?)?,
            chosen => chosen,
        };
        let max_retries = match self.max_retries {
            None => count(MAX_RETRIES, env(MAX_RETRIES)?)?,
            chosen => chosen,
        };
        let max_retry_wait = match self.max_retry_wait {
            None => millis(MAX_RETRY_WAIT_MS, env(MAX_RETRY_WAIT_MS)?)?,
            chosen => chosen,
        };
        let mut config = Config::new(Endpoint::new(&base, key)?);
        config.archive = self.archive.clone();
        config.banner_lookups = self.banner_lookups.unwrap_or(config.banner_lookups);
        config.unknown_outcome = self.unknown_outcome;
        config.retry.max_retries = max_retries.unwrap_or(config.retry.max_retries);
        config.retry.max_retry_wait = max_retry_wait.unwrap_or(config.retry.max_retry_wait);
        // A clock can be asked for a moment only so far ahead, and nobody waits for longer than this.
        let wait = |chosen: Option<Duration>, default: Duration| chosen.unwrap_or(default).min(LONGEST);
        config.call_timeout = wait(timeout, config.call_timeout);
        config.event_timeout = wait(self.event_timeout, config.event_timeout);
        config.connect_timeout = wait(self.connect_timeout, config.connect_timeout);
        config.stall_timeout = wait(self.stall_timeout, config.stall_timeout);
        config.first_byte_timeout = wait(self.first_byte_timeout, config.stall_timeout);
        config.min_download_rate = self.min_download_rate.unwrap_or_default();
        config.retry.archive_wait = wait(self.archive_wait, config.retry.archive_wait);
        Ok(config)
    }
}

/// A positive number of milliseconds, perhaps with a fraction, or `inf`.
fn millis(name: &'static str, value: Option<String>) -> Result<Option<Duration>, InvalidSetting> {
    let Some(value) = value else { return Ok(None) };
    let invalid = || InvalidSetting::Value {
        name,
        value: shown(&value),
        expected: "a positive number of milliseconds, or inf",
    };
    let millis = value.trim().parse::<f64>().map_err(|_| invalid())?;
    if millis.is_nan() || millis <= 0.0 {
        return Err(invalid());
    }
    // What does not fit is as good as infinite.
    Ok(Some(Duration::try_from_secs_f64(millis / 1000.0).unwrap_or(Duration::MAX)))
}

fn count(name: &'static str, value: Option<String>) -> Result<Option<u32>, InvalidSetting> {
    let Some(value) = value else { return Ok(None) };
    let invalid =
        |_| InvalidSetting::Value { name, value: shown(&value), expected: "a whole number, 0 or more" };
    value.trim().parse().map(Some).map_err(invalid)
}

fn shown(value: &str) -> String {
    value.chars().take(40).collect()
}

/// A setting is missing or unusable.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidSetting {
    /// There is no key.
    #[error("there is no API key; pass one, or set {API_KEY}")]
    NoKey,
    /// The key in the environment cannot be one.
    #[error("{API_KEY}: {source}")]
    Key {
        /// What is wrong with it.
        source: InvalidSecret,
    },
    /// The service cannot be reached in this way.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// A variable of the environment is not Unicode.
    #[error("{name} is not text")]
    NotText {
        /// The variable's name.
        name: &'static str,
    },
    /// A variable of the environment is not what it should be.
    #[error("{name} must be {expected}, and is {value:?}")]
    Value {
        /// The variable's name.
        name: &'static str,
        /// Its value, shortened.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// A year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const API_KEY: &str = "ABYSSALE_API_KEY";
const BASE_URL: &str = "ABYSSALE_BASE_URL";
const TIMEOUT_MS: &str = "ABYSSALE_TIMEOUT_MS";
const MAX_RETRIES: &str = "ABYSSALE_MAX_RETRIES";
const MAX_RETRY_WAIT_MS: &str = "ABYSSALE_MAX_RETRY_WAIT_MS";

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &Settings, env: &[(&str, &str)]) -> Result<Config, InvalidSetting> {
        settings
            .config_from(|name| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn without_anything_but_a_key_the_defaults_are_the_official_ones() {
        let config = config(&Settings::default(), &[(API_KEY, "k"), (TIMEOUT_MS, "")]).unwrap();
        assert_eq!(config.endpoint.base_url().as_str(), "https://api.abyssale.com");
        assert_eq!(config.call_timeout, Duration::from_secs(30));
        assert_eq!((config.retry.max_retries, config.retry.max_retry_wait), (3, Duration::from_secs(30)));
        assert_eq!(Settings::default().config_from(|_| None).unwrap_err(), InvalidSetting::NoKey);
    }

    #[test]
    fn the_environment_means_what_it_means_in_the_official_clients() {
        let env = [
            (API_KEY, "k"),
            (BASE_URL, "http://127.0.0.1:9/"),
            (TIMEOUT_MS, "1500.5"),
            (MAX_RETRIES, "0"),
            (MAX_RETRY_WAIT_MS, "inf"),
        ];
        let config = config(&Settings::default(), &env).unwrap();
        assert_eq!(config.endpoint.base_url().as_str(), "http://127.0.0.1:9");
        assert_eq!(config.call_timeout, Duration::from_micros(1_500_500));
        assert_eq!((config.retry.max_retries, config.retry.max_retry_wait), (0, Duration::MAX));
    }

    #[test]
    fn an_argument_wins_over_the_environment() {
        let settings =
            Settings { timeout: Some(Duration::from_secs(1)), max_retries: Some(9), ..Settings::default() };
        let config =
            config(&settings, &[(API_KEY, "k"), (TIMEOUT_MS, "nonsense"), (MAX_RETRIES, "1")]).unwrap();
        assert_eq!((config.call_timeout, config.retry.max_retries), (Duration::from_secs(1), 9));
    }

    #[test]
    fn a_wait_without_end_is_one_that_a_clock_can_count() {
        let forever = Some(Duration::MAX);
        let settings = Settings {
            connect_timeout: forever,
            stall_timeout: forever,
            event_timeout: forever,
            ..Settings::default()
        };
        let config = config(&settings, &[(API_KEY, "k"), (TIMEOUT_MS, "inf")]).unwrap();
        let waits = [config.call_timeout, config.event_timeout, config.connect_timeout];
        for wait in waits.into_iter().chain([config.first_byte_timeout, config.stall_timeout]) {
            assert_eq!(wait, LONGEST);
        }
    }

    #[test]
    fn a_bad_variable_is_named() {
        for (name, value) in [
            (TIMEOUT_MS, "0"),
            (TIMEOUT_MS, "soon"),
            (TIMEOUT_MS, "nan"),
            (MAX_RETRIES, "-1"),
            (MAX_RETRIES, "1.5"),
            (MAX_RETRY_WAIT_MS, "-1"),
        ] {
            let error = config(&Settings::default(), &[(API_KEY, "k"), (name, value)]).unwrap_err();
            assert!(error.to_string().starts_with(name), "{error}");
        }
        let error = config(&Settings::default(), &[(API_KEY, "hunter2\n")]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
