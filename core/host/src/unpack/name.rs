//! Names of entries, made safe: each becomes the name of a file that every common file system takes.
//!
//! One set of rules serves every system, so an archive unpacks to the same names everywhere:
//!
//! - `/` and `\` separate levels. Empty levels and `.` are dropped, so `/a`, `./a` and `a//b` lose nothing else.
//! - A control character, one of `< > : " | ? *`, a line separator or a mark that changes the direction of text becomes
//!   `_`, and so does each dot or blank at the end of a level: `..` becomes `__`, so no name leads out of the folder.
//! - A level that Windows takes for a device, such as `con.png`, gets a `_` before it.
//! - A level has at most 255 bytes: it is shortened before its extension. Levels after the 63rd are joined with `_`, and in
//!   a name of more than 2,048 bytes each level is shortened to its share of them.
//! - A name that another entry has, capital letters aside, gets a number before its extension: `a (2).png`. Folders of
//!   one name are one folder.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

/// Decodes a name: UTF-8 if it is valid UTF-8, else code page 437, which the format prescribes for the rest.
///
/// The flag that announces UTF-8 is not asked: writers set it wrongly in both directions.
pub(super) fn decode(raw: &[u8]) -> String {
    let cp437 = |&byte: &u8| match CP437.chars().nth(usize::from(byte & 0x7f)) {
        Some(high) if !byte.is_ascii() => high,
        _ => char::from(byte),
    };
    str::from_utf8(raw).map_or_else(|_| raw.iter().map(cp437).collect(), str::to_owned)
}

/// Returns whether a name says of itself that it is a folder's.
pub(super) fn is_folder(name: &str) -> bool {
    name.ends_with(SEPARATORS)
}

/// Splits a name into levels that are safe, each by itself.
pub(super) fn levels(name: &str) -> Vec<String> {
    let mut levels: Vec<_> = name.split(SEPARATORS).filter(|level| !matches!(*level, "" | ".")).collect();
    let rest = levels.split_off(levels.len().min(MAX_LEVELS - 1)).join("_");
    levels.extend(Some(rest.as_str()).filter(|rest| !rest.is_empty()));
    let total: usize = levels.iter().map(|level| level.len() + 1).sum();
    let share = if total > MAX_NAME { (MAX_NAME / levels.len().max(1)).saturating_sub(1) } else { MAX_LEVEL };
    levels.into_iter().map(|level| safe(level, share.min(MAX_LEVEL))).collect()
}

/// The names that are given out.
#[derive(Default)]
pub(super) struct Names {
    /// By their names in small letters.
    folders: HashMap<String, PathBuf>,
    files: HashSet<String>,
    /// The last number that was tried for names of one kind, so that 100,000 twins cost no more than others.
    numbers: HashMap<String, u32>,
}

impl Names {
    /// Adds the folders that these levels are. All of them are to be added before the first file is placed.
    pub(super) fn add_folders(&mut self, levels: &[String]) {
        let (mut key, mut path) = (String::new(), PathBuf::new());
        for level in levels {
            key.push('/');
            key.push_str(&level.to_lowercase());
            path = self.folders.entry(key.clone()).or_insert_with(|| path.join(level)).clone();
        }
    }

    /// Returns whether all of these are there already.
    pub(super) fn has_folders(&self, levels: &[String]) -> bool {
        self.folders.contains_key(&key(levels))
    }

    pub(super) fn folders(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.folders.values().map(PathBuf::as_path)
    }

    /// Returns a path for a file of these levels that no other has.
    pub(super) fn place(&mut self, levels: &[String]) -> PathBuf {
        let (file, folders) = match levels.split_last() {
            Some((file, folders)) => (file.as_str(), folders),
            None => ("_", &[][..]),
        };
        let folder = key(folders);
        let path = self.folders.get(&folder).cloned().unwrap_or_default();
        if self.take(&folder, file) {
            return path.join(file);
        }
        let (stem, extension) = split(file);
        let stem = cut(stem, MAX_LEVEL - extension.len() - " (4294967295)".len());
        let key = format!("{folder}/{}{extension}", stem.to_lowercase());
        let mut number = self.numbers.get(&key).copied().unwrap_or(1);
        loop {
            number = number.saturating_add(1);
            let numbered = format!("{stem} ({number}){extension}");
            if self.take(&folder, &numbered) {
                self.numbers.insert(key, number);
                return path.join(numbered);
            }
        }
    }

    fn take(&mut self, folder: &str, file: &str) -> bool {
        let key = format!("{folder}/{}", file.to_lowercase());
        !self.folders.contains_key(&key) && self.files.insert(key)
    }
}

fn key(folders: &[String]) -> String {
    folders.iter().fold(String::new(), |key, level| key + "/" + &level.to_lowercase())
}

fn safe(level: &str, max_len: usize) -> String {
    let replaced: String = level.chars().map(|c| if is_forbidden(c) { '_' } else { c }).collect();
    let kept = replaced.trim_end_matches(ENDS);
    let ended = kept.to_owned() + &"_".repeat(replaced.len() - kept.len());
    let (stem, extension) = split(&ended);
    let shortened = if ended.len() > max_len {
        cut(stem, max_len.saturating_sub(extension.len())).to_owned() + extension
    } else {
        ended
    };
    match shortened.as_str() {
        "" => "_".to_owned(),
        device if is_device(device) => format!("_{}", cut(device, max_len - 1)),
        _ => shortened,
    }
}

/// Splits a name before its extension. What is longer than an extension ever is, is none.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= MAX_EXTENSION => name.split_at(dot),
        _ => (name, ""),
    }
}

/// The beginning of a text, cut between two characters where it may end.
fn cut(text: &str, max_len: usize) -> &str {
    let cut = (0..=max_len).rev().find_map(|end| text.get(..end)).unwrap_or_default();
    if cut.len() == text.len() { text } else { cut.trim_end_matches(ENDS) }
}

fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_device(level: &str) -> bool {
    let stem = level.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let numbered = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered.is_some_and(|n| {
            matches!(n, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
        })
}

const SEPARATORS: [char; 2] = ['/', '\\'];

/// What Windows drops from the end of a name.
const ENDS: [char; 2] = ['.', ' '];

/// In bytes, as file systems count. Those that count UTF-16 units take as many at least.
const MAX_LEVEL: usize = 255;
const MAX_EXTENSION: usize = 32;

/// Linux takes paths of 4,096 bytes, of which the folder to unpack into needs some.
const MAX_NAME: usize = 2048;
const MAX_LEVELS: usize = 64;

/// The upper half of the code page.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

#[cfg(test)]
mod tests {
    use super::*;

    /// What files of these names become, one after the other.
    fn placed<const N: usize>(all: [&str; N]) -> [String; N] {
        let mut names = Names::default();
        for name in all {
            let levels = levels(name);
            names.add_folders(levels.split_last().map_or(&[], |(_, folders)| folders));
        }
        all.map(|name| names.place(&levels(name)).to_str().unwrap().replace('\\', "/"))
    }

    #[test]
    fn plain_names_are_kept() {
        for name in
            ["banner.png", "a/b/c.jpg", "Été 2026 (1).webp", ".hidden", "console.txt", "com10", "👩‍👩‍👧.png"]
        {
            assert_eq!(placed([name]), [name]);
        }
    }

    #[test]
    fn each_rule_makes_an_odd_name_safe() {
        for (name, expected) in [
            ("", "_"),
            ("./", "_"),
            ("/etc/passwd", "etc/passwd"),
            ("../a", "__/a"),
            ("a/../../b", "a/__/__/b"),
            ("...", "___"),
            ("a//b", "a/b"),
            ("./a", "a"),
            ("..\\a", "__/a"),
            ("C:a", "C_a"),
            ("C:/a", "C_/a"),
            ("\\\\server\\share", "server/share"),
            ("10:30 banner.png", "10_30 banner.png"),
            ("a\0b\tc\u{85}d\x7f", "a_b_c_d_"),
            ("what? <\"*|>", "what_ _____"),
            ("\u{202e}gnp.exe", "_gnp.exe"),
            ("NUL", "_NUL"),
            ("a/con.png", "a/_con.png"),
            ("Com1 .txt", "_Com1 .txt"),
            ("Inc./b.png", "Inc_/b.png"),
            ("a /b", "a_/b"),
            ("a. .", "a___"),
        ] {
            assert_eq!(placed([name]), [expected], "{name:?}");
        }
    }

    #[test]
    fn long_names_are_shortened_before_their_extension() {
        let long = |c: &str, count| c.repeat(count) + ".png";
        assert_eq!(placed([&long("x", 251)]), [long("x", 251)], "255 bytes are kept");
        assert_eq!(placed([&long("x", 252)]), [long("x", 251)]);
        assert_eq!(placed([&long("é", 200)]), [long("é", 125)], "not in the middle of a character");
        assert_eq!(placed([&"x".repeat(1000)]), ["x".repeat(255)]);
        assert_eq!(placed([&format!("con{}x", " ".repeat(300))]), ["_con"]);
        assert_eq!(placed([&format!("a/{}x", " ".repeat(300))]), ["a/_"]);
    }

    #[test]
    fn levels_are_kept_up_to_a_path_that_systems_take() {
        let deep = ["a"; 63].join("/");
        assert_eq!(placed([deep.as_str()]), [deep.as_str()]);
        let deeper = levels(&vec!["a"; 30_000].join("/"));
        assert_eq!((deeper.len(), deeper.last().unwrap().len()), (64, 31));
        for (level, count) in [("x", 65_535), ("xxx.", 500), ("é", 300), (". .", 400)] {
            let wide = placed([&vec![level.repeat(300); 9].join("/"), &vec![level; count].join("/")]);
            assert!(wide.iter().all(|name| name.len() <= MAX_NAME), "{wide:?}");
        }
    }

    #[test]
    fn a_twin_gets_a_number() {
        assert_eq!(placed(["a.png", "A.PNG", "a.png"]), ["a.png", "A (2).PNG", "a (3).png"]);
        assert_eq!(placed(["a", "a (2)", "A"]), ["a", "a (2)", "A (3)"]);
        assert_eq!(placed(["a:b", "a?b"]), ["a_b", "a_b (2)"]);
        assert_eq!(placed(["É/x", "é/X", "é/y"]), ["É/x", "É/X (2)", "É/y"], "one folder");
        assert_eq!(placed(["a", "a/b", "A/c"]), ["a (2)", "a/b", "a/c"], "a file and a folder");
        let long = "x".repeat(255);
        assert_eq!(placed([&long, &long]), [long.clone(), "x".repeat(242) + " (2)"]);
    }

    #[test]
    fn a_hundred_thousand_twins_take_no_longer_than_others() {
        let mut names = Names::default();
        let placed: HashSet<_> = (0..100_000)
            .map(|number| names.place(&levels(&format!("{}{}", "x".repeat(250), number % 50_000))))
            .collect();
        assert_eq!(placed.len(), 100_000);
    }

    #[test]
    fn names_are_utf_8_or_code_page_437() {
        assert_eq!(decode("é.png".as_bytes()), "é.png");
        assert_eq!(decode(b"\x82t\x82.png"), "été.png");
        assert_eq!(decode(b"\x80\xe1\xff a"), "Çß\u{a0} a");
        assert_eq!(CP437.chars().count(), 128);
    }
}
