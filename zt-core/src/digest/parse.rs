use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderMap;
use sfv::{
    BareItemFromInput, KeyRef, Parser,
    visitor::{
        DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
    },
};

use super::{CONTENT_DIGEST, ContentDigest, DigestError};

/// The most bytes of all lines together; two members have 154.
const MAX_BYTES: usize = 4096;
/// The most members; the registry of RFC 9530 section 7.2 has eight algorithms.
const MAX_MEMBERS: usize = 16;

pub(super) fn field(headers: &HeaderMap) -> Result<Option<ContentDigest>, DigestError> {
    let mut lines = headers.get_all(CONTENT_DIGEST).iter();
    let Some(first) = lines.next() else {
        return Ok(None);
    };
    let second = lines.next();
    if second.is_none()
        && let Some(digest) = usual(first.as_bytes())
    {
        return Ok(Some(digest));
    }

    let mut members = Members::default();
    let mut left = MAX_BYTES;
    for line in [first].into_iter().chain(second).chain(lines) {
        let line = line.as_bytes();
        left = left.checked_sub(line.len()).ok_or(DigestError::Malformed)?;
        // RFC 9651 section 4.2: lines are joined by commas, so an empty one leaves a comma with
        // nothing beside it.
        if second.is_some() && line.trim_ascii().is_empty() {
            return Err(DigestError::Malformed);
        }
        Parser::new(line)
            .parse_dictionary_with_visitor(&mut members)
            .map_err(|_| DigestError::Malformed)?;
    }
    let Members { sha256, sha512, .. } = members;
    if sha256.is_none() && sha512.is_none() {
        return Err(DigestError::Unsupported);
    }
    Ok(Some(ContentDigest { sha256, sha512 }))
}

/// One member as everybody writes it. The same would come of the parser, which puts every byte
/// sequence onto the heap; what is written in any other way is left to it.
pub(super) fn usual(line: &[u8]) -> Option<ContentDigest> {
    let text = line.strip_suffix(b":")?;
    if let Some(text) = text.strip_prefix(b"sha-256=:") {
        let sha256 = Some(decoded::<32, 44, 33>(text)?);
        return Some(ContentDigest {
            sha256,
            sha512: None,
        });
    }
    let text = text.strip_prefix(b"sha-512=:")?;
    let sha512 = Some(Box::new(decoded::<64, 88, 66>(text)?));
    Some(ContentDigest {
        sha256: None,
        sha512,
    })
}

/// `N` bytes from their `TEXT` characters of base64; `ROOM` is what so many characters may hold.
fn decoded<const N: usize, const TEXT: usize, const ROOM: usize>(text: &[u8]) -> Option<[u8; N]> {
    let text: &[u8; TEXT] = text.try_into().ok()?;
    let mut bytes = [0; ROOM];
    let len = STANDARD.decode_slice(text, &mut bytes).ok()?;
    (len == N).then(|| bytes.first_chunk().copied())?
}

/// What the lines have said so far.
#[derive(Default)]
struct Members<'de> {
    keys: [Option<&'de str>; MAX_MEMBERS],
    sha256: Option<[u8; 32]>,
    sha512: Option<Box<[u8; 64]>>,
}

impl<'de> DictionaryVisitor<'de> for &mut Members<'de> {
    type Out = ();
    type Error = DigestError;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, DigestError> {
        let key = key.as_str();
        for place in &mut self.keys {
            match place {
                Some(known) if *known == key => break,
                Some(_) => {}
                None => {
                    *place = Some(key);
                    return Ok(Member { key, members: self });
                }
            }
        }
        // It is there already, or there are too many.
        Err(DigestError::Malformed)
    }

    fn finish(self) -> Result<(), DigestError> {
        Ok(())
    }
}

struct Member<'a, 'de> {
    key: &'de str,
    members: &'a mut Members<'de>,
}

impl<'de> EntryVisitor<'de> for Member<'_, 'de> {
    type Error = DigestError;

    fn item(self) -> Result<impl ItemVisitor<'de>, DigestError> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, DigestError> {
        Err::<Ignored, _>(DigestError::Malformed)
    }
}

impl<'de> ItemVisitor<'de> for Member<'_, 'de> {
    type Out = ();
    type Error = DigestError;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, DigestError> {
        let BareItemFromInput::ByteSequence(bytes) = item else {
            return Err(DigestError::Malformed);
        };
        let malformed = |_| DigestError::Malformed;
        match self.key {
            "sha-256" => self.members.sha256 = Some(bytes.try_into().map_err(malformed)?),
            "sha-512" => self.members.sha512 = Some(Box::new(bytes.try_into().map_err(malformed)?)),
            _ => {}
        }
        Ok(Ignored)
    }
}
