//! What must not leak: the API key and the signing secrets.
//!
//! Both are wiped when dropped, show nothing of themselves in `Debug`, have no `Display` and are never
//! serialised. Reading one takes a call that says so by name.

use alloc::string::String;
use core::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

/// The key that a request to the service carries in `x-api-key`.
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
    /// Takes a key: 1 to 1,024 visible ASCII characters, since it travels in a header.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidSecret> {
        checked(key.into(), "API key").map(Self)
    }

    /// The key itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// A secret that signs deliveries: the whole text, with its `whsec_` prefix.
#[derive(Clone)]
pub struct SigningSecret(Zeroizing<String>);

impl SigningSecret {
    /// Takes a secret: 1 to 1,024 visible ASCII characters.
    ///
    /// The prefix is part of the key that signs, so it is neither required nor cut off here.
    pub fn new(secret: impl Into<String>) -> Result<Self, InvalidSecret> {
        checked(secret.into(), "signing secret").map(Self)
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// A text cannot be an API key or a signing secret. Says nothing of the text.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error(
    "the {what} is unusable: 1 to 1024 visible ASCII characters are expected (is a blank or a line end around it?)"
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
    fn what_could_break_out_of_a_header_is_refused() {
        for refused in ["", " ", "a b", "a\r\nx-other: b", "ключ"] {
            assert!(ApiKey::new(refused).is_err(), "{refused:?}");
            assert!(SigningSecret::new(refused).is_err(), "{refused:?}");
        }
    }
}
