use super::{
    BadRecord, Finding, Reason, Report, Signed, Trust, Unsigned, keys::KeyHistory, walk::Walked,
};
use crate::{
    format::name,
    merkle::{self, Hash, consistency_proof, verify_consistency},
    note::{NoteError, SignedCheckpoint, VerifierKey},
    read::stored,
    storage::Storage,
};

/// The file `checkpoint`, as it was before the segments were looked at.
#[derive(Debug)]
pub(super) enum CheckpointFile {
    None,
    Bad,
    Read(SignedCheckpoint),
}

/// What was found, by `trust`.
pub(super) fn judge(
    storage: &dyn Storage,
    walked: &Walked,
    checkpoint: &CheckpointFile,
    trust: &Trust,
) -> Report {
    let mut seen = Seen::default();
    let finding = match evidence(storage, walked, checkpoint, trust, &mut seen) {
        Err(bad) => Finding::Tampered(bad),
        Ok(()) => standing(walked, checkpoint, trust, &seen),
    };
    let size = walked.state.tree.size();
    Report {
        origin: origin(walked, checkpoint).to_owned(),
        first: walked.segments.begin(),
        records: size,
        bytes: walked.bytes,
        segments: walked.segments.firsts.len(),
        root: walked.state.tree.root(),
        signed: seen.signed,
        finding,
    }
}

/// What speaks for a log.
#[derive(Debug, Default)]
struct Seen {
    /// The best signature.
    signed: Option<Signed>,
    /// A copy kept elsewhere could not be compared.
    beyond: bool,
}

fn origin<'a>(walked: &'a Walked, checkpoint: &'a CheckpointFile) -> &'a str {
    match (&walked.state.origin, checkpoint) {
        (Some(origin), _) => origin,
        (None, CheckpointFile::Read(signed)) => &signed.checkpoint().origin,
        (None, _) => "",
    }
}

/// Whether anything shows that the log is not as it was written.
fn evidence(
    storage: &dyn Storage,
    walked: &Walked,
    checkpoint: &CheckpointFile,
    trust: &Trust,
    seen: &mut Seen,
) -> Result<(), BadRecord> {
    if let Some(bad) = &walked.bad {
        return Err(bad.clone());
    }
    let begin = walked.segments.begin();
    if walked.state.tree.size() == begin {
        return Err(BadRecord {
            index: begin,
            file: name::segment(begin),
            offset: 0,
            reason: Reason::Empty,
        });
    }
    if begin > 0 {
        let root = walked.roots.get(&begin);
        let said = walked.pruned.filter(|(before, _)| *before == begin);
        if said.map(|(_, root)| root) != root.copied() {
            return Err(bad_file(name::PRUNED, begin, Reason::Pruned));
        }
    }
    if !trust.keys.is_empty()
        && let Some(origin) = walked.state.origin.as_deref()
        && trust.keys.iter().all(|key| key.name() != origin)
    {
        return Err(bad_file(name::CHECKPOINT, begin, Reason::CheckpointOrigin));
    }
    match checkpoint {
        CheckpointFile::None => {}
        CheckpointFile::Bad => {
            return Err(bad_file(name::CHECKPOINT, begin, Reason::CheckpointForm));
        }
        CheckpointFile::Read(found) => seen.signed = own(walked, found, trust)?,
    }
    for copy in &trust.copies {
        let size = seen.signed.as_ref().map_or(0, |signed| signed.size);
        match kept_elsewhere(storage, walked, copy, trust)? {
            Copy::Beyond => seen.beyond = true,
            Copy::Signed(by) if by.size > size => seen.signed = Some(by),
            Copy::Signed(_) | Copy::Contained => {}
        }
    }
    Ok(())
}

/// The log's own checkpoint.
fn own(
    walked: &Walked,
    signed: &SignedCheckpoint,
    trust: &Trust,
) -> Result<Option<Signed>, BadRecord> {
    let checkpoint = signed.checkpoint();
    let bad = |reason| bad_file(name::CHECKPOINT, proved(walked, trust), reason);
    if walked.state.origin.as_deref() != Some(&checkpoint.origin) {
        return Err(bad(Reason::CheckpointOrigin));
    }
    if checkpoint.size > walked.state.tree.size() {
        return Err(cut(
            walked,
            Reason::Truncated {
                signed: checkpoint.size,
            },
        ));
    }
    if walked.roots.get(&checkpoint.size) != Some(&checkpoint.root) {
        return Err(bad(Reason::CheckpointRoot));
    }
    if trust.keys.is_empty() {
        return Ok(None);
    }
    let mut reason = Reason::KeyUntrusted;
    for key in signers(&walked.keys, checkpoint.size, trust) {
        match signed.verify_as_written(&key) {
            Ok(at) => {
                return Ok(Some(Signed {
                    size: checkpoint.size,
                    at: Some(at),
                    key,
                }));
            }
            Err(error) => {
                reason = match error {
                    NoteError::Unsigned => Reason::CheckpointUnsigned,
                    NoteError::Signature => Reason::CheckpointSignature,
                    NoteError::Origin => Reason::CheckpointOrigin,
                    _ => Reason::CheckpointForm,
                };
            }
        }
    }
    Err(bad(reason))
}

/// How a checkpoint that the caller brought fits.
enum Copy {
    /// The log contains what it says; nobody was given who could have signed it.
    Contained,
    /// The same, and somebody trusted signed it.
    Signed(Signed),
    /// What it covers was pruned.
    Beyond,
}

/// A checkpoint that the caller brought.
fn kept_elsewhere(
    storage: &dyn Storage,
    walked: &Walked,
    copy: &SignedCheckpoint,
    trust: &Trust,
) -> Result<Copy, BadRecord> {
    let checkpoint = copy.checkpoint();
    let bad = |reason| bad_file(name::CHECKPOINT, proved(walked, trust), reason);
    if walked.state.origin.as_deref() != Some(&checkpoint.origin) {
        return Err(bad(Reason::CopyOrigin));
    }
    let size = checkpoint.size;
    if size > walked.state.tree.size() {
        return Err(cut(walked, Reason::CopyTruncated { size }));
    }
    match contains(storage, walked, size, &checkpoint.root) {
        Some(true) => {}
        Some(false) => return Err(bad(Reason::CopyRoot)),
        None => return Ok(Copy::Beyond),
    }
    if trust.keys.is_empty() {
        return Ok(Copy::Contained);
    }
    signers(&walked.keys, size, trust)
        .into_iter()
        .find_map(|key| {
            let at = copy.verify(&key).ok()?;
            Some(Copy::Signed(Signed { size, at, key }))
        })
        .ok_or_else(|| bad(Reason::CopyUnsigned))
}

/// Whether the tree of the first `size` records has this root; `None` where that cannot be told.
fn contains(storage: &dyn Storage, walked: &Walked, size: u64, root: &Hash) -> Option<bool> {
    let begin = walked.segments.begin();
    if size >= begin || size == 0 {
        let known = match size {
            0 => Some(&Hash::EMPTY_TREE),
            _ => walked.roots.get(&size),
        };
        return Some(known == Some(root));
    }
    // Those records are gone. The hashes in `tree/` may still show which tree was the beginning of
    // the one over all that is gone; whoever changed them cannot make them show another.
    let whole = walked.roots.get(&begin)?;
    let hashes = stored(storage, &walked.segments).ok()?;
    let proof = consistency_proof(size, begin, &hashes).ok()?;
    let was = merkle::root(size, &hashes).ok()?;
    verify_consistency(size, begin, &was, whole, &proof).ok()?;
    Some(was == *root)
}

/// The keys that could have signed a checkpoint of this size, as far as they are trusted.
fn signers(keys: &KeyHistory, size: u64, trust: &Trust) -> Vec<VerifierKey> {
    match keys.in_force(size, &trust.keys) {
        Some(Some(key)) => vec![key],
        Some(None) => Vec::new(),
        // The record that named it was pruned, or there is none: then it must be known.
        None => trust.keys.clone(),
    }
}

/// The first record that no copy kept elsewhere has proved.
fn proved(walked: &Walked, trust: &Trust) -> u64 {
    trust
        .copies
        .iter()
        .map(SignedCheckpoint::checkpoint)
        .filter(|copy| walked.roots.get(&copy.size) == Some(&copy.root))
        .map(|copy| copy.size)
        .fold(walked.segments.begin(), u64::max)
}

fn cut(walked: &Walked, reason: Reason) -> BadRecord {
    let (first, end) = walked.last;
    BadRecord {
        index: walked.state.tree.size(),
        file: name::segment(first),
        offset: end,
        reason,
    }
}

fn bad_file(file: &str, index: u64, reason: Reason) -> BadRecord {
    BadRecord {
        index,
        file: file.to_owned(),
        offset: 0,
        reason,
    }
}

/// What a log is in which nothing was found to be changed.
fn standing(walked: &Walked, checkpoint: &CheckpointFile, trust: &Trust, seen: &Seen) -> Finding {
    let size = walked.state.tree.size();
    let signed = seen.signed.as_ref();
    let from = signed.map_or(walked.segments.begin(), |signed| signed.size);
    let unsigned = |why| Finding::Unsigned { from, why };
    if walked.torn > 0 {
        let (first, offset) = walked.last;
        return Finding::Torn {
            file: name::segment(first),
            offset,
            bytes: walked.torn,
        };
    }
    let Some(signed) = signed.filter(|_| matches!(checkpoint, CheckpointFile::Read(_))) else {
        return unsigned(match trust.keys.is_empty() {
            true => Unsigned::NoKey,
            false => Unsigned::NoCheckpoint,
        });
    };
    if let Some(least) = trust.no_older_than
        && signed.at.is_none_or(|at| at < least)
    {
        return unsigned(Unsigned::Stale);
    }
    if signed.size < size {
        return unsigned(Unsigned::Newer);
    }
    match seen.beyond {
        true => unsigned(Unsigned::CopyPruned),
        false => Finding::Sound,
    }
}
