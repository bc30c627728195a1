//! The overspend race: a thousand requests at once on money for fifty, and three of ten clients go
//! away.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router, middleware,
    routing::{MethodRouter, post},
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::net::TcpListener;
use tower::Layer;
use zt_core::clock::{Clock, SystemClock};
use zt_ratelimit::{
    ChargeBudgetLayer, Cost, Limit, Limits, Who,
    counter::MemoryCounters,
    limit::Window,
    limits::{Level, Policy, Subjects},
};

use super::{super::Report, naive};
use crate::{
    Result,
    swarm::{Fate, Swarm},
};

const REQUESTS: usize = 1_000;
/// Longer than it takes until most of the thousand are there.
const SERVED_IN: Duration = Duration::from_millis(150);

pub(super) async fn play(report: &mut Report) -> Result<()> {
    let (limit, price): (Cost, Cost) = ("5 USD".parse()?, "0.10 USD".parse()?);
    let budget = Limit::budget("day", limit, Window::day())?;
    let limits = Limits::builder(MemoryCounters::default())
        .build(Policy::new([Level::new("key", [budget])])?)?;
    let who = Who::of_request(|_, _| Some(Subjects::new(["racer"])));
    let charge = ChargeBudgetLayer::hard(limits.clone(), who, price)?;
    let billed = Upstream::default();
    let spends = charge.layer(Router::new().route("/zt", billed.serve()));

    let naive = naive::Naive {
        limit,
        price,
        recorded: Arc::default(),
    };
    let billed_naively = Upstream::default();
    let app = Router::new()
        .route("/naive", billed_naively.serve())
        .layer(middleware::from_fn_with_state(naive.clone(), naive::check))
        .route_service("/zt", spends);
    let to = listen(app).await?;

    let fates = race(to, "/zt").await?;
    let (served, denied) = (count(&fates, 200), count(&fates, 429));
    let gone = fates.iter().filter(|fate| **fate == Fate::GaveUp).count();
    let held = || held_and_spent(&limits);
    // The server misses those who went away a moment later.
    for _ in 0..1_000 {
        if held().await?.0 == 0 {
            break;
        }
        SystemClock.sleep(Duration::from_millis(5)).await;
    }
    // Who had the money and went away before they were served gave it back.
    until_denied(to).await?;
    let (held, spent) = held().await?;
    let spent = Cost::from_nanos(spent, limit.currency());
    let billed = billed.billed(price);
    report.fact(
        "a race: 1000 requests of $0.10 at once on $5",
        "5 USD spent, nothing held".to_owned(),
        format!("{spent} spent, {held} held; {served} served, {denied} denied, {gone} gone"),
        spent == limit && billed == spent && held == 0 && served + denied + gone == REQUESTS,
    );

    race(to, "/naive").await?;
    let billed = billed_naively.billed(price);
    let recorded = naive.recorded.load(Ordering::SeqCst);
    let recorded = Cost::from_nanos(recorded, limit.currency());
    report.fact(
        "the same race against check, then record",
        "it overspends".to_owned(),
        format!("{billed} spent, {recorded} recorded"),
        billed.nanos() > limit.nanos(),
    );
    Ok(())
}

/// What the service behind a budget has begun to do, and bills for.
#[derive(Debug, Clone, Default)]
struct Upstream(Arc<AtomicU64>);

impl Upstream {
    fn serve(&self) -> MethodRouter {
        let Self(begun) = self.clone();
        post(async move || {
            begun.fetch_add(1, Ordering::SeqCst);
            SystemClock.sleep(SERVED_IN).await;
            "served"
        })
    }

    fn billed(&self, price: Cost) -> Cost {
        let nanos = self.0.load(Ordering::SeqCst) * price.nanos();
        Cost::from_nanos(nanos, price.currency())
    }
}

async fn race(to: SocketAddr, path: &str) -> Result<Vec<Fate>> {
    let swarm = Swarm::of(REQUESTS, to).await?;
    let mut requests = Vec::new();
    for number in 0..REQUESTS {
        let request = request(to, path)?;
        let patience = Duration::from_millis(20 + number as u64 % 150);
        requests.push((request, (number % 10 < 3).then_some(patience)));
    }
    Ok(swarm.send(requests).await)
}

fn request(to: SocketAddr, path: &str) -> Result<Request<Full<Bytes>>> {
    Ok(Request::post(format!("http://{to}{path}")).body(Full::default())?)
}

fn count(fates: &[Fate], status: u16) -> usize {
    let counted = fates.iter().filter(|fate| fate.status() == Some(status));
    counted.count()
}

/// One request after another, while there is money.
async fn until_denied(to: SocketAddr) -> Result<()> {
    let swarm = Swarm::of(1, to).await?;
    for _ in 0..REQUESTS {
        let fates = swarm.send([(request(to, "/zt")?, None)]).await;
        if count(&fates, 200) == 0 {
            return Ok(());
        }
    }
    Err("there is no end of money".into())
}

/// In nano-units.
async fn held_and_spent(limits: &Limits) -> Result<(u64, u64)> {
    let cells = limits.standing(&Subjects::new(["racer"])).await?;
    let cell = cells.first().ok_or("there is one budget")?;
    Ok((cell.state.held, cell.state.spent))
}

async fn listen(app: Router) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
