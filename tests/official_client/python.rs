//! The official client in a virtual environment under the target folder: made once, checked at each start, and asked
//! through two small scripts that speak JSON.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use abyssale_simulator::Simulator;
use abyssale_tests::process::{last_words, run};
use serde::Serialize;
use serde_json::{Value, json};

/// An installed official client.
pub(crate) struct OfficialClient {
    python: PathBuf,
}

/// A method of the official client, and its arguments.
pub(crate) type Call<'a> = (&'a str, Value);

/// A delivery for the official verifier to judge.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Judged<'a> {
    pub(crate) body: &'a str,
    pub(crate) header: &'a str,
    pub(crate) secret: &'a str,
    /// Unix seconds; `None` for the present.
    pub(crate) now: Option<f64>,
}

impl OfficialClient {
    /// Finds the environment of an earlier run, or makes one.
    pub(crate) fn install() -> Result<Self, String> {
        let (interpreter, version) = interpreter()?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("official-client");
        // Held until this returns: two test runs may share a target folder.
        let lock = File::create(folder.with_extension("lock")).map_err(|error| error.to_string())?;
        lock.lock().map_err(|error| error.to_string())?;
        let client = Self { python: folder.join(PYTHON_IN_ENVIRONMENT) };
        let complete = folder.join("complete");
        let made_for = format!("{REQUIREMENTS}{version}");
        if fs::read_to_string(&complete).is_ok_and(|found| found == made_for) && client.works().is_ok() {
            return Ok(client);
        }
        match fs::remove_dir_all(&folder) {
            Err(error) if folder.exists() => {
                return Err(format!("{} is in the way: {error}", folder.display()));
            }
            _ => {}
        }
        client.make(interpreter, &folder)?;
        client.works()?;
        fs::write(complete, made_for).map_err(|error| error.to_string())?;
        Ok(client)
    }

    /// Makes these calls against a simulator, one after the other, and returns what came of each.
    pub(crate) fn calls(&self, simulator: &Simulator, calls: &[Call<'_>]) -> Vec<Value> {
        self.calls_with_key(simulator, simulator.api_key(), calls)
    }

    /// The same with another key.
    pub(crate) fn calls_with_key(&self, simulator: &Simulator, key: &str, calls: &[Call<'_>]) -> Vec<Value> {
        let told = json!({ "base_url": simulator.base_url(), "api_key": key, "calls": calls });
        serde_json::from_slice(&self.script("call.py", &told)).unwrap()
    }

    /// What the official verifier says to each: `accepts`, `refuses`, or `raises` and what.
    pub(crate) fn judge(&self, deliveries: &[Judged<'_>]) -> Vec<String> {
        serde_json::from_slice(&self.script("verify.py", &json!(deliveries))).unwrap()
    }

    fn script(&self, name: &str, told: &Value) -> Vec<u8> {
        let script = here().join(name);
        let output = run(self.python().arg(script), told.to_string().as_bytes(), SCRIPT).unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn make(&self, interpreter: &str, folder: &Path) -> Result<(), String> {
        succeed(
            "python3 cannot make virtual environments",
            Command::new(interpreter).args(["-m", "venv"]).arg(folder),
        )?;
        // Its own time-outs are short, so that a machine without a network learns so within a minute.
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--timeout",
            "15",
            "--retries",
            "1",
        ];
        let mut install = Command::new(&self.python);
        install.args(pip).arg("--requirement").arg(here().join("requirements.txt"));
        succeed("the official client cannot be installed from PyPI", &mut install)
    }

    fn works(&self) -> Result<(), String> {
        let script = "import abyssale; print('abyssale==' + abyssale.__version__)";
        let output =
            run(self.python().args(["-c", script]), b"", SCRIPT).map_err(|error| error.to_string())?;
        let works = output.status.success() && output.stdout.trim_ascii() == REQUIREMENTS.trim().as_bytes();
        works
            .then_some(())
            .ok_or_else(|| format!("the official client does not run: {}", last_words(&output)))
    }

    /// Python, isolated: neither the user's packages nor the user's settings reach the client, and no proxy stands
    /// between it and this machine.
    fn python(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.arg("-I");
        for (name, _) in env::vars_os() {
            let lower = name.to_string_lossy().to_lowercase();
            if lower.starts_with("abyssale_") || lower.ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        command
    }
}

/// A Python that is new enough for the client, and its version.
fn interpreter() -> Result<(&'static str, String), String> {
    let script = "import sys; print(sys.version); sys.exit(sys.version_info < (3, 10))";
    let mut reason = "Python is not installed".to_owned();
    for name in ["python3", "python"] {
        let Ok(output) = run(Command::new(name).args(["-c", script]), b"", SCRIPT) else { continue };
        if output.status.success() {
            return Ok((name, String::from_utf8_lossy(&output.stdout).into_owned()));
        }
        reason = format!("{name} is older than 3.10, or does not run: {}", last_words(&output));
    }
    Err(reason)
}

fn succeed(otherwise: &str, command: &mut Command) -> Result<(), String> {
    match run(command, b"", INSTALL) {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{otherwise}: {}", last_words(&output))),
        Err(error) => Err(format!("{otherwise}: {error}")),
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("official_client")
}

/// The one package that is asked for; what it needs itself is its own choice, as it is for its users.
const REQUIREMENTS: &str = include_str!("requirements.txt");
const PYTHON_IN_ENVIRONMENT: &str = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
/// How long making the environment and installing may take, each.
const INSTALL: Duration = Duration::from_secs(180);
/// How long a script may take; the longest waits for a second or two on purpose.
const SCRIPT: Duration = Duration::from_secs(60);
