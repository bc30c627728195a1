//! The race that budgets lose: 1,000 requests of $0.10 at once, from four processes, on one budget
//! of $5. Of ten requests three are cancelled: dropped while they wait, released, or settled for
//! less. Once over a server that lives, once over one that is killed (SIGKILL) at random moments.
//!
//! ```text
//! cargo test -p zt-ratelimit --features redis --test redis_race -- --nocapture
//! ```
//!
//! Beside the store stands what many do instead: read, compare, and record when it is over.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it measured"
)]

mod contender;
mod process;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use zt_core::{
    clock::{Clock as _, SystemClock},
    testing::RedisServer,
};
use zt_ratelimit::counter::redis::{RedisCounters, RedisOptions};

use self::{
    contender::{Contender, Kind, Standing},
    process::{Report, Task},
};

const PROCESSES: u64 = 4;
const REQUESTS: u64 = 1000;
const COST: u64 = 100_000_000;
const LIMIT: u64 = 50 * COST;

/// What a race came to.
#[derive(Debug)]
struct Row {
    name: String,
    reports: Report,
    most: u64,
    end: Standing,
    leaked: usize,
    looks: u64,
    kills: u32,
    /// Of requests after the end, one after the other, how many were refused that had room.
    late: u64,
}

impl Row {
    fn overspend(&self) -> u64 {
        self.most.max(self.reports.charged).saturating_sub(LIMIT)
    }

    fn false_denials(&self) -> u64 {
        self.reports.refused_with_room + self.late
    }

    fn print_head() {
        println!(
            "| | admitted | refused | cancelled | kills | looks | overspend, $ | false denials | leaked holds | spent, $ | ledger, $ | p50, ms | p99, ms |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|"
        );
    }

    fn print(&self) {
        let usd = |nanos: u64| format!("{}.{:02}", nanos / 1_000_000_000, nanos / 10_000_000 % 100);
        let ms = |micros: u64| format!("{}.{}", micros / 1000, micros / 100 % 10);
        let it = &self.reports;
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.name,
            it.admitted,
            it.refused,
            it.cancelled,
            self.kills,
            self.looks,
            usd(self.overspend()),
            self.false_denials(),
            self.leaked,
            usd(self.end.spent),
            usd(it.charged),
            ms(it.percentile(50)),
            ms(it.percentile(99)),
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_race_for_one_budget() {
    let Some(mut server) = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"])
    else {
        return;
    };
    let options = RedisOptions::new(&server.url()).unwrap();
    RedisCounters::initialise(options, 1).await.unwrap();
    Row::print_head();
    for (seed, kind, killed) in [
        (1, Kind::Naive, false),
        (2, Kind::Reserve, false),
        (3, Kind::Reserve, true),
        (4, Kind::Reserve, true),
        (5, Kind::Lease, false),
        (6, Kind::Lease, true),
    ] {
        let row = race(&mut server, kind, killed, seed).await;
        row.print();
        let it = &row.reports;
        assert_eq!(it.requests(), REQUESTS, "{row:?}");
        assert!(row.looks > 5, "{row:?}");
        if kind == Kind::Naive {
            assert!(row.overspend() > 0, "the naive one did not lose: {row:?}");
            continue;
        }
        // How many is a matter of speed: what is given back after the last one was refused is
        // nobody's.
        assert!(it.refused > 0 && it.admitted > 0, "it was no race: {row:?}");
        assert_eq!(killed, row.kills > 0);
        assert_eq!(row.overspend(), 0, "{row:?}");
        assert_eq!(row.false_denials(), 0, "{row:?}");
        assert_eq!(row.leaked, 0, "{row:?}");
        assert_eq!(row.end.held, 0, "{row:?}");
        assert_eq!(row.end.spent, it.charged, "{row:?}");
        assert_eq!(it.dropped, 0, "{row:?}");
    }
}

/// One of the processes; does nothing where nobody started it for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_the_processes() {
    if let Some(task) = Task::from_env() {
        process::run(task).await;
    }
}

async fn race(server: &mut RedisServer, kind: Kind, killed: bool, seed: u64) -> Row {
    let subject = format!("race-{seed}");
    let look = Contender::connect(kind, &server.url(), &subject).await;
    let mut processes: Vec<_> = (0..PROCESSES)
        .map(|number| {
            Process::start(&Task {
                kind,
                url: server.url(),
                subject: subject.clone(),
                seed: seed * 100 + number,
                requests: REQUESTS / PROCESSES,
                spread: Duration::from_millis(if killed { 1500 } else { 0 }),
            })
        })
        .collect();
    for process in &mut processes {
        process.wait_for("ready");
    }
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(Mutex::new((0, 0)));
    let observer = {
        let (look, over, seen) = (look.clone(), Arc::clone(&over), Arc::clone(&seen));
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                if let Some(now) = look.look().await {
                    let mut seen = seen.lock().unwrap();
                    seen.0 = now.used().max(seen.0);
                    seen.1 += 1;
                }
            }
        })
    };
    for process in &mut processes {
        process.say("go");
    }
    let finished = tokio::task::spawn_blocking(move || {
        let reports: Vec<_> = processes.into_iter().map(Process::report).collect();
        reports.into_iter().fold(Report::default(), Report::add)
    });
    let mut kills = 0;
    let mut random = process::Random(seed);
    while killed && !finished.is_finished() && kills < 8 {
        let wait = Duration::from_millis(20 + random.below(200));
        SystemClock.sleep(wait).await;
        server.kill();
        server.restart();
        kills += 1;
    }
    let reports = finished.await.unwrap();
    over.store(true, Ordering::Relaxed);
    observer.await.unwrap();
    let mut end = look.look().await;
    while end.is_none() {
        end = look.look().await;
    }
    let end = end.unwrap();
    let leaked = look.holds().await;
    let room = LIMIT.saturating_sub(end.used()) / COST;
    let mut late = room;
    for _ in 0..room {
        late -= u64::from(look.try_one().await);
    }
    let (most, looks) = *seen.lock().unwrap();
    let name = format!("{kind}{}", if killed { ", killed" } else { "" });
    Row {
        name,
        reports,
        most: most.max(end.used()),
        end,
        leaked,
        looks,
        kills,
        late,
    }
}

/// Another process of this program.
struct Process {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Process {
    fn start(task: &Task) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["one_of_the_processes", "--exact", "--nocapture"])
            .envs(task.to_env())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            to: child.stdin.take().unwrap(),
            from: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn say(&mut self, word: &str) {
        writeln!(self.to, "{word}").unwrap();
        self.to.flush().unwrap();
    }

    /// What stands behind `word` on the next line that begins with it.
    fn wait_for(&mut self, word: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "it has ended");
            // The harness says something before, on the same line.
            if let Some((_, rest)) = line.split_once(&format!("race:{word}")) {
                return rest.trim().to_owned();
            }
        }
    }

    fn report(mut self) -> Report {
        let report = self.wait_for("report").parse().unwrap();
        assert!(self.child.wait().unwrap().success());
        report
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
