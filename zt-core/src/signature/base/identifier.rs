//! What a component identifier names, and which can never be covered.

use sfv::BareItemFromInput;

use super::error::BaseError;

/// A component, wherever its text is kept. Equal ones are the same component: the order of parameters
/// does not count (RFC 9421 section 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identifier<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    pub(super) marks: u8,
    /// Of `;key` or `;name`.
    pub(super) argument: &'a str,
}

impl Identifier<'_> {
    /// A derived component without parameters: its kind says all.
    pub(super) const fn derived(kind: Kind) -> Self {
        Self {
            kind,
            name: "",
            marks: 0,
            argument: "",
        }
    }

    pub(super) const fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Field,
    Method,
    TargetUri,
    Authority,
    Scheme,
    RequestTarget,
    Path,
    Query,
    QueryParam,
    Status,
}

impl Kind {
    /// What `name` is (RFC 9421 sections 2.1 and 2.2).
    pub(super) fn of(name: &str) -> Result<Self, BaseError> {
        Ok(match name {
            "@method" => Self::Method,
            "@target-uri" => Self::TargetUri,
            "@authority" => Self::Authority,
            "@scheme" => Self::Scheme,
            "@request-target" => Self::RequestTarget,
            "@path" => Self::Path,
            "@query" => Self::Query,
            "@query-param" => Self::QueryParam,
            "@status" => Self::Status,
            "@signature-params" => return Err(BaseError::SignatureParamsListed),
            name if name.starts_with('@') => return Err(BaseError::UnknownDerived),
            name if is_field_name(name) => Self::Field,
            _ => return Err(BaseError::Name),
        })
    }

    /// A bit of its own where the name says all: a field and a query parameter are of many names.
    pub(super) const fn bit(self) -> Option<u16> {
        match self {
            Self::Field | Self::QueryParam => None,
            _ => Some(1 << self as u16),
        }
    }
}

pub(super) const SF: u8 = 1;
pub(super) const BS: u8 = 2;
pub(super) const REQ: u8 = 4;
pub(super) const KEY: u8 = 8;
pub(super) const NAME: u8 = 16;
const TR: u8 = 32;

/// The parameters of a component as they are read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    seen: u8,
    /// Those whose value is of the wrong type.
    wrong: u8,
    unknown: bool,
}

impl Marks {
    pub(super) const fn new(seen: u8) -> Self {
        Self {
            seen,
            wrong: 0,
            unknown: false,
        }
    }

    /// Notes a parameter; the argument of `;key` or `;name`, where it is one.
    pub(super) fn note<'v>(
        &mut self,
        key: &str,
        value: &'v BareItemFromInput<'_>,
    ) -> Option<&'v str> {
        let (mark, is_flag) = match key {
            "sf" => (SF, true),
            "bs" => (BS, true),
            "req" => (REQ, true),
            "tr" => (TR, true),
            "key" => (KEY, false),
            "name" => (NAME, false),
            _ => {
                self.unknown = true;
                return None;
            }
        };
        self.seen |= mark;
        match value {
            BareItemFromInput::Boolean(true) if is_flag => None,
            BareItemFromInput::String(value) if !is_flag => Some(value.as_str()),
            _ => {
                self.wrong |= mark;
                None
            }
        }
    }

    /// The marks of a component of `kind`.
    pub(super) fn check(self, kind: Kind) -> Result<u8, BaseError> {
        let has = |mark: u8| self.seen & mark != 0;
        let is_query_param = kind == Kind::QueryParam;
        if has(TR) {
            Err(BaseError::Trailer)
        } else if self.unknown {
            Err(BaseError::UnknownParameter)
        } else if self.wrong != 0 {
            Err(BaseError::ParameterValue)
        } else if has(NAME) && !is_query_param || has(SF | BS | KEY) && kind != Kind::Field {
            Err(BaseError::ParameterNotApplicable)
        } else if is_query_param && !has(NAME) {
            Err(BaseError::QueryParamWithoutName)
        } else if has(BS) && has(SF | KEY) {
            Err(BaseError::IncompatibleParameters)
        } else {
            Ok(self.seen)
        }
    }
}

/// A field name (RFC 9110 section 5.1) in lower case (RFC 9421 section 2.1).
fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| {
            matches!(byte,
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'#' | b'$' | b'%' | b'&'
                    | b'\'' | b'*' | b'+' | b'^' | b'`' | b'|' | b'~')
        })
}

/// A key of a structured dictionary (RFC 9651 section 3.1.2).
pub(super) fn is_key(text: &str) -> bool {
    let inner = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*');
    let mut bytes = text.bytes();
    matches!(bytes.next(), Some(b'a'..=b'z' | b'*')) && bytes.all(inner)
}

/// What a structured string can hold (RFC 9651 section 3.3.3).
pub(super) fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}
