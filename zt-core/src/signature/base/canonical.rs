//! Structured fields in their canonical form (RFC 9651 section 4.1), written while they are read.

use std::convert::Infallible;

use sfv::{
    BareItemFromInput, KeyRef, Parser,
    visitor::{
        DictionaryVisitor, EntryVisitor, InnerListVisitor, ItemVisitor, ListVisitor,
        ParameterVisitor,
    },
};

use super::{bare::write_bare, error::BaseError, members::Members, types::StructuredType};

/// Writes `value`, read as `kind`, to the end of `out`.
pub(super) fn write_field(
    value: &[u8],
    kind: StructuredType,
    out: &mut String,
) -> Result<(), BaseError> {
    let mut parameters = Members::default();
    let parsed = match kind {
        StructuredType::Item => Parser::new(value).parse_item_with_visitor(Entry {
            out,
            parameters: &mut parameters,
            in_dictionary: false,
        }),
        StructuredType::List => Parser::new(value).parse_list_with_visitor(List {
            out,
            parameters: &mut parameters,
            first: true,
        }),
        StructuredType::Dictionary => {
            Parser::new(value).parse_dictionary_with_visitor(Dictionary {
                out,
                members: Members::default(),
                parameters: &mut parameters,
            })
        }
    };
    parsed.map_err(|_| BaseError::FieldValue)
}

/// Writes the member `key` of the dictionary `value` to the end of `out`.
pub(super) fn write_member(value: &[u8], key: &str, out: &mut String) -> Result<(), BaseError> {
    let start = out.len();
    let member = Member {
        out,
        parameters: &mut Members::default(),
        start,
        key,
        found: false,
    };
    match Parser::new(value).parse_dictionary_with_visitor(member) {
        Ok(true) => Ok(()),
        Ok(false) => Err(BaseError::KeyAbsent),
        Err(_) => Err(BaseError::FieldValue),
    }
}

/// An item or an inner list; in a dictionary with the `=` before it, and true without a value.
struct Entry<'a> {
    out: &'a mut String,
    parameters: &'a mut Members,
    in_dictionary: bool,
}

impl<'de> EntryVisitor<'de> for Entry<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        self.out
            .push_str(if self.in_dictionary { "=(" } else { "(" });
        Ok(InnerList {
            out: self.out,
            parameters: self.parameters,
            first: true,
        })
    }
}

impl<'de> ItemVisitor<'de> for Entry<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        value: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        if !self.in_dictionary {
            write_bare(&value, self.out);
        } else if !matches!(value, BareItemFromInput::Boolean(true)) {
            self.out.push('=');
            write_bare(&value, self.out);
        }
        Ok(Parameters {
            out: self.out,
            parameters: self.parameters,
        })
    }
}

struct InnerList<'a> {
    out: &'a mut String,
    parameters: &'a mut Members,
    first: bool,
}

impl<'de> InnerListVisitor<'de> for InnerList<'_> {
    type Error = Infallible;

    fn item(&mut self) -> Result<impl ItemVisitor<'de>, Infallible> {
        if !std::mem::take(&mut self.first) {
            self.out.push(' ');
        }
        Ok(Entry {
            out: self.out,
            parameters: self.parameters,
            in_dictionary: false,
        })
    }

    fn finish(self) -> Result<impl ParameterVisitor<'de>, Infallible> {
        self.out.push(')');
        Ok(Parameters {
            out: self.out,
            parameters: self.parameters,
        })
    }
}

struct Parameters<'a> {
    out: &'a mut String,
    parameters: &'a mut Members,
}

impl<'de> ParameterVisitor<'de> for Parameters<'_> {
    type Out = ();
    type Error = Infallible;

    fn parameter(
        &mut self,
        key: &'de KeyRef,
        value: BareItemFromInput<'de>,
    ) -> Result<(), Infallible> {
        self.parameters
            .push_parameter(key.as_str(), &value, self.out);
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        self.parameters.finish_parameters(self.out);
        Ok(())
    }
}

struct List<'a> {
    out: &'a mut String,
    parameters: &'a mut Members,
    first: bool,
}

impl<'de> ListVisitor<'de> for List<'_> {
    type Out = ();
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Infallible> {
        if !std::mem::take(&mut self.first) {
            self.out.push_str(", ");
        }
        Ok(Entry {
            out: self.out,
            parameters: self.parameters,
            in_dictionary: false,
        })
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}

struct Dictionary<'a> {
    out: &'a mut String,
    members: Members,
    parameters: &'a mut Members,
}

impl<'de> DictionaryVisitor<'de> for Dictionary<'_> {
    type Out = ();
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        if self.members.len() > 0 {
            self.out.push_str(", ");
        }
        self.members.push_key(key.as_str(), self.out);
        Ok(Entry {
            out: self.out,
            parameters: self.parameters,
            in_dictionary: true,
        })
    }

    fn finish(mut self) -> Result<(), Infallible> {
        self.members.finish(", ", self.out);
        Ok(())
    }
}

/// One member of a dictionary.
struct Member<'a> {
    out: &'a mut String,
    parameters: &'a mut Members,
    start: usize,
    key: &'a str,
    found: bool,
}

impl<'de> DictionaryVisitor<'de> for Member<'_> {
    type Out = bool;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        if key.as_str() != self.key {
            return Ok(None);
        }
        // The last one counts (RFC 9651 section 4.2.2).
        self.found = true;
        self.out.truncate(self.start);
        Ok(Some(Entry {
            out: self.out,
            parameters: self.parameters,
            in_dictionary: false,
        }))
    }

    fn finish(self) -> Result<bool, Infallible> {
        Ok(self.found)
    }
}
