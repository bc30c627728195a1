//! A client that sends exactly the bytes it is given: attacks are seldom well formed.

use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// An answer, read until the server closed the connection.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status; 0 where the server closed without one.
    pub status: u16,
    /// Header fields with lower-case names; values of repeated ones joined with `, `.
    pub headers: BTreeMap<String, String>,
    /// The body, chunks put together.
    pub body: String,
}

impl Answer {
    /// The denial's code, from the problem document or from the gRPC answer.
    #[must_use]
    pub fn code(&self) -> String {
        if let Some(code) = self.headers.get("zt-code") {
            return code.clone();
        }
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        let code = problem.get("code").and_then(serde_json::Value::as_str);
        code.unwrap_or("-").to_owned()
    }

    /// One header field's value, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Connects from `source` (an address of loopback) to `to`.
///
/// # Errors
///
/// When the connection cannot be made.
pub async fn connect(source: [u8; 4], to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((source, 0)))?;
    socket.connect(to).await
}

/// Sends `bytes` from `source` and reads the answer. The request should ask the server to close.
///
/// # Errors
///
/// When there is no connection, or no answer within twenty seconds.
pub async fn send(source: [u8; 4], to: SocketAddr, bytes: &[u8]) -> io::Result<Answer> {
    let mut stream = connect(source, to).await?;
    // A server may answer and close before it has read everything: that is an answer too.
    let _ = stream.write_all(bytes).await;
    let mut received = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut received));
    match read.await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) if !received.is_empty() => {}
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    }
    Ok(parse(&received))
}

pub(crate) fn parse(received: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(received);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Answer::default();
    };
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        headers
            .entry(name.to_ascii_lowercase())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    let chunked = headers
        .get("transfer-encoding")
        .is_some_and(|coding| coding == "chunked");
    let body = if chunked {
        dechunk(body)
    } else {
        body.to_owned()
    };
    Answer {
        status,
        headers,
        body,
    }
}

fn dechunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some((chunk, rest)) = rest.split_at_checked(size).filter(|_| size > 0) else {
            break;
        };
        whole.push_str(chunk);
        body = rest.strip_prefix("\r\n").unwrap_or(rest);
    }
    whole
}
