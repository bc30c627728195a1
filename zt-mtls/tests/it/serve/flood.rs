//! Thousands of clients that do not go on.
//!
//! ```text
//! cargo test -p zt-mtls --all-features --test it ten_thousand -- --ignored --nocapture
//! ```

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use zt_mtls::{
    serve::Config,
    testing::{TestCa, TestCert},
};

use super::support::*;

/// Half-open connections to one server.
struct Flood {
    address: SocketAddr,
    silent: usize,
    /// Each sends a byte of its hello every second.
    slow: usize,
    /// After how long those that the server drops come again.
    again: Option<Duration>,
}

impl Flood {
    /// From this process.
    fn run(self) -> Arc<AtomicUsize> {
        let open = Arc::new(AtomicUsize::new(0));
        for number in 0..self.silent + self.slow {
            let (slow, again, address) = (number >= self.silent, self.again, self.address);
            let open = Arc::clone(&open);
            tokio::spawn(async move {
                // Not faster than the kernel's queue of the listener takes them.
                let turn = u64::try_from(number).unwrap() * 300;
                tokio::time::sleep(Duration::from_micros(turn)).await;
                loop {
                    if let Ok(tcp) = TcpStream::connect(address).await {
                        open.fetch_add(1, Ordering::Relaxed);
                        stall(tcp, slow).await;
                    }
                    let Some(again) = again else { break };
                    tokio::time::sleep(again).await;
                }
            });
        }
        open
    }

    /// From a process of its own, which ends when it is dropped.
    fn spawn(self) -> Clients {
        let Self {
            address,
            silent,
            slow,
            again,
        } = self;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "serve::flood::clients",
                "--ignored",
                "--nocapture",
            ])
            .env(
                FLOOD,
                format!(
                    "{address} {silent} {slow} {}",
                    again.map_or(0, |again| again.as_secs())
                ),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = output.lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("all are there")));
        Clients(child)
    }
}

const FLOOD: &str = "ZT_MTLS_TEST_FLOOD";

struct Clients(Child);

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn stall(mut tcp: TcpStream, slow: bool) {
    // The first bytes of a hello of 508 bytes.
    let mut hello = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]
        .into_iter()
        .chain([7; 400]);
    let mut waste = [0; 64];
    loop {
        tokio::select! {
            read = tcp.read(&mut waste) => if !matches!(read, Ok(1..)) { return },
            () = tokio::time::sleep(Duration::from_secs(1)), if slow => {
                let Some(byte) = hello.next() else { return };
                if tcp.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The other process of [`Flood::spawn`]; nothing by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the tests of floods"]
async fn clients() {
    let Ok(flood) = std::env::var(FLOOD) else {
        return;
    };
    let mut words = flood.split(' ');
    let mut word = || words.next().unwrap();
    let flood = Flood {
        address: word().parse().unwrap(),
        silent: word().parse().unwrap(),
        slow: word().parse().unwrap(),
        again: match word().parse().unwrap() {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        },
    };
    let all = flood.silent + flood.slow;
    let open = flood.run();
    until(|| open.load(Ordering::Relaxed) >= all).await;
    println!("all are there");
    // Until the parent goes, and this input with it.
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await;
}

/// How long good clients take for a handshake and a request: the median, and the 99th of a hundred.
async fn good_clients(address: SocketAddr, cert: &TestCert, count: usize) -> (Duration, Duration) {
    let config = client(Some(cert), H1);
    let mut took = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        let mut tls = connect(address, config.clone())
            .await
            .expect("a good client is served");
        assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
        took.push(begun.elapsed());
    }
    took.sort();
    (took[count / 2], took[count * 99 / 100])
}

/// Until the server has so many half-open connections; the kernel may still lose a few of them while
/// its queue is full.
async fn held(server: &Server, count: usize) {
    for _ in 0..20_000 {
        if server.handle.status().handshakes >= count * 99 / 100 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{count} are not held: {:?}", server.handle.status());
}

/// Kilobytes of this process in memory.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_clients_that_come_again_and_again_keep_nobody_out() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay")).max_handshakes(128)).await;
    let cert = ca.workload("/orders");
    let before = good_clients(server.address, &cert, 50).await;
    let open = Flood {
        address: server.address,
        silent: 450,
        slow: 50,
        again: Some(Duration::from_secs(1)),
    }
    .run();
    until(|| open.load(Ordering::Relaxed) >= 500).await;
    until(|| server.handle.status().dropped > 300).await;
    let during = good_clients(server.address, &cert, 50).await;
    println!("median and p99 of good clients: {before:?} before, {during:?} during");
    let status = server.handle.status();
    assert!(status.handshakes <= 128, "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "12,000 sockets, and half a minute"]
async fn ten_thousand_half_open_and_a_thousand_slow_clients_keep_nobody_out() {
    let ca = TestCa::new("shop.example");
    let cert = ca.workload("/orders");
    // All of them are held.
    let config = Config::new(ca.credentials("/pay"))
        .max_handshakes(15_000)
        .handshake_timeout(Duration::from_secs(300));
    let server = start(config).await;
    let before = good_clients(server.address, &cert, 300).await;
    let memory = resident();
    let clients = Flood {
        address: server.address,
        silent: 10_000,
        slow: 0,
        again: None,
    }
    .spawn();
    held(&server, 10_000).await;
    if let (Some(before), Some(after)) = (memory, resident()) {
        let each = (after - before) * 1024 / 10_000;
        println!("10,000 half-open connections take {each} bytes each");
    }
    let slow = Flood {
        address: server.address,
        silent: 0,
        slow: 1_000,
        again: None,
    };
    let memory = resident();
    let slow = slow.spawn();
    held(&server, 11_000).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    if let (Some(before), Some(after)) = (memory, resident()) {
        let each = (after - before) * 1024 / 1_000;
        println!("1,000 that send a byte a second take {each} bytes each");
    }
    let during = good_clients(server.address, &cert, 300).await;
    held(&server, 11_000).await;
    println!("held: median and p99 of good clients: {before:?} before, {during:?} during");
    drop((clients, slow));
    server.task.abort();

    // As it is by default: they make room for others, and come again.
    let server = start(Config::new(ca.credentials("/pay"))).await;
    let before = good_clients(server.address, &cert, 300).await;
    let clients = Flood {
        address: server.address,
        silent: 10_000,
        slow: 1_000,
        again: Some(Duration::from_secs(4)),
    }
    .spawn();
    let during = good_clients(server.address, &cert, 300).await;
    let status = server.handle.status();
    println!("by default: median and p99 of good clients: {before:?} before, {during:?} during");
    println!("{} handshakes were dropped meanwhile", status.dropped);
    assert!(
        status.handshakes <= 1024 && status.dropped > 9_000,
        "{status:?}"
    );
    drop(clients);
}
