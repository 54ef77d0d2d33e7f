//! The readers of error bodies, held to what real servers answered and to Python itself.
//!
//! `tests/oracle/` has the answers, the problems they stand for, and Python's own reader; its README
//! says which comparisons are fair. The answers need nothing; the comparisons with Python are
//! reported as ignored where there is none.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a helper of tests fails as a test does, though clippy cannot tell that it is one"
)]

#[path = "oracle/answers.rs"]
mod answers;
#[path = "oracle/generated.rs"]
mod generated;
#[path = "oracle/leaf.rs"]
mod leaf;
#[path = "oracle/python.rs"]
mod python;

use std::process::ExitCode;

use abyssale_tests::outside;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let answers: [(&str, fn()); _] = [
        ("every_tree_says_what_its_server_meant", answers::trees),
        ("every_repr_says_what_its_server_meant", answers::reprs),
        ("every_answer_says_what_its_server_meant_in_whatever_part_it_can", answers::whole),
        ("every_answer_is_kept_and_shown_in_one_line", answers::shown),
        ("every_beginning_of_an_answer_says_the_beginning_of_it", answers::cut),
        ("every_answer_reads_the_same_however_it_is_spaced", answers::respaced),
        ("every_value_is_read_alike_in_both_spellings", generated::round_trip),
        ("json_is_read_as_serde_json_reads_it", generated::json),
        ("a_repr_is_read_alike_however_json_escapes_it", generated::repr),
    ];
    let python = outside::look_for("oracle", python::Oracle::start);
    let compared: [Compared; _] = [
        ("python_prints_values_as_our_writer_does", python::canonical),
        ("python_reads_what_our_reader_reads", python::mutated),
        ("python_reads_deep_nesting_as_our_reader_does", python::deep),
    ];
    let answers = answers.map(|(name, run)| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    });
    let compared = compared.map(|(name, run)| outside::trial(&python, name, run));
    libtest_mimic::run(&arguments, answers.into_iter().chain(compared).collect()).exit_code()
}

/// A trial that needs Python.
type Compared = (&'static str, fn(&python::Oracle));
