use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, request::Parts};

use crate::{
    authorize::{Access, ActiveGrant, ActiveGrants, Policy, Verdict},
    body::CollectedBody,
    clock::{ManualClock, Timestamp},
    context::SecurityContext,
    decision::{Code, Denial},
    gate::{Later, Settings, Step},
    identity::{AuthMethod, PeerIdentity, Principal, PrincipalKind},
    policy::{
        CompiledPolicy, PolicyErrors, PolicyOptions, condition::Judgement, document,
        model::SourceText,
    },
};

mod grants;

/// 2026-11-23T10:00:00Z, a Monday.
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_795_428_000);

/// A request that a policy can be asked about.
pub(super) struct Asked {
    pub(super) parts: Parts,
    pub(super) cx: SecurityContext,
}

pub(super) struct Asking {
    inner: http::request::Builder,
    who: Option<Principal>,
    body: Option<Vec<u8>>,
    now: Timestamp,
}

pub(super) fn request(method: &str, path: &str) -> Asking {
    Asking {
        inner: Request::builder().method(method).uri(path),
        who: Some(ada().finish()),
        body: None,
        now: NOW,
    }
}

pub(super) fn ada() -> crate::identity::Assertion {
    Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
        .issuer("https://id.shop.example")
}

impl Asking {
    pub(super) fn by(mut self, who: Option<Principal>) -> Self {
        self.who = who;
        self
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.inner = self.inner.header(name, value);
        self
    }

    pub(super) fn json(self, body: impl Into<Vec<u8>>) -> Self {
        self.header("content-type", "application/json").raw(body)
    }

    pub(super) fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(super) fn from(mut self, address: &str) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        self.inner = self.inner.extension(crate::context::PeerAddr(address));
        self
    }

    pub(super) fn over(mut self, peer: PeerIdentity) -> Self {
        self.inner = self.inner.extension(Arc::new(peer));
        self
    }

    pub(super) fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    pub(super) fn made(self) -> Asked {
        let (parts, ()) = self.inner.body(()).unwrap().into_parts();
        let settings = Settings::default().with_clock(ManualClock::at(self.now));
        let mut cx = SecurityContext::open(&parts, &Arc::new(settings));
        if let Some(who) = self.who {
            cx.set_principal(Arc::new(who));
        }
        let body = self
            .body
            .map(|body| CollectedBody::new(Bytes::from(body), None));
        cx.show_body(body);
        Asked { parts, cx }
    }

    /// The rule that permits, or what denies.
    pub(super) fn ask(self, policy: &CompiledPolicy) -> Result<String, Denial> {
        self.made().ask(policy)
    }

    /// The rule that permits, or the code of what denies.
    pub(super) fn answer(self, policy: &CompiledPolicy) -> Result<String, Code> {
        self.ask(policy).map_err(|denial| denial.code())
    }
}

impl Asked {
    pub(super) fn needs_body(&self, policy: &CompiledPolicy) -> bool {
        policy
            .needs_body(&Access::new(&self.parts, &self.cx))
            .is_some()
    }

    /// What conditions say at once.
    pub(super) fn judgement(&self, policy: &CompiledPolicy) -> Result<Judgement, Denial> {
        let (access, engine) = (Access::new(&self.parts, &self.cx), policy.engine());
        let found = engine.find(&access)?;
        match engine.conditions.decide(&engine.rules, &found, &access) {
            Step::Now(judgement) => judgement,
            Step::Later(_) => panic!("it waits"),
        }
    }

    pub(super) fn begin(&self, policy: &CompiledPolicy) -> Step<Verdict> {
        policy.decide(&Access::new(&self.parts, &self.cx))
    }

    pub(super) fn poll(&mut self, later: &mut Later<Verdict>) -> Poll<Result<Verdict, Denial>> {
        let mut task = Context::from_waker(Waker::noop());
        later.poll(&mut task, &mut self.parts, &mut self.cx)
    }

    pub(super) fn ask(&mut self, policy: &CompiledPolicy) -> Result<String, Denial> {
        rule(match self.begin(policy) {
            Step::Now(verdict) => verdict,
            Step::Later(mut later) => match self.poll(&mut later) {
                Poll::Ready(verdict) => verdict,
                Poll::Pending => panic!("it waits"),
            },
        })
    }
}

/// The rule that permits, and when the first grant that it stands on ends.
pub(super) fn permit(judgement: Result<Judgement, Denial>) -> (String, Option<Timestamp>) {
    match judgement {
        Ok(Judgement::Permit { rule, held }) => {
            let until = held.iter().map(|grant| grant.until).min();
            (rule.to_string(), until)
        }
        other => panic!("no permit: {other:?}"),
    }
}

/// Nothing that applies denies in the end.
pub(super) fn rule(verdict: Result<Verdict, Denial>) -> Result<String, Denial> {
    match verdict? {
        Verdict::Permit(grounds) => Ok(grounds.into_rule().to_string()),
        Verdict::Deny(denial) => Err(denial),
        Verdict::NotApplicable => Err(Denial::new(Code::PolicyDenied).detail("silent")),
    }
}

pub(super) fn load(
    toml: &str,
    cedar: &str,
    options: &PolicyOptions,
) -> Result<CompiledPolicy, PolicyErrors> {
    let main = SourceText {
        file: "policy.toml".into(),
        text: toml.into(),
    };
    let cedar: Arc<str> = cedar.into();
    let document = document::parse(&main, &|_| Ok(Arc::clone(&cedar)), options)?;
    CompiledPolicy::compile(document, options)
}

pub(super) fn policy(toml: &str) -> CompiledPolicy {
    load(toml, "", &PolicyOptions::new()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What is wrong with it, one a line.
pub(super) fn wrong(toml: &str, cedar: &str, options: &PolicyOptions) -> String {
    match load(toml, cedar, options) {
        Ok(_) => panic!("it was loaded: {toml}\n{cedar}"),
        Err(errors) => errors.to_string(),
    }
}

/// Holds these grants, or does not know.
#[derive(Debug)]
pub(super) struct Holds(pub(super) Result<Vec<(&'static str, u64)>, Code>);

impl ActiveGrants for Holds {
    fn active(
        &self,
        who: &Principal,
        scope: &str,
        now: Timestamp,
    ) -> Result<Option<ActiveGrant>, Denial> {
        let all = self.scopes(who, now)?;
        Ok(all.into_iter().find(|grant| &*grant.scope == scope))
    }

    fn scopes(&self, _: &Principal, now: Timestamp) -> Result<Vec<ActiveGrant>, Denial> {
        let all = self.0.as_ref().map_err(|code| Denial::new(*code))?;
        let all = all.iter().map(|(scope, secs)| ActiveGrant {
            id: "7".into(),
            scope: (*scope).into(),
            until: Timestamp::from_secs(now.as_secs() + secs),
        });
        Ok(all.collect())
    }
}

/// One grant, of any scope, that comes and goes.
#[derive(Debug)]
pub(super) struct Switch(AtomicBool);

impl Switch {
    pub(super) fn new(held: bool) -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(held)))
    }

    pub(super) fn turn(&self, held: bool) {
        self.0.store(held, Ordering::Relaxed);
    }
}

impl ActiveGrants for Switch {
    fn active(
        &self,
        _: &Principal,
        scope: &str,
        now: Timestamp,
    ) -> Result<Option<ActiveGrant>, Denial> {
        let held = self.0.load(Ordering::Relaxed);
        Ok(held.then(|| ActiveGrant {
            id: "7".into(),
            scope: scope.into(),
            until: Timestamp::from_secs(now.as_secs() + 60),
        }))
    }

    fn scopes(&self, who: &Principal, now: Timestamp) -> Result<Vec<ActiveGrant>, Denial> {
        Ok(self.active(who, "any", now)?.into_iter().collect())
    }
}
