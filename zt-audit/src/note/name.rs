/// Whether `name` can be the name of a key, and so the origin of a log.
pub(crate) fn is_name(name: &str) -> bool {
    is_note_name(name)
        && !name.chars().any(char::is_control)
        && name.len() <= MAX_NAME
        // The first lines of what cosigners sign (C2SP tlog-cosignature): no origin may be one.
        && !name.starts_with("cosignature/")
        && !name.starts_with("subtree/")
}

/// Whether a signature line may have this name: what C2SP signed-note says, and no more.
pub(super) fn is_note_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

const MAX_NAME: usize = 255;
