//! Which fields are structured.

use http::HeaderName;

/// What a structured field is (RFC 9651 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructuredType {
    /// An item.
    Item,
    /// A list.
    List,
    /// A dictionary.
    Dictionary,
}

/// Which fields are structured, and as what: `;sf` and `;key` of a field that is not named here are
/// refused (RFC 9421 section 2.1.1).
#[derive(Debug, Clone, Default)]
pub struct FieldTypes {
    more: Vec<(HeaderName, StructuredType)>,
}

impl FieldTypes {
    /// Also `name`, and before what the RFCs say of it. The default has the structured fields of
    /// RFCs.
    #[must_use]
    pub fn with(mut self, name: HeaderName, kind: StructuredType) -> Self {
        self.more.retain(|(other, _)| *other != name);
        self.more.push((name, kind));
        self
    }

    /// What the field `name`, in lower case, is.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<StructuredType> {
        let mut more = self.more.iter();
        let own = more.find(|(other, _)| other.as_str() == name);
        own.map(|(_, kind)| *kind).or_else(|| of_rfcs(name))
    }
}

fn of_rfcs(name: &str) -> Option<StructuredType> {
    use StructuredType::{Dictionary, Item, List};
    Some(match name {
        // RFC 9421 sections 4.1, 4.2 and 5.1.
        "signature" | "signature-input" | "accept-signature" => Dictionary,
        // RFC 9530 sections 2 to 4.
        "content-digest" | "repr-digest" | "want-content-digest" | "want-repr-digest" => Dictionary,
        // RFC 9218 section 4.
        "priority" => Dictionary,
        // RFC 9211 section 2, RFC 9209 section 2.
        "cache-status" | "proxy-status" => List,
        // RFC 9213 section 2.1.
        "cdn-cache-control" => Dictionary,
        // RFC 9440 section 2.
        "client-cert" => Item,
        "client-cert-chain" => List,
        // RFC 8942 section 3.1.
        "accept-ch" => List,
        // RFC 9297 section 3.4.
        "capsule-protocol" => Item,
        // RFC 9842 sections 2.1, 2.2 and 2.3.
        "use-as-dictionary" => Dictionary,
        "available-dictionary" | "dictionary-id" => Item,
        // RFC 9745 section 2.
        "deprecation" => Item,
        // Fetch Metadata, a specification of the W3C.
        "sec-fetch-dest" | "sec-fetch-mode" | "sec-fetch-site" | "sec-fetch-user" => Item,
        _ => return None,
    })
}
