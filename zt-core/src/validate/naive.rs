// What every accepted path has to hold, by decoding it into a buffer and looking. The property
// tests and the fuzz target both ask this.

/// Percent-decodes once; what is not an encoding stays as it is.
pub(super) fn decode(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let digits = path.get(at + 1..at + 3).and_then(|digits| {
            let plain = digits.iter().all(u8::is_ascii_hexdigit);
            plain.then(|| std::str::from_utf8(digits).unwrap())
        });
        match (path[at], digits) {
            (b'%', Some(digits)) => {
                out.push(u8::from_str_radix(digits, 16).unwrap());
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// Why an accepted path should not have been; `None` where all is well.
pub(super) fn objection(path: &[u8], encoded_slash_allowed: bool) -> Option<&'static str> {
    let once = decode(path);
    let twice = decode(&once);
    let slashes = |text: &[u8]| text.iter().filter(|byte| **byte == b'/').count();
    for text in [path, &once, &twice] {
        if text
            .split(|byte| *byte == b'/')
            .any(|segment| segment == b"." || segment == b"..")
        {
            return Some("a dot segment");
        }
        if text.contains(&b'\\') {
            return Some("a backslash");
        }
        if text.iter().any(u8::is_ascii_control) {
            return Some("a control character");
        }
    }
    if slashes(&twice) != slashes(&once) {
        return Some("a slash that came with the second decoding");
    }
    if !encoded_slash_allowed && slashes(&once) != slashes(path) {
        return Some("a slash that came with decoding");
    }
    if std::str::from_utf8(&once).is_err() {
        return Some("not UTF-8");
    }
    None
}
