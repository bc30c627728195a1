//! Names and texts in SQL.

/// PostgreSQL cuts longer names, and two that were cut may be one.
const MOST_BYTES: usize = 63;

/// Why a name cannot be one in any of the dialects.
pub(super) fn refused(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > MOST_BYTES {
        Some("is longer than 63 bytes")
    } else if name.chars().any(char::is_control) {
        Some("has a control character")
    } else if name.chars().any(deceives) {
        Some("has a character that cannot be seen")
    } else {
        None
    }
}

/// What changes the direction of a text, or shows as nothing: a reviewer would read another name.
pub(super) const fn deceives(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Why a role cannot have a name: the servers keep it for themselves, or an administrator has it.
pub(super) fn refused_for_a_role(name: &str) -> Option<&'static str> {
    const KEPT: [&str; 8] = [
        "public",
        "none",
        "postgres",
        "root",
        "current_user",
        "current_role",
        "session_user",
        "event_scheduler",
    ];
    let lower = name.to_ascii_lowercase();
    if KEPT.contains(&lower.as_str()) || lower.starts_with("pg_") || lower.starts_with("mysql.") {
        return Some("is kept for the server and its administrators");
    }
    refused(name)
}

/// Why a schema cannot have a name.
pub(super) fn refused_for_a_schema(name: &str) -> Option<&'static str> {
    if name.starts_with("pg_") || name == "information_schema" {
        return Some("is the server's own");
    }
    refused(name)
}

/// PostgreSQL, "Identifiers and Key Words": in double quotes, a quote stands twice.
pub(super) fn postgres(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// PostgreSQL, "String Constants": the form with `E` reads backslashes the same under every setting.
pub(super) fn postgres_text(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// `ARRAY['a', 'b']::text[]`, also of nothing.
pub(super) fn postgres_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(postgres_text).collect();
    format!("ARRAY[{}]::text[]", texts.join(", "))
}

/// MySQL, "Schema Object Names": in backticks, a backtick stands twice. Account names may be
/// written so too, and it means the same under every `sql_mode`.
pub(super) fn mysql(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
