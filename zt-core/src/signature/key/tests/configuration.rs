use serde_json::{Value, json};

use super::*;

struct Files(std::path::PathBuf);

impl Files {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("zt-keys-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        format!("file:{}", path.display())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ring(config: Value) -> Result<KeyRing, String> {
    let config: KeyRingConfig =
        serde_json::from_value(config).map_err(|error| error.to_string())?;
    KeyRing::try_from(config).map_err(|error| error.to_string())
}

#[test]
fn refuses_what_it_does_not_understand() {
    let files = Files::new("refuses");
    let secret = files.write("secret", &[1; 32]);
    let short = files.write("short", &[1; 31]);
    let good = json!({
        "id": "a", "algorithm": "hmac-sha256", "subject": "orders", "secret": secret,
    });
    ring(json!({ "keys": [good] })).unwrap();
    for (member, value, says) in [
        ("surplus", json!(1), "unknown field `surplus`"),
        (
            "algorithm",
            json!("none"),
            "no algorithm has the name `none`",
        ),
        (
            "algorithm",
            json!("ed25519"),
            "key `a`: `ed25519` does not work with shared secrets",
        ),
        (
            "secret",
            json!(short),
            "key `a`: a shared secret has at least 32 bytes",
        ),
        (
            "secret",
            json!("0123456789abcdef0123456789abcdef"),
            "not as its value",
        ),
        ("secret", json!("file:/none/such"), "nothing to be read"),
        ("secret_base64", json!(secret), "one of `secret`"),
        ("public_key", json!(secret), "one of `secret`"),
        ("purposes", json!([]), "has no purpose"),
        ("purposes", json!(["everything"]), "unknown variant"),
        ("subject", json!(""), "subject of key `a` is empty"),
        ("id", json!(""), "printable ASCII"),
        ("previous", json!({"until": 1}), "key `a`: one of `secret`"),
        (
            "previous",
            json!({"secret": secret}),
            "missing field `until`",
        ),
    ] {
        let mut key = good.clone();
        key[member] = value;
        let error = ring(json!({ "keys": [key] })).unwrap_err();
        assert!(error.contains(says), "{member}: {error}");
        assert!(!error.contains("0123456789abcdef"), "{error}");
    }
    assert!(
        ring(json!({ "keys": [good, good] }))
            .unwrap_err()
            .contains("two keys")
    );
    assert!(ring(json!({})).is_err());
}

#[test]
fn refuses_a_public_key_as_a_shared_secret_by_either_name() {
    let files = Files::new("confusion");
    let pem = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n\
        -----END PUBLIC KEY-----\n";
    let pem = files.write("pem", pem.as_bytes());
    for (member, says) in [
        ("secret", "was given as a shared secret"),
        ("public_key", "`hmac-sha256` works with shared secrets"),
    ] {
        let key = json!({"id": "a", "algorithm": "hmac-sha256", "subject": "s", member: pem});
        let error = ring(json!({ "keys": [key] })).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    let key = json!({"id": "a", "algorithm": "ed25519", "subject": "s", "public_key": pem});
    let ring = ring(json!({ "keys": [key] }));
    if cfg!(feature = "asymmetric") {
        assert!(ring.unwrap().get("a").unwrap().permits_alg("ed25519"));
    } else {
        let error = ring.unwrap_err();
        assert!(
            error.contains("`ed25519` needs the feature `asymmetric`"),
            "{error}"
        );
    }
}

#[test]
fn reads_all_that_a_key_can_have() {
    use base64::{Engine, engine::general_purpose::STANDARD};

    let files = Files::new("reads");
    let current = files.write(
        "current",
        format!("{}\n", STANDARD.encode([2; 32])).as_bytes(),
    );
    let previous = files.write("previous", &[1; 32]);
    let ring = ring(json!({ "keys": [{
        "id": "a",
        "algorithm": "hmac-sha256",
        "secret_base64": current,
        "previous": {"secret": previous, "until": 100},
        "subject": "orders",
        "issuer": "partners",
        "scopes": ["pay"],
        "roles": ["writer"],
        "tenant": "acme",
        "purposes": ["responses"],
        "not_before": 10,
        "expires_at": 200,
    }]}))
    .unwrap();
    let entry = ring.get("a").unwrap();
    let principal = entry.principal();
    assert_eq!(principal.subject(), "orders");
    assert_eq!(principal.issuer(), Some("partners"));
    assert_eq!(principal.tenant(), Some("acme"));
    assert!(principal.has_scope("pay") && principal.has_role("writer"));
    assert_eq!(principal.expires_at(), Some(at(200)));
    let verify = |byte, time| {
        let tag = hmac(byte).sign(b"base").unwrap();
        entry.verify(Purpose::Responses, at(time), b"base", &tag)
    };
    assert_eq!(verify(2, 9), Err(KeyRefusal::NotYet));
    assert_eq!(verify(2, 10), Ok(KeyAge::Current));
    assert_eq!(verify(1, 99), Ok(KeyAge::Previous));
    assert_eq!(verify(1, 100), Err(KeyRefusal::BadSignature));
    assert!(!entry.is_for(Purpose::Requests));
}
