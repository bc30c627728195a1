//! From the words to a request.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts};
use serde_json::Value;

use super::{Answer, Caller, Kind, Proof, Question, QuestionError, declared::Facts};
use crate::{
    authorize::{Access, Verdict},
    body::{CollectLimits, CollectedBody},
    clock::{ManualClock, Timestamp},
    context::{PeerAddr, SecurityContext},
    decision::{Code, Denial},
    gate::{Settings, Step},
    identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
    policy::{
        CompiledPolicy,
        compiled::{Engine, RuleIndex},
        condition::Judgement,
        matcher::Found,
        model::{AttributeGroup, Rule},
    },
};

/// A question as a request, with everything that was proved about it.
pub(crate) struct Asked {
    parts: Parts,
    cx: SecurityContext,
    body: Bytes,
    facts: Arc<Facts>,
}

impl CompiledPolicy {
    /// Asks as production does: the policy reads the same request, context, body and sources.
    /// Nothing is counted or recorded.
    ///
    /// # Errors
    ///
    /// Where the question is none: its method, target, a header, or a fact that the policy does not
    /// declare.
    pub async fn ask(&self, question: &Question) -> Result<Answer, QuestionError> {
        let asked = Asked::of(question, &self.document().attributes)?;
        Ok(asked.of_engine(self.engine()).await)
    }
}

impl Asked {
    pub(crate) fn of(
        question: &Question,
        groups: &[AttributeGroup],
    ) -> Result<Self, QuestionError> {
        let facts = Facts::of(question, groups)?;
        let (method, uri) = target(&question.request)?;
        let mut request = Request::builder().method(method).uri(uri);
        let host = question
            .host
            .iter()
            .map(|host| (header::HOST.as_str(), host));
        let written = question.headers.iter();
        for (name, value) in host.chain(written.map(|(name, value)| (name.as_str(), value))) {
            let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_str(value),
            ) else {
                return Err(QuestionError(format!("the header `{name}` cannot be sent")));
            };
            request = request.header(name, value);
        }
        let body = body(question.body.as_ref());
        let is_json = question.body.as_ref().is_some_and(|body| !body.is_string());
        let typed = question
            .headers
            .keys()
            .any(|name| name.eq_ignore_ascii_case(header::CONTENT_TYPE.as_str()));
        if is_json && !typed {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(client) = question.client {
            request = request.extension(PeerAddr(SocketAddr::new(client, 0)));
        }
        let settings = match question.now {
            Some(now) => Arc::new(Settings::default().with_clock(ManualClock::at(now.0))),
            None => Settings::shared_default(),
        };
        if let Some(id) = &question.workload {
            // A certificate that nobody has, and that does not end before the request.
            let peer = PeerIdentity::assertion([0; 32], Timestamp::MAX, PeerSource::Tls)
                .spiffe_id(id.as_str())
                .uris([id.as_str()])
                .finish();
            request = request.extension(Arc::new(peer));
        }
        let (parts, ()) = request
            .body(())
            .map_err(|error| QuestionError(format!("`{}`: {error}", question.request)))?
            .into_parts();
        let mut cx = SecurityContext::open(&parts, &settings);
        cx.set_principal(Arc::new(principal(question)?));
        Ok(Self {
            parts,
            cx,
            body,
            facts,
        })
    }

    pub(crate) const fn access(&self) -> Access<'_> {
        Access::new(&self.parts, &self.cx)
    }

    /// What an engine answers; the facts that the question declares hold meanwhile.
    pub(crate) async fn of_engine(mut self, engine: &Arc<Engine>) -> Answer {
        let facts = Arc::clone(&self.facts);
        let verdict = facts.hold(self.verdict(engine)).await;
        Answer::of(
            verdict,
            self.cx.now(),
            engine.name.name(),
            engine.name.version(),
        )
    }

    async fn verdict(&mut self, engine: &Arc<Engine>) -> Result<Verdict, Denial> {
        let needed = engine.needs_body(&self.access());
        self.show_body(needed)?;
        let step = engine.decide(&self.access());
        self.driven(step).await
    }
}

fn target(request: &str) -> Result<(Method, Uri), QuestionError> {
    let wrong = |why: &str| {
        let form = "a request is a method and a target, as in `POST /charge`";
        QuestionError(format!("`{request}`{why}: {form}"))
    };
    let (method, target) = request.split_once(' ').ok_or_else(|| wrong(""))?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| wrong(" has no method"))?;
    let uri: Uri = target.parse().map_err(|_| wrong(" has no target"))?;
    Ok((method, uri))
}

fn body(body: Option<&Value>) -> Bytes {
    match body {
        None => Bytes::new(),
        Some(Value::String(text)) => Bytes::from(text.clone()),
        Some(value) => Bytes::from(value.to_string()),
    }
}

fn principal(question: &Question) -> Result<Principal, QuestionError> {
    let Some(caller) = &question.caller else {
        return Ok(match &question.workload {
            Some(id) => of_workload(id),
            None => Principal::anonymous(),
        });
    };
    let kind = match caller.kind {
        Some(Kind::Anonymous) if caller.is_named() => {
            return Err(QuestionError("an anonymous caller has nothing else".into()));
        }
        Some(Kind::Anonymous) => return Ok(Principal::anonymous()),
        Some(Kind::User) => PrincipalKind::User,
        Some(Kind::Service) => PrincipalKind::Service,
        None => return Err(QuestionError("the caller needs a kind".into())),
    };
    let subject = caller
        .subject
        .as_deref()
        .filter(|subject| !subject.is_empty());
    let subject = subject.ok_or_else(|| QuestionError("the caller needs a subject".into()))?;
    let method = match caller.method {
        Some(Proof::ServiceToken) => AuthMethod::ServiceToken,
        Some(Proof::ClientCertificate) => AuthMethod::ClientCertificate,
        Some(Proof::Signature) => AuthMethod::Signature,
        Some(Proof::Jwt) | None => AuthMethod::Jwt,
    };
    let mut who = Principal::assertion(kind, subject, method)
        .scopes(caller.scopes.iter().map(String::as_str))
        .roles(caller.roles.iter().map(String::as_str));
    if let Some(issuer) = &caller.issuer {
        who = who.issuer(issuer.as_str());
    }
    if let Some(tenant) = &caller.tenant {
        who = who.tenant(tenant.as_str());
    }
    if let Some(session) = &caller.session {
        who = who.session(session.as_str());
    }
    if let Some(class) = &caller.context_class {
        who = who.context_class(class.as_str());
    }
    if let Some(at) = caller.authenticated_at {
        who = who.authenticated_at(at.0);
    }
    match &caller.claims {
        Some(claims @ Value::Object(_)) => who = who.claims(claims.to_string()),
        Some(_) => return Err(QuestionError("claims are an object".into())),
        None => {}
    }
    Ok(who.finish())
}

/// As `RequirePeer` makes one of a certificate: the trust domain is the issuer.
fn of_workload(id: &str) -> Principal {
    let who = Principal::assertion(PrincipalKind::Service, id, AuthMethod::ClientCertificate);
    let domain = id
        .match_indices('/')
        .nth(2)
        .and_then(|(at, _)| id.get(..at));
    match domain {
        Some(domain) => who.issuer(domain).finish(),
        None => who.finish(),
    }
}

impl Caller {
    const fn is_named(&self) -> bool {
        self.subject.is_some()
            || self.issuer.is_some()
            || self.tenant.is_some()
            || self.claims.is_some()
            || !self.scopes.is_empty()
            || !self.roles.is_empty()
    }
}

// For explanations.
impl Asked {
    /// Whether grant and condition of a denying rule with the id `id` hold, as if no other were there.
    pub(crate) async fn holds(
        &mut self,
        engine: &Arc<Engine>,
        rules: &Arc<[Rule]>,
        index: RuleIndex,
        id: &Arc<str>,
    ) -> Result<bool, String> {
        let found = Found {
            conditional: vec![index],
            ..Found::default()
        };
        let facts = Arc::clone(&self.facts);
        let judged = facts.hold(self.judged(engine, rules, &found)).await;
        match judged {
            Ok(Judgement::Deny { rule }) => Ok(rule == *id),
            Ok(_) => Ok(false),
            // Another one's trouble is not this rule's.
            Err(denial) if denial.rule().is_some_and(|rule| *rule != **id) => Ok(false),
            Err(denial) => Err(match denial.private_detail() {
                Some(detail) => format!("{} ({detail})", denial.code().as_str()),
                None => denial.code().as_str().to_owned(),
            }),
        }
    }

    async fn judged(
        &mut self,
        engine: &Arc<Engine>,
        rules: &Arc<[Rule]>,
        found: &Found,
    ) -> Result<Judgement, Denial> {
        let needed = engine.conditions.needs_body(rules, found, &self.access());
        self.show_body(needed)?;
        let step = engine.conditions.decide(rules, found, &self.access());
        self.driven(step).await
    }

    fn show_body(&mut self, needed: Option<CollectLimits>) -> Result<(), Denial> {
        let Some(limits) = needed else { return Ok(()) };
        if self.body.len() > limits.bytes {
            return Err(Denial::new(Code::BodyTooLarge));
        }
        let body = CollectedBody::new(self.body.clone(), None);
        self.cx.show_body(Some(body));
        Ok(())
    }

    async fn driven<T: Send + 'static>(&mut self, step: Step<T>) -> Result<T, Denial> {
        match step {
            Step::Now(answer) => answer,
            Step::Later(mut later) => {
                let (parts, cx) = (&mut self.parts, &mut self.cx);
                std::future::poll_fn(move |task| later.poll(task, parts, cx)).await
            }
        }
    }
}
