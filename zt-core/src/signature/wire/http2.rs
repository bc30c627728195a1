//! HTTP/2, written by hand (RFC 9113): frames, and field lines without compression (RFC 7541).

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{message::Sent, requests::Refused};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// Of `DATA` and `HEADERS`; of `SETTINGS` it is `ACK`.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The fields as HTTP/2 has them; everything else has to be there already.
pub(super) fn translated(sent: &Sent) -> Vec<(String, Vec<u8>)> {
    let mut lines: Vec<(String, Vec<u8>)> = Vec::new();
    let mut pseudo = |name: &str, value: &str| lines.push((name.into(), value.into()));
    if let Some(status) = sent.status {
        pseudo(":status", &status.to_string());
    } else {
        pseudo(":method", &sent.method);
        let host = sent.line("host");
        match sent.target.split_once("://") {
            // RFC 9113 section 8.5.
            _ if sent.method == "CONNECT" => pseudo(":authority", &sent.target),
            Some((scheme, rest)) => {
                let path = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, path) = rest.split_at(path);
                // Section 8.3.1: `:path` is not empty.
                let path = match path {
                    path if path.starts_with('/') => path.to_owned(),
                    path => format!("/{path}"),
                };
                pseudo(":scheme", scheme);
                pseudo(":authority", authority);
                pseudo(":path", &path);
            }
            None => {
                pseudo(":scheme", &sent.scheme);
                if let Some(host) = host {
                    pseudo(":authority", host);
                }
                pseudo(":path", &sent.target);
            }
        }
    }
    for (name, value) in &sent.headers {
        let name = name.to_ascii_lowercase();
        if !matches!(name.as_str(), "host" | "transfer-encoding") {
            lines.push((name, value.clone()));
        }
    }
    lines
}

/// Asks for what `lines` say, and `pieces` behind them; what the server says of it.
pub(super) async fn ask(
    mut stream: TcpStream,
    lines: &[(String, Vec<u8>)],
    pieces: &[Vec<u8>],
) -> Refused {
    let mut out = PREFACE.to_vec();
    write_frame(SETTINGS, 0, 0, &[], &mut out);
    write_message(lines, pieces, &[], &mut out);
    stream.write_all(&out).await.unwrap();
    while let Some(frame) = read_frame(&mut stream).await {
        match frame.kind {
            SETTINGS if frame.flags & END_STREAM == 0 => acknowledge(&mut stream).await,
            HEADERS => return Refused::Answered,
            RST_STREAM => return Refused::Reset(code(&frame.payload)),
            GOAWAY => return Refused::GoAway(code(&frame.payload[4..])),
            _ => {}
        }
    }
    Refused::Closed
}

/// Reads a request with its body, which is given back, and answers with `lines` and what follows.
pub(super) async fn answer(
    mut stream: TcpStream,
    lines: &[(String, Vec<u8>)],
    sent: &Sent,
) -> Vec<u8> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await.unwrap();
    assert_eq!(preface, PREFACE);
    let mut out = Vec::new();
    write_frame(SETTINGS, 0, 0, &[], &mut out);
    stream.write_all(&out).await.unwrap();
    let mut body = Vec::new();
    loop {
        let frame = read_frame(&mut stream).await.unwrap();
        match frame.kind {
            SETTINGS if frame.flags & END_STREAM == 0 => acknowledge(&mut stream).await,
            DATA => body.extend_from_slice(&frame.payload),
            _ => {}
        }
        if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
            break;
        }
    }
    let mut out = Vec::new();
    write_message(lines, &sent.pieces, &sent.trailers, &mut out);
    stream.write_all(&out).await.unwrap();
    // Until the client has what it wants.
    while read_frame(&mut stream).await.is_some() {}
    body
}

fn write_message(
    lines: &[(String, Vec<u8>)],
    pieces: &[Vec<u8>],
    trailers: &[(String, Vec<u8>)],
    out: &mut Vec<u8>,
) {
    let last = |is_last: bool| if is_last { END_STREAM } else { 0 };
    let ends = last(pieces.is_empty() && trailers.is_empty());
    write_frame(HEADERS, END_HEADERS | ends, 1, &block(lines), out);
    for (at, piece) in pieces.iter().enumerate() {
        let ends = last(at + 1 == pieces.len() && trailers.is_empty());
        write_frame(DATA, ends, 1, piece, out);
    }
    if !trailers.is_empty() {
        let trailers: Vec<_> = trailers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect();
        write_frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&trailers), out);
    }
}

/// RFC 7541 section 6.2.2: literals without indexing, with names of their own.
fn block(lines: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in lines {
        out.push(0);
        for text in [name.as_bytes(), value] {
            write_length(text.len(), &mut out);
            out.extend_from_slice(text);
        }
    }
    out
}

/// RFC 7541 section 5.1, with a prefix of 7 bits.
fn write_length(length: usize, out: &mut Vec<u8>) {
    let Some(mut rest) = length.checked_sub(127) else {
        out.push(u8::try_from(length).unwrap());
        return;
    };
    out.push(127);
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    out.push(u8::try_from(rest).unwrap());
}

struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

/// RFC 9113 section 4.1.
fn write_frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

async fn read_frame(stream: &mut TcpStream) -> Option<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some(Frame {
        kind,
        flags,
        payload,
    })
}

async fn acknowledge(stream: &mut TcpStream) {
    let mut out = Vec::new();
    write_frame(SETTINGS, END_STREAM, 0, &[], &mut out);
    // The other side may have gone.
    let _ = stream.write_all(&out).await;
}

fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}
