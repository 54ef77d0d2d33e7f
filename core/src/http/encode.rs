//! Percent-encodes the URL in an event or a redirect, as every HTTP client does before it sends a request.
//!
//! Valid characters are not changed, since a signature may cover each of them.

use alloc::{borrow::Cow, string::String};

use super::{InvalidUrl, Url, url::allowed};

impl Url {
    /// Parses an absolute URL from a peer.
    ///
    /// Blanks around it, line breaks and tabs in it, and a fragment are removed. Characters that are invalid in a path or a
    /// query are percent-encoded. Scheme and host are not changed.
    ///
    /// # Errors
    ///
    /// Fails if the result is not a valid [`Url`].
    pub(crate) fn from_peer(text: &str) -> Result<Self, InvalidUrl> {
        encoded(text.as_bytes()).parse()
    }
}

/// Percent-encodes an absolute or relative reference. Bytes that are not UTF-8 are encoded one by one.
pub(crate) fn encoded(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = trimmed(bytes);
    let end = bytes.iter().position(|byte| *byte == b'#').unwrap_or(bytes.len());
    let bytes = bytes.get(..end).unwrap_or(bytes);
    match str::from_utf8(bytes) {
        Ok(text) if text.chars().all(allowed) => return Cow::Borrowed(text),
        _ => {}
    }
    let authority = authority_end(bytes);
    let mut out = String::with_capacity(bytes.len() + 16);
    for (at, byte) in bytes.iter().copied().enumerate() {
        match byte {
            b'\t' | b'\n' | b'\r' => {}
            // A host with such a byte is refused, and the error shows it as it was spelled.
            _ if allowed(char::from(byte)) || at < authority && byte.is_ascii() => out.push(char::from(byte)),
            _ => {
                out.push('%');
                out.extend([byte >> 4, byte & 0x0f].into_iter().filter_map(hex_digit));
            }
        }
    }
    Cow::Owned(out)
}

/// Returns the end of scheme and host of an absolute URL; 0 for a relative one.
fn authority_end(bytes: &[u8]) -> usize {
    let begins =
        |prefix: &[u8]| bytes.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    let Some(start) = [&b"https://"[..], b"http://", b"//"].into_iter().find(|prefix| begins(prefix)) else {
        return 0;
    };
    let host = bytes.get(start.len()..).unwrap_or_default();
    start.len() + host.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(host.len())
}

/// Removes blanks, control characters and byte order marks around a text.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let is_blank = |byte: u8| byte <= b' ' || byte == 0x7f;
    let mut bytes = bytes;
    loop {
        bytes = match bytes {
            [first, rest @ ..] if is_blank(*first) => rest,
            [rest @ .., last] if is_blank(*last) => rest,
            [0xef, 0xbb, 0xbf, rest @ ..] | [0xc2, 0xa0, rest @ ..] | [rest @ .., 0xc2, 0xa0] => rest,
            _ => return bytes,
        };
    }
}

fn hex_digit(digit: u8) -> Option<char> {
    char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn invalid_characters_are_encoded_as_every_client_does() {
        // As urllib3 2 sends them, but for stray percent signs and line breaks.
        for (spelled, sent) in [
            ("https://h/10:30 Été – 50 %.png", "https://h/10:30%20%C3%89t%C3%A9%20%E2%80%93%2050%20%.png"),
            ("https://h/a|b.zip?q=x|y", "https://h/a%7Cb.zip?q=x%7Cy"),
            (r#"https://h/"a"{b}<c>^`\d"#, "https://h/%22a%22%7Bb%7D%3Cc%3E%5E%60%5Cd"),
            ("https://h/a.zip?sig=x#page=2", "https://h/a.zip?sig=x"),
            ("https://h/a.zip#", "https://h/a.zip"),
            (" \t\r\nhttps://h/a.zip?sig=x\n", "https://h/a.zip?sig=x"),
            ("\u{feff}https://h/a.zip\u{a0}", "https://h/a.zip"),
            ("https://h/a\n.zip?sig=\r\n x", "https://h/a.zip?sig=%20x"),
            ("https://h/\u{7f}\u{1}", "https://h/"),
            ("https://h/a\u{1}b", "https://h/a%01b"),
            ("https://h?a b", "https://h?a%20b"),
            ("https://h/%C3%A9%2f%zz?a=%", "https://h/%C3%A9%2f%zz?a=%"),
        ] {
            assert_eq!(Url::from_peer(spelled).unwrap().as_str(), sent, "{spelled:?}");
        }
        assert_eq!(encoded(b"/caf\xe9 \xff"), "/caf%E9%20%FF");
    }

    #[test]
    fn a_host_is_never_mended() {
        for spelled in [
            "https://h\\@evil/a",
            "https://h evil/a",
            "https://u:p@h/a",
            "https://é/a",
            "https://127.1/a",
            "https://h|/a",
            "https:\\\\h\\a",
            "url.zip",
            "//h/a",
            "#https://h/a",
            "",
        ] {
            assert!(Url::from_peer(spelled).is_err(), "{spelled:?}");
        }
    }

    #[test]
    fn a_signed_address_is_sent_byte_for_byte() {
        for address in [
            "https://b.s3.amazonaws.com/a.zip?AWSAccessKeyId=AKIA&Expires=1755561234&Signature=a%2Bb%2Fc%3D",
            "https://b.s3.eu-west-3.amazonaws.com/exports/10%3A30%20%C3%89t%C3%A9.zip?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261127%2Feu-west-3%2Fs3%2Faws4_request&X-Amz-Date=20261127T120000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=00ff",
            "https://b.s3.amazonaws.com/a+b.zip?response-content-disposition=attachment%3B%20filename%3D%22a%22&X-Amz-Signature=0",
            "https://s3.amazonaws.com/b/a.zip?X-Amz-Security-Token=IQoJb3JpZ2luX2Vj%2F%2F%2F%3D%3D&X-Amz-Signature=0",
            "https://b.s3.amazonaws.com/a..b/./c/../d.zip?X-Amz-Signature=0",
            "https://b.s3.amazonaws.com//a//b.zip?x-id=GetObject&X-Amz-Signature=0",
            "https://storage.googleapis.com/b/a.zip?GoogleAccessId=x%40y.iam.gserviceaccount.com&Expires=1&Signature=a%2F%3D%3D",
            "https://storage.googleapis.com/b/a.zip?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Signature=0",
            "https://firebasestorage.googleapis.com/v0/b/b.appspot.com/o/exports%2Fa.zip?alt=media&token=54e62358",
            "https://acc.blob.core.windows.net/c/a.zip?sv=2024-11-04&st=2026-11-27T12%3A00%3A00Z&se=2026-11-28T12:00:00Z&sr=b&sp=r&sig=a%2Bb%3D",
            "https://d111.cloudfront.net/a.zip?Expires=1&Signature=a~b-c_&Key-Pair-Id=APKA",
            "https://d111.cloudfront.net/a.zip?Policy=eyJTdGF0ZW1lbnQiOlt7fV19Cg__&Signature=a~_&Key-Pair-Id=K",
            "https://acc.r2.cloudflarestorage.com/b/a.zip?X-Amz-Signature=0&x-amz-checksum-mode=ENABLED",
            "https://b.fra1.digitaloceanspaces.com/a.zip?X-Amz-Signature=0",
            "https://f002.backblazeb2.com/file/b/a.zip?Authorization=3_2026+/=",
            "https://objectstorage.eu-paris-1.oraclecloud.com/p/aB-_/n/ns/b/b/o/a.zip",
            "https://b.oss-eu-central-1.aliyuncs.com/a.zip?OSSAccessKeyId=x&Expires=1&Signature=a%2Bb%3D",
            "https://b.cos.eu-frankfurt.myqcloud.com/a.zip?q-sign-algorithm=sha1&q-sign-time=1;2&q-key-time=1;2&q-signature=0",
            "https://storage.gra.cloud.ovh.net/v1/AUTH_x/b/a.zip?temp_url_sig=0&temp_url_expires=1&filename=a'b(c)!*.zip",
            "https://minio.example.com:9000/b/a.zip?X-Amz-Signature=0",
            "https://s3.fr-par.scw.cloud/b/a.zip?X-Amz-Signature=0&a[]=1&b=@,$;:",
            "https://h/a.zip?sig=%2b%2B%zz%&empty=&=&&flag",
            "HTTPS://H.Example.COM/A.zip?Sig=X",
            "https://h?sig=a/b?c",
        ] {
            assert_eq!(Url::from_peer(address).unwrap().as_str(), address);
        }
    }

    proptest! {
        #[test]
        fn an_address_that_may_stand_stays_and_an_encoded_one_may_stand(text in "https://h[ -~é\n]{0,20}") {
            if let Ok(url) = text.parse::<Url>() {
                prop_assert_eq!(Url::from_peer(&text).unwrap(), url);
            }
            if let Ok(url) = Url::from_peer(&text) {
                prop_assert_eq!(Url::from_peer(url.as_str()).unwrap(), url);
            }
        }
    }
}
