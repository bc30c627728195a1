//! How zt-jwt asks others over HTTP: through any tower service, with bounds on everything.

use std::{error::Error as StdError, fmt, future::poll_fn, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use http::{Request, Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, Limited};
use tower_service::Service;
use zt_core::clock::Clock;

/// A boxed error of somebody else's.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An HTTP client: any tower service over `http` types.
///
/// The service must not follow redirects; where one arrives, zt-jwt refuses it, and a service that
/// follows them by itself takes that decision away.
#[derive(Clone)]
pub struct HttpService(Arc<dyn Exchange>);

type Sent = BoxFuture<'static, Result<Response<BoxBody>, BoxError>>;
type BoxBody = http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError>;

/// A named type, since bounds on a boxed error do not hold for every lifetime.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BodyError(BoxError);

trait Exchange: Send + Sync + 'static {
    fn send(&self, request: Request<Full<Bytes>>) -> Sent;
}

impl HttpService {
    /// Sends through `service`; each request through a clone of it that was asked whether it is
    /// ready.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(Erased(service)))
    }

    /// Sends `request`, and reads an answer of at most `limit` bytes before `deadline` has passed.
    ///
    /// A redirect is an error; any other status is an answer, `304 Not Modified` included.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
        deadline: Duration,
        clock: &dyn Clock,
    ) -> Result<Answer, HttpError> {
        let query: Option<Box<str>> = request.uri().query().map(Into::into);
        let failed = |error: BoxError| HttpError::transport(&*error, query.as_deref());
        let answer = async {
            let response = self.0.send(request).await.map_err(failed)?;
            let (head, body) = response.into_parts();
            // 304 is of the same class and sends nobody anywhere (RFC 9110 section 15.4.5).
            if head.status.is_redirection() && head.status != StatusCode::NOT_MODIFIED {
                return Err(HttpError::Redirect(head.status));
            }
            // One that says beforehand that it is too large is not read at all.
            if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
                return Err(HttpError::TooLarge(limit));
            }
            let mut body = Limited::new(body, limit);
            // Copied out of each frame: a thousand frames of one byte would keep a thousand buffers.
            let mut text = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| {
                    match error.downcast::<http_body_util::LengthLimitError>() {
                        Ok(_) => HttpError::TooLarge(limit),
                        Err(error) => failed(error),
                    }
                })?;
                if let Ok(data) = frame.into_data() {
                    text.extend_from_slice(&data);
                }
            }
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: text.into(),
            })
        };
        match select(pin!(answer), clock.sleep(deadline)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(HttpError::TooSlow(deadline)),
        }
    }
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpService(..)")
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The service failed: what it said, with the causes that it named, and without the request's
    /// query, which may hold a secret.
    #[error("{0}")]
    Transport(BoxError),
    /// The answer sends elsewhere, which is not followed.
    #[error("the answer is a redirect ({0})")]
    Redirect(StatusCode),
    /// The answer is another one than was hoped for.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// The answer is larger than this many bytes.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// The answer was not there in time.
    #[error("no answer within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// The answer is there and makes no sense.
    #[error("the answer cannot be used: {0}")]
    Unusable(Box<str>),
}

impl HttpError {
    fn transport(error: &(dyn StdError + 'static), query: Option<&str>) -> Self {
        let mut text = error.to_string();
        let causes = std::iter::successors(error.source(), |error| (*error).source());
        for cause in causes.take(MAX_CAUSES).map(ToString::to_string) {
            // Some errors tell their cause themselves.
            if !text.contains(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
        }
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            text = text.replace(query, "…");
        }
        Self::Transport(one_line(&text).into())
    }
}

const MAX_CAUSES: usize = 8;
/// How much of what a client says is kept, in characters.
const MAX_TEXT: usize = 1_024;

/// The start of `text`, fit for a line of a log: errors of TLS repeat what the other side sent.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for char in text.chars().take(MAX_TEXT) {
        let escaped = char.escape_debug();
        if escaped.len() == 1 || matches!(char, '"' | '\'' | '\\') {
            line.push(char);
        } else {
            line.extend(escaped);
        }
    }
    line
}

/// An address that zt-jwt may ask: https, or plain http on this machine.
///
/// # Errors
///
/// Where it is neither, has no host, a port that is none, a fragment, or holds a password.
pub(crate) fn endpoint(url: &str, plain_is_fine: bool) -> Result<Uri, EndpointError> {
    let error = || EndpointError(without_secrets(url));
    // `Uri` drops a fragment and says nothing; no endpoint has one (RFC 6749 section 3.2, RFC 8414
    // section 2), and two readers of such an address may see two addresses.
    if url.contains('#') {
        return Err(error());
    }
    let uri: Uri = url.parse().map_err(|_| error())?;
    let authority = uri.authority().ok_or_else(error)?;
    let host = authority.host();
    // `:99999` would be read as if no port stood there, `:+443` as 443, and what stands between
    // `]` and the port not at all.
    let port = match authority.as_str().strip_prefix(host) {
        Some("") => true,
        Some(rest) => {
            let digits = rest.strip_prefix(':').unwrap_or_default();
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        }
        None => false,
    };
    if host.is_empty() || !port {
        return Err(error());
    }
    let local = matches!(
        uri.host(),
        Some("localhost" | "127.0.0.1" | "[::1]" | "::1")
    );
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => local || plain_is_fine,
        _ => false,
    };
    if !secure || authority.as_str().contains('@') {
        return Err(error());
    }
    Ok(uri)
}

/// What of `url` may be shown: no query, and nothing of an address that may hold a password.
pub(crate) fn without_secrets(url: &str) -> Box<str> {
    if url.contains('@') {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        return format!("{scheme}://…").into();
    }
    url.split(['?', '#']).next().unwrap_or_default().into()
}

/// Not an address that may be asked. It is shown without its query, and without anything but its
/// scheme where it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an https address without credentials and fragment")]
pub struct EndpointError(pub(crate) Box<str>);

struct Erased<S>(S);

impl<S, B> Exchange for Erased<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn send(&self, request: Request<Full<Bytes>>) -> Sent {
        let mut service = self.0.clone();
        Box::pin(async move {
            poll_fn(|task| service.poll_ready(task))
                .await
                .map_err(Into::into)?;
            let response = service.call(request).await.map_err(Into::into)?;
            Ok(response.map(|body| body.map_err(|error| BodyError(error.into())).boxed_unsync()))
        })
    }
}

#[cfg(feature = "hyper-client")]
impl HttpService {
    /// A client of hyper and rustls (aws-lc-rs), with the system's certificate authorities. It keeps
    /// no connection.
    ///
    /// # Errors
    ///
    /// Where the system has none, or the versions of TLS are not to be had.
    pub fn hyper() -> Result<Self, BoxError> {
        use hyper_util::{client::legacy::Client, rt::TokioExecutor};

        // The provider is given: the process's default may not be set, or be somebody else's.
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)?
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .build();
        // A connection for each question: there are few, and one that was kept and has gone silent
        // would be asked again and again, until the system gives it up a quarter of an hour later.
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_max_idle_per_host(0);
        Ok(Self::new(client.build::<_, Full<Bytes>>(connector)))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use tower::service_fn;
    use zt_core::clock::ManualClock;

    use super::*;

    #[test]
    fn an_endpoint_is_https_or_on_this_machine() {
        for good in [
            "https://issuer.example",
            "https://issuer.example:8443/a/b?c=d",
            "HTTPS://issuer.example/",
            "http://localhost/keys",
            "http://127.0.0.1:8080",
            "http://[::1]:8080/",
        ] {
            assert!(endpoint(good, false).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/keys",
            "issuer.example",
            "http://issuer.example/",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
            "http://127.0.0.2/",
            "ftp://localhost/",
            "file:///etc/passwd",
            "https://",
            "https:///keys",
            "https://:443/",
            "https://issuer.example:/",
            "https://issuer.example:99999/",
            "https://issuer.example:+443/",
            "https://issuer.example:0x1/",
            "https://[::1]issuer.example/",
            "http://[::1]issuer.example:80/",
            "http://[::1]:80:80/",
            "http://127.0.0.1:80:80/",
            "http://127.0.0.1.nip.io/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://127.1/",
            "http://localhost./",
            "http://[::ffff:127.0.0.1]/",
            "http://0.0.0.0/",
            "http://ｌocalhost/",
            "http+unix://localhost/",
            "//localhost/keys",
            "https://user@issuer.example/",
            "https://user:password@issuer.example/",
            "http://localhost@issuer.example/",
            "https://issuer.example/#keys",
            "https://issuer.example\\@evil.example/",
            "https://issuer.example/a b",
        ] {
            assert!(endpoint(bad, false).is_err(), "{bad}");
        }
        assert!(endpoint("http://issuer.example/", true).is_ok());
        assert!(endpoint("http://u:p@issuer.example/", true).is_err());
    }

    #[test]
    fn an_error_shows_no_secret_of_an_address() {
        for (url, shown) in [
            (
                "http://issuer.example/keys?code=s3cret",
                "`http://issuer.example/keys`",
            ),
            ("https://u:s3cret@issuer.example/", "`https://…`"),
            ("https://u:s3?s3cret@issuer.example/", "`https://…`"),
            ("u:s3cret@issuer.example/", "`://…`"),
        ] {
            let error = endpoint(url, false).unwrap_err();
            let told = format!("{error} {error:?}");
            assert!(told.contains(shown) && !told.contains("s3"), "{told}");
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot send to https://issuer.example/keys?code=s3cret")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("connection refused")]
    struct Inner;

    #[tokio::test]
    async fn a_failure_tells_its_causes_and_no_query() {
        let http = HttpService::new(service_fn(|_: Request<Full<Bytes>>| async {
            Err::<Response<Full<Bytes>>, _>(Outer(Inner))
        }));
        let request = Request::get("https://issuer.example/keys?code=s3cret");
        let request = request.body(Full::default()).unwrap();
        let second = Duration::from_secs(1);
        let clock = ManualClock::default();
        let error = http.send(request, 10, second, &clock).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot send to https://issuer.example/keys?…: connection refused"
        );
    }

    #[tokio::test]
    async fn a_failure_is_told_in_one_short_line() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Chatty(String);

        for text in [
            "presented ".repeat(100_000),
            "\u{1b}[2J\r\nINFO all is well\u{202e}".into(),
        ] {
            let error = HttpError::transport(&Chatty(text), None).to_string();
            assert!(error.len() <= 4_096, "{}", error.len());
            assert!(
                !error
                    .chars()
                    .any(|char| char.is_control() || char == '\u{202e}'),
                "{error:?}"
            );
            assert!(error.contains("presented presented") || error.contains("INFO all is well"));
        }
    }

    /// A frame that knows how many there are.
    struct Frame(Arc<AtomicUsize>);

    impl AsRef<[u8]> for Frame {
        fn as_ref(&self) -> &[u8] {
            b"x"
        }
    }

    impl Drop for Frame {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn an_answer_in_tiny_pieces_takes_no_more_room_than_one_in_large_ones() {
        let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&most);
        let http = HttpService::new(service_fn(move |_: Request<Full<Bytes>>| {
            let (alive, most) = (Arc::clone(&alive), Arc::clone(&most));
            let pieces = futures_util::stream::iter((0..10_000).map(move |_| {
                let now = alive.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                let piece = Bytes::from_owner(Frame(Arc::clone(&alive)));
                Ok::<_, Infallible>(http_body::Frame::data(piece))
            }));
            let body = http_body_util::StreamBody::new(pieces);
            async { Ok::<_, Infallible>(Response::new(body)) }
        }));
        let (second, clock) = (Duration::from_secs(1), ManualClock::default());
        let answer = http
            .send(Request::default(), 10_000, second, &clock)
            .await
            .unwrap();
        assert_eq!(answer.body, "x".repeat(10_000));
        assert!(seen.load(Ordering::SeqCst) < 10);
        let error = http
            .send(Request::default(), 9_999, second, &clock)
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::TooLarge(9_999)), "{error}");
    }

    /// As where an address translator has forgotten it: nothing comes any more, and nobody says so.
    #[cfg(feature = "hyper-client")]
    #[tokio::test]
    async fn a_connection_that_went_silent_is_not_asked_again() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let Ok(http) = HttpService::hyper() else {
            println!("skipped: no certificate authorities");
            return;
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut head = [0; 4_096];
                    let _ = stream.read(&mut head).await;
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                        .await;
                    std::future::pending::<()>().await;
                });
            }
        });
        for _ in 0..3 {
            let request = Request::get(&url).body(Full::default()).unwrap();
            let (deadline, clock) = (Duration::from_secs(20), zt_core::clock::SystemClock);
            let answer = http.send(request, 10, deadline, &clock).await.unwrap();
            assert_eq!(answer.status, 200);
        }
    }

    #[tokio::test]
    async fn a_redirect_is_an_error_and_not_modified_is_an_answer() {
        for (status, passes) in [
            (200, true),
            (304, true),
            (404, true),
            (503, true),
            (300, false),
            (301, false),
            (302, false),
            (307, false),
            (308, false),
        ] {
            let http = HttpService::new(service_fn(move |_: Request<Full<Bytes>>| async move {
                let mut response = Response::new(Full::<Bytes>::default());
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                Ok::<_, Infallible>(response)
            }));
            let (second, clock) = (Duration::from_secs(1), ManualClock::default());
            let sent = http.send(Request::default(), 10, second, &clock);
            assert_eq!(sent.await.is_ok(), passes, "{status}");
        }
    }
}
