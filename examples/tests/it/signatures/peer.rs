//! A library of another language: its packages, and scripts that use it as children.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// Enough for a slow network.
const TO_INSTALL: Duration = Duration::from_secs(300);
const TO_RUN: Duration = Duration::from_secs(120);

/// A language, and where it finds the packages.
pub(super) struct Peer {
    pub(super) name: &'static str,
    program: &'static str,
    script: &'static str,
    variable: &'static str,
    packages: PathBuf,
    /// Removed in the end.
    _folder: Option<Folder>,
}

impl Peer {
    /// The library of PyPI; `None`, and a line that says so, where it cannot be had.
    pub(super) async fn python() -> Option<Self> {
        let (packages, folder) = place("python");
        let there = packages.join("http_message_signatures-3.0.0.dist-info/METADATA");
        let arguments = [
            &["-m", "pip", "install", "--quiet", "--no-input"][..],
            &["--disable-pip-version-check", "--only-binary", ":all:"],
            &["http-message-signatures==3.0.0", "requests==2.34.2"],
            &["--target", packages.to_str().unwrap()],
        ];
        install("python3", "python3", &arguments.concat(), &there).await?;
        Some(Self {
            name: "PyPI 3.0.0",
            program: "python3",
            script: "peer.py",
            variable: "PYTHONPATH",
            packages,
            _folder: folder,
        })
    }

    /// The library of npm, likewise.
    pub(super) async fn node() -> Option<Self> {
        let (folder, guard) = place("node");
        let packages = folder.join("node_modules");
        let there = packages.join("http-message-signatures/package.json");
        let arguments = [
            &["install", "--no-audit", "--no-fund", "--ignore-scripts"][..],
            &["http-message-signatures@1.0.6"],
            &["--prefix", folder.to_str().unwrap()],
        ];
        install("node", "npm", &arguments.concat(), &there).await?;
        Some(Self {
            name: "npm 1.0.6",
            program: "node",
            script: "peer.mjs",
            variable: "ZT_NODE_MODULES",
            packages,
            _folder: guard,
        })
    }

    pub(super) fn is_python(&self) -> bool {
        self.program == "python3"
    }

    /// Has the script do `what` with `input`; what it says, a value a line.
    pub(super) async fn run(&self, what: &str, input: &Value) -> Vec<Value> {
        let child = self.spawn(what, input, Stdio::piped()).await;
        let output = timeout(TO_RUN, child.wait_with_output()).await;
        let output = output.unwrap().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {error}", self.name);
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The script as a server, as long as it is held.
    pub(super) async fn serve(&self, what: &str, input: &Value) -> PeerServer {
        let mut child = self.spawn(what, input, Stdio::inherit()).await;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = timeout(TO_RUN, lines.next_line()).await;
        let port = port.unwrap().unwrap();
        let port: u16 = port.unwrap().parse().unwrap();
        PeerServer {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            _child: child,
        }
    }

    async fn spawn(&self, what: &str, input: &Value, errors: Stdio) -> Child {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/signatures");
        let mut child = Command::new(self.program)
            .arg(scripts.join(self.script))
            .arg(what)
            .env(self.variable, &self.packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let text = input.to_string();
        stdin.write_all(text.as_bytes()).await.unwrap();
        child
    }
}

/// Dies with this.
pub(super) struct PeerServer {
    pub(super) address: SocketAddr,
    _child: Child,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Kept from run to run.
const KEPT: &str = "ZT_INTEROP_PACKAGES";

/// Where packages go: the folder that `ZT_INTEROP_PACKAGES` names, or one that is removed.
fn place(language: &str) -> (PathBuf, Option<Folder>) {
    if let Some(kept) = std::env::var_os(KEPT) {
        return (PathBuf::from(kept).join(language), None);
    }
    let name = format!("zt-signatures-{language}-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    (folder.clone(), Some(Folder(folder)))
}

/// Has `program` make the file `there`, unless it is there; `None` where that cannot be.
async fn install(runs: &str, program: &str, arguments: &[&str], there: &Path) -> Option<()> {
    let made = async {
        end(runs, &["--version"]).await?;
        if there.is_file() {
            return Ok(());
        }
        end(program, arguments).await?;
        let missing = || format!("{} did not come to be", there.display());
        there.is_file().then_some(()).ok_or_else(missing)
    };
    let Err(why) = made.await else {
        return Some(());
    };
    // Whoever names a folder wants them.
    assert!(std::env::var_os(KEPT).is_none(), "{why}");
    println!("skipped: {why}");
    None
}

/// Runs `program` to its end.
async fn end(program: &str, arguments: &[&str]) -> Result<(), String> {
    let run = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(TO_INSTALL, run).await;
    let output = output.map_err(|_| format!("{program} took too long"))?;
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let is_error = |line: &&str| line.to_ascii_lowercase().contains("error");
    let error = said.lines().find(is_error).unwrap_or("it failed");
    Err(format!("{program}: {error}"))
}
