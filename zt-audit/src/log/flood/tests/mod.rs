mod exact;
mod lanes;
mod table;

use std::{net::IpAddr, sync::Arc};

use http::Request;
use zt_core::{
    clock::{ManualClock, Timestamp},
    context::{HandlerRun, PeerAddr, SecurityContext, Trail},
    decision::{Code, Denial, Permit},
    gate::{End, Settings},
    identity::{AuthMethod, Principal, PrincipalKind},
    state::{Acknowledgement, DecisionEvent, Event, OutcomeEvent, Verdict},
};

use super::*;

/// Of a request from `source`, opened so many milliseconds after the beginning.
fn trail_from(source: Option<&str>, millis: u64) -> Arc<Trail> {
    let mut request = Request::get("/orders/7");
    if let Some(source) = source {
        let source: IpAddr = source.parse().unwrap();
        request = request.extension(PeerAddr((source, 4711).into()));
    }
    let settings = Settings::default().with_clock(ManualClock::at(at(millis)));
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Arc::clone(SecurityContext::open(&parts, &Arc::new(settings)).trail())
}

fn at(millis: u64) -> Timestamp {
    BEGIN + Duration::from_millis(millis)
}

/// A multiple of ten seconds.
const BEGIN: Timestamp = Timestamp::from_secs(1_893_456_000);

fn denied(trail: &Arc<Trail>, code: Code) -> Event {
    decided(trail, Verdict::Deny(Denial::new(code)), None)
}

fn decided(trail: &Arc<Trail>, verdict: Verdict, acknowledge: Option<Acknowledgement>) -> Event {
    Event::Decision(DecisionEvent {
        trail: Arc::clone(trail),
        verdict,
        acknowledge,
    })
}

fn ended(trail: &Arc<Trail>, handler: HandlerRun) -> Event {
    Event::Outcome(OutcomeEvent {
        trail: Arc::clone(trail),
        end: End::Complete,
        handler,
        status: None,
        grpc_status: None,
        bytes: 0,
        elapsed: Duration::from_millis(1),
    })
}

fn permitted() -> Verdict {
    Verdict::Permit(Permit::assertion("orders.read").finish())
}
