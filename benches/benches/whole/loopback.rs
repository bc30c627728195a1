//! Requests a second that one core serves over loopback, beside bare axum.
//!
//! The server, with the writer of its log, has one core to itself; who asks has another. Each
//! connection asks, reads the whole answer, and asks again.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    sync::mpsc,
    time::Duration,
};

use axum::Router;
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use zt_audit::{AuditLog, RecordAuditLayer};
use zt_benches::{Bar, Limit, Options, Outcome, Report, median, quantile, span, times};
use zt_core::{
    authorize::{AuthorizeLayer, RequireScopes},
    clock::{Clock, SystemClock},
    stack::ZeroTrust,
    state::Acknowledgement,
};
use zt_jwt::verify_jwt::VerifyJwtLayer;
use zt_ratelimit::{LimitRateLayer, Quota};

use crate::{
    audit::{Folder, roomy},
    bare::{router, wait},
    jwt::{Flaw, Kty, Mint, verifier},
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const SERVER: usize = 0;
const CLIENTS: usize = 1;
const CONNECTIONS: usize = 32;

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum App {
    Bare,
    Unrecorded,
    Recorded(Acknowledgement),
}

pub(super) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let batched = App::Recorded(Acknowledgement::Batched);
    let sync = App::Recorded(Acknowledgement::Sync);
    let candidates = [
        ("axum alone", App::Bare, CONNECTIONS),
        ("the stack without audit", App::Unrecorded, CONNECTIONS),
        ("the stack, audit `Batched`", batched, CONNECTIONS),
        ("axum alone, 1 connection", App::Bare, 1),
        ("the stack, audit `Sync`, 1 connection", sync, 1),
        ("axum alone, 16 connections", App::Bare, 16),
        ("the stack, audit `Sync`, 16 connections", sync, 16),
        ("axum alone, 64 connections", App::Bare, 64),
        ("the stack, audit `Sync`, 64 connections", sync, 64),
    ];
    let mint = Mint::new(Kty::Es256)?;
    let request = request(&mint.token(1, Flaw::None)?);
    let folder = Folder::new("loopback")?;
    let mut runs: Vec<Vec<Run>> = candidates.iter().map(|_| Vec::new()).collect();
    for round in 0..3 * options.runs {
        for (place, (_, app, connections)) in candidates.iter().enumerate() {
            let log = folder.path().join(format!("{round}-{place}"));
            let run = measure(
                *app,
                &mint,
                &log,
                &request,
                *connections,
                options.batch * 500,
            )?;
            if let Some(runs) = runs.get_mut(place) {
                runs.push(run);
            }
        }
    }

    let mut rows = Vec::new();
    let mut share = 0.0;
    let mut base: &[Run] = &[];
    for ((name, app, _), runs) in candidates.iter().zip(&runs) {
        if *app == App::Bare {
            base = runs;
        }
        let ratio = median(
            &runs
                .iter()
                .zip(base)
                .map(|(mine, base)| mine.per_second / base.per_second)
                .collect::<Vec<_>>(),
        );
        if *app == batched {
            share = ratio;
        }
        let of = |figure: fn(&Run) -> f64| median(&runs.iter().map(figure).collect::<Vec<_>>());
        rows.push(vec![
            (*name).to_owned(),
            format!("{:.0}", of(|run| run.per_second)),
            span(of(|run| run.p50)),
            span(of(|run| run.p99)),
            times(ratio),
        ]);
    }
    report.table(
        "over loopback, server and its log's writer on one core",
        &["", "requests/s", "p50", "p99", "× axum"],
        &rows,
    )?;
    report.bar(Bar::new(
        "requests a second over loopback, audit `Batched`, against bare axum",
        Limit::AtLeast(0.6),
        share,
    ));
    Ok(())
}

struct Run {
    per_second: f64,
    p50: f64,
    p99: f64,
}

fn measure(
    app: App,
    mint: &Mint,
    log: &Path,
    request: &[u8],
    connections: usize,
    for_long: Duration,
) -> Result<Run, AnyError> {
    let (addresses, address) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    std::thread::scope(|scope| {
        let server = scope.spawn(move || serve(app, mint, log, &addresses, stopped));
        let Ok(address) = address.recv() else {
            return Err(joined(server)
                .err()
                .unwrap_or_else(|| "the server ended".into()));
        };
        let client = scope.spawn(move || -> Result<Run, AnyError> {
            pin(CLIENTS)?;
            wait(ask(address, request, connections, for_long))?
        });
        let run = joined(client);
        let _ = stop.send(());
        joined(server)?;
        run
    })
}

fn joined<T>(
    thread: std::thread::ScopedJoinHandle<'_, Result<T, AnyError>>,
) -> Result<T, AnyError> {
    thread.join().unwrap_or_else(|_| Err("it panicked".into()))
}

/// This thread, and what it starts, runs on this core alone.
fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores)?;
    Ok(())
}

fn serve(
    app: App,
    mint: &Mint,
    log: &Path,
    addresses: &mpsc::Sender<SocketAddr>,
    stopped: oneshot::Receiver<()>,
) -> Result<(), AnyError> {
    // Before the log is opened: its threads belong to the server.
    pin(SERVER)?;
    let (app, log): (Router, Option<AuditLog>) = match app {
        App::Bare => (router(), None),
        App::Unrecorded => (
            Router::new().fallback_service(stack!(mint, without_audit()).wrap(router())),
            None,
        ),
        App::Recorded(acknowledge) => {
            let log = AuditLog::open(log, roomy())?;
            let record = RecordAuditLayer::new(log.clone()).acknowledge(acknowledge);
            let app = stack!(mint, record(record)).wrap(router());
            (Router::new().fallback_service(app), Some(log))
        }
    };
    wait(async move {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        addresses.send(listener.local_addr()?)?;
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, app)
            .with_graceful_shutdown(async { drop(stopped.await) })
            .await?;
        Ok::<(), AnyError>(())
    })??;
    if let Some(log) = log {
        log.close()?;
    }
    Ok(())
}

fn request(token: &str) -> Vec<u8> {
    format!("GET /orders HTTP/1.1\r\nhost: shop.example\r\nauthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

async fn ask(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    for_long: Duration,
) -> Result<Run, AnyError> {
    // Connections and caches are warm before anything counts.
    let begin = SystemClock.monotonic() + for_long / 10;
    let end = begin + for_long;
    let each = || async move {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut nanos = Vec::new();
        let mut answer = Vec::with_capacity(4096);
        loop {
            let before = SystemClock.monotonic();
            stream.write_all(request).await?;
            read_answer(&mut stream, &mut answer).await?;
            let now = SystemClock.monotonic();
            if before > begin {
                nanos.push(now.saturating_sub(before).as_secs_f64() * 1e9);
            }
            if now > end {
                return Ok::<_, AnyError>(nanos);
            }
        }
    };
    let nanos = futures_util::future::try_join_all((0..connections).map(|_| each()))
        .await?
        .concat();
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let count = nanos.len() as f64;
    Ok(Run {
        per_second: count / for_long.as_secs_f64(),
        p50: median(&nanos),
        p99: quantile(&nanos, 0.99),
    })
}

/// One answer, whose body is `ok`.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<(), AnyError> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            return Err("the server hung up".into());
        }
        if answer.ends_with(b"\r\n\r\nok") {
            break;
        }
    }
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        return Err(String::from_utf8_lossy(answer).into_owned().into());
    }
    Ok(())
}
