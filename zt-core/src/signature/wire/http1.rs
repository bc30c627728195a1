//! HTTP/1.1, written by hand (RFC 9112).

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{message::Sent, requests::Refused};

/// The bytes of the message, its lines as they are.
pub(super) fn write(sent: &Sent) -> Vec<u8> {
    let mut out = match sent.status {
        Some(status) => format!("HTTP/1.1 {status} \r\n"),
        None => format!("{} {} HTTP/1.1\r\n", sent.method, sent.target),
    }
    .into_bytes();
    write_fields(&sent.headers, &mut out);
    if sent.chunked && !sent.has("transfer-encoding") {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if !sent.chunked && !sent.pieces.is_empty() && !sent.has("content-length") {
        let length = format!("Content-Length: {}\r\n", sent.body().len());
        out.extend_from_slice(length.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    for piece in sent.pieces.iter().filter(|piece| !piece.is_empty()) {
        if sent.chunked {
            out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        }
        out.extend_from_slice(piece);
        if sent.chunked {
            out.extend_from_slice(b"\r\n");
        }
    }
    if sent.chunked {
        out.extend_from_slice(b"0\r\n");
        write_fields(&sent.trailers, &mut out);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Nothing stands between the colon and the value but what is in the value.
fn write_fields(fields: &[(String, Vec<u8>)], out: &mut Vec<u8>) {
    for (name, value) in fields {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
}

/// Sends the request; what the server says where it answers without asking its service.
pub(super) async fn ask(mut stream: TcpStream, sent: &Sent) -> Refused {
    stream.write_all(&write(sent)).await.unwrap();
    let head = read_head(&mut stream).await;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.map_or(Refused::Closed, Refused::Status)
}

/// Reads a request with its body and answers with `sent`; the request's head.
pub(super) async fn answer(mut stream: TcpStream, sent: &Sent) -> String {
    let head = read_head(&mut stream).await;
    let lines = head.to_ascii_lowercase();
    let mut lines = lines.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    stream.write_all(&write(sent)).await.unwrap();
    // Without a length and without chunks, the end of the connection is the end of the body.
    stream.shutdown().await.unwrap();
    head
}

/// All up to the empty line, or to the end.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}
