//! A key endpoint whose every byte is scripted.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Serves on loopback until it is dropped.
pub(super) struct Server {
    port: u16,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    replies: Mutex<Vec<(String, Reply)>>,
    /// The heads of all requests, in lower case.
    seen: Mutex<Vec<String>>,
}

#[derive(Clone)]
pub(super) enum Reply {
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// These bytes, and then nothing more.
    Stall(Vec<u8>),
    /// `304` where the request has this tag, and else `200` with it and the text.
    Tagged(&'static str, String),
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let serving = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&shared)));
                }
            }
        });
        Self {
            port,
            shared,
            serving,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// From now on `path` gets this reply.
    pub(super) fn at(&self, path: &str, reply: Reply) {
        let mut replies = self.shared.replies.lock().unwrap();
        replies.retain(|(known, _)| known != path);
        replies.push((path.to_owned(), reply));
    }

    /// From now on `path` gets `200` with these headers, each with its line end, and this text.
    pub(super) fn ok(&self, path: &str, headers: &str, text: &str) {
        self.at(path, status("200 OK", headers, text));
    }

    /// The heads of requests for `path`.
    pub(super) fn seen(&self, path: &str) -> Vec<String> {
        let seen = self.shared.seen.lock().unwrap();
        let start = format!("get {path} http/1.1\r\n");
        let seen = seen.iter().filter(|head| head.starts_with(&start));
        seen.cloned().collect()
    }

    /// How many requests came, for whatever path.
    pub(super) fn count(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    /// Nobody listens any more. Gives the address, for somebody who comes later.
    pub(super) async fn stop(mut self) -> u16 {
        self.serving.abort();
        let _ = (&mut self.serving).await;
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(super) fn status(status: &str, headers: &str, text: &str) -> Reply {
    let length = text.len();
    Reply::Bytes(
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{text}"
        )
        .into_bytes(),
    )
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let reply = {
        let replies = shared.replies.lock().unwrap();
        let reply = replies.iter().find(|(known, _)| *known == path);
        reply.map(|(_, reply)| reply.clone())
    };
    shared.seen.lock().unwrap().push(head.to_ascii_lowercase());
    let (bytes, stall) = match reply.unwrap_or_else(|| status("404 Not Found", "", "")) {
        Reply::Bytes(bytes) => (bytes, false),
        Reply::Stall(bytes) => (bytes, true),
        Reply::Tagged(tag, text) => {
            let headers = format!("etag: {tag}\r\ncache-control: max-age=600\r\n");
            let reply = if head.contains(&format!("if-none-match: {tag}\r\n")) {
                // No body and no length (RFC 9110 section 15.4.5).
                format!("HTTP/1.1 304 Not Modified\r\nconnection: close\r\n{headers}\r\n")
                    .into_bytes()
            } else {
                match status("200 OK", &headers, &text) {
                    Reply::Bytes(bytes) => bytes,
                    _ => Vec::new(),
                }
            };
            (reply, false)
        }
    };
    let _ = stream.write_all(&bytes).await;
    if stall {
        // Until the other side has enough.
        let _ = stream.read_u8().await;
    }
    let _ = stream.shutdown().await;
}
