//! A PostgreSQL server of one's own.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics"
)]

use std::{
    env, fs,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::clock::{Clock, SystemClock};

/// A PostgreSQL server in a folder of its own, on a socket there; for tests.
///
/// It ends, and the folder goes, with the value, and also where the process ends without dropping
/// it. The superuser `postgres` comes in without a password. Root runs it as the user `postgres`
/// (or `nobody`), because it refuses to be run by root.
#[derive(Debug)]
pub struct PostgresServer {
    folder: PathBuf,
    programs: PathBuf,
    settings: Vec<String>,
    guardian: Option<Child>,
}

/// Stays with the server: ends it when its own input ends, as it does with the process that
/// started it.
const GUARDIAN: &str = r#"
folder=$1; shift
"$@" >"$folder/log" 2>&1 &
server=$!
read -r word
if [ "$word" = leave ]; then wait $server; exit; fi
kill -QUIT $server; kill -CONT $server
wait $server
rm -rf "$folder"
"#;
const PATIENCE: Duration = Duration::from_secs(60);

impl PostgresServer {
    /// A new server that keeps nothing over a crash of the machine, which is faster. `None` where
    /// PostgreSQL is not installed, which is said, unless `ZT_REQUIRE_SERVERS=1`.
    ///
    /// # Panics
    ///
    /// Where it does not start, or is not installed and required.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::with(&["fsync=off", "full_page_writes=off"])
    }

    /// A new server as one in production is, with `settings` (`name=value`).
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn with(settings: &[&str]) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let Some(programs) = programs() else {
            assert!(
                !super::servers_are_required(),
                "PostgreSQL is not installed, and ZT_REQUIRE_SERVERS=1"
            );
            say("skipped: PostgreSQL is not installed");
            return None;
        };
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("zt-postgres-{}-{next}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        if let Some((user, group)) = other_user() {
            std::os::unix::fs::chown(&folder, Some(user), Some(group)).unwrap();
        }
        let mut server = Self {
            folder,
            programs,
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            guardian: None,
        };
        let made = server
            .command(&server.programs.join("initdb"))
            .args([
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ])
            .args(["--no-sync", "-D"])
            .arg(server.data())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb: {said}");
        server.restart();
        Some(server)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        let folder = self.folder.to_string_lossy().replace('/', "%2F");
        format!("postgres://postgres@{folder}/postgres")
    }

    /// Kills it and all of its processes, as a loss of power would.
    ///
    /// # Panics
    ///
    /// Where that is not possible.
    pub fn kill(&mut self) {
        // It starts no other while they are counted.
        signal("-STOP", &self.processes()[..1]);
        let processes = self.processes();
        signal("-KILL", &processes);
        while processes.iter().any(|process| is_alive(process)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(mut guardian) = self.guardian.take() {
            guardian
                .stdin
                .take()
                .unwrap()
                .write_all(b"leave\n")
                .unwrap();
            guardian.wait().unwrap();
        }
    }

    /// Starts it again after [`kill`](Self::kill), with what it has on its disk.
    ///
    /// # Panics
    ///
    /// Where it does not start.
    pub fn restart(&mut self) {
        for left_over in [".s.PGSQL.5432.lock", "data/postmaster.pid"] {
            let _ = fs::remove_file(self.folder.join(left_over));
        }
        let mut command = self.command(Path::new("/bin/sh"));
        command.args(["-c", GUARDIAN, "guardian"]).arg(&self.folder);
        command.arg(self.programs.join("postgres"));
        command.arg("-D").arg(self.data());
        command.arg("-k").arg(&self.folder);
        for setting in ["port=5432", "listen_addresses=", "max_connections=400"] {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        // What ends the tests by a signal to all of them leaves the guardian to clean up.
        command.stdin(Stdio::piped()).process_group(0);
        self.guardian = Some(command.spawn().unwrap());
        let begun = SystemClock.monotonic();
        while !self.status().contains("ready") {
            let waited = SystemClock.monotonic().saturating_sub(begun);
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(waited < PATIENCE, "the server does not start: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it and starts it as a standby, that follows nobody and can only be read.
    ///
    /// # Panics
    ///
    /// Where that is not possible.
    pub fn restart_as_standby(&mut self) {
        self.kill();
        fs::write(self.data().join("standby.signal"), "").unwrap();
        self.restart();
    }

    /// Stops all of its processes where they are: it answers nothing, and refuses nothing.
    ///
    /// # Panics
    ///
    /// Where that is not possible.
    pub fn pause(&self) {
        signal("-STOP", &self.processes());
    }

    /// Lets it go on after [`pause`](Self::pause).
    ///
    /// # Panics
    ///
    /// Where that is not possible.
    pub fn resume(&self) {
        signal("-CONT", &self.processes());
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn status(&self) -> String {
        fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default()
    }

    /// The server's process and its children.
    fn processes(&self) -> Vec<String> {
        let status = self.status();
        let main = status.lines().next().expect("the server runs").to_owned();
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children"));
        let mut processes = vec![main];
        let children = children.unwrap_or_default();
        processes.extend(children.split_whitespace().map(str::to_owned));
        processes
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder);
        if let Some((user, group)) = other_user() {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut guardian) = self.guardian.take() {
            drop(guardian.stdin.take());
            let _ = guardian.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Where `initdb` and `postgres` are: on the path, or where Debian puts them.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let has_both = |folder: &PathBuf| {
        let is_there = |name| folder.join(name).exists();
        is_there("initdb") && is_there("postgres")
    };
    // Through links, since `initdb` looks for its files beside itself.
    let folder = folders.into_iter().find(has_both)?;
    let program = fs::canonicalize(folder.join("initdb")).ok()?;
    program.parent().map(Path::to_owned)
}

/// Whom to run as, where this is root.
fn other_user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    if fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let mut fields = users
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?
            .skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .or(Some((65534, 65534)))
}

fn is_alive(process: &str) -> bool {
    // What has ended and was not waited for has no command line.
    fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn signal(signal: &str, processes: &[String]) {
    let sent = Command::new("kill").arg(signal).args(processes).output();
    // One that has ended meanwhile is no failure.
    if let Err(error) = sent {
        panic!("kill: {error}");
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn say(text: &str) {
    eprintln!("{text}");
}
