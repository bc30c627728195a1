//! What each process does, and what it says of it.

use std::{io::BufRead as _, str::FromStr, time::Duration};

use zt_core::clock::{Clock as _, SystemClock};

use super::{
    COST,
    contender::{Answer, Contender, Kind},
};

#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) kind: Kind,
    pub(crate) url: String,
    pub(crate) subject: String,
    pub(crate) seed: u64,
    pub(crate) requests: u64,
    /// Over which time requests begin.
    pub(crate) spread: Duration,
}

impl Task {
    pub(crate) fn to_env(&self) -> [(&'static str, String); 6] {
        [
            ("ZT_RACE_KIND", format!("{:?}", self.kind)),
            ("ZT_RACE_URL", self.url.clone()),
            ("ZT_RACE_SUBJECT", self.subject.clone()),
            ("ZT_RACE_SEED", self.seed.to_string()),
            ("ZT_RACE_REQUESTS", self.requests.to_string()),
            ("ZT_RACE_SPREAD", self.spread.as_millis().to_string()),
        ]
    }

    pub(crate) fn from_env() -> Option<Self> {
        let var = |name| std::env::var(name).ok();
        Some(Self {
            kind: match var("ZT_RACE_KIND")?.as_str() {
                "Naive" => Kind::Naive,
                "Lease" => Kind::Lease,
                _ => Kind::Reserve,
            },
            url: var("ZT_RACE_URL")?,
            subject: var("ZT_RACE_SUBJECT")?,
            seed: var("ZT_RACE_SEED")?.parse().ok()?,
            requests: var("ZT_RACE_REQUESTS")?.parse().ok()?,
            spread: Duration::from_millis(var("ZT_RACE_SPREAD")?.parse().ok()?),
        })
    }
}

/// What became of requests.
#[derive(Debug, Default, Clone)]
pub(crate) struct Report {
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
    /// Dropped while they waited for an answer.
    pub(crate) cancelled: u64,
    /// Refused while the answer itself said that there was room.
    pub(crate) refused_with_room: u64,
    /// The ledger: what was really spent.
    pub(crate) charged: u64,
    /// Settlements that found no place in the queue.
    pub(crate) dropped: u64,
    /// Microseconds until the answer.
    pub(crate) waits: Vec<u64>,
}

impl Report {
    pub(crate) fn requests(&self) -> u64 {
        self.admitted + self.refused + self.cancelled
    }

    pub(crate) fn add(mut self, other: Self) -> Self {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.cancelled += other.cancelled;
        self.refused_with_room += other.refused_with_room;
        self.charged += other.charged;
        self.dropped += other.dropped;
        self.waits.extend(other.waits);
        self
    }

    pub(crate) fn percentile(&self, percent: usize) -> u64 {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let at = waits.len() * percent / 100;
        waits.get(at).copied().unwrap_or(0)
    }

    fn say(&self) {
        let mut words = vec![
            self.admitted,
            self.refused,
            self.cancelled,
            self.refused_with_room,
            self.charged,
            self.dropped,
        ];
        words.extend(&self.waits);
        let words: Vec<_> = words.iter().map(u64::to_string).collect();
        println!("\nrace:report {}", words.join(" "));
    }
}

impl FromStr for Report {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Result<Vec<u64>, _> = text.split(' ').map(str::parse).collect();
        let words = words?;
        Ok(Self {
            admitted: words[0],
            refused: words[1],
            cancelled: words[2],
            refused_with_room: words[3],
            charged: words[4],
            dropped: words[5],
            waits: words[6..].to_vec(),
        })
    }
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

/// All requests of one process, at once.
pub(crate) async fn run(task: Task) {
    let contender = Contender::connect(task.kind, &task.url, &task.subject).await;
    println!("\nrace:ready");
    let went = tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().next());
    assert_eq!(went.await.unwrap().unwrap().unwrap(), "go");
    let requests: Vec<_> = (0..task.requests)
        .map(|number| {
            let (contender, task) = (contender.clone(), task.clone());
            tokio::spawn(async move { request(&contender, &task, number).await })
        })
        .collect();
    let mut report = Report::default();
    for request in requests {
        report = report.add(request.await.unwrap());
    }
    report.dropped = contender.finish().await;
    report.say();
}

async fn request(contender: &Contender, task: &Task, number: u64) -> Report {
    let mut random = Random(task.seed << 32 | number);
    let spread = u64::try_from(task.spread.as_micros()).unwrap();
    pause(random.below(spread + 1)).await;
    // Three of ten are cancelled: while they wait, before anything was spent, half-way.
    let fate = random.below(10);
    let began = SystemClock.monotonic();
    let mut report = Report::default();
    let answer = loop {
        let answer = tokio::select! {
            biased;
            answer = contender.ask() => answer,
            () = pause(100 + random.below(5000)), if fate == 0 => {
                report.cancelled = 1;
                return report;
            }
        };
        if !matches!(answer, Answer::Unavailable) {
            break answer;
        }
        pause(10_000 + random.below(20_000)).await;
    };
    let waited = SystemClock.monotonic().saturating_sub(began);
    report
        .waits
        .push(u64::try_from(waited.as_micros()).unwrap());
    match answer {
        Answer::Admitted(hold) => {
            // The handler runs.
            pause(1000 + random.below(50_000)).await;
            let spent = match fate {
                0 | 1 => 0,
                2 => random.below(COST),
                _ => COST,
            };
            contender.settle(hold, spent).await;
            report.admitted = 1;
            report.charged = spent;
        }
        Answer::Refused(free) => {
            report.refused = 1;
            report.refused_with_room = u64::from(free >= COST);
        }
        Answer::Unavailable => {}
    }
    report
}

async fn pause(micros: u64) {
    SystemClock.sleep(Duration::from_micros(micros)).await;
}
