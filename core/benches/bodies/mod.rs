//! Error bodies of any size: as the service sends them, and as only somebody hostile would.

/// A body, and the same said in JSON alone, which is what the time of a repr is compared with.
pub(crate) struct Body {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) as_json: Vec<u8>,
}

/// The refusal that the service documents.
pub(crate) const DOCUMENTED: &str = r#"{"message": "body_validation_errors: {'media': {'ids': {0: ['Length must be 36.']}}}", "errors": {"media": {"ids": {"0": ["Length must be 36."]}}}}"#;

/// One problem for each of so many banners.
fn ids(key: impl Fn(usize) -> String, quote: char, size: usize) -> String {
    let count = size / 31 + 1;
    let items: Vec<_> =
        (0..count).map(|id| format!("{}: [{quote}Length must be 36.{quote}]", key(id))).collect();
    items.join(", ")
}

fn tree(size: usize) -> String {
    format!(r#"{{"media": {{"ids": {{{}}}}}}}"#, ids(|id| format!("\"{id}\""), '"', size))
}

fn repr(size: usize) -> String {
    format!("{{'media': {{'ids': {{{}}}}}}}", ids(|id| id.to_string(), '\'', size))
}

/// The tree and nothing else.
pub(crate) fn tree_only(size: usize) -> Body {
    let bytes = format!(r#"{{"errors": {}}}"#, tree(size)).into_bytes();
    Body { name: "tree", as_json: bytes.clone(), bytes }
}

/// The repr and nothing else.
pub(crate) fn repr_only(size: usize) -> Body {
    let bytes = format!(r#"{{"message": "body_validation_errors: {}"}}"#, repr(size)).into_bytes();
    Body { name: "repr", bytes, as_json: tree(size).into_bytes() }
}

/// Both, as the service sends them.
pub(crate) fn both(size: usize) -> Body {
    let (repr, tree) = (repr(size / 2), tree(size / 2));
    let bytes = format!(r#"{{"message": "body_validation_errors: {repr}", "errors": {tree}}}"#).into_bytes();
    Body { name: "message and tree", as_json: bytes.clone(), bytes }
}

/// The flat list.
pub(crate) fn flat(size: usize) -> Body {
    let item = |id| {
        format!(
            r#"{{"path": "ids[{id}]", "code": "invalid_length", "message": "Length must be 36.", "received": "x"}}"#
        )
    };
    let items: Vec<_> = (0..=size / 98).map(item).collect();
    let bytes = format!(r#"{{"id": "invalid_payload", "message": "No.", "errors": [{}]}}"#, items.join(", "))
        .into_bytes();
    Body { name: "flat list", as_json: bytes.clone(), bytes }
}

/// Bodies that nobody sends who means well, of about this size.
pub(crate) fn hostile(size: usize) -> Vec<Body> {
    let nested = |name, open: &str, inner: &str, close: &str| {
        let levels = size / (open.len() + close.len());
        let value = format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
        let is_repr = open.contains(['\'', '(']) || inner.contains('\'');
        let body =
            if is_repr { json_message(&value) } else { format!(r#"{{"errors": {{"media": {value}}}}}"#) };
        Body { name, bytes: body.into_bytes(), as_json: Vec::new() }
    };
    let flat = |name, item: &str, is_repr| {
        let items = item.repeat(size / item.len());
        let value = if is_repr {
            json_message(&format!("[{items}"))
        } else {
            format!(r#"{{"errors": {{"a": [{items}"#)
        };
        Body { name, bytes: value.into_bytes(), as_json: Vec::new() }
    };
    vec![
        nested("JSON objects in objects", "{\"a\":", "\"x\"", "}"),
        nested("JSON objects in objects, cut off", "{\"\":", "", ""),
        nested("JSON objects with a problem on every level", "{\"a\":1,\"b\":", "\"x\"", "}"),
        nested("JSON lists in lists", "[", "\"x\"", "]"),
        flat("JSON empty texts", "\"\",", false),
        flat("JSON digits", "1,", false),
        flat("JSON escapes", "\"\\u00e9\\n\\ud83d\\ude00\",", false),
        nested("repr dicts in dicts", "{'a': ", "'x'", "}"),
        nested("repr dicts in dicts, cut off", "{'':", "", ""),
        nested("repr tuples in tuples", "(", "'x',", ",)"),
        nested("repr tuples in keys", "{(", "1,", "): 2}"),
        nested("repr sets in sets", "frozenset({'a', ", "'b'", "})"),
        nested("repr sets in sets, to be sorted", "frozenset({'c', ", "'b'", ", 'a'})"),
        nested("repr OrderedDicts", "OrderedDict([('a', ", "'x'", ")])"),
        nested("repr braces", "{", "'x'", "}"),
        nested("repr braces, cut off", "{(", "", ""),
        nested("repr parentheses before a number", "(1", "", ""),
        flat("repr empty texts", "'',", true),
        flat("repr sets of digits", "{2,1},", true),
        flat("repr escapes", "'\\u00e9\\n\\U0001f600',", true),
    ]
}

fn json_message(repr: &str) -> String {
    format!(
        r#"{{"message": "body_validation_errors: {{'media': {}"#,
        repr.replace('\\', "\\\\").replace('"', "\\\"")
    ) + "}\"}"
}
