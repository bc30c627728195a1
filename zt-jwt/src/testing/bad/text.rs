use serde_json::json;

use super::{
    BadToken, Good, append, base64url, deep, padded, prepend, segments, set_spare_bits,
    standard_alphabet, with_spare_bits, with_special_characters,
};
use crate::algorithm::Algorithm;

pub(super) fn make(kind: BadToken, good: &Good<'_>) -> String {
    use BadToken::*;
    let token = good.token().mint();
    let [header, payload, signature] = segments(&token);
    match kind {
        Empty => String::new(),
        OneSegment => header.into(),
        TwoSegments => format!("{header}.{payload}"),
        FourSegments => format!("{token}.{signature}"),
        FiveSegments => encrypted(json!({ "alg": "dir", "enc": "A256GCM" }), 256),
        EncryptedBomb => encrypted(
            json!({ "alg": "dir", "enc": "A256GCM", "zip": "DEF" }),
            4096,
        ),
        DotsOnly => "..".into(),
        LeadingDot => format!(".{token}"),
        TrailingDot => format!("{token}."),
        EmptyHeader => format!(".{payload}.{signature}"),
        EmptySignature => format!("{header}.{payload}."),
        JsonGeneral => json!({
            "payload": payload,
            "signatures": [{ "protected": header, "signature": signature }],
        })
        .to_string(),
        JsonFlattened => {
            json!({ "payload": payload, "protected": header, "signature": signature }).to_string()
        }
        Long => good.with_claim("filler", "a".repeat(9 << 10)),
        Huge => good.with_claim("filler", "a".repeat(1 << 20)),
        HugeSignature => format!("{header}.{payload}.{}", "A".repeat(1 << 20)),
        LeadingSpace => format!(" {token}"),
        TrailingSpace => format!("{token} "),
        TrailingNewline => format!("{token}\n"),
        TrailingNul => format!("{token}\0"),
        NewlineInSignature => format!("{header}.{payload}.{}", in_the_middle(signature, "\n")),
        NotAsciiInSignature => format!("{header}.{payload}.{}", in_the_middle(signature, "é")),
        OddSignature => format!("{header}.{payload}.{}", odd(signature)),
        PaddedSignature | SpareBitsSignature => spare_bits(kind, good),
        StandardSignature => standard_signature(good),
        _ => with_header(kind, good),
    }
}

/// What is wrong is the header, and the signature is over it as it stands.
fn with_header(kind: BadToken, good: &Good<'_>) -> String {
    use BadToken::*;
    let draft = good.draft();
    let text = draft.header_text();
    let payload = base64url(draft.claims_text());
    let segment = match kind {
        NewlineInHeader => in_the_middle(&base64url(text), "\n"),
        PaddedHeader => padded(&base64url(with_spare_bits(&text))),
        StandardHeader => standard_alphabet(&base64url(with_special_characters(&text))),
        SpareBitsHeader => set_spare_bits(&base64url(with_spare_bits(&text))),
        OddHeader => odd(&base64url(text)),
        HeaderArray => base64url(format!("[{text}]")),
        HeaderString => base64url(json!(text).to_string()),
        HeaderNull => base64url("null"),
        HeaderNotUtf8 => base64url(
            [
                text.trim_end_matches('}').as_bytes(),
                b",\"x\":\"\xff\xfe\"}",
            ]
            .concat(),
        ),
        HeaderUtf16 => base64url(
            text.encode_utf16()
                .flat_map(u16::to_be_bytes)
                .collect::<Vec<_>>(),
        ),
        HeaderByteOrderMark => base64url(format!("\u{feff}{text}")),
        HeaderCutShort => base64url(text.trim_end_matches('}')),
        HeaderGoesOn => base64url(format!("{text}{{\"alg\":\"none\"}}")),
        HeaderComment => base64url(format!("/* signed */ {text}")),
        HeaderDeep => base64url(append(&text, &format!("\"x\":{}", deep(1000)))),
        AlgTwiceGoodFirst => base64url(append(&text, r#""alg":"none""#)),
        AlgTwiceBadFirst => base64url(prepend(&text, r#""alg":"none""#)),
        AlgTwiceEscaped => base64url(append(&text, r#""\u0061lg":"none""#)),
        KidTwice => base64url(append(&text, r#""kid":"another""#)),
        CritTwice => base64url(append(&text, r#""x":1,"x":1"#)),
        TwiceWithinHeader => base64url(append(&text, r#""x":[{"y":1,"y":2}]"#)),
        other => unreachable!("{other:?} is not about the text"),
    };
    draft.signed_segments(&segment, &payload)
}

/// RFC 7516 section 7.1, as far as anybody without the key can tell.
fn encrypted(header: serde_json::Value, length: usize) -> String {
    let header = base64url(header.to_string());
    let [iv, text, tag] = [12, length, 16].map(|length| base64url(vec![0; length]));
    format!("{header}..{iv}.{text}.{tag}")
}

/// Tokens are made until a signature has a character in which the alphabets differ.
fn standard_signature(good: &Good<'_>) -> String {
    loop {
        let token = good.token().mint();
        let [header, payload, signature] = segments(&token);
        let other = standard_alphabet(signature);
        if other != signature {
            return format!("{header}.{payload}.{other}");
        }
    }
}

/// Under an algorithm whose signatures have bits to spare.
fn spare_bits(kind: BadToken, good: &Good<'_>) -> String {
    let token = good.token().algorithm(Algorithm::Es256).mint();
    let [header, payload, signature] = segments(&token);
    let other = if kind == BadToken::PaddedSignature {
        padded(signature)
    } else {
        set_spare_bits(signature)
    };
    format!("{header}.{payload}.{other}")
}

fn in_the_middle(segment: &str, what: &str) -> String {
    let (left, right) = segment.split_at(segment.len() / 2);
    format!("{left}{what}{right}")
}

/// A length of 4n + 1.
fn odd(segment: &str) -> String {
    let missing = (5 - segment.len() % 4) % 4;
    format!("{segment}{}", "A".repeat(missing))
}
