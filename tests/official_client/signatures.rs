//! Signature headers before the official verifier and ours: they must agree, but for the differences that are listed
//! here with their reasons. A header reaches both as the same text, as it does in a framework that decodes UTF-8.

use abyssale_core::{
    SigningSecret, Timestamp,
    webhook::{SIGNATURE_HEADER, Verifier, sign},
};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::python::{Judged, OfficialClient};

/// A header, and what is expected of the two.
struct Case {
    name: &'static str,
    header: String,
    /// How much later than its signature it arrives, in seconds.
    age: f64,
    expected: Expected,
}

#[derive(Clone, Copy)]
enum Expected {
    BothAccept,
    BothRefuse,
    /// A difference that is known and wanted.
    Differ {
        official: &'static str,
        ours: &'static str,
        #[expect(dead_code, reason = "for who reads the table")]
        because: &'static str,
    },
}

impl Expected {
    fn verdicts(self) -> (&'static str, &'static str) {
        match self {
            Self::BothAccept => ("accepts", "accepts"),
            Self::BothRefuse => ("refuses", "refuses"),
            Self::Differ { official, ours, .. } => (official, ours),
        }
    }
}

pub(crate) fn named(client: &OfficialClient) {
    let cases = cases();
    let judged: Vec<_> = cases.iter().map(|case| judged(&case.header, case.age)).collect();
    let official = client.judge(&judged);
    let mut wrong = Vec::new();
    for (case, official) in cases.iter().zip(&official) {
        let found = (official.as_str(), ours(&case.header, case.age));
        if found != case.expected.verdicts() {
            let header: String = case.header.chars().take(120).collect();
            wrong.push(format!("{}: (official, ours) = {found:?} for {header}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn cases() -> Vec<Case> {
    let (v1, zeros, nines) = (v1(), "0".repeat(64), |count| "9".repeat(count));
    let case = |name, header: String, expected| Case { name, header, age: 0.0, expected };
    let aged = |name, age, expected| Case { name, header: header(), age, expected };
    let both = |name, header| case(name, header, Expected::BothAccept);
    let neither = |name, header| case(name, header, Expected::BothRefuse);
    let differ = |name, header, [official, ours]: [&'static str; 2], because| {
        case(name, header, Expected::Differ { official, ours, because })
    };
    vec![
        both("valid", header()),
        both("v1 before t", format!("v1={v1},t={T}")),
        both("the second v1 fits", format!("t={T},v1={zeros},v1={v1}")),
        both("the first v1 fits", format!("t={T},v1={v1},v1={zeros}")),
        both("blanks around keys and values", format!(" t = {T} , v1 = {v1} ")),
        both("tabs around keys and values", format!("\tt\t=\t{T}\t,\tv1\t=\t{v1}\t")),
        both("pairs without meaning", format!("v0=x,t={T},,=,junk,v1={v1},")),
        both("a v1 that is not a digest beside one that fits", format!("t={T},v1=é,v1={v1}")),
        aged("300 s old", 300.0, Expected::BothAccept),
        aged("300 s early", -300.0, Expected::BothAccept),
        aged("301 s old", 301.0, Expected::BothRefuse),
        aged("301 s early", -301.0, Expected::BothRefuse),
        aged("a quarter of a second too old", 300.25, Expected::BothRefuse),
        aged("a quarter of a second too early", -300.25, Expected::BothRefuse),
        neither("empty", String::new()),
        neither("only commas", ",,,".into()),
        neither("no t", format!("v1={v1}")),
        neither("no v1", format!("t={T}")),
        neither("an empty t", format!("t=,v1={v1}")),
        neither("an empty v1", format!("t={T},v1=")),
        neither("a t with a sign", format!("t=+{T},v1={v1}")),
        neither("a negative t", format!("t=-{T},v1={v1}")),
        neither("a t with a fraction", format!("t={T}.0,v1={v1}")),
        neither("a t with an underscore", format!("t=1_755_561_234,v1={v1}")),
        neither("a t in hexadecimal", format!("t=0x68A3BE52,v1={v1}")),
        neither("a t with an exponent", format!("t=1755561234e0,v1={v1}")),
        neither("a t in milliseconds", format!("t={T}000,v1={v1}")),
        neither("a t of 20 digits", format!("t={},v1={v1}", nines(20))),
        neither("another t than was signed", format!("t={},v1={v1}", T + 1)),
        neither("uppercase hexadecimal", format!("t={T},v1={}", v1.to_uppercase())),
        neither("uppercase keys", format!("T={T},V1={v1}")),
        neither("another version only", format!("t={T},v2={v1}")),
        neither("a v1 that is too short", format!("t={T},v1={}", &v1[..63])),
        neither("a v1 that is too long", format!("t={T},v1={v1}0")),
        neither("a quoted v1", format!("t={T},v1=\"{v1}\"")),
        neither("a v1 that does not fit", format!("t={T},v1={zeros}")),
        neither("a v1 in other digits", format!("t={T},v1=é{}", &v1[1..])),
        neither("semicolons", format!("t={T};v1={v1}")),
        neither("two equals signs", format!("t=={T},v1={v1}")),
        differ(
            "a t of 5,000 digits",
            format!("t={},v1={v1}", nines(5_000)),
            ["raises ValueError", "refuses"],
            "Python reads no integer of more than 4,300 digits",
        ),
        differ(
            "a t of 400 digits",
            format!("t={},v1={v1}", nines(400)),
            ["raises OverflowError", "refuses"],
            "Python subtracts it from the clock, which is a float",
        ),
        differ(
            "a duplicated t",
            format!("t={T},t={T},v1={v1}"),
            ["accepts", "refuses"],
            "the service sends one; of two, it is a guess which was meant",
        ),
        differ(
            "a second t that is stale",
            format!("t={T},t=1,v1={v1}"),
            ["accepts", "refuses"],
            "as above: the official client takes the first",
        ),
        differ(
            "a t in Arabic digits",
            format!("t={},v1={v1}", T.to_string().replace('1', "١")),
            ["accepts", "refuses"],
            "the service sends ASCII digits; Python's \\d takes those of every script",
        ),
        differ(
            "a t with a leading zero, signed without it",
            format!("t=0{T},v1={v1}"),
            ["accepts", "refuses"],
            "the official client signs the number as Python prints it; the service writes no zero there",
        ),
        neither("a t with a leading zero, signed with it", format!("t=0{T},v1={}", digest(&format!("0{T}")))),
        differ(
            "no-break spaces around t",
            format!("t=\u{a0}{T}\u{a0},v1={v1}"),
            ["accepts", "refuses"],
            "Python strips every white space of Unicode, we strip that of ASCII",
        ),
        differ(
            "more than 1,024 bytes",
            format!("{},v0={zeros}", [header(), zeros.repeat(16)].join(",v0=")),
            ["accepts", "refuses"],
            "what a header can cost is bounded; the service needs 146 bytes at most",
        ),
    ]
}

/// Spellings of each part, all with all: where the parts are spelled in ways on which the verifiers agree, they must
/// agree on the whole; and of those that differ, ours must be the one that refuses.
pub(crate) fn combined(client: &OfficialClient) {
    let (v1, zeros) = (v1(), "0".repeat(64));
    let mut headers = Vec::new();
    for key in ["t", " t", "t\t", "T", "tt", ""] {
        for value in
            [format!("{T}"), format!(" {T} "), format!("+{T}"), format!("{T}.0"), String::new(), "1".into()]
        {
            for digest in
                [v1.clone(), format!(" {v1}\t"), v1.to_uppercase(), zeros.clone(), format!("{v1},v1={zeros}")]
            {
                for rest in
                    ["", ",", ",x", ",v0=1", ",v1", &format!(",v1={v1}"), &format!(",t={T}"), ",=", ",t"]
                {
                    headers.push(format!("{key}={value},v1={digest}{rest}"));
                    headers.push(format!("v1={digest}{rest},{key}={value}"));
                }
            }
        }
    }
    let judged: Vec<_> = headers.iter().map(|header| judged(header, 0.0)).collect();
    let official = client.judge(&judged);
    assert_eq!(official.len(), headers.len());
    let mut accepted = 0;
    for (header, official) in headers.iter().zip(&official) {
        let ours = ours(header, 0.0);
        accepted += usize::from(ours == "accepts");
        let two_times = header
            .split(',')
            .filter(|pair| pair.split('=').next().map(str::trim) == Some("t") && pair.contains('='))
            .count()
            > 1;
        let expected = if two_times { "refuses" } else { official };
        assert_eq!(ours, expected, "official: {official}, header: {header:?}");
    }
    // That they agree means something only if both verdicts occur.
    assert!(accepted > 100 && accepted < headers.len() - 100, "{accepted} of {}", headers.len());
}

fn judged(header: &str, age: f64) -> Judged<'_> {
    // Exact: there are 53 bits for the 31 of the seconds.
    #[expect(clippy::cast_precision_loss)]
    let now = T as f64 + age;
    Judged { body: BODY, header, secret: SECRET, now: Some(now) }
}

fn ours(header: &str, age: f64) -> &'static str {
    // Quarters of seconds are exact in milliseconds.
    #[expect(clippy::cast_possible_truncation)]
    let millis = (age * 1000.0) as i64;
    let now = Timestamp::from_millis((T * 1000).saturating_add_signed(millis));
    let headers = [(SIGNATURE_HEADER, header)];
    let verified = Verifier::new([secret()]).verify(now, &headers, BODY.as_bytes());
    if verified.is_ok() { "accepts" } else { "refuses" }
}

fn header() -> String {
    sign(&secret(), Timestamp::from_secs(T), BODY.as_bytes())
}

fn v1() -> String {
    header().split_once(",v1=").unwrap().1.to_owned()
}

/// The digest of a delivery whose time is spelled as `sign` never would.
fn digest(t: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let digest = mac.chain_update(format!("v1:webhook:{t}.{BODY}")).finalize().into_bytes();
    format!("{:x}", Bytes::copy_from_slice(&digest))
}

fn secret() -> SigningSecret {
    SigningSecret::new(SECRET).unwrap()
}

const SECRET: &str = "whsec_between_the_two";
const BODY: &str = r#"{"export_id":"e","archive_url":"url.zip"}"#;
const T: u64 = 1_755_561_234;
