//! Requests on which verifiers differ, what RFC 9421 says of each, and what they get.
//!
//! Each is signed over a base that is put together from plain strings, so a refusal is never that
//! of a wrong MAC unless the verifier computes another base.

use std::io::Write;

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use tower::{Layer as _, ServiceExt as _};
use zt_benches::{Outcome, Report};
use zt_core::{
    body::RequestBody,
    decision::Denial,
    signature::{
        base::Component,
        replay::MemoryReplays,
        verify::{SignaturePolicy, VerifySignatureLayer},
    },
};

use super::{
    memory::WINDOW,
    ours::drain,
    sign::{Algorithm, Answered, Keys, SHARED_ID, Sketch, body, digest_of, now},
};

/// What is right.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Right {
    Accepted,
    /// Refused, and the detail says this.
    Refused(&'static str),
}

pub(super) struct Probe {
    what: &'static str,
    section: &'static str,
    right: Right,
    method: Method,
    uri: &'static str,
    fields: Vec<(&'static str, String)>,
    lines: Vec<(&'static str, String)>,
    params: String,
    body: Bytes,
    /// A member of `Signature-Input` before the one that is signed.
    before: Option<&'static str>,
}

pub(super) fn run(keys: &Keys, report: &mut Report<impl Write>) -> Outcome {
    let mut rows = Vec::new();
    let mut wrong = Vec::new();
    for probe in all()? {
        let found = ours(&probe, keys)?;
        if !probe.is_right(&found) {
            wrong.push(format!("{}: {}", probe.what, say(&found)));
        }
        let right = match probe.right {
            Right::Accepted => "accepted",
            Right::Refused(_) => "refused",
        };
        let mut row = vec![
            probe.what.to_owned(),
            probe.section.to_owned(),
            right.to_owned(),
        ];
        #[cfg(feature = "peers")]
        row.push({
            let theirs = super::peers::probe(probe.request(keys)?);
            let agrees = theirs.is_ok() == (probe.right == Right::Accepted);
            match agrees {
                true => say(&theirs),
                false => format!("**{}**", say(&theirs)),
            }
        });
        row.push(say(&found));
        rows.push(row);
    }
    let mut head = vec!["", "RFC 9421", "right"];
    if cfg!(feature = "peers") {
        head.push("httpsig-hyper 0.0.26 (bold: not right)");
    }
    head.push("VerifySignature");
    report.table("probes, each with a MAC that is right", &head, &rows)?;
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("not right: {}", wrong.join("; ")).into()),
    }
}

/// Accepted, or why it is refused.
pub(super) type Found = Result<(), String>;

fn say(found: &Found) -> String {
    match found {
        Ok(()) => "accepted".to_owned(),
        Err(why) => format!("refused: {}", why.replace('|', "/")),
    }
}

/// Through the layer, with a policy that asks for no more than `@method`.
fn ours(probe: &Probe, keys: &Keys) -> Answered<Found> {
    let policy =
        SignaturePolicy::insecure_covering_only([Component::METHOD])?.insecure_without_nonce();
    let memory = MemoryReplays::for_new_keys(WINDOW);
    let layer = VerifySignatureLayer::new(policy, keys.ring()?, memory)?;
    let service = layer.layer(tower::service_fn(drain::<RequestBody<Body>>));
    let answer = service.oneshot(probe.request(keys)?.map(Body::from));
    let answer = answer.now_or_never().ok_or("it waits")??;
    if answer.status().is_success() {
        return Ok(Ok(()));
    }
    let denial = answer.extensions().get::<Denial>();
    let detail = denial.and_then(Denial::private_detail);
    Ok(Err(detail.unwrap_or("without a word").to_owned()))
}

impl Probe {
    fn new(what: &'static str, section: &'static str, right: Right) -> Answered<Self> {
        Ok(Self {
            what,
            section,
            right,
            method: Method::POST,
            uri: "https://shop.example/orders",
            fields: Vec::new(),
            lines: vec![("\"@method\"", "POST".to_owned())],
            params: format!(";created={};keyid=\"{SHARED_ID}\"", now()?),
            body: Bytes::new(),
            before: None,
        })
    }

    /// Covers `name`, which in the base is `value`.
    fn covering(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.lines.push((name, value.into()));
        self
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    fn at(mut self, uri: &'static str) -> Self {
        self.uri = uri;
        self
    }

    fn saying(mut self, params: impl Into<String>) -> Self {
        self.params = params.into();
        self
    }

    pub(super) fn request(&self, keys: &Keys) -> Answered<Request<Bytes>> {
        let sketch = Sketch {
            lines: self.lines.clone(),
            params: self.params.clone(),
        };
        let [(input, list), (name, signature)] = sketch.fields(keys, Algorithm::Hmac);
        let list = match self.before {
            Some(before) => format!("{before}, {list}"),
            None => list,
        };
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from_static(self.uri);
        if request.uri().authority().is_none() {
            let host = HeaderValue::from_static("shop.example");
            request.headers_mut().insert(header::HOST, host);
        }
        let signed = [(input, list), (name, signature)];
        let fields = self.fields.iter();
        let fields = fields.map(|(name, value)| (HeaderName::from_static(name), value.clone()));
        for (name, value) in fields.chain(signed) {
            let value = HeaderValue::from_str(&value)?;
            request.headers_mut().append(name, value);
        }
        Ok(request)
    }

    fn is_right(&self, found: &Found) -> bool {
        match (self.right, found) {
            (Right::Accepted, Ok(())) => true,
            (Right::Refused(why), Err(said)) => said.contains(why),
            _ => false,
        }
    }
}

fn all() -> Answered<Vec<Probe>> {
    use Right::{Accepted, Refused};

    let now = now()?;
    let mut all = vec![
        Probe::new(
            "`@authority` from `Host`, as HTTP/1.1 delivers it",
            "2.2.3",
            Accepted,
        )?
        .at("/orders")
        .covering("\"@authority\"", "shop.example"),
        Probe::new("the scheme's own port in the URL", "2.2.3", Accepted)?
            .at("https://shop.example:443/orders")
            .covering("\"@authority\"", "shop.example"),
        Probe::new(
            "parameters in another order: `keyid`, `created`",
            "2.3",
            Accepted,
        )?
        .saying(format!(";keyid=\"{SHARED_ID}\";created={now}")),
        Probe::new(
            "parameters in the order of B.2.1: `created`, `keyid`, `nonce`",
            "2.3, B.2.1",
            Accepted,
        )?
        .saying(format!(
            ";created={now};keyid=\"{SHARED_ID}\";nonce=\"b3k2pp5k7z-50gnwp.yemd\""
        )),
        Probe::new("one more parameter, which nobody knows", "2.3", Accepted)?
            .saying(format!(";created={now};keyid=\"{SHARED_ID}\";version=2")),
        Probe::new(
            "a covered field that is absent, signed as empty",
            "2.1, 2.5",
            Refused("absent"),
        )?
        .covering("\"x-tenant\"", ""),
        Probe::new(
            "an empty list of components",
            "3.2.1, 7.2.1",
            Refused("covers nothing"),
        )?,
        Probe::new("`created` in 1970", "3.2.1, 7.2.2", Refused("too old"))?
            .saying(format!(";created=1;keyid=\"{SHARED_ID}\"")),
        Probe::new(
            "`alg` of another algorithm than the key's",
            "3.2, step 6",
            Refused("algorithm"),
        )?
        .saying(format!(
            ";created={now};alg=\"ed25519\";keyid=\"{SHARED_ID}\""
        )),
        Probe::new("`;bs`", "2.1.3", Accepted)?
            .with("x-list", "one, two")
            .with("x-list", "three")
            .covering(
                "\"x-list\";bs",
                format!(
                    ":{}:, :{}:",
                    BASE64.encode("one, two"),
                    BASE64.encode("three")
                ),
            ),
        Probe::new(
            "`;tr`, signed as if it were not there",
            "2.1.4",
            Refused("trailers"),
        )?
        .with("x-list", "one")
        .covering("\"x-list\";tr", "one"),
        Probe::new("`@query-param` with `+` for a space", "2.2.8", Accepted)?
            .at("https://shop.example/orders?for=my+shop")
            .covering("\"@query-param\";name=\"for\"", "my%20shop"),
        Probe::new(
            "`@query-param` of a name that comes twice",
            "2.2.8",
            Refused("more than once"),
        )?
        .at("https://shop.example/orders?id=1&id=2")
        .covering("\"@query-param\";name=\"id\"", "1, 2"),
        Probe::new(
            "`@query-param` of a name that is not there",
            "2.2.8",
            Refused("no such parameter"),
        )?
        .at("https://shop.example/orders?id=1")
        .covering("\"@query-param\";name=\"to\"", ""),
    ];
    if let Some(empty) = all
        .iter_mut()
        .find(|one| one.what.starts_with("an empty list"))
    {
        empty.lines.clear();
    }
    let mut options = Probe::new("`@request-target` of `OPTIONS /orders`", "2.2.5", Accepted)?;
    options.method = Method::OPTIONS;
    options.lines = vec![
        ("\"@method\"", "OPTIONS".to_owned()),
        ("\"@request-target\"", "/orders".to_owned()),
    ];
    all.push(options.at("/orders"));

    let mut twice = Probe::new("one label twice", "4.1", Refused("twice"))?;
    twice.before = Some("sig1=(\"@path\");created=1");
    all.push(twice);

    let content = body(64);
    let mut members = Probe::new("a digest of two members", "2, RFC 9530 2", Accepted)?;
    let long = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &content);
    let both = format!("{}, sha-512=:{}:", digest_of(&content), BASE64.encode(long));
    members.body = content.clone().into();
    all.push(
        members
            .with("content-digest", both.clone())
            .covering("\"content-digest\"", both),
    );
    let mut unrelated = Probe::new(
        "a body with its digest, which the signature does not cover",
        "3.2.1, 7.2.8",
        Refused("covers no digest"),
    )?;
    unrelated.body = content.clone().into();
    all.push(unrelated.with("content-digest", digest_of(&content)));
    let mut exchanged = Probe::new(
        "a covered digest, and another body",
        "7.2.8, RFC 9530 2",
        Refused("another digest"),
    )?;
    exchanged.body = Bytes::from_static(b"another one");
    all.push(
        exchanged
            .with("content-digest", digest_of(&content))
            .covering("\"content-digest\"", digest_of(&content)),
    );
    Ok(all)
}
