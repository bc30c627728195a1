//! A `redis-server` of one's own.

#![expect(
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and says what it skips"
)]

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

/// A `redis-server` that belongs to one test: on a free port of the loopback, in a folder that is
/// removed with it, killed when it is dropped.
///
/// ```
/// use zt_core::testing::RedisServer;
///
/// // Every write is on disk before it is acknowledged, so that a kill may lose none.
/// let Some(mut redis) = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"])
/// else {
///     return; // not installed: said on stderr
/// };
/// assert_eq!(redis.command(&["SET", "a", "1"]), "OK");
/// redis.kill();
/// redis.restart();
/// assert_eq!(redis.command(&["GET", "a"]), "1");
/// ```
#[derive(Debug)]
pub struct RedisServer {
    child: Option<Child>,
    folder: PathBuf,
    port: u16,
    options: Vec<String>,
}

/// So often a tenth of a second until a server must answer.
const TRIES: u32 = 150;

impl RedisServer {
    /// Starts one with `options` beside those that make it private; it answers when this returns.
    ///
    /// `None`, and a line on stderr, where there is no `redis-server`.
    ///
    /// # Panics
    ///
    /// Where it does not start, or is not there and `ZT_REQUIRE_SERVERS=1`.
    #[must_use]
    pub fn start(options: &[&str]) -> Option<Self> {
        let found = Command::new("redis-server")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            assert!(
                !super::servers_are_required(),
                "`redis-server` is not installed, and ZT_REQUIRE_SERVERS=1"
            );
            eprintln!("skipped: `redis-server` is not installed");
            return None;
        }
        // Somebody else may take a port between its choice and its use.
        for _ in 0..5 {
            let mut server = Self {
                child: None,
                folder: fresh_folder(),
                port: free_port(),
                options: owned(options),
            };
            if server.try_start() {
                return Some(server);
            }
            let log = server.log();
            if !log.contains("Address already in use") {
                panic!("redis-server does not start: {log}");
            }
        }
        panic!("no free port for redis-server");
    }

    /// Where it listens: `redis://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The socket that it listens on as well.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// The folder of its data and its log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends it at once, as SIGKILL does: what it has not written is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, on the same port and over the same folder; ends it first where it runs.
    ///
    /// # Panics
    ///
    /// Where it does not start.
    pub fn restart(&mut self) {
        self.kill();
        if !self.try_start() {
            panic!("redis-server does not start again: {}", self.log());
        }
    }

    /// As [`restart`](Self::restart), with other options than at its start.
    ///
    /// # Panics
    ///
    /// Where it does not start.
    pub fn restart_with(&mut self, options: &[&str]) {
        self.options = owned(options);
        self.restart();
    }

    /// Lets it hang: connections stay, and nothing is answered until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// Asks it one command, over a connection of its own. An answer of several parts has a line
    /// for each; an error begins with its code, a missing value is `nil`.
    ///
    /// # Panics
    ///
    /// Where it does not answer.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> String {
        match self.ask(words) {
            Ok(answer) => answer,
            Err(error) => panic!("redis-server does not answer {words:?}: {error}"),
        }
    }

    fn ask(&self, words: &[&str]) -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(request.as_bytes())?;
        read_answer(&mut stream)
    }

    fn try_start(&mut self) -> bool {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .arg("--unixsocket")
            .arg(self.socket())
            .arg("--dir")
            .arg(&self.folder)
            .args(["--save", "", "--logfile", "log"])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let Ok(child) = child else { return false };
        let child = self.child.insert(child);
        for _ in 0..TRIES {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
            let answered = connected.and_then(|mut stream| {
                stream.set_read_timeout(Some(Duration::from_millis(500)))?;
                stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
                read_answer(&mut stream)
            });
            // An error is an answer too (a password is asked for), unless it is still loading.
            if answered.is_ok_and(|answer| !answer.starts_with("LOADING")) {
                return true;
            }
            thread::sleep(Duration::from_millis(100));
        }
        self.kill();
        false
    }

    fn signal(&self, signal: &str) {
        if let Some(child) = &self.child {
            let sent = Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status();
            assert!(sent.is_ok_and(|status| status.success()), "no {signal}");
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn owned(options: &[&str]) -> Vec<String> {
    options.iter().map(|&option| option.to_owned()).collect()
}

fn fresh_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("zt-redis-{}-{count}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let _ = fs::remove_dir_all(&folder);
    if let Err(error) = fs::create_dir(&folder) {
        panic!("no folder for redis-server: {error}");
    }
    folder
}

fn free_port() -> u16 {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr());
    match port {
        Ok(address) => address.port(),
        Err(error) => panic!("no free port: {error}"),
    }
}

fn read_answer(stream: &mut impl Read) -> io::Result<String> {
    let line = read_line(stream)?;
    let (kind, rest) = line.split_at_checked(1).unwrap_or((&line, ""));
    let count = || rest.parse::<i64>().map_err(io::Error::other);
    match kind {
        "$" => match usize::try_from(count()?) {
            Ok(len) => {
                let mut text = vec![0; len + 2];
                stream.read_exact(&mut text)?;
                text.truncate(len);
                Ok(String::from_utf8_lossy(&text).into_owned())
            }
            Err(_) => Ok("nil".to_owned()),
        },
        "*" => {
            let parts: io::Result<Vec<_>> =
                (0..count()?).map(|_| read_answer(&mut *stream)).collect();
            Ok(parts?.join("\n"))
        }
        _ => Ok(rest.to_owned()),
    }
}

fn read_line(stream: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        match byte {
            [b'\r'] => {}
            [b'\n'] => return Ok(String::from_utf8_lossy(&line).into_owned()),
            [other] => line.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_was_killed_comes_back_where_it_was() {
        let Some(mut redis) =
            RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"])
        else {
            return;
        };
        let port = redis.port();
        assert_eq!(redis.command(&["SET", "a b", "{1}\r\n"]), "OK");
        redis.kill();
        assert!(redis.ask(&["PING"]).is_err(), "it was killed");
        redis.restart();
        assert_eq!(redis.port(), port);
        assert_eq!(redis.command(&["GET", "a b"]), "{1}\r\n");
        assert_eq!(redis.command(&["GET", "b"]), "nil");
        assert_eq!(redis.command(&["KEYS", "*"]), "a b");
        assert!(redis.command(&["NOPE"]).starts_with("ERR"));
        let folder = redis.folder().to_owned();
        assert!(folder.exists());
        drop(redis);
        assert!(!folder.exists());
    }
}
