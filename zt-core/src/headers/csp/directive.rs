use std::{fmt, str::FromStr};

use crate::headers::{CspError, error::shown};

/// What may be said in a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sources.
    Sources,
    /// Sources of which only hosts, schemes, `'self'` and `'none'` mean anything.
    Ancestors,
    /// The flags of an iframe's sandbox, perhaps none.
    Sandbox,
    /// The name of one reporting endpoint.
    Endpoint,
    /// URI references.
    Uris,
    /// Names of trusted-types policies.
    TrustedTypes,
    /// `'script'`.
    Sinks,
    /// Nothing: it is there or not.
    Flag,
}

macro_rules! directives {
    ($($(#[$doc:meta])* $name:ident $text:literal $kind:ident;)*) => {
        /// A directive of a content security policy.
        ///
        /// `block-all-mixed-content`, `plugin-types`, `prefetch-src` and `referrer` are not here:
        /// browsers no longer read them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Directive { $($(#[$doc])* $name,)* }

        impl Directive {
            /// Every directive there is.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As it stands in the header.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            pub(super) const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }
        }
    };
}

directives! {
    /// What the other `-src` directives fall back to.
    DefaultSrc "default-src" Sources;
    /// Which bases a document may have.
    BaseUri "base-uri" Sources;
    /// Frames and workers, where `frame-src` and `worker-src` are not there.
    ChildSrc "child-src" Sources;
    /// Where scripts may connect to.
    ConnectSrc "connect-src" Sources;
    /// Fenced frames.
    FencedFrameSrc "fenced-frame-src" Sources;
    /// Fonts.
    FontSrc "font-src" Sources;
    /// Where forms may be sent.
    FormAction "form-action" Sources;
    /// Who may frame the page.
    FrameAncestors "frame-ancestors" Ancestors;
    /// Frames.
    FrameSrc "frame-src" Sources;
    /// Images.
    ImgSrc "img-src" Sources;
    /// Application manifests.
    ManifestSrc "manifest-src" Sources;
    /// Audio and video.
    MediaSrc "media-src" Sources;
    /// Plug-ins.
    ObjectSrc "object-src" Sources;
    /// The endpoint of `Reporting-Endpoints` that gets reports.
    ReportTo "report-to" Endpoint;
    /// Where reports go. Deprecated in favour of `report-to`; for browsers that do not know it.
    ReportUri "report-uri" Uris;
    /// Sinks that take trusted types only.
    RequireTrustedTypesFor "require-trusted-types-for" Sinks;
    /// The page as in a sandboxed iframe.
    Sandbox "sandbox" Sandbox;
    /// Scripts.
    ScriptSrc "script-src" Sources;
    /// Event handlers in attributes.
    ScriptSrcAttr "script-src-attr" Sources;
    /// Script elements.
    ScriptSrcElem "script-src-elem" Sources;
    /// Styles.
    StyleSrc "style-src" Sources;
    /// Style attributes.
    StyleSrcAttr "style-src-attr" Sources;
    /// Style elements.
    StyleSrcElem "style-src-elem" Sources;
    /// Which trusted-types policies may be made.
    TrustedTypes "trusted-types" TrustedTypes;
    /// `http:` addresses in the page are loaded by `https:`.
    UpgradeInsecureRequests "upgrade-insecure-requests" Flag;
    /// Workers.
    WorkerSrc "worker-src" Sources;
}

impl Directive {
    /// Whether elements can carry the nonce that this directive asks for: CSP3 sections 6.7.2.3
    /// and 6.7.3.3, attributes have none.
    pub(super) const fn takes_nonce(self) -> bool {
        matches!(
            self,
            Self::DefaultSrc
                | Self::ScriptSrc
                | Self::ScriptSrcElem
                | Self::StyleSrc
                | Self::StyleSrcElem
        )
    }

    /// Whether values can be appended.
    pub(super) const fn is_list(self) -> bool {
        matches!(
            self.kind(),
            Kind::Sources | Kind::Ancestors | Kind::Sandbox | Kind::Uris | Kind::TrustedTypes
        )
    }

    /// What holds where the directive is absent, nearest first: CSP3 section 6.8.3.
    pub(super) const fn fallbacks(self) -> &'static [Self] {
        match self {
            Self::ScriptSrcElem | Self::ScriptSrcAttr => &[Self::ScriptSrc, Self::DefaultSrc],
            Self::StyleSrcElem | Self::StyleSrcAttr => &[Self::StyleSrc, Self::DefaultSrc],
            Self::WorkerSrc => &[Self::ChildSrc, Self::ScriptSrc, Self::DefaultSrc],
            Self::FencedFrameSrc => &[Self::FrameSrc, Self::ChildSrc, Self::DefaultSrc],
            Self::FrameSrc => &[Self::ChildSrc, Self::DefaultSrc],
            Self::ChildSrc
            | Self::ConnectSrc
            | Self::FontSrc
            | Self::ImgSrc
            | Self::ManifestSrc
            | Self::MediaSrc
            | Self::ObjectSrc
            | Self::ScriptSrc
            | Self::StyleSrc => &[Self::DefaultSrc],
            _ => &[],
        }
    }
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Directive {
    type Err = CspError;

    /// In any case.
    fn from_str(text: &str) -> Result<Self, CspError> {
        Self::ALL
            .iter()
            .find(|directive| directive.as_str().eq_ignore_ascii_case(text))
            .copied()
            .ok_or_else(|| CspError::UnknownDirective(shown(text)))
    }
}
