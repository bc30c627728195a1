//! One call of `FetchX509SVID`: gRPC over HTTP/2, as much of it as that takes.

use std::{
    fmt,
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, Bytes};
use h2::{Ping, PingPong, RecvStream, client::Connection};
use http::{HeaderMap, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;
use zt_core::clock::Clock;

use super::{MAX_RESPONSE, error::Failure};

/// How often an agent that says nothing is asked whether it is there. gRPC's servers take more than
/// one in five minutes for an attack.
const PING_EVERY: Duration = Duration::from_secs(600);
/// How long it may take to answer that.
pub(super) const MAX_SILENCE: Duration = Duration::from_secs(20);
const METHOD: &str = "http://localhost/SpiffeWorkloadAPI/FetchX509SVID";
/// An empty message, not compressed.
const EMPTY: Bytes = Bytes::from_static(&[0; 5]);
const MAX_HEADERS: u32 = 16 << 10;
/// What is kept of the agent's words.
const MAX_WORDS: usize = 256;

pub(super) type Io = Box<dyn Stream>;

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The responses to a call, as they come. All that it needs runs while it is asked, so that nothing is
/// left when it is dropped.
pub(super) struct Responses {
    connection: Driver,
    body: RecvStream,
    message: Partial,
}

/// What must be polled for anything to come.
struct Driver {
    connection: Connection<Io, Bytes>,
    ended: bool,
    alive: Pin<Box<dyn Future<Output = Failure> + Send>>,
}

/// How the agent ended a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    code: u32,
    words: Arc<str>,
}

impl Responses {
    /// Calls the agent at the other end of `io`.
    pub(super) async fn call(io: Io, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let (mut send, mut connection) = h2::client::Builder::new()
            .enable_push(false)
            .max_header_list_size(MAX_HEADERS)
            .handshake(io)
            .await?;
        let alive: Pin<Box<dyn Future<Output = _> + Send>> = match connection.ping_pong() {
            Some(ping) => Box::pin(alive(ping, clock)),
            None => Box::pin(pending()),
        };
        let mut connection = Driver {
            connection,
            ended: false,
            alive,
        };
        let (response, mut request) = send.send_request(request()?, false)?;
        request.send_data(EMPTY, true)?;
        let response = connection.until(response).await??;
        judge(&response)?;
        Ok(Self {
            connection,
            body: response.into_body(),
            message: Partial::default(),
        })
    }

    /// The next message. What was read of it is kept where the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        loop {
            if let Some(message) = self.message.take()? {
                return Ok(message);
            }
            let Some(chunk) = self.connection.until(self.body.data()).await? else {
                break;
            };
            let chunk = chunk?;
            self.body.flow_control().release_capacity(chunk.len())?;
            self.message.unread = chunk;
        }
        let trailers = self.connection.until(self.body.trailers()).await??;
        Err(match trailers.as_ref().and_then(Status::read) {
            Some(_) if self.message.begun() => Failure::NotGrpc("a message ends early"),
            Some(status) => Failure::Status(status),
            None => Failure::NotGrpc("there is no status"),
        })
    }
}

impl Driver {
    /// Runs the connection until `something` has come over it.
    async fn until<T>(&mut self, something: impl Future<Output = T>) -> Result<T, Failure> {
        let mut something = std::pin::pin!(something);
        loop {
            tokio::select! {
                biased;
                found = &mut something => return Ok(found),
                failure = &mut self.alive => return Err(failure),
                // What was waited for says why.
                _ = &mut self.connection, if !self.ended => self.ended = true,
            }
        }
    }
}

/// Ends when the agent does not answer.
async fn alive(mut ping: PingPong, clock: Arc<dyn Clock>) -> Failure {
    loop {
        clock.sleep(PING_EVERY).await;
        tokio::select! {
            pong = ping.ping(Ping::opaque()) => if pong.is_err() {
                // The connection has ended, and says why.
                return pending().await;
            },
            () = clock.sleep(MAX_SILENCE) => return Failure::Silent,
        }
    }
}

fn request() -> Result<Request<()>, Failure> {
    Request::post(METHOD)
        .header(header::TE, "trailers")
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(
            header::USER_AGENT,
            concat!("zt-mtls/", env!("CARGO_PKG_VERSION")),
        )
        // SPIFFE_Workload_Endpoint section 3: whoever can make us send requests cannot add this.
        .header("workload.spiffe.io", "true")
        .body(())
        .map_err(|_| Failure::NotGrpc("the request cannot be made"))
}

/// Whether messages follow.
fn judge(response: &Response<RecvStream>) -> Result<(), Failure> {
    let headers = response.headers();
    if let Some(status) = Status::read(headers) {
        return Err(Failure::Status(status));
    }
    if response.status() != StatusCode::OK {
        return Err(Failure::NotGrpc("its HTTP status is not 200"));
    }
    let is = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("application/grpc"));
    if !is.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';'])) {
        return Err(Failure::NotGrpc("its content type is another"));
    }
    Ok(())
}

/// A message that has not come whole: each is one byte that says whether it is compressed, four of
/// length, and then itself.
#[derive(Default)]
pub(super) struct Partial {
    pub(super) unread: Bytes,
    head: Vec<u8>,
    body: Option<Zeroizing<Vec<u8>>>,
    missing: usize,
}

impl Partial {
    const HEAD: usize = 5;

    pub(super) fn begun(&self) -> bool {
        !self.head.is_empty() || self.body.is_some()
    }

    /// The message, where it is whole.
    pub(super) fn take(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let mut body = match self.body.take() {
            Some(body) => body,
            None => match self.length()? {
                // At once in full: a vector that grows leaves copies of the key behind.
                Some(length) => {
                    self.missing = length;
                    Zeroizing::new(Vec::with_capacity(length))
                }
                None => return Ok(None),
            },
        };
        let part = self.unread.split_to(self.missing.min(self.unread.len()));
        body.extend_from_slice(&part);
        self.missing -= part.len();
        if self.missing == 0 {
            return Ok(Some(body));
        }
        self.body = Some(body);
        Ok(None)
    }

    /// How long the next message is, where that has come.
    fn length(&mut self) -> Result<Option<usize>, Failure> {
        let more = (Self::HEAD - self.head.len()).min(self.unread.len());
        self.head.extend_from_slice(&self.unread.split_to(more));
        if self.head.len() < Self::HEAD {
            return Ok(None);
        }
        let mut head = std::mem::take(&mut self.head);
        let mut head = head.as_mut_slice() as &[u8];
        if head.get_u8() != 0 {
            return Err(Failure::NotGrpc("a message is compressed"));
        }
        match usize::try_from(head.get_u32()) {
            Ok(length) if length <= MAX_RESPONSE => Ok(Some(length)),
            _ => Err(Failure::TooLong),
        }
    }
}

impl Status {
    /// `grpc-status`, where it is there.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let code = headers.get("grpc-status")?.to_str().ok()?;
        let words = headers.get("grpc-message").map(|value| value.as_bytes());
        let words = String::from_utf8_lossy(words.unwrap_or_default());
        let words = percent_decode_str(&words).decode_utf8_lossy();
        let words = words.chars().filter(|char| !char.is_control());
        Some(Self {
            // What cannot be read is `UNKNOWN`.
            code: code.parse().unwrap_or(2),
            words: words.take(MAX_WORDS).collect::<String>().into(),
        })
    }

    /// `InvalidArgument` and `Unimplemented`.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self.code, 3 | 12)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            0 => f.write_str("without an error")?,
            3 => f.write_str("InvalidArgument")?,
            7 => f.write_str("PermissionDenied")?,
            12 => f.write_str("Unimplemented")?,
            14 => f.write_str("Unavailable")?,
            code => write!(f, "gRPC status {code}")?,
        }
        match &*self.words {
            "" => Ok(()),
            words => write!(f, ": {words}"),
        }
    }
}
