//! The commands of `abyssale`, and the completions of a shell for them.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{display::complain, explain, export, unpack};

/// Runs the command that the first argument names.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let command = args.next().unwrap_or_default();
    match command.to_str().unwrap_or_default() {
        "export" => export("abyssale export", args),
        "check" => export("abyssale check", ["--check".into()].into_iter().chain(args)),
        "explain" => explain("abyssale explain", args),
        "unpack" => unpack("abyssale unpack", args),
        "simulate" => abyssale_simulator::run("abyssale simulate", args),
        "--completions" => match args.next().and_then(|shell| completions(shell.to_str()?)) {
            Some(script) => print(&script),
            None => wrong("--completions: give a shell: bash, fish or zsh"),
        },
        "-h" | "--help" => print(&help()),
        "-V" | "--version" => print(concat!("abyssale ", env!("CARGO_PKG_VERSION"), "\n")),
        "" => {
            complain(&help());
            ExitCode::from(2)
        }
        other => wrong(&format!("there is no command {other:?}")),
    }
}

fn wrong(problem: &str) -> ExitCode {
    complain(&format!("abyssale: {problem} (see --help)"));
    ExitCode::from(2)
}

fn print(text: &str) -> ExitCode {
    // A reader that closes the pipe has read enough.
    let _closed = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn help() -> String {
    let commands = COMMANDS.map(|(name, summary, _)| format!("  {name:9} {summary}\n")).concat();
    format!(
        "\
Abyssale exports from the command line.

Usage: abyssale COMMAND [ARGUMENT]...

{commands}
Each command has a --help of its own.

Options:
  --completions SHELL  print completions for bash, fish or zsh
  -h, --help           this text
  -V, --version        the version
"
    )
}

/// A script for the shell, or `None` if it is another.
fn completions(shell: &str) -> Option<String> {
    let names = COMMANDS.map(|(name, ..)| name).join(" ");
    match shell {
        "bash" => {
            let options =
                COMMANDS.map(|(name, _, options)| format!("        {name}) words='{options}' ;;\n"));
            Some(format!(
                "\
_abyssale() {{
    local words
    case ${{COMP_WORDS[1]}} in
{}        *) words='{names} --completions --help --version' ;;
    esac
    ((COMP_CWORD == 1)) && words='{names} --completions --help --version'
    COMPREPLY=($(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))
}}
complete -o default -F _abyssale abyssale
",
                options.concat()
            ))
        }
        "fish" => {
            let lines = COMMANDS.map(|(name, summary, options)| {
                let command = format!(
                    "complete -c abyssale -n __fish_use_subcommand -a {name} -d '{}'\n",
                    summary.replace('\'', "\\'")
                );
                let options = options.split(' ').filter_map(|option| option.strip_prefix("--"));
                let options = options.map(|option| {
                    format!("complete -c abyssale -n '__fish_seen_subcommand_from {name}' -l {option}\n")
                });
                command + &options.collect::<String>()
            });
            Some(lines.concat())
        }
        // zsh understands bash's.
        "zsh" => Some(format!("autoload -U +X bashcompinit && bashcompinit\n{}", completions("bash")?)),
        _ => None,
    }
}

/// Each command: its name, what it does, and its options.
const COMMANDS: [(&str, &str, &str); 5] = [
    (
        "export",
        "exports banners: requests a ZIP of them, downloads it and unpacks it",
        "--callback-url --listen --output --wait --check --help --version",
    ),
    (
        "check",
        "checks the key, the clock, the callback URL and the folder; exports nothing",
        "--callback-url --listen --output --help --version",
    ),
    ("explain", "explains the body of an answer that refuses an export", "--status --jsonl --from --help"),
    ("unpack", "unpacks any archive as an export is unpacked", "--help"),
    (
        "simulate",
        "plays the service on this machine, with faults on request",
        "--listen --api-key --dialect --signing-secret --trouble --time-scale --render-delay --rate --synthetic --seconds --help",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_knows_each_command() {
        for shell in ["bash", "fish", "zsh"] {
            let script = completions(shell).unwrap();
            assert!(COMMANDS.iter().all(|(name, ..)| script.contains(name)), "{script}");
        }
        assert_eq!(completions("csh"), None);
    }
}
