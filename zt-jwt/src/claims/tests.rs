use super::*;
use crate::refusal::Refusal;

const NOTHING: Wanted<'_> = Wanted {
    roles: Some("roles"),
    tenant: None,
    required: &[],
};

fn read(text: &str) -> Result<Claims<'_>, Refusal> {
    Claims::read(text, NOTHING)
}

#[test]
fn reads_what_decides_something() {
    let claims = read(
        r#"{"iss":"i","sub":"s","aud":["a","b"],"exp":1700000000.5,"nbf":1,"iat":0,"jti":"j",
        "sid":null,"acr":"2","auth_time":5,"client_id":"c","scope":"x y","scp":["z"],
        "roles":["r"],"x":{"y":[{}]},"cnf":{"jkt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}"#,
    )
    .unwrap();
    assert_eq!(claims.issuer.as_deref(), Some("i"));
    assert_eq!(claims.subject.as_deref(), Some("s"));
    let audience: Vec<_> = claims.audience.as_ref().unwrap().iter().collect();
    assert_eq!(audience, ["a", "b"]);
    assert_eq!(
        claims.expires,
        Some(Timestamp::from_micros(1_700_000_000_500_000))
    );
    assert_eq!(claims.issued, Some(Timestamp::EPOCH));
    assert_eq!(claims.session, None);
    assert_eq!(claims.roles.as_ref().unwrap().iter().next(), Some("r"));
    assert_eq!(claims.confirmation, Some(Confirmation::Key([0; 32])));
}

#[test]
fn a_claim_of_another_type_is_refused() {
    for claims in [
        r#"{"iss":["i"]}"#,
        r#"{"iss":{}}"#,
        r#"{"iss":1}"#,
        r#"{"iss":null}"#,
        r#"{"sub":7}"#,
        r#"{"sub":["s"]}"#,
        r#"{"aud":7}"#,
        r#"{"aud":null}"#,
        r#"{"aud":["a",7]}"#,
        r#"{"aud":["a",["b"]]}"#,
        r#"{"aud":["a",{"b":1}]}"#,
        r#"{"aud":{"a":true}}"#,
        r#"{"exp":"1700000000"}"#,
        r#"{"exp":-1}"#,
        r#"{"exp":-0.5}"#,
        r#"{"exp":1e300}"#,
        r#"{"exp":1e999}"#,
        r#"{"exp":{"$serde_json::private::Number":"1700000000"}}"#,
        r#"{"exp":"null"}"#,
        r#"{"exp":18446744073709551615}"#,
        r#"{"exp":253402300800}"#,
        r#"{"exp":true}"#,
        r#"{"exp":null}"#,
        r#"{"exp":[1]}"#,
        r#"{"nbf":"1"}"#,
        r#"{"iat":{}}"#,
        r#"{"jti":1}"#,
        r#"{"scope":[1]}"#,
        r#"{"scope":{"a":true}}"#,
        r#"{"scp":[1]}"#,
        r#"{"auth_time":"now"}"#,
        r#"{"cnf":null}"#,
        r#"{"cnf":"x"}"#,
        r#"{"cnf":[]}"#,
    ] {
        assert_eq!(read(claims).err(), Some(Refusal::ClaimType), "{claims}");
    }
}

#[test]
fn a_claim_that_only_the_policy_reads_is_judged_by_whose_policy_it_is() {
    assert!(read(r#"{"roles":{"a":1}}"#).unwrap().misfit);
    assert!(!read(r#"{"roles":["a"],"sid":null}"#).unwrap().misfit);
    // It cannot hide one that is wrong whatever the policy.
    for claims in [
        r#"{"sub":7,"roles":["a"]}"#,
        r#"{"roles":["a"],"sub":7}"#,
        r#"{"roles":7,"sub":7}"#,
    ] {
        assert_eq!(read(claims).err(), Some(Refusal::ClaimType), "{claims}");
    }
}

#[test]
fn dates_are_read_as_they_are_written() {
    for (date, micros) in [
        ("0", 0),
        ("-0", 0),
        ("-0.0", 0),
        ("1", 1_000_000),
        ("1.5", 1_500_000),
        ("17e8", 1_700_000_000_000_000),
        ("1.7E+9", 1_700_000_000_000_000),
        (" 253402300799 ", 253_402_300_799_000_000),
        ("0.0000000000000000000000000000000000000000000001", 0),
    ] {
        let text = format!(r#"{{"exp":{date},"auth_time":{date}}}"#);
        let claims = read(&text).unwrap();
        let at = Some(Timestamp::from_micros(micros));
        assert_eq!((claims.expires, claims.authenticated), (at, at), "{date}");
    }
    for bad in ["253402300799.9", "253402300800", "-1e-9", "null", "[0]"] {
        let text = format!(r#"{{"exp":{bad}}}"#);
        assert_eq!(read(&text).err(), Some(Refusal::ClaimType), "{bad}");
    }
    for bad in [
        "01", "1.", ".5", "+1", "NaN", "Infinity", "0x1", "1_0", "nul",
    ] {
        let text = format!(r#"{{"exp":{bad}}}"#);
        assert_eq!(read(&text).err(), Some(Refusal::PayloadJson), "{bad}");
    }
}

#[test]
fn json_that_could_be_read_in_two_ways_is_refused() {
    for claims in [
        r#"{"iss":"a","iss":"a"}"#,
        r#"{"iss":"a","\u0069ss":"b"}"#,
        r#"{"x":1,"x":2}"#,
        r#"{"x":{"y":1,"y":2}}"#,
        r#"{"x":[[{"y":1,"y":2}]]}"#,
        r#"{"aud":["a",{"b":1,"b":2}]}"#,
        r#"{"roles":{"a":1,"a":2}}"#,
        r#"{"cnf":{"jkt":"a","jkt":"b"}}"#,
        r#"{"cnf":{"jwk":{"kty":"a","kty":"b"}}}"#,
        r#"["iss"]"#,
        r#""iss""#,
        "7",
        "null",
        "",
        "{",
        r#"{"iss":"a"}{}"#,
    ] {
        assert_eq!(read(claims).err(), Some(Refusal::PayloadJson), "{claims}");
    }
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    assert_eq!(read(&deep).err(), Some(Refusal::PayloadJson));
}

#[test]
fn a_confirmation_is_one_thing_that_is_known_or_cannot_be_proved() {
    let zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let found = |cnf: &str| {
        let text = format!(r#"{{"cnf":{cnf}}}"#);
        read(&text).unwrap().confirmation.unwrap()
    };
    assert_eq!(
        found(&format!(r#"{{"x5t#S256":"{zeros}"}}"#)),
        Confirmation::Certificate([0; 32])
    );
    for unknown in [
        "{}".to_owned(),
        r#"{"kid":"k"}"#.to_owned(),
        r#"{"jwk":{}}"#.to_owned(),
        r#"{"x5t#S256":"AAAA"}"#.to_owned(),
        r#"{"x5t#S256":7}"#.to_owned(),
        format!(r#"{{"x5t#S256":"{zeros}="}}"#),
        format!(r#"{{"x5t#S256":"{zeros}","jkt":"{zeros}"}}"#),
        format!(r#"{{"jkt":"{zeros}","kid":"k"}}"#),
    ] {
        assert_eq!(found(&unknown), Confirmation::Unknown, "{unknown}");
    }
}

#[test]
fn the_worst_word_about_the_kind_counts() {
    let says = |text: &str| read(text).unwrap().marks.says;
    assert_eq!(says(r#"{"typ":"Bearer"}"#), Some(Says::Access));
    assert_eq!(says(r#"{"typ":"JWT"}"#), None);
    assert_eq!(says(r#"{"typ":"ID"}"#), Some(Says::Id));
    assert_eq!(
        says(r#"{"token_use":"access","typ":"Refresh"}"#),
        Some(Says::Other)
    );
    assert_eq!(says(r#"{"typ":"Bearer","token_use":"id"}"#), Some(Says::Id));
    assert_eq!(says(r#"{"token_use":1}"#), Some(Says::Other));
}
