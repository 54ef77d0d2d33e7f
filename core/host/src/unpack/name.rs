//! Which names of entries become names of files.

use std::{collections::HashMap, path::PathBuf};

use thiserror::Error;

/// The names that were accepted so far, and whether they are those of folders.
#[derive(Default)]
pub(super) struct Names(HashMap<String, bool>);

impl Names {
    /// The path, relative to the target, that an entry of this name is written to.
    ///
    /// Names that differ in case alone would be one file on some file systems, so they are refused
    /// on all.
    pub(super) fn accept(&mut self, name: &str, is_folder: bool) -> Result<PathBuf, NameError> {
        let trimmed = name.strip_suffix('/').unwrap_or(name);
        if trimmed.len() > MAX_LEN || trimmed.split('/').count() > MAX_DEPTH {
            return Err(NameError::TooLong);
        }
        if trimmed.chars().any(|c| c.is_control() || matches!(c, '\\' | ':')) {
            return Err(NameError::Character);
        }
        let path = trimmed.split('/').map(part).collect::<Result<PathBuf, _>>()?;
        if self.0.insert(trimmed.to_lowercase(), is_folder).is_some() {
            return Err(NameError::Repeated);
        }
        Ok(path)
    }

    /// A name that would have to be a file and a folder at once, because another one leads through it.
    pub(super) fn file_and_folder(&self) -> Option<&str> {
        let folders = self.0.keys().flat_map(|name| {
            let slashes = name.match_indices('/').map(|(at, _)| at);
            slashes.filter_map(|at| name.get(..at))
        });
        folders.into_iter().find(|folder| self.0.get(*folder) == Some(&false))
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
    /// It is longer than 1,024 bytes, or has more than 16 parts.
    #[error("is too long")]
    TooLong,
    /// It is that of a file, and another one leads through it as if it were that of a folder.
    #[error("is a file and a folder at once")]
    Both,
    /// It differs from an earlier one in case at most.
    #[error("is there twice")]
    Repeated,
    /// It is a symbolic link.
    #[error("is a link")]
    Link,
}

const MAX_LEN: usize = 1024;

/// Each entry can bring so many folders with it.
const MAX_DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_kept() {
        let mut names = Names::default();
        for name in ["banner.png", "a/b/c.jpg", "Été 2026 (1).webp", ".hidden", "console.txt", "com10"] {
            assert_eq!(names.accept(name, false), Ok(PathBuf::from(name)));
        }
        assert_eq!(names.accept("folder/", true), Ok(PathBuf::from("folder")));
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
            ("C:/a", NameError::Character),
            ("\\\\server\\share", NameError::Character),
            ("a:stream", NameError::Character),
            ("a\0b", NameError::Character),
            ("a\nb", NameError::Character),
            ("NUL", NameError::Reserved),
            ("a/con.png", NameError::Reserved),
            ("Com1 .txt", NameError::Reserved),
            ("a.", NameError::Reserved),
            ("a /b", NameError::Reserved),
        ] {
            assert_eq!(Names::default().accept(name, false), Err(expected), "{name:?}");
        }
        assert_eq!(Names::default().accept(&"x".repeat(1025), false), Err(NameError::TooLong));
    }

    #[test]
    fn names_that_are_too_deep_are_refused() {
        assert!(Names::default().accept(&["a"; 16].join("/"), false).is_ok());
        assert_eq!(Names::default().accept(&["a"; 17].join("/"), false), Err(NameError::TooLong));
    }

    #[test]
    fn a_file_that_others_lead_through_is_found_in_any_order() {
        for (all, found) in [
            ([("a", false), ("a/b", false)], Some("a")),
            ([("x/A/b", false), ("X/a", false)], Some("x/a")),
            ([("a", true), ("a/b", false)], None),
            ([("a", false), ("ab/c", false)], None),
        ] {
            let mut names = Names::default();
            for (name, is_folder) in all {
                names.accept(name, is_folder).unwrap();
            }
            assert_eq!(names.file_and_folder(), found, "{all:?}");
        }
    }

    #[test]
    fn names_that_are_one_file_somewhere_are_refused() {
        let mut names = Names::default();
        assert!(names.accept("Banner.png", false).is_ok());
        assert_eq!(names.accept("banner.PNG", false), Err(NameError::Repeated));
    }
}
