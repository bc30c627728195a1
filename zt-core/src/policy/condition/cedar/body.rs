//! What conditions may read of a body.

use std::sync::Arc;

use http::{HeaderMap, header};
use serde_json::Value;

use super::{
    json::{Fields, Member, Shape, Unreadable},
    vocabulary::{attribute, kind, record},
};
use crate::{
    authorize::Access,
    decision::{Code, Denial},
    policy::model::BodyFields,
};

/// The declared fields of one operation or rule.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) shape: Shape,
    fields: Arc<BodyFields>,
    /// The most bytes that are looked at.
    pub(super) most: usize,
}

impl Body {
    /// `None` where nothing is declared.
    ///
    /// # Errors
    ///
    /// What is declared twice.
    pub(super) fn of(fields: &Arc<BodyFields>, most: usize) -> Result<Option<Self>, String> {
        if fields.fields.is_empty() {
            return Ok(None);
        }
        let shape = Shape::of(&fields.fields).map_err(|name| {
            format!("the body's `{name}` is declared twice, or both as a field and as an object")
        })?;
        Ok(Some(Self {
            shape,
            fields: Arc::clone(fields),
            most: fields.max_bytes.unwrap_or(most),
        }))
    }

    pub(super) fn is_of(&self, fields: &Arc<BodyFields>) -> bool {
        Arc::ptr_eq(&self.fields, fields) || self.fields == *fields
    }

    /// Its type in a schema.
    pub(super) fn kind(&self) -> Value {
        fn of(shape: &Shape) -> Value {
            record(shape.members.iter().map(|(name, member)| {
                let kind = match member {
                    Member::Field(field) => kind(field.kind),
                    Member::Object(shape) => of(shape),
                };
                (name.to_string(), attribute(kind, member.is_optional()))
            }))
        }
        of(&self.shape)
    }

    /// # Errors
    ///
    /// - `stack-misordered` where nothing has read the body for policies;
    /// - `body-too-large`;
    /// - `request-malformed` where it is not JSON that every parser reads in the same way;
    /// - `request-invalid` where a declared field is missing or something else.
    pub(super) fn read(&self, access: &Access<'_>) -> Result<Fields, Denial> {
        let Some(body) = access.body() else {
            return Err(Denial::misordered(
                "a condition reads the body, which nothing has collected for it",
            ));
        };
        if body.bytes().len() > self.most {
            return Err(Denial::new(Code::BodyTooLarge));
        }
        let read = check_headers(access.headers()).and_then(|()| self.shape.read(body.bytes()));
        read.map_err(|unreadable| match unreadable {
            Unreadable::Malformed(why) => {
                Denial::new(Code::RequestMalformed).detail(format!("of the body: {why}"))
            }
            Unreadable::Invalid(why) => {
                Denial::new(Code::RequestInvalid).detail(format!("of the body: {why}"))
            }
        })
    }
}

/// JSON in UTF-8 and nothing around it, or the handler may read something else.
pub(super) fn check_headers(headers: &HeaderMap) -> Result<(), Unreadable> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Unreadable::Malformed("it is encoded"));
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return Err(Unreadable::Malformed("it has not one content type"));
    };
    if value == "application/json" || value.to_str().is_ok_and(is_json) {
        Ok(())
    } else {
        Err(Unreadable::Malformed("its content type is not JSON"))
    }
}

/// `application/json` or `application/..+json`; RFC 8259 section 11 knows no parameter, and of
/// `charset` the one value that changes nothing is let through.
fn is_json(value: &str) -> bool {
    let mut parts = value.split(';').map(|part| part.trim_matches([' ', '\t']));
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let Some(subtype) = essence.strip_prefix("application/") else {
        return false;
    };
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte);
    let json = subtype == "json"
        || subtype
            .strip_suffix("+json")
            .is_some_and(|name| !name.is_empty() && name.bytes().all(token));
    json && parts.all(|parameter| {
        ["charset=utf-8", "charset=\"utf-8\""]
            .iter()
            .any(|known| parameter.eq_ignore_ascii_case(known))
    })
}
