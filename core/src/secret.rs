//! The API key and the signing secrets.
//!
//! Both are overwritten when dropped, are not shown by `Debug`, have no `Display`, and are not serialisable. Only `expose`
//! returns them.

use alloc::string::String;
use core::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

/// The API key, which each request to the service carries in `x-api-key`.
///
/// ```
/// # use abyssale_core::ApiKey;
/// let key = ApiKey::new("not-a-real-key")?;
/// assert_eq!(format!("{key:?}"), "ApiKey(…)");
/// # Ok::<(), abyssale_core::InvalidSecret>(())
/// ```
#[derive(Clone)]
pub struct ApiKey(Zeroizing<String>);

impl ApiKey {
    /// Creates a key from 1 to 1,024 visible ASCII characters. Others could not be sent in a header.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidSecret> {
        checked(key.into(), "API key").map(Self)
    }

    /// Returns the key.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// A secret that deliveries are signed with: the whole text, with its `whsec_` prefix.
#[derive(Clone)]
pub struct SigningSecret(Zeroizing<String>);

impl SigningSecret {
    /// Creates a secret from 1 to 1,024 visible ASCII characters.
    ///
    /// The `whsec_` prefix belongs to the HMAC key. It is neither required nor removed.
    pub fn new(secret: impl Into<String>) -> Result<Self, InvalidSecret> {
        checked(secret.into(), "signing secret").map(Self)
    }

    /// Returns the secret.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// A text that cannot be an API key or a signing secret. The error does not contain the text.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error(
    "the {what} is unusable: it must have 1 to 1024 visible ASCII characters; remove blanks and line ends around it"
)]
pub struct InvalidSecret {
    what: &'static str,
}

fn checked(text: String, what: &'static str) -> Result<Zeroizing<String>, InvalidSecret> {
    let text = Zeroizing::new(text);
    let visible = text.bytes().all(|b| b.is_ascii_graphic());
    if text.is_empty() || text.len() > MAX_LEN || !visible {
        return Err(InvalidSecret { what });
    }
    Ok(text)
}

const MAX_LEN: usize = 1024;

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        let shown = format!(
            "{:?} {:?}",
            ApiKey::new("hunter2").unwrap(),
            SigningSecret::new("whsec_hunter2").unwrap()
        );
        assert!(!shown.contains("hunter2"));
        let refused = ApiKey::new("hunter2\n").unwrap_err();
        assert!(!format!("{refused:?}{refused}").contains("hunter2"));
    }

    #[test]
    fn a_secret_that_is_no_header_value_is_refused() {
        for refused in ["", " ", "a b", "a\r\nx-other: b", "ключ"] {
            assert!(ApiKey::new(refused).is_err(), "{refused:?}");
            assert!(SigningSecret::new(refused).is_err(), "{refused:?}");
        }
    }
}
