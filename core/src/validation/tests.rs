//! The rules of parsing refusals. `tests/oracle.rs` of the workspace compares the parsers with real answers, generated ones
//! and Python.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::*;

fn lines(body: &str) -> Vec<String> {
    read(body.as_bytes()).problems.iter().map(|problem| problem.to_string()).collect()
}

fn repr_only(repr: &str) -> Problems {
    let body = serde_json::json!({ "message": format!("body_validation_errors: {repr}") });
    read(body.to_string().as_bytes()).problems
}

fn of_repr(repr: &str) -> Vec<String> {
    repr_only(repr).iter().map(|problem| problem.to_string()).collect()
}

const DOCUMENTED: &str = r#"{"message": "body_validation_errors: {'media': {'ids': {0: ['Length must be 36.']}}}",
    "errors": {"media": {"ids": {"0": ["Length must be 36."]}}}}"#;

#[test]
fn the_documented_refusal_is_one_problem_about_one_banner() {
    let problems = read(DOCUMENTED.as_bytes()).problems;
    assert_eq!((problems.source(), problems.is_complete(), problems.len()), (Source::Tree, true, 1));
    let problem = problems.get(0).unwrap();
    assert_eq!(problem.location(), Some("media"));
    assert_eq!(problem.path(), "ids[0]");
    assert_eq!(problem.path().segments().collect::<Vec<_>>(), [Segment::Key("ids"), Segment::Index(0)]);
    assert_eq!(
        (problem.index_in("ids"), problem.index_in("id"), problem.index_in("formats")),
        (Some(0), None, None)
    );
    assert_eq!(problem.to_string(), "ids[0]: Length must be 36.");
}

#[test]
fn the_repr_says_the_same_as_the_tree() {
    let tree = read(DOCUMENTED.as_bytes()).problems;
    for errors in ["null", "{}", "[]", "\"\"", "7"] {
        let start = DOCUMENTED.find("{\"media").unwrap();
        let body = format!("{}{errors}}}", &DOCUMENTED[..start]);
        let repr = read(body.as_bytes()).problems;
        assert_eq!((repr.source(), repr.is_complete()), (Source::Repr, true), "{errors}");
        assert!(repr.iter().eq(tree.iter()), "{errors}: {repr:?}");
    }
}

#[test]
fn the_envelope_is_read_with_all_it_has() {
    let reading = read(
        br#"{"id": "invalid_payload", "message": "No.", "version": "v2026-10-21", "errors": [
            {"path": "formats[0].width", "code": "out_of_range", "message": "Too wide.", "expected": {"max": 9}, "received": 10},
            {"path": "callback_url", "code": "missing_required"}, "and another thing"]}"#,
    );
    assert_eq!(reading.id.as_deref(), Some("invalid_payload"));
    assert_eq!(reading.message.as_deref(), Some("No."));
    assert_eq!(reading.version.as_deref(), Some("v2026-10-21"));
    assert_eq!(reading.problems.source(), Source::Flat);
    let lines: Vec<_> = reading.problems.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(
        lines,
        ["formats[0].width (10): Too wide.", "callback_url: missing_required", "and another thing"]
    );
    let first = reading.problems.get(0).unwrap();
    assert_eq!((first.code(), first.expected()), (Some("out_of_range"), Some(r#"{"max": 9}"#)));
    assert_eq!(first.location(), None);
    assert_eq!(reading.problems.get(2).unwrap().code(), None);
}

#[test]
fn a_body_without_problems_gives_none_and_is_complete() {
    let bodies: [&[u8]; 12] = [
        b"",
        b"<html><h1>Bad Gateway</h1>",
        b"null",
        b"[]",
        b"{}",
        br#"{"errors": null}"#,
        br#"{"errors": {}}"#,
        br#"{"errors": {"media": {"ids": {}}}}"#,
        b"\xff\xfe",
        br#"{"message": "banner_not_found: ['5452b7df-a192-4430-836a-edeb344d3f24']"}"#,
        br#"{"message": "Send {name: value}."}"#,
        br#"{"message": "Sorry: {name}."}"#,
    ];
    for body in bodies {
        let problems = read(body).problems;
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(problems.source(), Source::None);
    }
    assert_eq!(read(br#"{"message": "Forbidden"}"#).message.as_deref(), Some("Forbidden"));
    assert!(read(br#"{"message": "Forbidden"}"#).problems.is_complete());
    assert_eq!(read(br#"{"title": "404 Not Found"}"#).message.as_deref(), Some("404 Not Found"));
}

#[test]
fn a_body_that_breaks_off_gives_what_it_said_until_then() {
    let body = r#"{"id": "x", "errors": {"media": {"ids": {"0": ["a"], "1": ["b"#;
    let reading = read(body.as_bytes());
    assert_eq!(reading.id.as_deref(), Some("x"));
    assert_eq!(reading.problems.len(), 1);
    assert!(!reading.problems.is_complete());

    let cut = repr_only("{'media': {'ids': {0: ['a'], 1: ['b");
    assert_eq!((cut.len(), cut.is_complete(), cut.source()), (1, false, Source::Repr));
}

#[test]
fn a_number_that_may_go_on_is_not_read() {
    assert_eq!(lines(r#"{"errors": {"media": {"a": [1, 23"#), ["a: 1"]);
    assert_eq!(of_repr("{'media': {'a': [1, 23"), ["a: 1"]);
    assert_eq!(of_repr("{'media': {'a': {1, 23"), ["a: 1"]);
    assert_eq!(of_repr("{'media': {'a': [1, (2+3"), ["a: 1"]);
}

#[test]
fn a_key_that_breaks_off_is_no_problem() {
    for repr in [
        "{'media': {'a': 'b', (1, 2)",
        "{'media': {'a': 'b', (1, 2",
        "{'media': OrderedDict([('a', 'b'), ((1, 2)",
    ] {
        assert_eq!(of_repr(repr), ["a: b"], "{repr}");
    }
    assert_eq!(of_repr("{'media': {(1, 2)"), [""; 0]);
    assert_eq!(of_repr("{'media': {'a'"), [""; 0]);
}

#[test]
fn a_tree_that_breaks_off_is_taken_from_the_message_that_came_before() {
    let cut = &DOCUMENTED[..DOCUMENTED.rfind("Length").unwrap()];
    let problems = read(cut.as_bytes()).problems;
    assert_eq!((problems.source(), problems.is_complete(), problems.len()), (Source::Repr, true, 1));
}

#[test]
fn every_beginning_of_a_body_is_read_without_a_loss_of_what_is_whole() {
    let whole = lines(DOCUMENTED);
    let repr_ends = DOCUMENTED.find("]}}}").unwrap() + 1;
    for len in 0..DOCUMENTED.len() {
        let expected = if len >= repr_ends { &whole[..] } else { &[] };
        let found = lines(&DOCUMENTED[..len]);
        assert!(found == expected || (found == whole && len + 9 > repr_ends), "{len}: {found:?}");
    }
}

#[test]
fn only_the_repr_tells_a_number_from_its_text() {
    let tree = read(br#"{"errors": {"media": {"0": ["a"], "00": ["b"], "-1": ["c"]}}}"#).problems;
    let segments = |problems: &Problems| -> Vec<String> {
        problems.iter().map(|problem| format!("{:?}", problem.path())).collect()
    };
    assert_eq!(segments(&tree), ["[Index(0)]", "[Key(\"00\")]", "[Key(\"-1\")]"]);
    let repr = repr_only("{'media': {'0': ['a'], 0: ['b'], -1: ['c'], 18446744073709551616: ['d']}}");
    assert_eq!(
        segments(&repr),
        ["[Key(\"0\")]", "[Index(0)]", "[Index(-1)]", "[Key(\"18446744073709551616\")]"]
    );
}

#[test]
fn json_that_strict_parsers_refuse_is_read() {
    let deep = format!("{{\"errors\": {}\"x\"{}}}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let problems = read(deep.as_bytes()).problems;
    assert_eq!((problems.len(), problems.is_complete()), (1, true));
    assert_eq!(problems.get(0).unwrap().path().len(), 100_000);

    assert_eq!(
        lines(r#"{"errors": {"media": {"a": ["\ud800 \ude00\ud83d", "\ud83d\ude00"]}}}"#),
        ["a: \u{fffd} \u{fffd}\u{fffd}", "a: 😀"]
    );
    assert_eq!(lines(r#"{"errors": {"media": {"a": [NaN, -Infinity]}}}"#), ["a: NaN", "a: -Infinity"]);
    assert_eq!(lines(r#"{"errors": {"media": {"a": ["x"], "a": ["y"]}}}"#), ["a: x", "a: y"]);
    assert_eq!(lines(r#"{"errors": {"media": {"a": ["x"]}}, "errors": null}"#), ["a: x"]);
}

#[test]
fn bytes_that_are_no_text_do_not_lose_the_problems() {
    assert_eq!(
        read(b"{\"errors\": {\"media\": {\"a\": [\"caf\xe9\"]}}}").problems.get(0).unwrap().message(),
        "caf?"
    );
}

#[test]
fn a_location_is_told_from_the_path_by_its_name() {
    let problems = read(
        br#"{"errors": {"json": ["Invalid JSON body."], "query": {"a": ["x"]}, "other": {"b": ["y"]}}}"#,
    )
    .problems;
    let places: Vec<_> =
        problems.iter().map(|problem| (problem.location(), problem.path().to_string())).collect();
    assert_eq!(
        places,
        [(Some("json"), String::new()), (Some("query"), "a".into()), (None, "other.b".into())]
    );
    assert_eq!(problems.get(0).unwrap().to_string(), "json: Invalid JSON body.");
}

#[test]
fn containers_of_python_are_read_as_the_service_meant_them() {
    assert_eq!(
        of_repr("{'media': {'a': ('x', 'y'), 'b': [['z']], 'c': (), 'd': {}}}"),
        ["a: x", "a: y", "b: z"]
    );
    assert_eq!(of_repr("{'media': defaultdict(<class 'dict'>, {'a': {'value': ['x']}})}"), ["a.value: x"]);
    assert_eq!(
        of_repr("OrderedDict([('media', OrderedDict({'a': 'x'})), ((1, 2), 'y')])"),
        ["a: x", "(1, 2): y"]
    );
    assert_eq!(
        of_repr("{'media': {(1, ('a',)): ['x'], frozenset({2}): 'y', (): 'z'}}"),
        ["(1, ('a',)): x", "frozenset({2}): y", "(): z"]
    );
    assert_eq!(
        of_repr("{'media': {True: 'a', None: 'b', 1.5: 'c', b'k': 'd', inf: 'e'}}"),
        ["true: a", "null: b", "1.5: c", "b'k': d", "Infinity: e"]
    );
}

#[test]
fn a_set_is_read_in_the_order_of_its_spelling() {
    assert_eq!(
        of_repr("{'media': {'a': {'y', 'x'}, 'b': frozenset({(2, 1), (1, 'z'), 'q'})}}"),
        ["a: x", "a: y", "b: q", "b: 1", "b: z", "b: 2", "b: 1"]
    );
    assert_eq!(
        of_repr("{'media': {'a': {frozenset({'d', 'c'}), 'b', frozenset({'a'})}, 'e': set()}}"),
        ["a: b", "a: a", "a: c", "a: d"]
    );
}

#[test]
fn a_set_without_problems_is_put_in_order_as_well() {
    // Found by fuzzing: there is nothing to move.
    let problems = repr_only("{'media': {'a': {frozenset({frozenset()}), frozenset()}, 'b': ['x']}}");
    assert_eq!((problems.len(), problems.is_complete()), (1, true));
}

#[test]
fn scalars_of_python_are_shown_as_json_spells_them() {
    let reprs = "[True, None, 3, -1.5, 1e+22, nan, -inf, (1+2j), 2j, b'\\x00', Ellipsis, 123456789012345678901234567890]";
    let found: Vec<_> =
        repr_only(&format!("{{'media': {reprs}}}")).iter().map(|p| p.message().to_string()).collect();
    assert_eq!(
        found,
        [
            "true",
            "null",
            "3",
            "-1.5",
            "1e+22",
            "NaN",
            "-Infinity",
            "(1+2j)",
            "2j",
            "b'\\x00'",
            "Ellipsis",
            "123456789012345678901234567890"
        ]
    );
}

#[test]
fn objects_that_are_no_literals_are_kept_as_they_are_spelled() {
    let reprs = r#"{'media': {'a': [datetime.date(2026, 1, 2), <Thing "it's > that">, UUID('x)'), l'lazy', NotImplemented]}}"#;
    let found: Vec<_> = repr_only(reprs).iter().map(|p| p.message().to_string()).collect();
    assert_eq!(
        found,
        ["datetime.date(2026, 1, 2)", r#"<Thing "it's > that">"#, "UUID('x)')", "lazy", "NotImplemented"]
    );
}

#[test]
fn escapes_of_python_are_read() {
    let found: Vec<_> =
        repr_only(r#"{'media': ['it\'s', "it's", '\\\n\t\x41\u00e9\U0001f600', '\ud83d\ude00', '\7\d\a']}"#)
            .iter()
            .map(|p| p.message().to_string())
            .collect();
    assert_eq!(found, ["it's", "it's", "\\\n\tAé😀", "\u{fffd}\u{fffd}", "\u{7}\\d\u{7}"]);
}

#[test]
fn a_text_that_python_never_prints_is_refused_at_its_position() {
    for repr in [
        "{'a': 'b' 'c'}",
        "{'a': 01}",
        "{'a': (1j+2j)}",
        "{'a': ('b')}",
        "{'a': \"b\nc\"}",
        "{'a': '\\x4'}",
        "{'a': }",
        "{'a'}",
        "{'a': 1} 2",
        "{'a': '\\N{DASH}'}",
    ] {
        assert!(!repr_only(repr).is_complete(), "{repr}");
    }
}

#[test]
fn nesting_costs_no_stack() {
    for (open, inner, close) in [
        ("{'a': ", "'x'", "}"),
        ("[", "'x'", "]"),
        ("(", "'x',", "),"),
        ("{(", "1,", "): 2}"),
        ("frozenset({", "1", "})"),
        ("defaultdict(<class 'dict'>, {'a': ", "'x'", "})"),
        ("OrderedDict([('a', ", "'x'", ")])"),
        ("{", "1", "}"),
        ("{'a': {", "", ""),
    ] {
        let repr = format!("{{'media': {}{inner}{}}}", open.repeat(50_000), close.repeat(50_000));
        let problems = repr_only(&repr);
        drop(problems.clone());
        assert!(problems.len() <= 1, "{open}");
    }
}

#[test]
fn limits_are_met_and_said() {
    let body = r#"{"errors": {"media": {"a": ["x", "y", "z"], "b": {"c": {"d": ["w"]}}}}}"#;
    let limited = |set: fn(&mut ReadLimits)| {
        let mut limits = ReadLimits::default();
        set(&mut limits);
        let problems = read_with(body.as_bytes(), &limits).problems;
        (problems.len(), problems.is_complete())
    };
    assert_eq!(limited(|_| ()), (4, true));
    assert_eq!(limited(|limits| limits.problems = 2), (2, false));
    assert_eq!(limited(|limits| limits.depth = 3), (3, false));
    assert_eq!(limited(|limits| limits.path_elements = 4), (2, false));
    let limits = ReadLimits { text: 5, ..ReadLimits::default() };
    assert_eq!(read_with("{\"message\": \"cafés\"}".as_bytes(), &limits).message.as_deref(), Some("café"));
    assert_eq!(read_with(br#"{"message": "\u00e9\u00e9\u00e9"}"#, &limits).message.as_deref(), Some("éé"));
}

#[test]
fn a_value_is_kept_in_part() {
    let body =
        format!(r#"{{"errors": [{{"path": "a", "message": "m", "received": "{}"}}]}}"#, "é".repeat(1000));
    let problems = read(body.as_bytes()).problems;
    let received = problems.get(0).unwrap().received().unwrap();
    assert!(
        received.len() <= MAX_VALUE && received.starts_with("\"éé") && received.ends_with("é…"),
        "{received}"
    );
}

#[test]
fn the_sent_value_is_shown_with_the_problem() {
    let mut problems =
        read(br#"{"errors": {"media": {"ids": {"1": ["a"], "9": ["b"]}, "x": ["c"]}}}"#).problems;
    problems.name_received("ids", |index| ["zero", "o\"ne"].get(index).copied());
    let lines: Vec<_> = problems.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(lines, [r#"ids[1] ("o\"ne"): a"#, "ids[9]: b", "x: c"]);

    let mut problems =
        read(br#"{"errors": [{"path": "ids[0]", "code": "c", "received": 7}, {"path": "ids[1]"}]}"#).problems;
    problems.name_received("ids", |_| Some("sent"));
    let received: Vec<_> = problems.iter().map(|problem| (problem.received(), problem.code())).collect();
    assert_eq!(received, [(Some("7"), Some("c")), (Some("\"sent\""), None)]);
}

#[test]
fn the_notation_of_the_flat_dialect_is_read_and_nothing_of_it_lost() {
    let segments = |path: &str| {
        let body = serde_json::json!({ "errors": [{ "path": path }] });
        let problems = read(body.to_string().as_bytes()).problems;
        let problem = problems.get(0).unwrap();
        (format!("{:?}", problem.path()), problem.path().to_string())
    };
    for (path, expected) in [
        ("formats[0].width", r#"[Key("formats"), Index(0), Key("width")]"#),
        ("[3][4].a", r#"[Index(3), Index(4), Key("a")]"#),
        ("a.b.c", r#"[Key("a"), Key("b"), Key("c")]"#),
        ("ids[x]", r#"[Key("ids[x]")]"#),
        ("ids[01]", r#"[Key("ids[01]")]"#),
        ("ids[-1]", r#"[Key("ids[-1]")]"#),
        ("ids[1234567890123456789]", r#"[Key("ids[1234567890123456789]")]"#),
        ("a..b", r#"[Key("a"), Key(""), Key("b")]"#),
        ("a[1]b", r#"[Key("a"), Index(1), Key("b")]"#),
        ("", "[]"),
    ] {
        let (debug, display) = segments(path);
        assert_eq!(debug, expected);
        assert!(display == path || path == "a[1]b", "{path}");
    }
}

#[test]
fn one_part_alone_is_read_as_it_stands() {
    let limits = ReadLimits::default();
    let tree = read_only(Source::Tree, DOCUMENTED.as_bytes(), &limits);
    let repr = read_only(Source::Repr, DOCUMENTED.as_bytes(), &limits);
    let path = |problems: &Problems| format!("{:?}", problems.get(0).unwrap().path());
    assert_eq!(path(&tree), r#"[Key("media"), Key("ids"), Key("0")]"#);
    assert_eq!(path(&repr), r#"[Key("media"), Key("ids"), Index(0)]"#);
    assert_eq!(tree.get(0).unwrap().location(), None);
    assert_eq!(read_only(Source::Repr, b"{'a': ['b']}", &limits).len(), 1);
    assert_eq!(read_only(Source::Repr, br#"{"message": "x: ['a', 'b']"}"#, &limits).len(), 2);
}

#[test]
fn paths_and_problems_are_equal_if_they_say_the_same() {
    let tree = read(DOCUMENTED.as_bytes()).problems;
    let again = read(DOCUMENTED.replace("\"0\"", " \"0\" ").as_bytes()).problems;
    assert_eq!(tree, again);
    assert_ne!(tree, read(DOCUMENTED.replace("\"0\"", "\"1\"").as_bytes()).problems);
    let path = tree.get(0).unwrap().path();
    assert!(path == "ids[0]" && path != "ids[0].x" && path != "ids" && path != "ids[1]");
}
