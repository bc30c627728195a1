use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::{
    behaviour::{Behaviour, Endpoint},
    endpoint,
    state::State,
};

/// An answer, or none: the connection is closed.
pub(super) type Answered = Result<Response<Part>, Withheld>;

/// The connection is closed on purpose.
#[derive(Debug, thiserror::Error)]
#[error("no answer, as was asked for")]
pub(super) struct Withheld;

/// What is asked for, with its body read.
pub(super) struct Asked {
    pub(super) head: Parts,
    pub(super) body: Bytes,
}

/// Answers one request in the way that its endpoint behaves.
pub(super) async fn answer(state: Arc<State>, request: Request<Incoming>) -> Answered {
    let (head, body) = request.into_parts();
    let (endpoint, method) = match head.uri.path() {
        "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => {
            (Endpoint::Metadata, Method::GET)
        }
        "/jwks.json" => (Endpoint::Keys, Method::GET),
        "/token" => (Endpoint::Token, Method::POST),
        _ => return Ok(plain(StatusCode::NOT_FOUND, "")),
    };
    if head.method != method && !(head.method == Method::HEAD && method == Method::GET) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "");
        let allow = if method == Method::GET {
            "GET, HEAD"
        } else {
            "POST"
        };
        put(&mut refused, header::ALLOW, allow);
        return Ok(refused);
    }
    state.count(endpoint);
    let Ok(body) = Limited::new(body, 1 << 16).collect().await else {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, ""));
    };
    let mut asked = Asked {
        head,
        body: body.to_bytes(),
    };
    let behaviour = wait(&state, endpoint).await;
    act(&state, endpoint, &behaviour, &mut asked)
}

/// Waits where it has to, and says how to behave then.
async fn wait(state: &State, endpoint: Endpoint) -> Behaviour {
    let mut changes = state.behaviours();
    let behaviour = changes.borrow_and_update().of(endpoint).clone();
    let is_another = |all: &super::behaviour::Behaviours| *all.of(endpoint) != behaviour;
    let span = match &behaviour {
        Behaviour::Slow(span) => Some(*span),
        Behaviour::Hanging => None,
        _ => return behaviour,
    };
    let clock = state.settings().clock.clone();
    let end = async {
        match span {
            Some(span) => clock.sleep(span).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = end => Behaviour::Well,
        changed = changes.wait_for(is_another) => {
            changed.map_or(Behaviour::Down, |all| all.of(endpoint).clone())
        }
    }
}

fn act(
    state: &Arc<State>,
    endpoint: Endpoint,
    behaviour: &Behaviour,
    asked: &mut Asked,
) -> Answered {
    // What is too large, or cut short, is there however it was asked for: 304 has no content.
    if matches!(behaviour, Behaviour::Huge | Behaviour::CutShort) {
        asked.head.headers.remove(header::IF_NONE_MATCH);
    }
    let answer = match behaviour {
        Behaviour::Down | Behaviour::Hanging => return Err(Withheld),
        Behaviour::Html => {
            let page = "<!doctype html><title>Sign in</title><p>Sign in to this network.";
            let mut answer = plain(StatusCode::OK, page);
            put(
                &mut answer,
                header::CONTENT_TYPE,
                "text/html; charset=utf-8",
            );
            answer
        }
        Behaviour::Redirect(to) => {
            let mut answer = plain(StatusCode::FOUND, "");
            put(&mut answer, header::LOCATION, to);
            answer
        }
        Behaviour::ServerError => plain(StatusCode::INTERNAL_SERVER_ERROR, "something broke"),
        Behaviour::TooManyRequests(wait) => {
            let mut answer = plain(StatusCode::TOO_MANY_REQUESTS, "");
            let seconds = wait.as_secs().to_string();
            put(&mut answer, header::RETRY_AFTER, &seconds);
            answer
        }
        Behaviour::Garbage => {
            let mut answer = plain(StatusCode::OK, "{\"keys\":[{\"kty\":\u{1}]");
            put(&mut answer, header::CONTENT_TYPE, "application/json");
            answer
        }
        Behaviour::Huge => {
            let good = endpoint::well(state, endpoint, &Behaviour::Well, asked);
            good.map(|part| part.then(" ".repeat(10 << 20)))
        }
        Behaviour::CutShort => {
            let good = endpoint::well(state, endpoint, &Behaviour::Well, asked);
            good.map(Part::cut_short)
        }
        other => endpoint::well(state, endpoint, other, asked),
    };
    Ok(answer)
}

/// An answer without a type.
pub(super) fn plain(status: StatusCode, text: &str) -> Response<Part> {
    let mut answer = Response::new(Part::from(text.to_owned()));
    *answer.status_mut() = status;
    answer
}

/// Sets a header.
pub(super) fn put(answer: &mut Response<Part>, name: header::HeaderName, value: &str) {
    let value = value.parse().expect("a header value");
    answer.headers_mut().insert(name, value);
}

/// A body that may be less than was promised.
#[derive(Debug)]
pub(super) struct Part {
    text: Option<Bytes>,
    promised: u64,
    /// Whether what is there goes out before it turns out that there is no more.
    pauses: bool,
}

impl Part {
    fn then(self, more: String) -> Self {
        let text = [self.text.unwrap_or_default().as_ref(), more.as_bytes()].concat();
        Self::from(Bytes::from(text))
    }

    fn cut_short(self) -> Self {
        let text = self.text.unwrap_or_default();
        Self {
            text: Some(text.slice(..text.len() / 2)),
            promised: self.promised,
            pauses: true,
        }
    }
}

impl From<Bytes> for Part {
    fn from(text: Bytes) -> Self {
        let promised = u64::try_from(text.len()).expect("a length");
        Self {
            text: Some(text),
            promised,
            pauses: false,
        }
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl Body for Part {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.text.is_none() && std::mem::take(&mut self.pauses) {
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.text.take().map(|text| Ok(Frame::data(text))))
    }

    fn is_end_stream(&self) -> bool {
        self.promised == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
