//! Which names of entries become names of files.

use std::{collections::HashSet, path::PathBuf};

use thiserror::Error;

/// The names that were accepted so far.
#[derive(Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// The path, relative to the target, that an entry of this name is written to.
    ///
    /// Names that differ in case alone would be one file on some file systems, so they are refused
    /// on all.
    pub(super) fn accept(&mut self, name: &str) -> Result<PathBuf, NameError> {
        let trimmed = name.strip_suffix('/').unwrap_or(name);
        if trimmed.len() > MAX_LEN {
            return Err(NameError::TooLong);
        }
        if trimmed.chars().any(|c| c.is_control() || matches!(c, '\\' | ':')) {
            return Err(NameError::Character);
        }
        let path = trimmed.split('/').map(part).collect::<Result<PathBuf, _>>()?;
        if !self.0.insert(trimmed.to_lowercase()) {
            return Err(NameError::Repeated);
        }
        Ok(path)
    }
}

fn part(part: &str) -> Result<&str, NameError> {
    match part {
        // Empty: an absolute name, or two slashes in a row.
        "" | "." | ".." => return Err(NameError::Outside),
        part if part.ends_with(['.', ' ']) => return Err(NameError::Reserved),
        _ => {}
    }
    let stem = part.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let reserved = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered.is_some_and(|n| {
            matches!(n, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
        });
    if reserved { Err(NameError::Reserved) } else { Ok(part) }
}

/// Why an entry's name is refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum NameError {
    /// It is absolute, or has an empty part, `.` or `..` in it.
    #[error("leads out of the folder")]
    Outside,
    /// It has a control character, a backslash or a colon in it.
    #[error("has a character that no file name should have")]
    Character,
    /// It means a device, or loses its end, on some systems.
    #[error("is a reserved name on some systems")]
    Reserved,
    /// It is longer than 1,024 bytes.
    #[error("is too long")]
    TooLong,
    /// It differs from an earlier one in case at most.
    #[error("is there twice")]
    Repeated,
    /// It is a symbolic link.
    #[error("is a link")]
    Link,
}

const MAX_LEN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_kept() {
        let mut names = Names::default();
        for name in ["banner.png", "a/b/c.jpg", "Été 2026 (1).webp", ".hidden", "console.txt", "com10"] {
            assert_eq!(names.accept(name), Ok(PathBuf::from(name)));
        }
        assert_eq!(names.accept("folder/"), Ok(PathBuf::from("folder")));
    }

    #[test]
    fn names_that_lead_elsewhere_or_nowhere_are_refused() {
        for (name, expected) in [
            ("", NameError::Outside),
            ("/etc/passwd", NameError::Outside),
            ("../a", NameError::Outside),
            ("a/../../b", NameError::Outside),
            ("a//b", NameError::Outside),
            ("./a", NameError::Outside),
            ("..\\a", NameError::Character),
            ("C:a", NameError::Character),
            ("a:stream", NameError::Character),
            ("a\0b", NameError::Character),
            ("a\nb", NameError::Character),
            ("NUL", NameError::Reserved),
            ("a/con.png", NameError::Reserved),
            ("Com1 .txt", NameError::Reserved),
            ("a.", NameError::Reserved),
            ("a /b", NameError::Reserved),
        ] {
            assert_eq!(Names::default().accept(name), Err(expected), "{name:?}");
        }
        assert_eq!(Names::default().accept(&"x".repeat(1025)), Err(NameError::TooLong));
    }

    #[test]
    fn names_that_are_one_file_somewhere_are_refused() {
        let mut names = Names::default();
        assert!(names.accept("Banner.png").is_ok());
        assert_eq!(names.accept("banner.PNG"), Err(NameError::Repeated));
    }
}
