use std::{borrow::Cow, fmt};

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zt_core::clock::Timestamp;

use super::{
    Claims, Marks, Says, Strings, Wanted,
    value::{Any, Cnf, Value},
};
use crate::{
    jose::json::{Names, Skip, Text},
    refusal::Refusal,
};

impl<'a> Claims<'a> {
    /// Reads `payload`, whose signature holds.
    ///
    /// # Errors
    ///
    /// [`Refusal::PayloadJson`] where it is not an object with unique members,
    /// [`Refusal::ClaimType`] where a claim that decides something has another type than it must.
    pub(crate) fn read(payload: &'a str, wanted: Wanted<'_>) -> Result<Self, Refusal> {
        let mut reader = serde_json::Deserializer::from_str(payload);
        let mut read = Reading {
            claims: Self::default(),
            wanted,
            wrong: false,
        };
        let object = reader.deserialize_map(&mut read);
        if object.and_then(|()| reader.end()).is_err() {
            return Err(Refusal::PayloadJson);
        }
        // Only now: whether the whole is good JSON does not depend on what it says.
        if read.wrong {
            return Err(Refusal::ClaimType);
        }
        Ok(read.claims)
    }
}

struct Reading<'a, 'p> {
    claims: Claims<'a>,
    wanted: Wanted<'p>,
    wrong: bool,
}

impl<'de> Visitor<'de> for &mut Reading<'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let twice = || de::Error::custom("a member stands there twice");
        let mut seen = 0;
        let mut others = Names::default();
        while let Some(name) = members.next_key_seed(Text)? {
            match Known::named(&name) {
                Some(known) if seen & known.bit() != 0 => return Err(twice()),
                Some(known) => {
                    seen |= known.bit();
                    self.member(&name, Some(known), &mut members)?;
                }
                None => {
                    self.member(&name, None, &mut members)?;
                    if !others.insert(name) {
                        return Err(twice());
                    }
                }
            }
        }
        Ok(())
    }
}

impl<'de> Reading<'de, '_> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        known: Option<Known>,
        members: &mut A,
    ) -> Result<(), A::Error> {
        if self
            .wanted
            .required
            .iter()
            .any(|required| **required == *name)
        {
            self.claims.required += 1;
        }
        let is_roles = self.wanted.roles == Some(name);
        let is_tenant = self.wanted.tenant == Some(name);
        if known == Some(Known::Confirmation) {
            let found = members.next_value_seed(Cnf)?;
            self.wrong |= found.is_none();
            self.claims.confirmation = found;
            return Ok(());
        }
        let date = known.and_then(|known| self.claims.date(known));
        if let Some((date, may_be_null)) = date {
            let value = members.next_value()?;
            self.wrong |= !read_date(value, may_be_null, date);
            self.claims.misfit |= is_roles || is_tenant;
            return Ok(());
        }
        if !is_roles && !is_tenant && known.is_none() {
            return members.next_value_seed(Skip::MEMBER);
        }
        let value = members.next_value_seed(Any)?;
        // The policy may read a claim that decides something else too.
        let wrong = std::mem::take(&mut self.wrong);
        if is_roles {
            self.claims.roles = self.strings(value.clone(), true);
        }
        if is_tenant {
            self.claims.tenant = self.text(value.clone(), true);
        }
        self.claims.misfit |= std::mem::replace(&mut self.wrong, wrong);
        let Some(known) = known else {
            return Ok(());
        };
        let claims = &mut self.claims;
        match known {
            Known::Nonce | Known::AtHash | Known::CHash | Known::SHash => {
                claims.marks.id_token = true;
            }
            Known::Events => claims.marks.events = true,
            Known::Issuer => self.claims.issuer = self.text(value, false),
            Known::Subject => self.claims.subject = self.text(value, false),
            Known::Audience => self.claims.audience = self.strings(value, false),
            Known::Token => self.claims.token = self.text(value, false),
            Known::Session => self.claims.session = self.text(value, true),
            Known::ContextClass => self.claims.context_class = self.text(value, true),
            Known::Client => self.claims.client = self.text(value, true),
            Known::Scope => self.claims.scope = self.strings(value, true),
            Known::Scopes => self.claims.scopes = self.strings(value, true),
            Known::Type => claims.marks.hear(&value, says_typ),
            Known::Use => claims.marks.hear(&value, says_use),
            Known::Expires
            | Known::NotBefore
            | Known::Issued
            | Known::Authenticated
            | Known::Confirmation => {}
        }
        Ok(())
    }

    fn text(&mut self, value: Value<'de>, may_be_null: bool) -> Option<Cow<'de, str>> {
        match value {
            Value::Text(text) => Some(text),
            Value::Null if may_be_null => None,
            _ => {
                self.wrong = true;
                None
            }
        }
    }

    fn strings(&mut self, value: Value<'de>, may_be_null: bool) -> Option<Strings<'de>> {
        match value {
            Value::Texts(texts) => Some(Strings::Several(texts)),
            value => self.text(value, may_be_null).map(Strings::One),
        }
    }
}

macro_rules! known {
    ($($claim:ident $name:literal,)*) => {
        /// A claim that decides something whatever the policy.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Known { $($claim,)* }

        impl Known {
            fn named(name: &str) -> Option<Self> {
                Some(match name {
                    $($name => Self::$claim,)*
                    _ => return None,
                })
            }
        }
    };
}

known! {
    Issuer "iss",
    Subject "sub",
    Audience "aud",
    Expires "exp",
    NotBefore "nbf",
    Issued "iat",
    Token "jti",
    Authenticated "auth_time",
    Session "sid",
    ContextClass "acr",
    Client "client_id",
    Scope "scope",
    Scopes "scp",
    Type "typ",
    Use "token_use",
    Nonce "nonce",
    AtHash "at_hash",
    CHash "c_hash",
    SHash "s_hash",
    Events "events",
    Confirmation "cnf",
}

impl Known {
    /// Its own among those of all known claims.
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl Claims<'_> {
    /// Where the date of that name belongs, and whether it may be `null`.
    fn date(&mut self, known: Known) -> Option<(&mut Option<Timestamp>, bool)> {
        Some(match known {
            Known::Expires => (&mut self.expires, false),
            Known::NotBefore => (&mut self.not_before, false),
            Known::Issued => (&mut self.issued, false),
            Known::Authenticated => (&mut self.authenticated, true),
            _ => return None,
        })
    }
}

/// The end of the year 9999, in seconds.
const LAST: u64 = 253_402_300_799;

/// Reads a NumericDate (RFC 7519 section 2), which may have a fraction; `false` where it is none.
///
/// By its text: how the JSON library hands over a number is up to whichever crate of the program
/// asks it for `arbitrary_precision`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the bounds are checked, and a fraction of a microsecond does not matter"
)]
fn read_date(value: &RawValue, may_be_null: bool, date: &mut Option<Timestamp>) -> bool {
    let text = value.get();
    if may_be_null && text == "null" {
        return true;
    }
    // It is JSON already, so what begins like a number is one.
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return false;
    }
    let read = match (text.parse::<u64>(), text.parse::<f64>()) {
        (Ok(whole), _) if whole <= LAST => Timestamp::from_secs(whole),
        (Err(_), Ok(number)) if (0.0..=LAST as f64).contains(&number) => {
            Timestamp::from_micros((number * 1e6) as u64)
        }
        _ => return false,
    };
    *date = Some(read);
    true
}

impl Marks {
    /// The worse of two words counts.
    fn hear(&mut self, value: &Value<'_>, says: fn(&str) -> Option<Says>) {
        let heard = match value {
            Value::Text(text) => says(text),
            _ => Some(Says::Other),
        };
        self.says = match (self.says, heard) {
            (Some(Says::Other), _) | (_, Some(Says::Other)) => Some(Says::Other),
            (Some(Says::Id), _) | (_, Some(Says::Id)) => Some(Says::Id),
            (before, now) => before.or(now),
        };
    }
}

/// Keycloak: `Bearer`, `DPoP`, `ID`, `Refresh`, `Offline`, `Logout`.
fn says_typ(text: &str) -> Option<Says> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("bearer") || is("dpop") || is("at+jwt") {
        Some(Says::Access)
    } else if is("id") {
        Some(Says::Id)
    } else if is("jwt") {
        None
    } else {
        Some(Says::Other)
    }
}

/// Cognito: `access`, `id`.
fn says_use(text: &str) -> Option<Says> {
    Some(match text {
        "access" => Says::Access,
        "id" => Says::Id,
        _ => Says::Other,
    })
}
