//! What a replay memory holds under floods of valid and of forged requests.

use std::{fmt, fs, io::Write, time::Duration};

use axum::body::Body;
use http::StatusCode;
use tower::Layer as _;
use zt_benches::{Answer, Bar, Heap, Limit, Options, Outcome, Report, drive};
use zt_core::{
    body::RequestBody,
    clock::{Clock, SystemClock},
    signature::{
        replay::{
            MemoryReplays, Recording, ReplayKey, ReplayLimits, ReplayMemory, Sighting, Verdict,
        },
        verify::VerifySignatureLayer,
    },
};

use super::{
    memory::{AGE, WINDOW},
    ours::{drain, strict},
    sign::{Answered, Order},
};

const WINDOWS: u32 = 20;

pub(super) fn run(
    order: &Order<'_>,
    options: &Options,
    report: &mut Report<impl Write>,
) -> Outcome {
    let each = if options.is_quick() {
        20_000
    } else {
        1_000_000
    };
    let roomy = ReplayLimits {
        entries: 1 << 21,
        entries_per_key: 1 << 21,
        ..ReplayLimits::default()
    };
    let flat = valid("room for all of them", roomy, each, report)?;
    report.bar(Bar::new(
        format!(
            "replay memory after {WINDOWS} windows of {} against after 2",
            Thousands(each)
        ),
        Limit::Times(1.0),
        flat,
    ));
    let limits = ReplayLimits::default();
    let flat = valid("the default limits, one key id", limits, each, report)?;
    report.bar(Bar::new(
        "the same with the default limits, which refuse most of them",
        Limit::Times(1.0),
        flat,
    ));
    forged(order, each, report)
}

/// `each` messages a window, all different and all valid. Gives the memory that is held in the
/// end over what was held after two windows.
fn valid(
    title: &str,
    limits: ReplayLimits,
    each: u32,
    report: &mut Report<impl Write>,
) -> Answered<f64> {
    let start = SystemClock.now()?;
    let resident = resident_kib();
    let mut rows = Vec::new();
    let (mut early, mut late) = (0, 0);
    let (creation, memory) = Heap::of(|| MemoryReplays::for_new_keys(WINDOW).with_limits(limits));
    rows.push(row("none", 0, &memory, &creation, resident));
    let mut number: u64 = 0;
    for window in 1..=WINDOWS {
        let (heap, refused) = Heap::of(|| {
            let mut refused = 0;
            for message in 0..each {
                number += 1;
                let now = start + WINDOW * (window - 1) + (WINDOW / each) * message;
                let mut nonce = [0; 20];
                let sighting = Sighting {
                    key: ReplayKey::of_nonce("orders-1", digits(number, &mut nonce)),
                    keyid: "orders-1",
                    created: now,
                    until: now + AGE,
                    now,
                };
                match memory.record(&sighting) {
                    Recording::Now(Verdict::Fresh) => {}
                    _ => refused += 1,
                }
            }
            refused
        });
        match window {
            2 => early = memory.stats().capacity_bytes,
            WINDOWS => late = memory.stats().capacity_bytes,
            _ => {}
        }
        if matches!(window, 1 | 2 | 3 | 10 | WINDOWS) {
            rows.push(row(&window.to_string(), refused, &memory, &heap, resident));
        }
    }
    report.table(
        &format!(
            "replay memory, {} valid messages in each window of 65 s, {title}; at most {} by its limits",
            Thousands(each),
            megabytes(limits.max_bytes())
        ),
        &[
            "window",
            "entries",
            "held",
            "allocated in this window",
            "in so many allocations",
            "most at once beyond before",
            "resident beyond before",
            "refused",
        ],
        &rows,
    )?;
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    Ok(late as f64 / early.max(1) as f64)
}

/// Forged requests through the layer: nothing of them may stay.
fn forged(order: &Order<'_>, each: u32, report: &mut Report<impl Write>) -> Outcome {
    let memory = MemoryReplays::for_new_keys(WINDOW + Duration::from_secs(86_400));
    let layer = VerifySignatureLayer::new(strict(), order.keys.ring()?, memory.clone())?;
    let mut service = layer.layer(tower::service_fn(drain::<RequestBody<Body>>));
    let template = order.forged()?;
    let mut flood = |requests: u32| {
        let mut astray = 0;
        for _ in 0..requests {
            let answer = drive(&mut service, template.request());
            astray += u32::from(answer != Answer::Response(StatusCode::UNAUTHORIZED));
        }
        astray
    };
    // The first ones leave buffers to the thread.
    let mut astray = flood(1_000);
    let resident = resident_kib();
    let before = memory.stats();
    let (heap, more) = Heap::of(|| flood(each));
    astray += more;
    let after = memory.stats();
    let grown = resident_kib().saturating_sub(resident);
    report.table(
        &format!("{} forged requests through the layer", Thousands(each)),
        &["", "before", "after"],
        &[
            vec![
                "entries".to_owned(),
                before.entries.to_string(),
                after.entries.to_string(),
            ],
            vec![
                "bytes held by the memory".to_owned(),
                before.capacity_bytes.to_string(),
                after.capacity_bytes.to_string(),
            ],
            vec![
                "most bytes at once beyond before, by the allocator's count".to_owned(),
                "0".to_owned(),
                format!("{:.0}", heap.peak),
            ],
            vec![
                "resident, grown by".to_owned(),
                "0 KiB".to_owned(),
                format!("{grown} KiB"),
            ],
        ],
    )?;
    if astray > 0 {
        return Err(format!("{astray} forged requests were not answered with 401").into());
    }
    if (after.entries, after.capacity_bytes) != (before.entries, before.capacity_bytes) {
        return Err("forged requests grow the replay memory".into());
    }
    Ok(())
}

fn row(
    window: &str,
    refused: u32,
    memory: &MemoryReplays,
    heap: &Heap,
    resident: u64,
) -> Vec<String> {
    let stats = memory.stats();
    let grown = resident_kib().saturating_sub(resident);
    vec![
        window.to_owned(),
        stats.entries.to_string(),
        megabytes(stats.capacity_bytes),
        format!("{:.0}", heap.bytes),
        format!("{:.0}", heap.count),
        format!("{:.0}", heap.peak),
        format!("{grown} KiB"),
        refused.to_string(),
    ]
}

/// Without an allocation, which would be counted.
fn digits(mut number: u64, buffer: &mut [u8; 20]) -> &str {
    let mut used = 0;
    for digit in buffer.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    let text = buffer.get(buffer.len() - used..).unwrap_or_default();
    std::str::from_utf8(text).unwrap_or_default()
}

fn megabytes(bytes: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let bytes = bytes as f64;
    format!("{:.2} MB", bytes / 1e6)
}

struct Thousands(u32);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 1_000_000, self.0 / 1_000 % 1_000) {
            (0, thousands) => write!(f, "{thousands},000"),
            (millions, thousands) => write!(f, "{millions},{thousands:03},000"),
        }
    }
}

/// What the process has in memory; 0 where the system does not say.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}
