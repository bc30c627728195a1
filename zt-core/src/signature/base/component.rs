//! Component identifiers that are kept.

use std::{
    borrow::Cow,
    convert::Infallible,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use sfv::{
    BareItemFromInput, KeyRef, Parser,
    visitor::{ItemVisitor, ParameterVisitor},
};

use super::{
    bare::write_string,
    error::BaseError,
    identifier::{BS, Identifier, KEY, Kind, Marks, NAME, REQ, SF, is_key},
    members::Members,
    query,
};

/// A component identifier (RFC 9421 section 2): a name and its parameters. Two are equal where name and
/// parameters are, in whatever order these stand.
///
/// ```
/// use zt_core::signature::base::Component;
///
/// let digest = Component::field("content-digest")?.req();
/// assert_eq!(digest, r#""content-digest";req"#.parse()?);
/// assert_eq!(Component::query_param("pet").to_string(), r#""@query-param";name="pet""#);
/// assert_eq!(Component::METHOD.to_string(), r#""@method""#);
/// # Ok::<_, zt_core::signature::base::BaseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Component {
    /// The canonical form.
    text: Cow<'static, str>,
    kind: Kind,
    name: Cow<'static, str>,
    marks: u8,
    argument: Cow<'static, str>,
}

macro_rules! derived {
    ($($(#[$doc:meta])* $constant:ident $kind:ident $name:literal)*) => {$(
        $(#[$doc])*
        pub const $constant: Self = Self {
            text: Cow::Borrowed(concat!('"', $name, '"')),
            kind: Kind::$kind,
            name: Cow::Borrowed($name),
            marks: 0,
            argument: Cow::Borrowed(""),
        };
    )*};
}

impl Component {
    derived! {
        /// `@method` (section 2.2.1).
        METHOD Method "@method"
        /// `@target-uri` (section 2.2.2).
        TARGET_URI TargetUri "@target-uri"
        /// `@authority` (section 2.2.3).
        AUTHORITY Authority "@authority"
        /// `@scheme` (section 2.2.4).
        SCHEME Scheme "@scheme"
        /// `@request-target` (section 2.2.5).
        REQUEST_TARGET RequestTarget "@request-target"
        /// `@path` (section 2.2.6).
        PATH Path "@path"
        /// `@query` (section 2.2.7).
        QUERY Query "@query"
        /// `@status` (section 2.2.9).
        STATUS Status "@status"
        /// The field `content-digest`, which binds the body (RFC 9530 section 2).
        CONTENT_DIGEST Field "content-digest"
    }

    /// A field of the message.
    ///
    /// # Errors
    ///
    /// Where `name` is not a lower-case field name.
    pub fn field(name: &str) -> Result<Self, BaseError> {
        match Kind::of(name) {
            Ok(Kind::Field) => Ok(Self {
                text: Cow::Owned(format!("\"{name}\"")),
                kind: Kind::Field,
                name: Cow::Owned(name.to_owned()),
                marks: 0,
                argument: Cow::Borrowed(""),
            }),
            _ => Err(BaseError::Name),
        }
    }

    /// `@query-param` of `name`, which is the name before it was encoded for a URL.
    #[must_use]
    pub fn query_param(name: &str) -> Self {
        let argument = query::encode(name);
        Self {
            text: Cow::Owned(format!("\"@query-param\";name=\"{argument}\"")),
            kind: Kind::QueryParam,
            name: Cow::Borrowed("@query-param"),
            marks: NAME,
            argument: Cow::Owned(argument),
        }
    }

    /// The value in the canonical form of its structured type (section 2.1.1). It applies to fields.
    #[must_use]
    pub fn sf(self) -> Self {
        self.marked(SF, ";sf")
    }

    /// Each field line as bytes (section 2.1.3). It applies to fields, without `;sf` and `;key`.
    #[must_use]
    pub fn bs(self) -> Self {
        self.marked(BS, ";bs")
    }

    /// Of the request that a response answers (section 2.4).
    #[must_use]
    pub fn req(self) -> Self {
        self.marked(REQ, ";req")
    }

    /// The member `key` of a dictionary (section 2.1.2). It applies to fields.
    ///
    /// # Errors
    ///
    /// Where no dictionary can have `key`, or one was chosen before.
    pub fn key(self, key: &str) -> Result<Self, BaseError> {
        if !is_key(key) || self.marks & (KEY | NAME) != 0 {
            return Err(BaseError::Key);
        }
        let mut this = self.marked(KEY, &format!(";key=\"{key}\""));
        this.argument = Cow::Owned(key.to_owned());
        Ok(this)
    }

    /// The canonical form, parameters in the order in which they were added.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name, without parameters.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bit, where it is derived and without parameters.
    pub(super) const fn derived(&self) -> Option<u16> {
        if self.marks == 0 {
            self.kind.bit()
        } else {
            None
        }
    }

    /// What it names; not whether it can be.
    pub(super) fn as_identifier(&self) -> Identifier<'_> {
        Identifier {
            kind: self.kind,
            name: &self.name,
            marks: self.marks,
            argument: &self.argument,
        }
    }

    /// What it names, where it can be covered.
    pub(super) fn identifier(&self) -> Result<Identifier<'_>, BaseError> {
        Marks::new(self.marks).check(self.kind)?;
        Ok(self.as_identifier())
    }

    fn marked(mut self, mark: u8, text: &str) -> Self {
        if self.marks & mark == 0 {
            self.marks |= mark;
            self.text.to_mut().push_str(text);
        }
        self
    }
}

impl FromStr for Component {
    type Err = BaseError;

    fn from_str(text: &str) -> Result<Self, BaseError> {
        let mut read = Read::default();
        let parsed = Parser::new(text).parse_item_with_visitor(&mut read);
        parsed.map_err(|_| BaseError::Identifier)?;
        let kind = Kind::of(read.name.as_deref().ok_or(BaseError::Identifier)?)?;
        if read.repeated {
            return Err(BaseError::ParameterRepeated);
        }
        Ok(Self {
            text: Cow::Owned(read.text),
            kind,
            name: Cow::Owned(read.name.unwrap_or_default()),
            marks: read.marks.check(kind)?,
            argument: Cow::Owned(read.argument),
        })
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Component {
    fn eq(&self, other: &Self) -> bool {
        self.as_identifier() == other.as_identifier()
    }
}

impl Eq for Component {}

impl Hash for Component {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_identifier().hash(state);
    }
}

#[derive(Default)]
struct Read {
    text: String,
    name: Option<String>,
    marks: Marks,
    argument: String,
    members: Members,
    repeated: bool,
}

impl<'de> ItemVisitor<'de> for &mut Read {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        value: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        if let BareItemFromInput::String(name) = value {
            write_string(name.as_str(), &mut self.text);
            self.name = Some(name.as_str().to_owned());
        }
        Ok(self)
    }
}

impl<'de> ParameterVisitor<'de> for &mut Read {
    type Out = ();
    type Error = Infallible;

    fn parameter(
        &mut self,
        key: &'de KeyRef,
        value: BareItemFromInput<'de>,
    ) -> Result<(), Infallible> {
        self.repeated |= self.members.has(key.as_str(), &self.text);
        self.members
            .push_parameter(key.as_str(), &value, &mut self.text);
        if let Some(argument) = self.marks.note(key.as_str(), &value) {
            argument.clone_into(&mut self.argument);
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}
