use zt_core::decision::Code;

use crate::refusal::Refusal;

/// Which part of a token is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Text,
    Header,
    Signature,
    Claims,
}

macro_rules! bad_tokens {
    ($($part:ident { $($name:ident $refusal:ident $what:literal;)* })*) => {
        /// A way for a token to be bad. All are of the same issuer, for the right audience, and
        /// would pass if it were not for this.
        ///
        /// ```
        /// use zt_jwt::{Refusal, testing::BadToken};
        ///
        /// assert!(BadToken::ALL.len() > 150);
        /// assert_eq!(BadToken::AudOther.refusal(), Refusal::Audience);
        /// assert_eq!(BadToken::AudOther.expected().as_str(), "credential-invalid");
        /// assert_eq!(BadToken::AudOther.name(), "AudOther");
        /// ```
        ///
        /// Some cannot stand in a header of HTTP, because of line breaks or their length.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum BadToken { $($(#[doc = $what] $name,)*)* }

        impl BadToken {
            /// Every kind there is.
            pub const ALL: &[Self] = &[$($(Self::$name),*),*];

            /// Its name, as it is written in Rust.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name),)*)* }
            }

            /// What is bad about it.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $($(Self::$name => $what,)*)* }
            }

            /// Why it is refused by a verifier that knows this issuer alone, with `ES256` among
            /// its keys, one key of each algorithm, and no proof of any key on the connection.
            #[must_use]
            pub const fn refusal(self) -> Refusal {
                match self { $($(Self::$name => Refusal::$refusal,)*)* }
            }

            pub(super) const fn part(self) -> Part {
                match self { $($(Self::$name)|* => Part::$part,)* }
            }
        }
    };
}

impl BadToken {
    /// What the caller is told.
    #[must_use]
    pub const fn expected(self) -> Code {
        self.refusal().code()
    }

    /// Whether it can be sent in `Authorization` as it is: fields have no control characters, and
    /// blanks around a value are the field's and not the token's.
    #[must_use]
    pub const fn fits_a_header(self) -> bool {
        !matches!(
            self,
            Self::LeadingSpace
                | Self::TrailingSpace
                | Self::TrailingNewline
                | Self::TrailingNul
                | Self::NewlineInHeader
                | Self::NewlineInSignature
                | Self::NewlineInPayload
        )
    }

    /// Whether its signature holds, so that only its payload can tell that it is bad.
    #[must_use]
    pub const fn is_about_claims(self) -> bool {
        matches!(self.part(), Part::Claims)
    }
}

bad_tokens! {
    Text {
        Empty Segments "nothing at all";
        OneSegment Segments "a header and no more";
        TwoSegments Segments "no signature, and no dot before it";
        FourSegments Segments "another segment behind the signature";
        FiveSegments Segments "JSON Web Encryption (RFC 7516)";
        EncryptedBomb Segments "JSON Web Encryption whose plain text is compressed 1 to 1000";
        DotsOnly Segments "three empty segments";
        LeadingDot Segments "a dot in front";
        TrailingDot Segments "a dot behind";
        EmptyHeader Segments "no header";
        EmptySignature Segments "no signature behind the last dot";
        JsonGeneral Segments "JSON serialization, general syntax (RFC 7515 section 7.2.1)";
        JsonFlattened Segments "JSON serialization, flattened syntax (RFC 7515 section 7.2.2)";
        Long TooLong "9 KiB, with a good signature";
        Huge TooLong "1 MiB, with a good signature";
        HugeSignature TooLong "a signature of 1 MiB";
        LeadingSpace Base64 "a space in front";
        TrailingSpace Base64 "a space behind";
        TrailingNewline Base64 "a line break behind";
        TrailingNul Base64 "a NUL behind";
        NewlineInHeader Base64 "a line break within the header, signed with it";
        NewlineInSignature Base64 "a line break within the signature";
        NotAsciiInSignature Base64 "a letter within the signature that is not ASCII";
        PaddedHeader Base64 "a header padded with `=`, signed with it";
        PaddedSignature Base64 "a signature padded with `=`";
        StandardHeader Base64 "a header with `+` or `/`, signed with it";
        StandardSignature Base64 "a signature with `+` or `/`";
        SpareBitsHeader Base64 "a header whose spare bits are set, signed with them";
        SpareBitsSignature Base64 "a signature whose spare bits are set";
        OddHeader Base64 "a header of a length that base64 never has";
        OddSignature Base64 "a signature of a length that base64 never has";
        HeaderArray HeaderJson "a header that is an array";
        HeaderString HeaderJson "a header that is a string";
        HeaderNull HeaderJson "a header that is `null`";
        HeaderNotUtf8 HeaderJson "a header that is not UTF-8";
        HeaderUtf16 HeaderJson "a header in UTF-16";
        HeaderByteOrderMark HeaderJson "a header behind a byte order mark";
        HeaderCutShort HeaderJson "a header that does not end";
        HeaderGoesOn HeaderJson "a header with something behind it";
        HeaderComment HeaderJson "a header with a comment";
        HeaderDeep HeaderJson "a header 1000 arrays deep";
        AlgTwiceGoodFirst HeaderJson "`alg` twice: the right one, then `none`";
        AlgTwiceBadFirst HeaderJson "`alg` twice: `none`, then the right one";
        AlgTwiceEscaped HeaderJson "`alg` twice, once with an escape in its name";
        KidTwice HeaderJson "`kid` twice";
        CritTwice HeaderJson "a header parameter twice that nobody knows";
        TwiceWithinHeader HeaderJson "a member twice in an object within the header";
    }
    Header {
        AlgNone Algorithm "`alg` is `none`, and a signature is there";
        AlgNoneTitle Algorithm "`alg` is `None`, and a signature is there";
        AlgNoneUpper Algorithm "`alg` is `NONE`, and a signature is there";
        AlgNoneMixed Algorithm "`alg` is `nOnE`, and a signature is there";
        AlgNoneUnsigned Segments "`alg` is `none`, without signature";
        AlgNoneTitleUnsigned Segments "`alg` is `None`, without signature";
        AlgNoneUpperUnsigned Segments "`alg` is `NONE`, without signature";
        AlgNoneMixedUnsigned Segments "`alg` is `nOnE`, without signature";
        AlgNoneTwoSegments Segments "`alg` is `none`, without signature and without its dot";
        AlgMissing Algorithm "no `alg`";
        AlgEmpty Algorithm "`alg` is empty";
        AlgNull Algorithm "`alg` is `null`";
        AlgNumber Algorithm "`alg` is a number";
        AlgArray Algorithm "`alg` is an array with the right one";
        AlgObject Algorithm "`alg` is an object";
        AlgLowerCase Algorithm "`alg` is the right one in lower case";
        AlgEdDsaLowerCase Algorithm "`alg` is `eddsa`";
        AlgSpace Algorithm "`alg` is the right one and a space";
        AlgNul Algorithm "`alg` is the right one and a NUL";
        AlgEs256k Algorithm "`alg` is `ES256K`";
        AlgEd448 Algorithm "`alg` is `Ed448`";
        AlgHs1 Algorithm "`alg` is `HS1`";
        AlgRs1 Algorithm "`alg` is `RS1`";
        AlgEncryption Algorithm "`alg` is `RSA-OAEP`, which encrypts";
        AlgDir Algorithm "`alg` is `dir`, which encrypts";
        CritUnknown Critical "`crit` names what nobody knows";
        CritEmpty Critical "`crit` is empty";
        CritDuplicated Critical "`crit` names the same twice";
        CritRegistered Critical "`crit` names `alg`, which it must not";
        CritAbsent Critical "`crit` names what is not there";
        CritNotArray Critical "`crit` is a string";
        CritNull Critical "`crit` is `null`";
        CritB64 Critical "`crit` names `b64`, which is false";
        CritB64True Critical "`crit` names `b64`, which is true";
        B64False Unencoded "`b64` is false and nobody says that it is critical";
        B64True Unencoded "`b64` is true, as if it were not there";
        TypDpop Type "`typ` is `dpop+jwt`: a proof of possession";
        TypLogout Type "`typ` is `logout+jwt`: a logout token";
        TypLogoutLong Type "`typ` is `application/logout+jwt`";
        TypSecurityEvent Type "`typ` is `secevent+jwt`: a security event";
        TypSecurityEventCase Type "`typ` is `SecEvent+JWT`";
        TypIntrospection Type "`typ` is `token-introspection+jwt`";
        TypAuthorizationRequest Type "`typ` is `oauth-authz-req+jwt`";
        TypSelectiveDisclosure Type "`typ` is `dc+sd-jwt`";
        TypUnknown Type "`typ` is `kittens`";
        TypEmpty Type "`typ` is empty";
        TypNumber HeaderType "`typ` is a number";
        TypArray HeaderType "`typ` is an array with the right one";
        CtyJwt Type "`cty` is `JWT`: a token within a token (RFC 7519 section 5.2)";
        CtyNumber HeaderType "`cty` is a number";
        KidNumber HeaderType "`kid` is a number";
        KidArray HeaderType "`kid` is an array with the right one";
        KidObject HeaderType "`kid` is an object";
        JwkString HeaderType "`jwk` is a string";
        X5cString HeaderType "`x5c` is a string";
        JkuNumber HeaderType "`jku` is a number";
        KidLong HeaderType "`kid` has 1 KiB";
        KidHuge TooLong "`kid` has 1 MiB";
    }
    Signature {
        KidUnknown UnknownKey "`kid` names no key";
        KidEmpty UnknownKey "`kid` is empty";
        KidOtherCase UnknownKey "`kid` in upper case";
        KidLonger UnknownKey "`kid` and a space";
        KidPath UnknownKey "`kid` is a path: `../../../../dev/null`";
        KidUrl UnknownKey "`kid` is an address";
        KidSql UnknownKey "`kid` is SQL that selects a secret";
        KidCommand UnknownKey "`kid` is a command";
        KidNul UnknownKey "`kid` with a NUL behind it";
        KidOfOtherAlgorithm UnknownKey "`kid` is that of a key for another algorithm";
        HsWithPem Algorithm "`HS256` with the public key as PEM";
        HsWithPemTrimmed Algorithm "`HS256` with the public key as PEM, without its last line break";
        HsWithPemSpace Algorithm "`HS256` with the public key as PEM behind white space";
        HsWithDer Algorithm "`HS256` with the public key as DER";
        HsWithJwk Algorithm "`HS256` with the public key as JWK";
        HsWithJwks Algorithm "`HS256` with the whole key set";
        HsWithNothing Algorithm "`HS256` with an empty secret";
        HsWithKid Algorithm "`HS256` with the name of the key as secret";
        HsWithoutKid Algorithm "`HS256` with the public key as PEM, and no `kid`";
        Hs512WithPem Algorithm "`HS512` with the public key as PEM";
        HsWithSecret Algorithm "`HS256` with the secret of an issuer that shares none with us";
        RelabelledPs256 UnknownKey "an `RS256` token that says `PS256`";
        RelabelledEs384 UnknownKey "an `ES256` token that says `ES384`";
        RelabelledEdDsa UnknownKey "an `ES256` token that says `EdDSA`";
        RelabelledEs256k Algorithm "an `ES256` token that says `ES256K`";
        EmbeddedJwkOwnKid UnknownKey "signed with a self-made key that the header brings along, under its name";
        EmbeddedJwk Signature "signed with a self-made key that the header brings along, under the right name";
        EmbeddedJku Signature "signed with a self-made key whose address the header names";
        EmbeddedX5u Signature "signed with a self-made key whose certificate's address the header names";
        EmbeddedX5c Signature "signed with a self-made key whose certificate the header brings along";
        EmbeddedEverything Signature "signed with a self-made key, and the header points at it in every way";
        WrongKey Signature "signed with a self-made key";
        AnotherIssuersKey Signature "signed with another issuer's key of the same name";
        AnotherIssuersToken Signature "another issuer's token for the same audience";
        Es256AsEs384 Signature "an `ES256` signature that says `ES384` with the name of that key";
        Es256AsEdDsa Signature "an `ES256` signature that says `EdDSA` with the name of that key";
        ZeroSignature Signature "`ES256` with r and s zero (CVE-2022-21449)";
        ZeroS Signature "`ES256` with s zero";
        OrderSignature Signature "`ES256` with r and s the order of the curve, which is zero";
        OnesSignature Signature "`ES256` with every bit set";
        EdDsaZero Signature "`EdDSA` with every bit zero";
        EdDsaIdentity Signature "`EdDSA` with R the identity and S zero";
        MlDsaZero Signature "`ML-DSA-44` with every bit zero";
        DerSignature Signature "`ES256` with its signature in DER";
        ShortSignature Signature "a signature that lacks its last byte";
        LongSignature Signature "a signature with a byte behind it";
        LeadingZeroSignature Signature "a signature with a zero in front";
        OneByteSignature Signature "a signature of one byte";
        DoubledSignature Signature "the signature twice";
        SwappedHalves Signature "`ES256` with s and r";
        FlippedBit Signature "a signature with one bit flipped";
        AnotherTokensSignature Signature "the signature of another token";
        SignatureOfPayload Signature "a signature of the payload without the header";
        SignatureOfDecoded Signature "a signature of header and payload before they were encoded";
        SwappedPayload Signature "another payload";
        SwappedHeader Signature "another header: something was added after it was signed";
        ChangedTyp Signature "another `typ` than was signed";
        SpaceInPayload Signature "a space added to the payload after it was signed";
        DetachedPayload Signature "the payload taken away (RFC 7515 appendix F)";
    }
    Claims {
        PayloadEmpty PayloadJson "an empty payload";
        PayloadArray PayloadJson "a payload that is an array with the claims";
        PayloadString PayloadJson "a payload that is a string";
        PayloadNumber PayloadJson "a payload that is a number";
        PayloadNull PayloadJson "a payload that is `null`";
        PayloadNotUtf8 PayloadJson "a payload that is not UTF-8";
        PayloadByteOrderMark PayloadJson "a payload behind a byte order mark";
        PayloadLoneSurrogate PayloadJson "a payload with half a character as an escape";
        PayloadControl PayloadJson "a payload with a control character within a string";
        PayloadNan PayloadJson "a payload with `NaN`";
        PayloadCutShort PayloadJson "a payload that does not end";
        PayloadGoesOn PayloadJson "a payload with another object behind it";
        PayloadTrailingComma PayloadJson "a payload with a comma before its end";
        PayloadDeep PayloadJson "a payload 1000 arrays deep";
        PayloadCompressed PayloadJson "a compressed payload, as `zip` says";
        PayloadIsToken PayloadJson "a token within a token";
        NewlineInPayload PayloadJson "a line break within the payload, signed with it";
        PaddedPayload PayloadJson "a payload padded with `=`, signed with it";
        StandardPayload PayloadJson "a payload with `+` or `/`, signed with it";
        SpareBitsPayload PayloadJson "a payload whose spare bits are set, signed with them";
        SubTwice PayloadJson "`sub` twice";
        SubTwiceEscaped PayloadJson "`sub` twice, once with an escape in its name";
        ExpTwice PayloadJson "`exp` twice: long ago, then later";
        OtherTwice PayloadJson "a claim twice that nobody knows";
        TwiceWithin PayloadJson "a member twice in an object within the payload";
        IssMissing Issuer "no `iss`";
        IssEmpty Issuer "`iss` is empty";
        IssOther Issuer "`iss` is another issuer";
        IssPrefix Issuer "`iss` lacks its last letter";
        IssLonger Issuer "`iss` goes on";
        IssTrailingSlash Issuer "`iss` and a slash";
        IssOtherCase Issuer "`iss` in upper case";
        IssNull ClaimType "`iss` is `null`";
        IssNumber ClaimType "`iss` is a number";
        IssArray ClaimType "`iss` is an array with the right one and another (CVE-2025-30144)";
        IssObject ClaimType "`iss` is an object";
        AudMissing Audience "no `aud`";
        AudOther Audience "`aud` is another service";
        AudOthers Audience "`aud` is an array of other services";
        AudEmpty Audience "`aud` is empty";
        AudEmptyArray Audience "`aud` is an empty array";
        AudPrefix Audience "`aud` lacks its last letter";
        AudLonger Audience "`aud` goes on";
        AudOtherCase Audience "`aud` in upper case";
        AudList Audience "`aud` is the right one and another with a space between";
        AudNull ClaimType "`aud` is `null`";
        AudNumber ClaimType "`aud` is a number";
        AudTrue ClaimType "`aud` is `true`";
        AudObject ClaimType "`aud` is an object with the right one as a member";
        AudArrayWithNumber ClaimType "`aud` is an array with the right one and a number";
        AudArrayOfArrays ClaimType "`aud` is an array with an array with the right one";
        ExpMissing NoExpiry "no `exp`";
        ExpPast Expired "`exp` was an hour ago";
        ExpPastFraction Expired "`exp` was an hour and a half second ago";
        ExpZero Expired "`exp` is 1970";
        ExpNull ClaimType "`exp` is `null`";
        ExpString ClaimType "`exp` is a string of digits";
        ExpTrue ClaimType "`exp` is `true`";
        ExpArray ClaimType "`exp` is an array with a number";
        ExpNegative ClaimType "`exp` is negative";
        ExpHuge ClaimType "`exp` is 1e300";
        ExpMax ClaimType "`exp` is the largest number of 64 bits";
        NbfFuture NotYet "`nbf` is an hour ahead";
        NbfString ClaimType "`nbf` is a string of digits";
        NbfNull ClaimType "`nbf` is `null`";
        NbfHuge ClaimType "`nbf` is 1e300";
        NbfNegative ClaimType "`nbf` is negative";
        IatFuture IssuedInFuture "`iat` is an hour ahead";
        IatString ClaimType "`iat` is a string of digits";
        IatNull ClaimType "`iat` is `null`";
        IatHuge ClaimType "`iat` is 1e300";
        LivesTooLong Lifetime "lives ten years";
        LivesTooLongWithoutIat Lifetime "lives ten years, and does not say since when";
        LivesTooLongAlready Lifetime "expires soon, and is a week old";
        SubMissing Subject "no `sub`";
        SubEmpty Subject "`sub` is empty";
        SubLong Subject "`sub` has 3000 characters";
        SubNewline Subject "`sub` has a line break";
        SubNul Subject "`sub` has a NUL";
        SubNull ClaimType "`sub` is `null`";
        SubNumber ClaimType "`sub` is a number";
        SubArray ClaimType "`sub` is an array";
        JtiNumber ClaimType "`jti` is a number";
        IdTokenAtHash Kind "an id token: `at_hash`";
        IdTokenCHash Kind "an id token: `c_hash`";
        IdTokenNonce Kind "an id token: `nonce`";
        KeycloakId Kind "Keycloak's id token: the claim `typ` is `ID`";
        KeycloakRefresh Kind "Keycloak's refresh token: the claim `typ` is `Refresh`";
        KeycloakOffline Kind "Keycloak's offline token: the claim `typ` is `Offline`";
        KeycloakLogout Kind "Keycloak's logout token: the claim `typ` is `Logout`";
        CognitoId Kind "Cognito's id token: `token_use` is `id`";
        LogoutEvents Kind "a logout token: `events` says so";
        CnfUnknown Binding "bound in a way that nobody knows";
        CnfEmpty Binding "bound, and not said to what";
        CnfCertificate Binding "bound to a certificate that was not shown";
        CnfKeyThumbprint Binding "bound to a key that was not proved (`jkt`)";
        CnfJwk Binding "bound to a key that was not proved (`jwk`)";
        CnfCertificateAndKey Binding "bound to a certificate and a key";
        CnfNotObject ClaimType "`cnf` is a string";
        CnfNull ClaimType "`cnf` is `null`";
    }
}
