//! The three date formats of HTTP (RFC 9110, 5.6.7), each of which `Retry-After` may contain.
//!
//! The crate `httpdate` requires std, and jiff parses only one of the formats. The tests compare this with `httpdate`.

use core::time::Duration;

use crate::{decimal::decimal, time::Timestamp};

/// Parses an HTTP date: IMF-fixdate, RFC 850 or asctime, always in GMT.
///
/// `None` if it is none of them, or if it is before 1970 or after 9999. The weekday is not compared with the date. A
/// two-digit year (RFC 850) that would be more than 50 years after `now` belongs to the previous century, as the RFC
/// requires.
pub(crate) fn parse_http_date(value: &[u8], now: Timestamp) -> Option<Timestamp> {
    let text = str::from_utf8(value).ok()?;
    let (year, month, day, time) =
        imf_fixdate(text).or_else(|| rfc850(text, now)).or_else(|| asctime(text))?;
    let second_of_day = time_of_day(time)?;
    let days = days_since_epoch(year, month, day)?;
    Some(Timestamp::from_secs(days.checked_mul(DAY)?.checked_add(second_of_day)?))
}

type DateFields<'a> = (u64, u64, u64, &'a str);

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &str) -> Option<DateFields<'_>> {
    let (weekday, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = digits(words.next()?, 2)?;
    let month = month(words.next()?)?;
    let year = digits(words.next()?, 4)?;
    let time = words.next()?;
    (SHORT_DAYS.contains(&weekday) && words.next() == Some("GMT") && words.next().is_none())
        .then_some((year, month, day, time))
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &str, now: Timestamp) -> Option<DateFields<'_>> {
    let (weekday, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let mut date = words.next()?.split('-');
    let day = digits(date.next()?, 2)?;
    let month = month(date.next()?)?;
    let two_digits = digits(date.next()?, 2)?;
    let time = words.next()?;
    let this_year = year_of(now);
    let mut year = this_year - this_year % 100 + two_digits;
    if year > this_year + 50 {
        year -= 100;
    }
    let whole = date.next().is_none() && words.next() == Some("GMT") && words.next().is_none();
    (whole && LONG_DAYS.contains(&weekday)).then_some((year, month, day, time))
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<DateFields<'_>> {
    let (weekday, rest) = text.split_at_checked(3)?;
    let (month_name, rest) = rest.strip_prefix(' ')?.split_at_checked(3)?;
    let (day, rest) = rest.strip_prefix(' ')?.split_at_checked(2)?;
    let (time, year) = rest.strip_prefix(' ')?.split_once(' ')?;
    let day = match day.strip_prefix(' ') {
        Some(one_digit) => digits(one_digit, 1)?,
        None => digits(day, 2)?,
    };
    SHORT_DAYS.contains(&weekday).then_some((digits(year, 4)?, month(month_name)?, day, time))
}

/// Returns the seconds since midnight of `08:49:37`. A leap second counts as the second before it.
fn time_of_day(text: &str) -> Option<u64> {
    let mut parts = text.split(':');
    let mut next = || digits(parts.next()?, 2);
    let (hour, minute, second) = (next()?, next()?, next()?);
    let valid = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    valid.then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar; `None` if the date does not exist.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1970..=9999).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    // Years are counted from March, so that the leap day is the last one of its year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * m + 2) / 5 + day - 1;
    let days = y * 365 + y / 4 - y / 100 + y / 400 + day_of_year;
    Some(days - DAYS_BEFORE_EPOCH)
}

/// Returns the calendar year, wrong by at most a day around New Year, which does not matter for the century.
fn year_of(now: Timestamp) -> u64 {
    let days = now.as_secs() / DAY;
    (1970 + days * 400 / DAYS_IN_400_YEARS).min(9999)
}

fn month(name: &str) -> Option<u64> {
    (1..).zip(MONTHS).find(|(_, known)| *known == name).map(|(number, _)| number)
}

fn digits(text: &str, count: usize) -> Option<u64> {
    (text.len() == count).then(|| decimal(text.as_bytes()))?
}

const DAY: u64 = Duration::from_secs(24 * 60 * 60).as_secs();
const DAYS_IN_400_YEARS: u64 = 146_097;
/// The days from 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_EPOCH: u64 = 719_468;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SHORT_DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const LONG_DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[cfg(test)]
#[allow(
    clippy::disallowed_types,
    reason = "the oracle takes a `SystemTime`, which nobody reads from a clock here"
)]
mod tests;
