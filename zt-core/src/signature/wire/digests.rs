//! Each digest of `digests.json`, as the digest of a request's body, signed, in pieces.

use super::*;

/// How the body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Chunks,
    Frames,
    /// With an end that says nothing more.
    LastFrameEmpty,
}

impl Framing {
    const fn transport(self) -> Transport {
        match self {
            Self::Length | Self::Chunks => Transport::Http1,
            Self::Frames | Self::LastFrameEmpty => Transport::Http2,
        }
    }

    fn frame(self, mut sent: Sent, content: &[u8]) -> Sent {
        sent.pieces = odd_pieces(content);
        match self {
            Self::Length => sent.with("Content-Length", &content.len().to_string()),
            Self::Chunks => Sent {
                chunked: true,
                ..sent
            },
            Self::Frames => sent,
            Self::LastFrameEmpty => {
                sent.pieces.push(Vec::new());
                sent
            }
        }
    }
}

/// Pieces of 1, 3, 5, 7.. bytes.
fn odd_pieces(mut content: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut length = 1;
    while !content.is_empty() {
        let (piece, rest) = content.split_at(length.min(content.len()));
        pieces.push(piece.to_vec());
        content = rest;
        length += 2;
    }
    pieces
}

fn content(vector: &Value) -> Vec<u8> {
    let hex = text(vector, "contentHex").as_bytes().chunks(2);
    hex.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[tokio::test]
async fn digests_match_or_do_not_as_the_vectors_say_over_both_versions() {
    let Some(vectors) = vectors("digests.json") else {
        return;
    };
    let vectors = vectors["digests"].as_array().unwrap();
    for framing in [
        Framing::Length,
        Framing::Chunks,
        Framing::Frames,
        Framing::LastFrameEmpty,
    ] {
        for stream in [false, true] {
            let (mut valid, mut invalid) = (0, 0);
            for vector in vectors {
                if compared(framing, stream, vector).await {
                    valid += 1;
                } else {
                    invalid += 1;
                }
            }
            let mode = if stream { "stream" } else { "buffer" };
            let name = framing.transport().name();
            println!("{name} ({framing:?}, {mode}): {valid} digests match, {invalid} do not");
            assert_eq!((valid, invalid), (14, 5));
        }
    }
    assert_eq!(vectors.len(), 19);
}

/// Whether the request passes. A `Repr-Digest` of the vectors is that of the bytes that are there,
/// so it is a value that `Content-Digest` could have.
async fn compared(framing: Framing, stream: bool, vector: &Value) -> bool {
    let (id, value, content) = (text(vector, "id"), text(vector, "value"), content(vector));
    let arrived = ask(framing, stream, "content-digest", value, &content).await;
    if vector["expect"] == "valid" {
        let passed = Outcome::Passed("wire".to_owned(), content);
        assert_eq!(arrived.outcome, passed, "{id}");
        return true;
    }
    let refusal = match id {
        "x-extra-padding" => "signature: the digest of the body cannot be used",
        _ => "signature: the body has another digest",
    };
    arrived.outcome.invalid(refusal, id);
    false
}

/// A body with `value` as its `field`, which is covered.
async fn ask(framing: Framing, stream: bool, field: &str, value: &str, content: &[u8]) -> Arrived {
    let component = format!("\"{field}\"");
    let params = format!("(\"@method\" {component});created={NOW};keyid=\"wire\"");
    let lines = format!("\"@method\": POST\n{component}: {value}\n");
    let sent = Sent {
        method: "POST".to_owned(),
        ..Sent::get("/")
    };
    let sent = sign(sent.with(field, value), &lines, &params);
    let covered = [Component::METHOD, component.parse().unwrap()];
    let policy = SignaturePolicy::insecure_covering_only(covered).unwrap();
    let mut policy = policy.insecure_without_nonce();
    if stream {
        policy = policy.stream();
    }
    let sent = framing.frame(sent, content);
    let layer = layer(policy, vec![]);
    let arrived = deliver(framing.transport(), &sent, layer, at(NOW)).await;
    arrived.unwrap()
}

#[tokio::test]
async fn refuses_a_repr_digest_in_place_of_a_content_digest() {
    let Some(vectors) = vectors("digests.json") else {
        return;
    };
    let vectors = vectors["digests"].as_array().unwrap();
    let repr = |vector: &&Value| vector["field"] == "repr-digest";
    let mut count = 0;
    for vector in vectors.iter().filter(repr) {
        let (id, value) = (text(vector, "id"), text(vector, "value"));
        for framing in [Framing::Chunks, Framing::Frames] {
            let arrived = ask(framing, false, "repr-digest", value, &content(vector)).await;
            let refusal = "signature: there is a body, and it covers no digest";
            arrived.outcome.invalid(refusal, id);
        }
        count += 1;
    }
    assert_eq!(count, 8);
}
