//! Items without parameters in their canonical form (RFC 9651 sections 4.1.3.1 and following).

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sfv::BareItemFromInput;

pub(super) fn write_bare(value: &BareItemFromInput<'_>, out: &mut String) {
    match value {
        BareItemFromInput::Boolean(value) => out.push_str(if *value { "?1" } else { "?0" }),
        BareItemFromInput::String(value) => write_string(value.as_str(), out),
        BareItemFromInput::Token(value) => out.push_str(value.as_str()),
        BareItemFromInput::Integer(value) => write_integer((*value).into(), out),
        BareItemFromInput::Decimal(value) => display(value, out),
        BareItemFromInput::Date(value) => display(value, out),
        BareItemFromInput::ByteSequence(value) => write_bytes(value, out),
        BareItemFromInput::DisplayString(value) => write_display_string(value, out),
    }
}

/// An integer (RFC 9651 section 4.1.4); `value` has fifteen digits at most.
pub(super) fn write_integer(value: i64, out: &mut String) {
    if value < 0 {
        out.push('-');
    }
    let mut digits = [b'0'; 20];
    let mut rest = value.unsigned_abs();
    let mut len = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        len += 1;
        if rest == 0 {
            break;
        }
    }
    let digits = digits
        .get(20 - len..)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    out.push_str(digits.unwrap_or_default());
}

/// A string (RFC 9651 section 4.1.6); `value` is printable ASCII.
pub(super) fn write_string(value: &str, out: &mut String) {
    out.push('"');
    // Without a way out of the loop it takes many bytes at once.
    let escapes = |found, byte| found | matches!(byte, b'"' | b'\\');
    if value.bytes().fold(false, escapes) {
        for char in value.chars() {
            if matches!(char, '"' | '\\') {
                out.push('\\');
            }
            out.push(char);
        }
    } else {
        out.push_str(value);
    }
    out.push('"');
}

/// A byte sequence (RFC 9651 section 4.1.8).
pub(super) fn write_bytes(value: &[u8], out: &mut String) {
    out.push(':');
    STANDARD.encode_string(value, out);
    out.push(':');
}

/// A display string (RFC 9651 section 4.1.11).
fn write_display_string(value: &str, out: &mut String) {
    out.push_str("%\"");
    for byte in value.bytes() {
        if matches!(byte, b'%' | b'"' | 0x00..=0x1f | 0x7f..) {
            display(&format_args!("%{byte:02x}"), out);
        } else {
            out.push(char::from(byte));
        }
    }
    out.push('"');
}

fn display(value: &dyn std::fmt::Display, out: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(out, "{value}");
}
