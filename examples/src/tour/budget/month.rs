//! The end of a month, and a day that has 23 hours, as the calendar in Berlin has them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::post};
use tokio::{net::TcpListener, sync::Notify};
use tower::Layer;
use zt_core::{
    clock::{ManualClock, Timestamp},
    gate::{OpenContextLayer, Settings},
    headers::SetSecurityHeadersLayer,
};
use zt_ratelimit::{
    ChargeBudgetLayer, Cost, Limit, Limits, Who,
    counter::MemoryCounters,
    limit::Window,
    limits::{Level, Policy, Subjects},
};

use super::super::Report;
use crate::{
    Result,
    raw::{Answer, send},
};

/// 31 October 2026, 23:59:59 in Berlin.
const LAST_SECOND: u64 = 1_793_487_599;
/// 29 March 2026, 00:00 in Berlin, where two hours later it is 03:00 at once.
const SHORT_DAY: u64 = 1_774_738_800;
const SERVED: (u16, &str) = (200, "-");
const REFUSED: (u16, &str) = (429, "budget-exhausted");

pub(super) async fn play(report: &mut Report) -> Result<()> {
    let clock = ManualClock::at(Timestamp::from_secs(LAST_SECOND));
    let app = App::start("10 USD".parse()?, Window::month(), &clock).await?;
    // It is admitted in October, and takes until November.
    let slow = tokio::spawn({
        let to = app.address;
        async move { ask(to, "/slow").await }
    });
    app.begun.notified().await;
    let half = app.ask("/").await?;
    report.request(false, "half of the month's money", SERVED, &half, Ok(()));
    let last = app.ask("/").await?;
    let wait = match last.header("retry-after") {
        "1" => Ok(()),
        other => Err(format!("Retry-After: {other}")),
    };
    report.request(true, "the last second of the month", REFUSED, &last, wait);
    clock.advance(Duration::from_secs(1));
    let first = app.ask("/").await?;
    report.request(
        false,
        "the first second of the next one",
        SERVED,
        &first,
        Ok(()),
    );
    app.finish.notify_one();
    let over = slow.await??;
    report.request(
        false,
        "a request over the end of the month",
        SERVED,
        &over,
        Ok(()),
    );
    // Half of November's money is left: what ended in it was October's.
    let second = app.ask("/").await?;
    report.request(
        false,
        "... is charged to the old one",
        SERVED,
        &second,
        Ok(()),
    );
    let third = app.ask("/").await?;
    report.request(
        true,
        "the new month has an end too",
        REFUSED,
        &third,
        Ok(()),
    );

    let clock = ManualClock::at(Timestamp::from_secs(SHORT_DAY));
    let app = App::start("5 USD".parse()?, Window::day(), &clock).await?;
    let spent = app.ask("/").await?;
    report.request(false, "a day of 23 hours begins", SERVED, &spent, Ok(()));
    clock.advance(Duration::from_secs(23 * 3600 - 1));
    let last = app.ask("/").await?;
    report.request(true, "its last second", REFUSED, &last, Ok(()));
    clock.advance(Duration::from_secs(1));
    let next = app.ask("/").await?;
    report.request(
        false,
        "23 hours later it is the next day",
        SERVED,
        &next,
        Ok(()),
    );
    Ok(())
}

/// A request costs $5.
struct App {
    address: SocketAddr,
    begun: Arc<Notify>,
    finish: Arc<Notify>,
}

impl App {
    async fn start(amount: Cost, window: Window, clock: &ManualClock) -> Result<Self> {
        let window = window.zone("Europe/Berlin")?;
        let budget = Limit::budget("money", amount, window)?;
        let limits = Limits::builder(MemoryCounters::default())
            .clock(clock.clone())
            .build(Policy::new([Level::new("everybody", [budget])])?)?;
        let who = Who::of_request(|_, _| Some(Subjects::new(["everybody"])));
        let charge = ChargeBudgetLayer::hard(limits, who, "5 USD".parse::<Cost>()?)?;

        let (begun, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let told = (Arc::clone(&begun), Arc::clone(&finish));
        let slow = async move || {
            told.0.notify_one();
            told.1.notified().await;
        };
        let router = Router::new()
            .route("/", post(|| async {}))
            .route("/slow", post(slow));
        let settings = Settings::default().with_clock(clock.clone());
        let service = SetSecurityHeadersLayer::api().layer(charge.layer(router));
        let service = OpenContextLayer::new(settings).layer(service);

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let app = Router::new().fallback_service(service);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self {
            address,
            begun,
            finish,
        })
    }

    async fn ask(&self, path: &str) -> Result<Answer> {
        ask(self.address, path).await
    }
}

async fn ask(to: SocketAddr, path: &str) -> Result<Answer> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
    Ok(send([127, 0, 0, 1], to, head.as_bytes()).await?)
}
