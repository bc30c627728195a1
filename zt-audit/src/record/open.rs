//! A record with what was sealed in it put back in its place.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, map};

use super::decimal;
use crate::seal::{Pseudonym, Sealed, Vault, VaultError};

/// A record that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenRecordError {
    /// It is not a record of this log.
    #[error("it is not a record: {0}")]
    Record(&'static str),
    /// It is not JSON.
    #[error("it is not a record: {0}")]
    Json(#[from] serde_json::Error),
    /// What is sealed in it does not open, or the vault cannot be read.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// The members of a record, given as its line, with sealed ones where they would stand in the clear.
///
/// A part whose key was destroyed adds its pseudonym to `erased`; a part whose key this vault does not
/// have stays in `sealed` as it is. Opening proves nothing about the log: that is what
/// [`verify`](fn@crate::verify::verify) is for.
///
/// # Errors
///
/// When it is not a record, when a part was altered or belongs to another record, or when the vault
/// cannot be read.
pub fn open(record: &[u8], vault: &Vault) -> Result<Map<String, Value>, OpenRecordError> {
    let Value::Object(mut record) = serde_json::from_slice(record)? else {
        return Err(OpenRecordError::Record("it is no object"));
    };
    let Some(sealed) = record.remove("sealed") else {
        return Ok(record);
    };
    let bound = bound(&record).ok_or(OpenRecordError::Record("it has no origin or no index"))?;
    let Value::Array(parts) = sealed else {
        return Err(NOT_SEALED);
    };
    let mut erased = Vec::new();
    let mut kept = Vec::new();
    for part in parts {
        let (who, bytes) = read(&part).ok_or(NOT_SEALED)?;
        match vault.open_sealed(who, &bound, &bytes)? {
            Sealed::Open(fields) => {
                let Value::Object(fields) = serde_json::from_slice(&fields)? else {
                    return Err(NOT_SEALED);
                };
                merge(&mut record, fields)?;
            }
            Sealed::Erased => erased.push(Value::String(who.to_string())),
            Sealed::Unknown => kept.push(part),
        }
    }
    for (name, values) in [("erased", erased), ("sealed", kept)] {
        if !values.is_empty() {
            record.insert(name.to_owned(), Value::Array(values));
        }
    }
    Ok(record)
}

const NOT_SEALED: OpenRecordError = OpenRecordError::Record("`sealed` is of another form");

/// Origin, NUL, index: what was bound to the sealed parts of this record.
fn bound(record: &Map<String, Value>) -> Option<Vec<u8>> {
    let mut bound = record.get("origin")?.as_str()?.as_bytes().to_vec();
    bound.push(0);
    decimal(&mut bound, record.get("idx")?.as_u64()?);
    Some(bound)
}

fn read(part: &Value) -> Option<(Pseudonym, Vec<u8>)> {
    let [who, bytes] = part.as_array()?.as_slice() else {
        return None;
    };
    let who = Pseudonym::from_hex(who.as_str()?.as_bytes())?;
    let bytes = BASE64_STANDARD.decode(bytes.as_str()?).ok()?;
    Some((who, bytes))
}

/// Adds `fields`. Where both have an object, or an array of the same length, what is in it is put
/// together likewise; nothing sealed takes the place of what stands in the clear.
fn merge(
    record: &mut Map<String, Value>,
    fields: Map<String, Value>,
) -> Result<(), OpenRecordError> {
    for (name, field) in fields {
        match record.entry(name) {
            map::Entry::Vacant(place) => {
                place.insert(field);
            }
            map::Entry::Occupied(mut place) => merge_values(place.get_mut(), field)?,
        }
    }
    Ok(())
}

fn merge_values(known: &mut Value, field: Value) -> Result<(), OpenRecordError> {
    match (known, field) {
        (Value::Object(known), Value::Object(fields)) => merge(known, fields),
        (Value::Array(known), Value::Array(fields)) if known.len() == fields.len() => known
            .iter_mut()
            .zip(fields)
            .try_for_each(|(known, field)| merge_values(known, field)),
        _ => Err(OpenRecordError::Record("a field stands in it twice")),
    }
}
