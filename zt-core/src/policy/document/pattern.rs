//! What a text of a request has to be, as the file writes it.

use std::sync::Arc;

use toml::de::DeValue;

use super::table::{Str, Value};
use crate::policy::model::{Text, turns_around};

/// `text`, `text*`, `*text`, `*`, `{ exact = "te*t" }`; one of them, or a list.
pub(super) fn patterns(value: &Value<'_>, what: &str) -> Option<Vec<Text>> {
    let found = checked(value, what, |_, _| true)?;
    Some(found)
}

/// The same, where each has to pass `check`, which says itself what is wrong.
pub(super) fn checked(
    value: &Value<'_>,
    what: &str,
    check: impl Fn(&Str<'_>, &Text) -> bool,
) -> Option<Vec<Text>> {
    let mut found: Vec<Text> = Vec::new();
    let mut sound = true;
    let mut seen = std::collections::HashSet::new();
    for value in value.one_or_list(what)? {
        let Some((written, text)) = pattern(&value, what) else {
            sound = false;
            continue;
        };
        sound &= check(&written, &text);
        if seen.insert(text.clone()) {
            found.push(text);
        } else {
            written.refuse(format!("`{}` stands here twice", written.text));
            sound = false;
        }
    }
    sound.then_some(found)
}

fn pattern<'t>(value: &Value<'t>, what: &str) -> Option<(Str<'t>, Text)> {
    if let DeValue::Table(_) = value.value {
        let mut table = value.table(what)?;
        let exact = table.text("exact");
        let none = table.is_empty();
        table.finish("a text that is exact");
        if none {
            return value.is_no(what, "a text, or `{ exact = \"..\" }`");
        }
        let exact = exact?;
        let text = Text::exact(exact.text);
        return Some((exact, text));
    }
    if !matches!(value.value, DeValue::String(_)) {
        return value.is_no(what, "a text, or a list of texts");
    }
    let written = value.text(what)?;
    let text = from_stars(&written)?;
    Some((written, text))
}

fn from_stars(written: &Str<'_>) -> Option<Text> {
    let text = written.text;
    let (text, inner) = match (text.strip_prefix('*'), text.strip_suffix('*')) {
        (Some(""), _) => return Some(Text::Present),
        (Some(end), None) => (Text::Suffix(end.into()), end),
        (None, Some(start)) => (Text::Prefix(start.into()), start),
        (None, None) => (Text::exact(text), text),
        (Some(end), Some(_)) => (Text::Suffix(end.into()), end),
    };
    if inner.contains('*') {
        written.refuse_with(
            format!("`{}` has a star where none may be", written.text),
            "a star stands at the beginning or at the end; \
             write `{ exact = \"..\" }` where it means itself",
        );
        return None;
    }
    Some(text)
}

/// A host: lower case, no port.
pub(super) fn is_host(written: &Str<'_>, text: &Text) -> bool {
    let (host, hollow) = match text {
        Text::Present => return true,
        Text::Exact(host) => (host, ""),
        Text::Prefix(host) => (host, "start"),
        Text::Suffix(host) => (host, "end"),
    };
    if let Some(lower) = has_upper_case(host) {
        written.refuse_with(
            format!("the host `{}` has upper case", written.text),
            format!("write `{}`", written.text.replacen(&**host, &lower, 1)),
        );
        return false;
    }
    if host.starts_with('[') && hollow.is_empty() {
        let address = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .and_then(|host| host.parse::<std::net::Ipv6Addr>().ok());
        return match address {
            Some(address) if format!("[{address}]") == **host => true,
            Some(address) => refused(
                written,
                "is not as it is usually written",
                format!("write `[{address}]`"),
            ),
            None => refused(
                written,
                "is no IPv6 address in brackets",
                "a port is not part of it",
            ),
        };
    }
    if let Some((name, port)) = host.rsplit_once(':') {
        let hint = if host.parse::<std::net::Ipv6Addr>().is_ok() {
            format!("write `[{host}]`")
        } else if port.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("rules compare hosts without their port: write `{name}`")
        } else {
            "a host has no colon; an IPv6 address stands in brackets".to_owned()
        };
        return refused(written, "is not a host", hint);
    }
    if hollow == "end" && !host.starts_with('.') {
        return refused(
            written,
            "also ends other people's hosts",
            format!("write `*.{host}`"),
        );
    }
    let labels = match hollow {
        "end" => host.strip_prefix('.').unwrap_or(host),
        "start" => host.strip_suffix('.').unwrap_or(host),
        _ => host,
    };
    let sound = labels.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte)
            })
    });
    sound
        || refused(
            written,
            "is not a host",
            "names of letters, digits, `-` and `_`, with points between them",
        )
}

/// A SPIFFE ID (SPIFFE-ID sections 2.1 to 2.3), or all below one: `spiffe://td/x/*`.
pub(super) fn is_workload(written: &Str<'_>, text: &Text) -> bool {
    let (id, all_below) = match text {
        Text::Present => return true,
        Text::Exact(id) => (id, false),
        Text::Prefix(id) => (id, true),
        Text::Suffix(_) => {
            return refused(
                written,
                "does not say of which trust domain",
                "write `spiffe://trust-domain/..`",
            );
        }
    };
    let Some(rest) = id.strip_prefix("spiffe://") else {
        let hint = match id.split_once("://") {
            Some((_, rest)) => format!("write `spiffe://{rest}`"),
            None => format!("write `spiffe://trust-domain/{id}`"),
        };
        return refused(written, "is not a SPIFFE ID", hint);
    };
    let Some((domain, path)) = rest.split_once('/') else {
        return refused(
            written,
            "names a trust domain and no workload",
            "write `trust_domain = \"..\"` for all of its workloads",
        );
    };
    if !is_trust_domain(written, domain) {
        return false;
    }
    if id.len() > 2048 {
        return refused(
            written,
            "is longer than 2048 bytes",
            "SPIFFE-ID section 2.3",
        );
    }
    let path = match (all_below, path.strip_suffix('/')) {
        (false, _) => path,
        // `spiffe://td/*`
        (true, None) if path.is_empty() => return true,
        (true, Some(path)) => path,
        (true, None) => {
            return refused(
                written,
                "also begins other workloads' IDs",
                format!("write `{id}/*` for all below it"),
            );
        }
    };
    let sound = path.split('/').all(|segment| {
        !matches!(segment, "" | "." | "..")
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    });
    sound
        || refused(
            written,
            "is not a SPIFFE ID",
            "segments are letters, digits, `-`, `_` and `.`; none is empty, `.` or `..`",
        )
}

/// The name of a trust domain (SPIFFE-ID section 2.1).
pub(super) fn is_trust_domain(written: &Str<'_>, domain: &str) -> bool {
    if let Some(lower) = has_upper_case(domain) {
        return refused(
            written,
            "has a trust domain in upper case",
            format!("write `{}`", written.text.replacen(domain, &lower, 1)),
        );
    }
    if let Some(name) = domain.strip_prefix("spiffe://") {
        return refused(written, "is not a trust domain", format!("write `{name}`"));
    }
    let sound = (1..=255).contains(&domain.len())
        && domain.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)
        });
    sound
        || refused(
            written,
            "has no sound trust domain",
            "1 to 255 of lower-case letters, digits, `-`, `_` and `.`",
        )
}

/// A trust domain, its beginning or its end.
pub(super) fn is_trust_domain_pattern(written: &Str<'_>, text: &Text) -> bool {
    match text {
        Text::Present => true,
        Text::Exact(domain) | Text::Prefix(domain) | Text::Suffix(domain) => {
            is_trust_domain(written, domain)
        }
    }
}

fn has_upper_case(text: &str) -> Option<String> {
    text.bytes()
        .any(|byte| byte.is_ascii_uppercase())
        .then(|| text.to_ascii_lowercase())
}

fn refused(written: &Str<'_>, message: &str, hint: impl Into<String>) -> bool {
    written.refuse_with(format!("`{}` {message}", written.text), hint);
    false
}

/// A name that stands in permits and records, and in messages.
pub(super) fn is_name(written: &Str<'_>, what: &str) -> bool {
    let is_seen = |letter: char| !letter.is_control() && !is_unseen(letter);
    let sound = written.text.len() <= LONGEST_NAME && written.text.chars().all(is_seen);
    let trimmed = written.text.trim() == written.text;
    if sound && trimmed {
        return true;
    }
    written.refuse_with(
        format!("this is no name of {what}"),
        format!(
            "at most {LONGEST_NAME} bytes, no control characters, none without width, \
             no space around it"
        ),
    );
    false
}

const LONGEST_NAME: usize = 256;

/// What leaves no mark: two names would look like one.
const fn is_unseen(letter: char) -> bool {
    turns_around(letter)
        || matches!(
            letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2060}'..='\u{2065}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// What stands behind a dot in a condition: `context.device.managed`.
pub(super) fn is_identifier(written: &Str<'_>, name: &str, what: &str) -> bool {
    const RESERVED: [&str; 10] = [
        "true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar",
    ];
    let mut bytes = name.bytes();
    let sound = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.len() <= LONGEST_NAME
        && !RESERVED.contains(&name);
    if !sound {
        written.refuse_with(
            format!("`{name}` cannot be the name of {what}"),
            "letters, digits and `_`, no digit first, and none of Cedar's own words",
        );
    }
    sound
}

pub(super) fn shared(text: &Str<'_>) -> Arc<str> {
    Arc::from(text.text)
}
