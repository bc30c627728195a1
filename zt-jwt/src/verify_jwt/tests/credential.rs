use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request, request::Parts};
use proptest::prelude::*;
use zt_core::{context::SecurityContext, gate::Settings};

use super::super::{
    credential::{Credential, Found, Place, Unreadable, find},
    strip::strip,
};

fn parts(headers: &[(&str, &[u8])]) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        parts
            .headers
            .append(name, HeaderValue::from_bytes(value).unwrap());
    }
    parts
}

fn read(places: &[Place], parts: &Parts) -> String {
    let cx = SecurityContext::open(parts, &Arc::new(Settings::default()));
    match find(places, parts, &cx) {
        Found::Absent => "absent".to_owned(),
        Found::Foreign => "foreign".to_owned(),
        Found::Several => "several".to_owned(),
        Found::One(credential) => match token(&credential) {
            Ok(token) => String::from_utf8(token.to_vec()).unwrap(),
            Err(Unreadable::Empty) => "empty".to_owned(),
            Err(Unreadable::NotAToken) => "malformed".to_owned(),
            Err(Unreadable::Joined) => "joined".to_owned(),
            Err(Unreadable::Dpop) => "dpop".to_owned(),
        },
    }
}

fn token<'a>(credential: &Credential<'a>) -> Result<&'a [u8], Unreadable> {
    let text = credential.text()?;
    credential.check().map(|()| text)
}

/// The place that the case is about, one value of its header a line, and what is found.
type Case<'a> = (&'a [&'a str], &'a str);

fn check(places: &[Place], name: &str, cases: &[Case<'_>]) {
    for (values, expected) in cases {
        let headers: Vec<_> = values
            .iter()
            .map(|value| (name, value.as_bytes()))
            .collect();
        assert_eq!(read(places, &parts(&headers)), *expected, "{values:?}");
    }
}

#[test]
fn authorization_is_read_by_its_grammar() {
    // RFC 9110 section 11.6.2, RFC 6750 section 2.1.
    let cases: &[Case<'_>] = &[
        (&[], "absent"),
        (&["Bearer a.b.c"], "a.b.c"),
        (&["bearer a.b.c"], "a.b.c"),
        (&["BEARER a.b.c"], "a.b.c"),
        (&["bEaReR a.b.c"], "a.b.c"),
        (&["Bearer   a.b.c"], "a.b.c"),
        (&["Bearer a.b.c=="], "a.b.c=="),
        (&["Bearer aZ09-._~+/"], "aZ09-._~+/"),
        (&["Bearer opaque"], "opaque"),
        (&["Bearer ztkx"], "ztkx"),
        (&["Bearer ZTK_a"], "ZTK_a"),
        // Empty.
        (&["Bearer"], "empty"),
        (&["Bearer "], "empty"),
        (&["Bearer     "], "empty"),
        // Not a token.
        (&["Bearer a.b.c "], "malformed"),
        (&["Bearer a.b .c"], "malformed"),
        (&["Bearer a.b.c Bearer a.b.c"], "malformed"),
        (&["Bearer Bearer a.b.c"], "malformed"),
        (&["Bearer\ta.b.c"], "malformed"),
        (&["Bearer \ta.b.c"], "malformed"),
        (&["Bearer\t"], "malformed"),
        (&[" Bearer a.b.c"], "malformed"),
        (&["\tBearer a.b.c"], "malformed"),
        (&["Bearer \"a.b.c\""], "malformed"),
        (&["Bearer token=a.b.c"], "malformed"),
        (&["Bearer a=b"], "malformed"),
        (&["Bearer ="], "malformed"),
        (&["Bearer =="], "malformed"),
        (&["Bearer a.b.c;"], "malformed"),
        (&["Bearer a%2Eb"], "malformed"),
        (&["Bearer {\"a\":1}"], "malformed"),
        (&["Bearer a.b.\u{e9}"], "malformed"),
        (&["Bearer a\\b"], "malformed"),
        (&["Bearer <a>"], "malformed"),
        // Several.
        (&["Bearer a.b.c", "Bearer a.b.c"], "several"),
        (&["Bearer a.b.c", "Bearer d.e.f"], "several"),
        (&["Bearer a.b.c", "Basic eDp5"], "several"),
        (&["Basic eDp5", "Bearer a.b.c"], "several"),
        (&["Bearer a.b.c", ""], "several"),
        (&["Bearer a.b.c", "Bearer ztk_a"], "several"),
        (&["Basic eDp5", "Basic eDp5", "Bearer a"], "several"),
        (&["DPoP a.b.c", "Bearer a.b.c"], "several"),
        (&["Basic eDp5", "Digest x, DPoP a"], "several"),
        // Joined by a proxy.
        (&["Bearer a.b.c, Bearer d.e.f"], "joined"),
        (&["Bearer a.b.c,Bearer d.e.f"], "joined"),
        (&["Bearer a.b.c, Basic eDp5"], "joined"),
        (&["Bearer a,b"], "joined"),
        (&["Bearer ,"], "joined"),
        (&["Bearer ztk_a, Bearer a.b.c"], "joined"),
        (&["Basic eDp5, Bearer a.b.c"], "several"),
        (&["Basic eDp5,bearer a.b.c"], "several"),
        (&["Basic eDp5, DPoP a.b.c"], "several"),
        (&["Basic eDp5,\tBearer a.b.c"], "several"),
        (&["Basic eDp5, Bearer"], "several"),
        // Somebody else's.
        (&["Bearer ztk_production_abc"], "foreign"),
        (&["bearer   ztk_"], "foreign"),
        (&["Basic eDp5"], "foreign"),
        (&["ServiceToken ztk_a"], "foreign"),
        (&["Signature keyId=\"a\", algorithm=\"b\""], "foreign"),
        (&["Negotiate a.b.c"], "foreign"),
        (&["BearerX a.b.c"], "foreign"),
        (&["XBearer a.b.c"], "foreign"),
        (&["Bearer: a.b.c"], "foreign"),
        (&["Bearer=a.b.c"], "foreign"),
        (&["Bear er a.b.c"], "foreign"),
        (&["a.b.c"], "foreign"),
        (&[""], "foreign"),
        (&["Basic eDp5", "Basic eDp5"], "foreign"),
        (&["Bearer ztk_a", "Bearer ztk_b"], "foreign"),
        // Ours, and not taken.
        (&["DPoP a.b.c"], "dpop"),
        (&["dpop a.b.c"], "dpop"),
        (&["DPoP"], "dpop"),
        (&["DPoP ztk_a"], "dpop"),
        (&["DPoP a.b.c, Bearer a.b.c"], "dpop"),
    ];
    assert!(cases.len() >= 60);
    check(&[Place::Authorization], "authorization", cases);
}

#[test]
fn a_header_of_its_own_is_the_token_and_nothing_else() {
    let place = [Place::Header(HeaderName::from_static("x-token"))];
    check(
        &place,
        "x-token",
        &[
            (&[], "absent"),
            (&["a.b.c"], "a.b.c"),
            // A service token has no business here; the verifier refuses it as it does any other
            // value that is no JWT.
            (&["ztk_a"], "ztk_a"),
            (&[""], "empty"),
            (&["Bearer a.b.c"], "malformed"),
            (&["a.b.c "], "malformed"),
            (&["a.b.c, d.e.f"], "joined"),
            (&["a.b.c", "a.b.c"], "several"),
            (&["", "a.b.c"], "several"),
        ],
    );
}

#[test]
fn cookies_are_found_by_their_exact_name() {
    let place = [Place::Cookie("__Host-jwt".into())];
    check(
        &place,
        "cookie",
        &[
            (&[], "absent"),
            (&[""], "absent"),
            (&["theme=dark"], "absent"),
            (&["__Host-jwt=a.b.c"], "a.b.c"),
            (&["theme=dark; __Host-jwt=a.b.c"], "a.b.c"),
            (&["theme=dark;__Host-jwt=a.b.c;lang=de"], "a.b.c"),
            (&["theme=dark;   __Host-jwt=a.b.c ; lang=de"], "a.b.c"),
            (&["theme=dark", "__Host-jwt=a.b.c", "lang=de"], "a.b.c"),
            (&["__Host-jwt=a.b.c;"], "a.b.c"),
            (&[";;__Host-jwt=a.b.c;;"], "a.b.c"),
            // Another name.
            (&["__host-jwt=a.b.c"], "absent"),
            (&["__Host-jwt"], "absent"),
            (&["__Host-jwtx=a.b.c"], "absent"),
            (&["x__Host-jwt=a.b.c"], "absent"),
            (&["__Host-jwt =a.b.c"], "absent"),
            (&["theme=__Host-jwt=a.b.c"], "absent"),
            (&["\u{2000}__Host-jwt=a.b.c"], "absent"),
            (&["$Version=1; theme=\"; __Host-jwt=a.b.c\""], "malformed"),
            (&["theme=dark, __Host-jwt=a.b.c"], "absent"),
            // Not a token.
            (&["__Host-jwt="], "empty"),
            (&["__Host-jwt=\"a.b.c\""], "malformed"),
            (&["__Host-jwt=a b"], "malformed"),
            (&["__Host-jwt= a.b.c"], "malformed"),
            (&["__Host-jwt=Bearer a.b.c"], "malformed"),
            (&["__Host-jwt=a%2Eb%2Ec"], "malformed"),
            (&["__Host-jwt=a.b.c, theme=dark"], "joined"),
            // Which of the two?
            (&["__Host-jwt=a.b.c; __Host-jwt=a.b.c"], "several"),
            (
                &["__Host-jwt=a.b.c; theme=dark; __Host-jwt=d.e.f"],
                "several",
            ),
            (&["__Host-jwt=a.b.c", "__Host-jwt=d.e.f"], "several"),
            (&["__Host-jwt=; __Host-jwt=a.b.c"], "several"),
        ],
    );
}

#[test]
fn two_places_are_two_credentials() {
    let all = [
        Place::Authorization,
        Place::Header(HeaderName::from_static("x-token")),
        Place::Cookie("jwt".into()),
    ];
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "absent"),
        (&[("authorization", "Bearer a")], "a"),
        (&[("x-token", "b")], "b"),
        (&[("cookie", "jwt=c")], "c"),
        (
            &[("authorization", "Bearer a"), ("x-token", "b")],
            "several",
        ),
        (
            &[("authorization", "Bearer a"), ("cookie", "jwt=c")],
            "several",
        ),
        (
            &[("authorization", "Bearer a"), ("cookie", "jwt=a")],
            "several",
        ),
        (
            &[("authorization", "Bearer"), ("cookie", "jwt=c")],
            "several",
        ),
        (
            &[("authorization", "DPoP a"), ("cookie", "jwt=c")],
            "several",
        ),
        (&[("x-token", "b"), ("cookie", "jwt=c")], "several"),
        (&[("x-token", ""), ("cookie", "jwt=c")], "several"),
        // Another authenticator of the stack may ask for the foreign one.
        (&[("authorization", "Basic x"), ("cookie", "jwt=c")], "c"),
        (&[("authorization", "Bearer ztk_a"), ("x-token", "b")], "b"),
        (
            &[("authorization", "Basic x, Bearer a"), ("cookie", "jwt=c")],
            "several",
        ),
        (
            &[
                ("cookie", "jwt=c"),
                ("cookie", "jwt=d"),
                ("authorization", "Basic x"),
            ],
            "several",
        ),
    ];
    for (headers, expected) in cases {
        let bytes: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        assert_eq!(read(&all, &parts(&bytes)), *expected, "{headers:?}");
    }
}

#[test]
fn a_place_that_is_not_configured_is_not_looked_at() {
    let elsewhere = [
        ("authorization", b"Bearer a".as_slice()),
        ("cookie", b"jwt=c".as_slice()),
        ("x-token", b"b".as_slice()),
    ];
    assert_eq!(
        read(&[Place::Cookie("other".into())], &parts(&elsewhere)),
        "absent"
    );
    assert_eq!(
        read(&[Place::Cookie("jwt".into())], &parts(&elsewhere)),
        "c"
    );
    let query = Request::get("/?access_token=a.b.c").body(()).unwrap();
    assert_eq!(
        read(&[Place::Authorization], &query.into_parts().0),
        "absent"
    );
}

#[test]
fn stripping_leaves_what_is_not_ours() {
    let place = Place::Cookie("jwt".into());
    let fields: &[(&str, &[u8])] = &[
        ("cookie", b"theme=dark; jwt=c; lang=de"),
        ("cookie", b"jwt=d"),
        ("cookie", b"jwtx=e;f"),
        ("authorization", b"Bearer a"),
    ];
    let mut parts = parts(fields);
    strip(&place, &mut parts.headers);
    let left: Vec<_> = parts.headers.get_all("cookie").iter().collect();
    assert_eq!(left, ["theme=dark; lang=de", "jwtx=e;f"]);
    assert!(parts.headers.contains_key("authorization"));
    strip(&Place::Authorization, &mut parts.headers);
    assert!(!parts.headers.contains_key("authorization"));
}

/// A plain second reading of one `Authorization` value, for the ones that give a token.
fn plainly(value: &[u8]) -> Option<&[u8]> {
    let rest = value.get(6..)?;
    if !value.get(..6)?.eq_ignore_ascii_case(b"bearer") {
        return None;
    }
    let token = rest
        .iter()
        .position(|byte| *byte != b' ')
        .map(|at| &rest[at..])?;
    let body = token
        .iter()
        .rposition(|byte| *byte != b'=')
        .map(|at| &token[..=at])?;
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    (rest[0] == b' ' && body.iter().all(known) && !token.starts_with(b"ztk_")).then_some(token)
}

fn header_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"Bearer".to_vec()),
        Just(b"bearer ".to_vec()),
        Just(b"DPoP ".to_vec()),
        Just(b"ztk_".to_vec()),
        Just(b"jwt=".to_vec()),
        Just(b"; ".to_vec()),
        Just(b", ".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\t".to_vec()),
        Just(b"=".to_vec()),
        Just(b"a.b.c".to_vec()),
        prop::collection::vec(
            any::<u8>().prop_filter("not in a value", |byte| {
                HeaderValue::from_bytes(&[*byte]).is_ok()
            }),
            0..4
        ),
    ];
    prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn authorization_gives_a_token_where_a_plain_reading_does(value in header_bytes()) {
        let parts = parts(&[("authorization", &value)]);
        let cx = SecurityContext::open(&parts, &Arc::new(Settings::default()));
        let found = match find(&[Place::Authorization], &parts, &cx) {
            Found::One(credential) => token(&credential).ok(),
            _ => None,
        };
        prop_assert_eq!(found, plainly(&value));
    }

    #[test]
    fn no_values_panic_and_two_tokens_are_never_one(
        values in prop::collection::vec((0..3_usize, header_bytes()), 0..4)
    ) {
        let names = ["authorization", "cookie", "x-token"];
        let headers: Vec<_> = values.iter().map(|(at, value)| (names[*at], value.as_slice())).collect();
        let parts = parts(&headers);
        let places = [
            Place::Authorization,
            Place::Cookie("jwt".into()),
            Place::Header(HeaderName::from_static("x-token")),
        ];
        let alone = places.iter().filter(|place| {
            !["absent", "foreign"].contains(&read(std::slice::from_ref(*place), &parts).as_str())
        });
        let alone = alone.count();
        let all = read(&places, &parts);
        if alone > 1 {
            prop_assert_eq!(&all, "several");
        }
        prop_assert_eq!(alone == 0, all == "absent" || all == "foreign");
        for place in &places {
            let mut stripped = parts.clone();
            strip(place, &mut stripped.headers);
            prop_assert_eq!(read(std::slice::from_ref(place), &stripped), "absent");
        }
    }
}
