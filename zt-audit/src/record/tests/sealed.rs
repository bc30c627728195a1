//! What stands in a record for those who have no vault, and for those who have.

use base64::{Engine, prelude::BASE64_STANDARD};
use zt_core::{
    context::{PeerAddr, SecurityContext},
    random::SeededEntropy,
    state::AdminEvent,
};

use super::*;
use crate::{
    seal::{Pseudonym, Vault, VaultOptions},
    storage::simulated::{Loss, SimulatedDisk},
};

/// In each personal value; in no other.
pub(super) const MARK: &str = "PERSONAL";

struct Sealing {
    vault: Arc<Vault>,
    disk: SimulatedDisk,
    chain: Chain,
    lines: Vec<Vec<u8>>,
}

fn open_vault(disk: &SimulatedDisk) -> Vault {
    let options = VaultOptions::default().entropy(SeededEntropy::new(5));
    Vault::with_storage(Arc::new(disk.clone()), options).unwrap()
}

impl Sealing {
    fn new() -> Self {
        let disk = SimulatedDisk::new(1);
        let vault = Arc::new(open_vault(&disk));
        Self {
            chain: Chain::new("test/1".into(), 0, ZEROS, Some(Arc::clone(&vault))),
            vault,
            disk,
            lines: Vec::new(),
        }
    }

    fn write(&mut self, event: &Event) -> &[u8] {
        let mut line = Vec::new();
        let hash = self.chain.append_event(&mut line, event).unwrap();
        self.vault.commit().unwrap();
        assert_eq!(line.pop(), Some(b'\n'));
        assert!(line.len() <= MAX_RECORD, "{}", line.len());
        assert_eq!(hash, leaf(&line));
        self.lines.push(line);
        self.lines.last().unwrap()
    }

    fn open(&self, line: usize) -> Result<Value, OpenRecordError> {
        open_record(&self.lines[line], &self.vault).map(Value::Object)
    }
}

pub(super) fn named(what: &str) -> String {
    format!("{MARK}-{what}")
}

pub(super) fn full_decision(subject: &str, verdict: impl FnOnce(Permit) -> Verdict) -> Event {
    let (mut parts, ()) = Request::post(format!("/orders/{}?q={}", named("path"), named("query")))
        .header("user-agent", named("agent"))
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .body(())
        .unwrap()
        .into_parts();
    let peer = "203.0.113.77:50123".parse().unwrap();
    parts.extensions.insert(PeerAddr(peer));
    let settings = Arc::new(zt_core::gate::Settings::default());
    let mut cx = SecurityContext::open(&parts, &settings);
    let principal = Principal::assertion(PrincipalKind::User, subject, AuthMethod::Jwt)
        .issuer("https://id.example")
        .tenant("acme")
        .token(named("token"))
        .finish();
    cx.set_principal(Arc::new(principal));
    let permit = Permit::assertion("orders.create")
        .policy("orders", "2026-11-22.3")
        .finish();
    decision(cx.trail(), verdict(permit), true)
}

fn denial() -> Denial {
    Denial::new(Code::PolicyDenied)
        .detail(named("detail"))
        .violates("no-export")
}

/// An event of each kind that has anything personal in it, and of those that have not.
pub(super) fn every_kind() -> Vec<Event> {
    let at = Timestamp::from_secs(1_893_456_000);
    let name = |what: &str| -> Arc<str> { named(what).into() };
    let target = |target| {
        Event::Sanction(SanctionEvent {
            at,
            author: name("author"),
            action: "imposed",
            target,
            reason: named("reason"),
            expires: Some(at),
        })
    };
    let part = |limit: &str, window| BudgetPart {
        limit: limit.into(),
        subject: name(limit),
        window,
    };
    vec![
        full_decision(&named("alice"), Verdict::Permit),
        full_decision(&named("alice"), |_| Verdict::Deny(denial())),
        decision(
            &trail_of(Request::get(format!("/{}", named("path")))),
            Verdict::Deny(denial()),
            false,
        ),
        outcome(HandlerRun::Reached),
        Event::Admin(AdminEvent {
            at,
            author: Some(name("author")),
            action: "service-token.mint",
            object: name("object"),
            detail: Some(named("detail")),
        }),
        Event::Admin(AdminEvent {
            at,
            author: None,
            action: "policy.load",
            object: name("object"),
            detail: None,
        }),
        Event::Grant(GrantEvent {
            at,
            author: Some(name("author")),
            author_issuer: None,
            action: "approved",
            id: None,
            subject: name("subject"),
            issuer: None,
            tenant: None,
            grant: name("grant"),
            reason: Some(named("reason")),
            expires: Some(at),
        }),
        Event::Budget(BudgetEvent {
            at,
            author: Some(name("author")),
            action: "held",
            hold: Some(10),
            root: name("root"),
            budgets: [
                part("day", Some((at, Timestamp::MAX))),
                part("minute", None),
            ]
            .into(),
            currency: Some("EUR".into()),
            nanos: 5,
            percent: Some(80),
            request: Some(RequestId::from_u128(7)),
            detail: Some(named("detail")),
        }),
        Event::Budget(BudgetEvent {
            at,
            author: None,
            action: "charge",
            hold: None,
            root: name("root"),
            budgets: [].into(),
            currency: None,
            nanos: 5,
            percent: None,
            request: None,
            detail: None,
        }),
        target(SanctionTarget::Subject {
            issuer: Some(name("issuer")),
            subject: name("mallory"),
            before: at,
        }),
        target(SanctionTarget::Token(name("token"))),
        target(SanctionTarget::Session(name("session"))),
        target(SanctionTarget::Key("key-1".into())),
        target(SanctionTarget::Workload("spiffe://example/pay".into())),
        Event::Config(ConfigEvent {
            at,
            part: "policy",
            action: "refused",
            version: "9".into(),
            detail: Some("line 3".into()),
        }),
        Event::Alert(AlertEvent {
            at,
            detector: "travel",
            subject: name("alice"),
            score: 900,
            evidence: named("evidence"),
        }),
    ]
}

/// Whether `line` has something that belongs to a person, in any of the forms in which it could.
pub(super) fn is_personal(line: &[u8]) -> bool {
    let text = std::str::from_utf8(line).unwrap();
    // Of base64 the part that does not depend on what is beside.
    let encoded = (0..3).map(|shift| {
        let padded = format!("{}{MARK}", "x".repeat(shift));
        let encoded = BASE64_STANDARD.encode(padded);
        encoded.get(4..10).unwrap().to_owned()
    });
    [MARK.to_owned(), "203.0.113.77".to_owned()]
        .into_iter()
        .chain(encoded)
        .any(|personal| text.contains(&personal))
}

#[test]
fn without_the_vault_a_record_has_nothing_personal_in_it() {
    let mut sealing = Sealing::new();
    for event in every_kind() {
        let kind = event.kind();
        // What would be found, were it not sealed.
        let has = !matches!(event, Event::Outcome(_) | Event::Config(_));
        assert_eq!(is_personal(&line(&event)), has, "{kind:?}");
        let sealed = sealing.write(&event);
        assert!(!is_personal(sealed), "{}", String::from_utf8_lossy(sealed));
        assert_eq!(parse(sealed)[0].get("sealed").is_some(), has, "{kind:?}");
    }
    for (name, bytes) in sealing
        .disk
        .names()
        .iter()
        .map(|name| (name, sealing.disk.read(name)))
    {
        let bytes = bytes.unwrap();
        let has = bytes
            .windows(MARK.len())
            .any(|window| window == MARK.as_bytes());
        assert!(!has, "{name} of the vault has names in it");
    }
}

#[test]
fn an_opened_record_is_the_one_that_would_stand_in_the_clear() {
    for event in every_kind() {
        let mut sealing = Sealing::new();
        sealing.write(&event);
        assert_eq!(sealing.open(0).unwrap(), record(&event));
    }
}

#[test]
fn a_hash_of_what_was_cut_is_as_secret_as_what_was_cut() {
    let long = named(&"x".repeat(5000));
    let digest = String::from_utf8(to_hex(&Sha256::digest(&long))).unwrap();
    let mut sealing = Sealing::new();
    let event = Event::Alert(AlertEvent {
        at: Timestamp::from_secs(1_893_456_000),
        detector: "travel",
        subject: long.as_str().into(),
        score: 900,
        evidence: long.clone(),
    });
    assert!(String::from_utf8(line(&event)).unwrap().contains(&digest));
    let sealed = sealing.write(&event);
    assert!(!String::from_utf8_lossy(sealed).contains(&digest));
    assert_eq!(sealing.open(0).unwrap()["subject_sha256"], digest);
}

/// The end of a record that is too large for its own bounds, which no event makes.
#[test]
fn the_hash_of_fields_that_are_too_large_is_of_what_was_sealed() {
    let sealing = Sealing::new();
    let mut chain = sealing.chain.clone();
    let large = |record: &mut Fields<'_>| {
        record.about(DataSubject::Named("alice"), |personal| {
            personal.text("object", &"x".repeat(70_000), 70_000);
        })
    };
    let mut hashes = Vec::new();
    for _ in 0..2 {
        let mut out = Vec::new();
        chain
            .append(&mut out, "admin", Timestamp::EPOCH, large)
            .unwrap();
        let record = parse(&out).remove(0);
        hashes.push(record["fields_sha256"].as_str().unwrap().to_owned());
        assert!(out.len() < 500 && record.get("sealed").is_none());
    }
    assert_ne!(hashes[0], hashes[1], "it would tell what it is the hash of");
}

#[test]
fn parts_cannot_be_exchanged_between_records_or_persons() {
    let mut sealing = Sealing::new();
    for subject in ["alice", "alice", "bob"] {
        sealing.write(&full_decision(subject, Verdict::Permit));
    }
    let part = |line: usize| parse(&sealing.lines[line])[0]["sealed"][0].clone();
    let with = |line: usize, part: Value| {
        let mut record = parse(&sealing.lines[line]).remove(0);
        record["sealed"] = json!([part]);
        open_record(record.to_string().as_bytes(), &sealing.vault)
    };
    assert!(with(0, part(0)).is_ok());
    // Another record of the same person; another person's; another person's under the first's name.
    for moved in [
        part(1),
        part(2),
        json!([part(0)[0], part(2)[1]]),
        json!([part(2)[0], part(0)[1]]),
    ] {
        let refused = with(0, moved);
        assert!(
            matches!(refused, Err(OpenRecordError::Vault(VaultError::Sealed))),
            "{refused:?}"
        );
    }
    // The same record in another place or in another log.
    for (field, value) in [("idx", json!(1)), ("origin", json!("test/2"))] {
        let mut record = parse(&sealing.lines[0]).remove(0);
        record[field] = value;
        let refused = open_record(record.to_string().as_bytes(), &sealing.vault);
        assert!(matches!(
            refused,
            Err(OpenRecordError::Vault(VaultError::Sealed))
        ));
    }
}

#[test]
fn no_character_of_a_sealed_part_can_be_changed() {
    let mut sealing = Sealing::new();
    sealing.write(&full_decision("alice", Verdict::Permit));
    let line = sealing.lines[0].clone();
    let start = line
        .windows(8)
        .position(|some| some == b"\"sealed\"")
        .unwrap();
    for at in start + 8..line.len() {
        for with in [b'0', b'A', b'=', line[at] ^ 1] {
            if with == line[at] {
                continue;
            }
            let mut changed = line.clone();
            changed[at] = with;
            let opened = open_record(&changed, &sealing.vault);
            // Of a key that there is not: the part stays as it is.
            let is_shut = opened
                .as_ref()
                .is_ok_and(|record| !record.contains_key("subject"));
            assert!(opened.is_err() || is_shut, "byte {at}: {opened:?}");
        }
    }
}

#[test]
fn what_is_no_record_is_refused() {
    let sealing = Sealing::new();
    for line in [
        &b""[..],
        b"[]",
        b"{",
        br#"{"v":2,"sealed":[]}"#,
        br#"{"v":2,"origin":"o","sealed":[]}"#,
        br#"{"v":2,"origin":"o","idx":-1,"sealed":[]}"#,
        br#"{"v":2,"origin":"o","idx":1,"sealed":{}}"#,
        br#"{"v":2,"origin":"o","idx":1,"sealed":[[]]}"#,
        br#"{"v":2,"origin":"o","idx":1,"sealed":[["00","AAAA"]]}"#,
        br#"{"v":2,"origin":"o","idx":1,"sealed":[["00000000000000000000000000000000","AA"]]}"#,
    ] {
        let refused = open_record(line, &sealing.vault);
        assert!(refused.is_err(), "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn nothing_sealed_takes_the_place_of_what_stands_in_the_clear() {
    let mut sealing = Sealing::new();
    sealing.write(&full_decision("alice", Verdict::Permit));
    for (field, value) in [("subject", json!("bob")), ("path", json!(["/"]))] {
        let mut record = parse(&sealing.lines[0]).remove(0);
        record[field] = value;
        let refused = open_record(record.to_string().as_bytes(), &sealing.vault);
        assert!(
            matches!(refused, Err(OpenRecordError::Record(_))),
            "{field}"
        );
    }
}

#[test]
fn who_is_erased_is_gone_from_records_whose_bytes_stay() {
    let mut sealing = Sealing::new();
    let alice = || full_decision("alice", Verdict::Permit);
    sealing.write(&alice());
    sealing.write(&full_decision("bob", Verdict::Permit));
    let stolen = open_vault(&sealing.disk.after(Loss::Nothing));
    let (before, hash) = (sealing.lines.clone(), sealing.chain.prev());

    let who = DataSubject::Principal {
        issuer: Some("https://id.example"),
        subject: "alice",
    };
    let forgotten = sealing.vault.forget(who).unwrap();
    assert_eq!(forgotten.keys, 1);
    let mut line = Vec::new();
    let erased = Erased {
        action: "done",
        pseudonyms: &forgotten.pseudonyms,
        keys: forgotten.keys,
        author: Some("root"),
        reason: "asked by alice",
    };
    sealing
        .chain
        .append_erased(&mut line, Timestamp::from_secs(1_893_456_000), erased)
        .unwrap();
    let told = parse(&line).remove(0);
    let first = forgotten.pseudonyms[0].to_string();
    assert_eq!(
        (&told["kind"], &told["pseudonyms"][0]),
        (&json!("erased"), &json!(first))
    );
    assert_eq!((&told["keys"], told.get("reason")), (&json!(1), None));
    assert!(!String::from_utf8(line).unwrap().contains("alice"));

    assert_eq!(sealing.lines, before);
    assert_eq!(
        parse(&sealing.lines[1])[0]["prev"],
        json!(leaf(&before[0]).to_string())
    );
    assert_eq!(hash, leaf(&before[1]));

    let gone = sealing.open(0).unwrap();
    assert_eq!(gone["erased"], json!([first]));
    assert_eq!((gone.get("subject"), gone.get("sealed")), (None, None));
    assert_eq!(
        (&gone["rule"], &gone["tenant"]),
        (&json!("orders.create"), &json!("acme"))
    );
    assert_eq!(sealing.open(1).unwrap()["subject"], "bob");

    // They come back, and are somebody with the same pseudonym and another key.
    sealing.write(&alice());
    assert_eq!(sealing.open(2).unwrap()["subject"], "alice");
    assert_eq!(sealing.open(0).unwrap()["erased"], json!([first]));

    // What no erasure can help.
    let opened = open_record(&before[0], &stolen).unwrap();
    assert_eq!(opened["subject"], "alice");
}

#[test]
fn parts_of_a_vault_that_has_not_their_keys_stay_shut() {
    let mut sealing = Sealing::new();
    let behind = open_vault(&sealing.disk.after(Loss::Nothing));
    sealing.write(&full_decision("alice", Verdict::Permit));
    let record = Value::Object(open_record(&sealing.lines[0], &behind).unwrap());
    assert_eq!(record, parse(&sealing.lines[0])[0]);
}

#[test]
fn the_author_and_who_it_was_done_to_are_forgotten_apart() {
    let mut sealing = Sealing::new();
    for event in every_kind() {
        if let Event::Grant(_) | Event::Sanction(_) | Event::Budget(_) = &event {
            sealing.write(&event);
        }
    }
    let author = named("author");
    sealing.vault.forget(DataSubject::Named(&author)).unwrap();
    for line in 0..sealing.lines.len() {
        let opened = sealing.open(line).unwrap();
        assert!(opened.get("author").is_none());
        let others = ["subject", "root", "reason"];
        assert!(others.iter().any(|field| opened.get(*field).is_some()));
    }
}

/// A stranger makes no keys, whatever they send.
#[test]
fn a_flood_without_names_is_sealed_under_one_key() {
    let mut sealing = Sealing::new();
    let mut names = std::collections::HashSet::<Pseudonym>::new();
    for number in 0..500 {
        let request = Request::get(format!("/{number}")).header("user-agent", number.to_string());
        let event = decision(&trail_of(request), Verdict::Deny(denial()), false);
        let record = parse(sealing.write(&event)).remove(0);
        let who = record["sealed"][0][0].as_str().unwrap();
        names.insert(Pseudonym::from_hex(who.as_bytes()).unwrap());
    }
    // The test may run at midnight.
    assert!(names.len() <= 2);
    assert!(sealing.disk.read("subjects").unwrap().len() <= 3 * 128);
}

#[test]
fn where_nothing_can_be_sealed_nothing_is_written() {
    let sealing = Sealing::new();
    let folder = sealing.disk.after(Loss::Nothing);
    drop(open_vault(&folder));
    #[derive(Debug)]
    struct Dry;
    impl zt_core::random::Entropy for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), zt_core::random::EntropyError> {
            Err(zt_core::random::EntropyError)
        }
    }
    let options = VaultOptions::default().entropy(Dry);
    let vault = Vault::with_storage(Arc::new(folder), options).unwrap();
    let mut chain = Chain::new("test/1".into(), 7, ZEROS, Some(Arc::new(vault)));
    let mut out = b"before".to_vec();
    let refused = chain.append_event(&mut out, &admin("object"));
    assert!(matches!(refused, Err(VaultError::Entropy(_))));
    assert_eq!(
        (out.as_slice(), chain.next(), chain.prev()),
        (&b"before"[..], 7, ZEROS)
    );
}

#[test]
fn the_largest_records_are_within_their_bound_when_sealed() {
    let mut sealing = Sealing::new();
    for (event, rest) in [(largest_decision(), NOT_SET_SEALED), (largest_budget(), 0)] {
        let line = sealing.write(&event);
        assert!(line.len() + rest <= MAX_RECORD, "{}", line.len());
        assert!(line.len() > 25_000, "{} is not the worst", line.len());
        assert!(parse(line)[0].get("fields_sha256").is_none());
    }
    let worst = |length: usize| "\u{7f}".repeat(length);
    let at = Timestamp::MAX;
    let name = || Arc::from(worst(9999));
    for event in [
        Event::Admin(AdminEvent {
            at,
            author: Some(name()),
            action: "a",
            object: name(),
            detail: Some(worst(9999)),
        }),
        Event::Grant(GrantEvent {
            at,
            author: Some(name()),
            author_issuer: Some(name()),
            action: "a",
            id: Some(name()),
            subject: name(),
            issuer: Some(name()),
            tenant: Some(name()),
            grant: name(),
            reason: Some(worst(9999)),
            expires: Some(at),
        }),
        Event::Sanction(SanctionEvent {
            at,
            author: name(),
            action: "a",
            target: SanctionTarget::Subject {
                issuer: Some(name()),
                subject: name(),
                before: at,
            },
            reason: worst(9999),
            expires: Some(at),
        }),
        Event::Alert(AlertEvent {
            at,
            detector: "a",
            subject: name(),
            score: u32::MAX,
            evidence: worst(9999),
        }),
    ] {
        let line = sealing.write(&event);
        assert!(parse(line)[0].get("fields_sha256").is_none());
    }
}

#[test]
fn a_full_decision_takes_700_bytes_and_sealing_not_much_more() {
    let event = full_decision("0b7c3f6e-53a1-4a88-8d9e-1a6f0e2c7d11", Verdict::Permit);
    let clear = line(&event).len();
    let mut sealing = Sealing::new();
    let sealed = sealing.write(&event).len();
    println!("a full decision: {clear} bytes, {sealed} sealed");
    assert!(clear <= 700, "{clear}");
    // Pseudonym, key, nonce, tag, and four bytes for three of what is personal.
    assert!(sealed <= clear + 170, "{sealed}");
}

/// `cargo test --release -p zt-audit --lib what_a_record_costs -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn what_a_record_costs() {
    use zt_core::clock::{Clock, SystemClock};
    const MANY: u32 = 200_000;
    let decisions = |persons: u32| -> Vec<Event> {
        let subject = |number: u32| format!("0b7c3f6e-53a1-4a88-8d9e-1a6f0e{number:06x}");
        let decision = |number| full_decision(&subject(number), Verdict::Permit);
        (0..persons).map(decision).collect()
    };
    let measure = |what: &str, mut chain: Chain, events: &[Event]| {
        let mut best = Duration::MAX;
        let mut out = Vec::with_capacity(1 << 20);
        for _ in 0..5 {
            let start = SystemClock.monotonic();
            for event in events.iter().cycle().take(MANY as usize) {
                if out.len() > 1 << 19 {
                    out.clear();
                }
                chain.append_event(&mut out, event).unwrap();
            }
            best = best.min((SystemClock.monotonic() - start) / MANY);
        }
        println!("{what}: {best:?}");
        best
    };
    let clear = || Chain::new("test/1".into(), 0, ZEROS, None);
    measure("an outcome", clear(), &[outcome(HandlerRun::Reached)]);
    measure("a decision in the clear", clear(), &decisions(1000));
    for persons in [1, 1000, 20_000] {
        let what = format!("a decision, sealed, {persons} persons");
        let took = measure(&what, Sealing::new().chain, &decisions(persons));
        assert!(took < Duration::from_micros(30));
    }
}

fn spent(root: &str, members: &[&str]) -> Event {
    let part = |subject: &&str| BudgetPart {
        limit: "day".into(),
        subject: (*subject).into(),
        window: None,
    };
    Event::Budget(BudgetEvent {
        at: Timestamp::from_secs(1_893_456_000),
        author: None,
        action: "held",
        hold: Some(10),
        root: root.into(),
        budgets: members.iter().map(part).collect(),
        currency: None,
        nanos: 5,
        percent: None,
        request: None,
        detail: None,
    })
}

#[test]
fn a_member_of_a_tenant_is_forgotten_in_the_tenants_budgets() {
    let mut sealing = Sealing::new();
    let event = spent("acme", &["acme", "alice", "alice", "bob"]);
    sealing.write(&event);
    assert_eq!(sealing.open(0).unwrap(), record(&event));
    sealing.vault.forget(DataSubject::Named("alice")).unwrap();
    let opened = sealing.open(0).unwrap();
    assert!(!opened.to_string().contains("alice"), "{opened}");
    assert_eq!(opened["root"], "acme");
    assert_eq!(opened["budgets"][0]["subject"], "acme");
    assert_eq!(opened["budgets"][3]["subject"], "bob");
}

#[test]
fn who_is_erased_by_issuer_and_name_is_erased_as_a_budgets_holder() {
    // As budgets name principals.
    let holder = "https://id.example/a%20b 50%25%20alice";
    let mut sealing = Sealing::new();
    sealing.write(&spent(holder, &[holder]));
    sealing.write(&spent("50%25%20alice", &[]));
    let principal = |issuer| DataSubject::Principal {
        issuer,
        subject: "50% alice",
    };
    let issuer = Some("https://id.example/a b");
    sealing.vault.forget(principal(issuer)).unwrap();
    sealing.vault.forget(principal(None)).unwrap();
    for line in 0..2 {
        let opened = sealing.open(line).unwrap();
        assert!(!opened.to_string().contains("alice"), "{opened}");
    }
}

/// As many persons as one step can take, all with names that need the most room.
#[test]
fn the_largest_budget_of_different_members_is_within_its_bound_when_sealed() {
    let names: Vec<String> = (0..20)
        .map(|index| format!("{}{index}", "\u{85}".repeat(900)))
        .collect();
    let members: Vec<&str> = names.iter().map(String::as_str).collect();
    let Event::Budget(mut event) = spent(&"\u{85}".repeat(9999), &members) else {
        panic!("budget")
    };
    event.author = Some("\u{85}".repeat(9999).into());
    event.detail = Some("\u{85}".repeat(9999));
    let mut sealing = Sealing::new();
    let line = sealing.write(&Event::Budget(event));
    assert!(line.len() <= MAX_RECORD, "{}", line.len());
    assert!(parse(line)[0].get("fields_sha256").is_none());
}
