//! How Python spells floats.

/// `repr` of a float: the shortest digits that give the number back, as Rust has them, laid out as
/// Python does.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        // Without an exponent Rust prints as Python does, but for the fraction of whole numbers.
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A part of a complex number, which has no fraction if it is whole.
pub(super) fn part(value: f64) -> String {
    let spelled = float(value);
    spelled.strip_suffix(".0").map(str::to_owned).unwrap_or(spelled)
}
