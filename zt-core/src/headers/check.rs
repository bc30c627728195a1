use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{self, Entry},
    response,
};

use super::{
    CspNonce, NonceError,
    csp::{Csp, CspOverride},
};
use crate::{context::Trail, decision::Denial, gate::Guard};

/// What is written and what is taken off, in a form that costs nothing to apply.
#[derive(Clone, Default)]
pub(super) struct Plan {
    lines: Vec<Line>,
    removed: Vec<HeaderName>,
    /// The first letters of what is removed: most headers of an answer have another one.
    initials: u64,
    offered: bool,
    nonce: bool,
}

#[derive(Clone)]
struct Line {
    name: HeaderName,
    value: HeaderValue,
    forced: bool,
    /// Where the value is a policy, which a nonce or an override can change.
    csp: Option<Box<Csp>>,
}

impl Plan {
    /// Writes the headers on the head of a response.
    fn apply(&self, head: &mut response::Parts, nonce: Option<&str>) {
        let change = head.extensions.get::<CspOverride>();
        let headers = &mut head.headers;
        strip(headers, |name| self.removes(name));
        // Growing once costs two allocations; growing header by header costs as many again. A map
        // that cannot grow has 24,000 headers, and no server would send them.
        let _ = headers.try_reserve(self.lines.len());
        for line in &self.lines {
            if line.forced {
                if let Some(value) = line.value(nonce, change) {
                    let _ = headers.try_insert(&line.name, value);
                }
            } else if let Ok(Entry::Vacant(place)) = headers.try_entry(&line.name)
                && let Some(value) = line.value(nonce, change)
            {
                let _ = place.try_insert(value);
            }
        }
        if nonce.is_some() {
            // A stored page would show its nonce again and again (CSP3 section 7.1).
            strip(headers, is_targeted);
            let _ = headers.try_insert(header::CACHE_CONTROL, NO_STORE);
        }
    }

    fn removes(&self, name: &HeaderName) -> bool {
        self.initials & initial(name) != 0
            && self
                .removed
                .binary_search_by(|own| own.as_str().cmp(name.as_str()))
                .is_ok()
    }

    pub(super) const fn offers_nonce(&self) -> bool {
        self.nonce
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.lines.iter().map(|line| (&line.name, &line.value))
    }

    pub(super) fn sets(&self, name: &HeaderName) -> bool {
        self.lines.iter().any(|line| line.name == name)
    }

    pub(super) fn csp(&self, name: &HeaderName) -> Option<&Csp> {
        self.lines
            .iter()
            .find(|line| line.name == name)?
            .csp
            .as_deref()
    }

    pub(super) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.put(name, value, None);
    }

    pub(super) fn set_csp(&mut self, name: HeaderName, csp: Csp) {
        self.put(name, csp.plain().clone(), Some(Box::new(csp)));
    }

    pub(super) fn offer_nonce(&mut self) {
        self.offered = true;
        self.see_nonce();
    }

    pub(super) fn force(&mut self, name: &HeaderName) {
        for line in self.lines.iter_mut().filter(|line| line.name == name) {
            line.forced = true;
        }
    }

    pub(super) fn remove(&mut self, name: HeaderName) {
        self.leave(&name);
        self.initials |= initial(&name);
        let place = self
            .removed
            .partition_point(|own| own.as_str() < name.as_str());
        self.removed.insert(place, name);
    }

    pub(super) fn leave(&mut self, name: &HeaderName) {
        self.lines.retain(|line| line.name != *name);
        self.removed.retain(|own| *own != *name);
        self.see_nonce();
    }

    fn put(&mut self, name: HeaderName, value: HeaderValue, csp: Option<Box<Csp>>) {
        self.removed.retain(|own| own != name);
        match self.lines.iter_mut().find(|line| line.name == name) {
            Some(line) => {
                line.value = value;
                line.csp = csp;
            }
            None => self.lines.push(Line {
                name,
                value,
                forced: false,
                csp,
            }),
        }
        self.see_nonce();
    }

    fn see_nonce(&mut self) {
        let mut policies = self.lines.iter().filter_map(|line| line.csp.as_ref());
        self.nonce = self.offered || policies.any(|csp| csp.has_nonce());
    }
}

impl Line {
    /// `None` where an override takes the whole policy away.
    fn value(&self, nonce: Option<&str>, change: Option<&CspOverride>) -> Option<HeaderValue> {
        match &self.csp {
            Some(csp) if nonce.is_some() || change.is_some() => {
                // An override is of the policy that is enforced.
                let change = change.filter(|_| self.name == header::CONTENT_SECURITY_POLICY);
                csp.header(nonce, change)
            }
            _ => Some(self.value.clone()),
        }
    }
}

fn strip(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| unwanted(name)).cloned() {
        headers.remove(&name);
    }
}

/// RFC 9213 section 2.1: shared caches read these and not `Cache-Control`. Vendors put their names
/// before it.
fn is_targeted(name: &HeaderName) -> bool {
    name == "surrogate-control" || name.as_str().ends_with("cdn-cache-control")
}

fn initial(name: &HeaderName) -> u64 {
    name.as_str()
        .bytes()
        .next()
        .map_or(0, |byte| 1 << (byte & 63))
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Names and values; neither is secret.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("set", &self.headers().collect::<Vec<_>>())
            .field("removed", &self.removed)
            .field("nonce", &self.nonce)
            .finish()
    }
}

/// Writes the headers when the head of the response leaves.
#[derive(Debug)]
pub struct HeadersGuard {
    plan: Arc<Plan>,
    nonce: Option<CspNonce>,
}

impl HeadersGuard {
    pub(super) const fn new(plan: Arc<Plan>, nonce: Option<CspNonce>) -> Self {
        Self { plan, nonce }
    }
}

impl Guard for HeadersGuard {
    const SETTLES: bool = false;

    /// A page whose nonce could not be made does not leave, whatever its handler did about it.
    fn poll_release(
        &mut self,
        _: &mut Context<'_>,
        _: &response::Parts,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        let failed = self.nonce.as_ref().is_some_and(CspNonce::has_failed);
        Poll::Ready(if failed {
            Err(NonceError::Unavailable.into())
        } else {
            Ok(())
        })
    }

    fn head(&mut self, head: &mut response::Parts, trail: &Arc<Trail>) {
        if is_tunnel(head.status, trail.method()) {
            return;
        }
        let nonce = self.nonce.as_ref().and_then(CspNonce::seal);
        self.plan.apply(head, nonce);
    }
}

/// What follows the head is another protocol (RFC 9110 sections 9.3.6 and 15.2.2).
fn is_tunnel(status: StatusCode, method: &Method) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS || (method == Method::CONNECT && status.is_success())
}
