//! A secret, and each form in which it may turn up in what somebody prints.

use std::fmt::Write as _;

/// A secret that is looked for: each half of it, and so all of it, as it is and as others may have written it.
#[derive(Clone)]
pub struct Needle {
    name: String,
    spellings: Vec<(String, String)>,
}

impl Needle {
    /// A secret of at least 24 ASCII characters: half of a shorter one may be found by chance.
    pub fn new(name: &str, secret: &str) -> Self {
        assert!(secret.is_ascii() && secret.len() >= 24, "{name}: half of it may be found by chance");
        let (first, second) = secret.split_at(secret.len() / 2);
        let mut spellings = Vec::new();
        for (part, text) in [("first half, ", first), ("second half, ", second)] {
            for (how, spelling) in written(text) {
                spellings.push((format!("{part}{how}"), spelling));
            }
        }
        Self { name: name.to_owned(), spellings }
    }

    /// What it is called, and in which form it is in `text`, if it is there.
    pub fn find(&self, text: &str) -> Option<String> {
        // A list of bytes may have been printed on many lines.
        let on_one_line = if text.contains('\n') {
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        } else {
            String::new()
        };
        let found = self
            .spellings
            .iter()
            .find(|(_, spelling)| text.contains(spelling) || on_one_line.contains(spelling));
        found.map(|(how, _)| format!("{} ({how})", self.name))
    }
}

/// The forms of a text.
fn written(text: &str) -> Vec<(&'static str, String)> {
    let each = |write: &dyn Fn(&mut String, u8)| {
        text.bytes().fold(String::new(), |mut all, byte| {
            write(&mut all, byte);
            all
        })
    };
    let lower = each(&|all, byte| write!(all, "{byte:02x}").unwrap());
    let mut forms = vec![
        ("plain", text.to_owned()),
        ("in hex", lower.clone()),
        ("in capital hex", lower.to_uppercase()),
        ("percent-encoded", each(&|all, byte| write!(all, "%{byte:02X}").unwrap())),
        ("percent-encoded in small letters", each(&|all, byte| write!(all, "%{byte:02x}").unwrap())),
        ("percent-encoded where it must be", percent_encoded(text)),
        ("as Debug has it", format!("{text:?}").trim_matches('"').to_owned()),
        ("escaped", text.escape_default().to_string()),
        ("as bytes that are escaped", each(&|all, byte| write!(all, "\\x{byte:02x}").unwrap())),
        ("as a list of bytes", text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ")),
        ("as a dense list of bytes", text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",")),
        ("as a list of hex", text.bytes().map(|byte| format!("{byte:x}")).collect::<Vec<_>>().join(", ")),
    ];
    // Where in a group of three bytes it begins is for what stands before it to say.
    for offset in 0..3 {
        for (how, alphabet) in [("in Base64", STANDARD), ("in Base64 for addresses", FOR_ADDRESSES)] {
            forms.push((how, base64(text.as_bytes(), offset, alphabet)));
        }
    }
    forms
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            write!(all, "%{byte:02X}").unwrap();
        }
        all
    })
}

/// The digits that say nothing but this text, behind `offset` bytes of something else.
fn base64(text: &[u8], offset: usize, alphabet: &[u8; 64]) -> String {
    let bits: Vec<bool> =
        text.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
    // The first digits share their bits with what stands before.
    let foreign = (6 - offset * 8 % 6) % 6;
    let own = bits.get(foreign..).unwrap_or_default();
    own.chunks_exact(6)
        .map(|digit| {
            let value = digit.iter().fold(0, |value, bit| value << 1 | usize::from(*bit));
            char::from(*alphabet.get(value).unwrap())
        })
        .collect()
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FOR_ADDRESSES: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = r#"whsec_h3J"uV9\kT2/xN8%2BqL+5rF=z"#;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let needle = Needle::new("secret", SECRET);
        // What other programs make of it: `printf %s … | base64`, `xxd -p`, a quoting of Python's.
        for planted in [
            "key: whsec_h3J\"uV9\\kT2/xN8%2BqL+5rF=z!",
            "eDp3aHNlY19oM0oidVY5XGtUMi94TjglMkJxTCs1ckY9eg==",
            "d2hzZWNfaDNKInVWOVxrVDIveE44JTJCcUwrNXJGPXo=",
            "IHdoc2VjX2gzSiJ1Vjlca1QyL3hOOCUyQnFMKzVyRj16",
            "77687365635f68334a227556395c6b54322f784e3825324271",
            "whsec_h3J%22uV9%5CkT2%2FxN8%252BqL%2B5rF%3Dz",
            r#"Some("whsec_h3J\"uV9\\kT2/xN8%2BqL+5rF=z")"#,
        ] {
            assert!(needle.find(planted).is_some(), "{planted}");
        }
        for shown in
            [format!("{:?}", SECRET.as_bytes()), format!("{:#?}", SECRET.as_bytes()), format!("{SECRET:?}")]
        {
            assert!(needle.find(&shown).is_some(), "{shown}");
        }
    }

    #[test]
    fn half_of_a_secret_is_found_and_less_is_not() {
        let needle = Needle::new("secret", SECRET);
        let (first, second) = SECRET.split_at(SECRET.len() / 2);
        assert_eq!(needle.find(first).as_deref(), Some("secret (first half, plain)"));
        assert_eq!(
            needle.find(&format!("{:?}", second.as_bytes())).as_deref(),
            Some("secret (second half, as a list of bytes)")
        );
        assert_eq!(needle.find(first.get(..12).unwrap()), None);
        assert_eq!(needle.find("ApiKey(…) and nothing else"), None);
    }
}
