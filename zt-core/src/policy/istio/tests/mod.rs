//! Refusals first; then what Istio makes of the same files, on random requests.

mod golden;
mod refusals;
mod requests;
mod semantics;
mod vectors;
mod yaml;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderName, HeaderValue, Method, Request, Uri, header::HOST};
use serde_json::Value;

use super::IstioOptions;
use crate::{
    authorize::{Access, Policy, Verdict},
    clock::Timestamp,
    context::{ForwardedHeader, PeerAddr, SecurityContext, TrustedProxies},
    decision::Code,
    gate::{Settings, Step},
    identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
    policy::{CompiledPolicy, PolicyErrors, PolicyOptions},
};

/// A request and what was proved of it, as both sides of a comparison see it.
#[derive(Debug, Clone)]
struct Ask {
    method: String,
    host: Option<String>,
    path: String,
    headers: Vec<(String, String)>,
    /// A SPIFFE ID.
    peer: Option<String>,
    /// The payload of a token; it has `sub`.
    token: Option<Value>,
    /// Where the server puts it on requests; without it nobody knows where the client is either.
    direct: Option<IpAddr>,
    remote: IpAddr,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            host: Some("shop.example".into()),
            path: "/".into(),
            headers: Vec::new(),
            peer: None,
            token: None,
            direct: Some([192, 0, 2, 1].into()),
            remote: [192, 0, 2, 1].into(),
        }
    }
}

/// What came of it: the name of the rule that permits, or the code of the denial.
type Answer = Result<String, Code>;

impl Ask {
    fn of(path: &str) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }

    fn peer(mut self, id: &str) -> Self {
        self.peer = Some(id.into());
        self
    }

    fn token(mut self, payload: Value) -> Self {
        self.token = Some(payload);
        self
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn host(mut self, host: &str) -> Self {
        self.host = Some(host.into());
        self
    }

    fn put_to(&self, policy: &CompiledPolicy) -> Answer {
        thread_local! {
            static SETTINGS: Arc<Settings> = Arc::new(Settings::default().with_proxies(
                TrustedProxies::new(["0.0.0.0/0".parse().unwrap()], ForwardedHeader::XForwardedFor),
            ));
        }
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).unwrap();
        *request.uri_mut() = Uri::try_from(&self.path).unwrap();
        let headers = request.headers_mut();
        if let Some(host) = &self.host {
            headers.insert(HOST, HeaderValue::try_from(host).unwrap());
        }
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).unwrap();
            headers.append(name, HeaderValue::try_from(value).unwrap());
        }
        let remote = HeaderValue::try_from(self.remote.to_string()).unwrap();
        headers.insert("x-forwarded-for", remote);
        let extensions = request.extensions_mut();
        if let Some(direct) = self.direct {
            extensions.insert(PeerAddr(SocketAddr::new(direct, 40_000)));
        }
        if let Some(id) = &self.peer {
            let peer = PeerIdentity::assertion([7; 32], Timestamp::MAX, PeerSource::Tls);
            extensions.insert(Arc::new(peer.spiffe_id(&**id).finish()));
        }
        let (parts, ()) = request.into_parts();
        let mut cx = SETTINGS.with(|settings| SecurityContext::open(&parts, settings));
        if let Some(token) = &self.token {
            let subject = token.get("sub").and_then(Value::as_str).unwrap();
            let mut who = Principal::assertion(PrincipalKind::User, subject, AuthMethod::Jwt)
                .claims(token.to_string());
            if let Some(issuer) = token.get("iss").and_then(Value::as_str) {
                who = who.issuer(issuer);
            }
            cx.set_principal(Arc::new(who.finish()));
        }
        match policy.decide(&Access::new(&parts, &cx)) {
            Step::Now(Ok(Verdict::Permit(grounds))) => Ok(grounds.rule().to_owned()),
            Step::Now(Ok(Verdict::NotApplicable)) => Err(Code::PolicyDenied),
            Step::Now(Ok(Verdict::Deny(denial)) | Err(denial)) => Err(denial.code()),
            Step::Later(_) => panic!("nothing has to be waited for"),
        }
    }
}

/// The workload of the vectors.
fn httpbin() -> IstioOptions {
    IstioOptions::new("foo")
        .label("app", "httpbin")
        .label("version", "v1")
}

fn load_as(text: &str, istio: &IstioOptions) -> Result<CompiledPolicy, PolicyErrors> {
    CompiledPolicy::from_istio([("test.yaml", text)], istio, &PolicyOptions::new())
}

fn load(text: &str) -> Result<CompiledPolicy, PolicyErrors> {
    load_as(text, &httpbin())
}

/// A policy `foo/p` with this `spec`, indented by two.
fn policy(spec: &str) -> String {
    named("p", spec)
}

fn named(name: &str, spec: &str) -> String {
    let spec = spec.trim_matches('\n');
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: {name}\n  namespace: foo\nspec:\n{spec}\n"
    )
}
