#![expect(clippy::string_slice, reason = "they are ASCII")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use zt_core::{
    clock::Timestamp,
    random::{Entropy, EntropyError, SeededEntropy},
};

use super::*;
use crate::merkle::{Hash, leaf_hash};

// The example of Go's sumdb/note, from which C2SP signed-note was written.
const SKEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
const LINE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

// A checkpoint of a certificate transparency log, as it was published, with its witnesses.
const WITNESSED: &str = "arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

\u{2014} arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
\u{2014} arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
\u{2014} transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
\u{2014} witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
\u{2014} remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
\u{2014} witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
";
const WITNESSED_BY_LOG: &str =
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";
const WITNESSED_BY: [&str; 4] = [
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
];

// The example of C2SP tlog-cosignature.
const COSIGNED: &str = "example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
";

const AT: Timestamp = Timestamp::from_secs(1_893_456_000);

fn key(name: &str) -> SigningKey {
    SigningKey::generate(name, &SeededEntropy::new(1)).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: "shop.example/audit".to_owned(),
        size: 4711,
        root: leaf_hash(b"root"),
    }
}

fn signed() -> (SignedCheckpoint, SigningKey) {
    let key = key("shop.example/audit");
    (SignedCheckpoint::sign(checkpoint(), &key, AT), key)
}

fn note() -> String {
    format!("{TEXT}\n{LINE}")
}

#[test]
fn the_published_note_is_written_and_verified() {
    let key = SigningKey::parse(SKEY).unwrap();
    assert_eq!(key.verifier().to_string(), VKEY);
    assert_eq!(key.encode().as_str(), SKEY);
    assert_eq!(SignedNote::sign(TEXT, &key).unwrap().encode(), note());

    let read = SignedNote::parse(note().as_bytes()).unwrap();
    assert_eq!(read.text(), TEXT);
    assert_eq!(read.encode(), note());
    let vkey = VerifierKey::parse(VKEY).unwrap();
    assert_eq!((vkey.name(), vkey.id()), ("PeterNeumann", 0xc74f_20a3));
    assert_eq!(vkey.algorithm(), Algorithm::Ed25519);
    assert_eq!(read.verify(&vkey), Ok(None));
}

#[test]
fn a_checkpoint_that_others_published_is_verified_with_each_of_its_witnesses() {
    let read = SignedCheckpoint::parse(WITNESSED.as_bytes()).unwrap();
    assert_eq!(read.checkpoint().size, 1_432_088_532);
    assert_eq!(read.encode(), WITNESSED);
    let log = VerifierKey::parse(WITNESSED_BY_LOG).unwrap();
    assert_eq!(read.verify(&log), Ok(None));
    for vkey in WITNESSED_BY {
        let witness = VerifierKey::parse(vkey).unwrap();
        assert_eq!(witness.to_string(), vkey);
        assert_eq!(witness.algorithm(), Algorithm::CosignatureV1);
        let at = read.note().verify(&witness).unwrap().unwrap();
        assert_eq!(at.as_secs(), 0x6a12_2120);
        // Another log's key is not this log's.
        assert_eq!(read.verify(&witness), Err(NoteError::Origin));
    }
    let other = WITNESSED.replacen("1432088532", "1432088533", 1);
    let other = SignedCheckpoint::parse(other.as_bytes()).unwrap();
    assert_eq!(other.verify(&log), Err(NoteError::Signature));
    for vkey in WITNESSED_BY {
        let witness = VerifierKey::parse(vkey).unwrap();
        assert_eq!(other.note().verify(&witness), Err(NoteError::Signature));
    }
}

#[test]
fn the_example_of_the_specification_is_read() {
    let read = SignedCheckpoint::parse(COSIGNED.as_bytes()).unwrap();
    assert_eq!(read.checkpoint().origin, "example.com/behind-the-sofa");
    assert_eq!(read.checkpoint().size, 20_852_163);
    assert_eq!(
        read.checkpoint().text(),
        COSIGNED.split_inclusive('\n').take(3).collect::<String>()
    );
    assert_eq!(read.encode(), COSIGNED);
    assert_eq!(read.note().signatures(), 2);
}

#[test]
fn a_checkpoint_has_a_plain_and_a_timestamped_signature() {
    let (signed, key) = signed();
    let text = signed.encode();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(&lines[..2], ["shop.example/audit", "4711"]);
    let signature = |line: &str| {
        let encoded = line.strip_prefix("\u{2014} shop.example/audit ").unwrap();
        STANDARD.decode(encoded).unwrap()
    };
    assert_eq!(signature(lines[4]).len(), 4 + 64);
    let timestamped = signature(lines[5]);
    assert_eq!(timestamped.len(), 4 + 8 + 64);
    assert_eq!(timestamped[4..12], AT.as_secs().to_be_bytes());

    let read = SignedCheckpoint::parse(text.as_bytes()).unwrap();
    assert_eq!(read, signed);
    assert_eq!(read.checkpoint(), &checkpoint());
    assert_eq!(read.verify(&key.verifier()), Ok(Some(AT)));
    assert_eq!(read.verify_as_written(&key.verifier()), Ok(AT));
}

#[test]
fn the_timestamped_signature_is_over_the_message_of_the_specification() {
    let (signed, key) = signed();
    let text = signed.encode();
    let encoded = text.lines().last().unwrap().rsplit_once(' ').unwrap().1;
    let signature = &STANDARD.decode(encoded).unwrap()[12..];
    let message = format!("cosignature/v1\ntime 1893456000\n{}", checkpoint().text());
    assert!(key.verifier().verifies(message.as_bytes(), signature));
    assert!(
        !key.verifier()
            .verifies(checkpoint().text().as_bytes(), signature)
    );
}

#[test]
fn no_byte_of_a_checkpoint_can_be_another() {
    let (signed, key) = signed();
    let vkey = key.verifier();
    let text = signed.encode().into_bytes();
    let mut without_time = 0;
    for place in 0..text.len() {
        for change in 1..=255 {
            let mut text = text.clone();
            text[place] ^= change;
            let Ok(read) = SignedCheckpoint::parse(&text) else {
                continue;
            };
            assert!(read.verify_as_written(&vkey).is_err(), "{place} {change}");
            // To others, a line by a key that they do not know is no line.
            match read.verify(&vkey) {
                Ok(None) => {
                    assert_eq!(read.checkpoint(), signed.checkpoint());
                    without_time += 1;
                }
                Ok(Some(at)) => panic!("{place} {change}: {at:?}"),
                Err(_) => {}
            }
        }
    }
    assert!(without_time > 0);
    for length in 0..text.len() {
        let read = SignedCheckpoint::parse(&text[..length]);
        assert!(read.is_err() || read.unwrap().verify_as_written(&vkey).is_err());
    }
}

#[test]
fn no_byte_of_a_note_can_be_another() {
    let vkey = VerifierKey::parse(VKEY).unwrap();
    let text = note().into_bytes();
    for place in 0..text.len() {
        for change in 1..=255 {
            let mut text = text.clone();
            text[place] ^= change;
            let verified = SignedNote::parse(&text).and_then(|note| note.verify(&vkey));
            assert!(verified.is_err(), "{place} {change}");
        }
    }
}

#[test]
fn refuses_what_is_no_signed_note() {
    let line = LINE.trim_end();
    for (why, note) in [
        ("nothing", String::new()),
        ("no signature", TEXT.to_owned()),
        ("no signature after the empty line", format!("{TEXT}\n")),
        ("no empty line", format!("{TEXT}{LINE}")),
        ("no newline at the end", format!("{TEXT}\n{line}")),
        ("an empty line at the end", format!("{TEXT}\n{LINE}\n")),
        (
            "an empty line between signatures",
            format!("{TEXT}\n{LINE}\n{LINE}text\n"),
        ),
        ("a hyphen", note().replace('\u{2014}', "-")),
        ("an en dash", note().replace('\u{2014}', "\u{2013}")),
        (
            "no space after the dash",
            note().replace("\u{2014} ", "\u{2014}"),
        ),
        (
            "two spaces after the dash",
            note().replace("\u{2014} ", "\u{2014}  "),
        ),
        (
            "two spaces before the signature",
            note().replace(" x08", "  x08"),
        ),
        (
            "a space after the signature",
            note().replace("nAM=", "nAM= "),
        ),
        ("a tab", note().replace("you think", "you\tthink")),
        ("a carriage return", note().replace('\n', "\r\n")),
        ("a NUL", note().replace("you think", "you\0think")),
        ("no name", note().replace("PeterNeumann ", "")),
        ("an empty name", note().replace("PeterNeumann", "")),
        (
            "a plus in the name",
            note().replace("PeterNeumann", "Peter+Neumann"),
        ),
        (
            "a space in the name",
            note().replace("PeterNeumann", "Peter\u{a0}Neumann"),
        ),
        (
            "a line separator in the name",
            note().replace("PeterNeumann", "Peter\u{2028}"),
        ),
        ("no base64", note().replace("x08go/", "x08go-")),
        ("no padding", note().replace("nAM=", "nAM")),
        ("too much padding", note().replace("nAM=", "nAM==")),
        ("bits in the padding", note().replace("nAM=", "nAN=")),
        ("a newline in base64", note().replace("x08go/", "x08go\n/")),
        (
            "an id and no signature",
            format!("{TEXT}\n\u{2014} PeterNeumann x08gow==\n"),
        ),
        (
            "less than an id",
            format!("{TEXT}\n\u{2014} PeterNeumann x08g\n"),
        ),
        (
            "nothing signed",
            format!("{TEXT}\n\u{2014} PeterNeumann \n"),
        ),
    ] {
        assert_eq!(
            SignedNote::parse(note.as_bytes()),
            Err(NoteError::Form),
            "{why}"
        );
    }
    let mut bytes = note().into_bytes();
    bytes[3] = 0xff;
    assert_eq!(SignedNote::parse(&bytes), Err(NoteError::Form), "not UTF-8");
}

#[test]
fn refuses_notes_without_bound() {
    let lines = |count| format!("{TEXT}\n{}", LINE.repeat(count));
    let vkey = VerifierKey::parse(VKEY).unwrap();
    let most = SignedNote::parse(lines(MAX_SIGNATURES).as_bytes()).unwrap();
    assert_eq!(most.verify(&vkey), Ok(None));
    let more = lines(MAX_SIGNATURES + 1);
    assert_eq!(SignedNote::parse(more.as_bytes()), Err(NoteError::Form));

    let long = |length| format!("{}\n\n{LINE}", "a".repeat(length - LINE.len() - 2));
    assert!(SignedNote::parse(long(MAX_NOTE).as_bytes()).is_ok());
    assert_eq!(
        SignedNote::parse(long(MAX_NOTE + 1).as_bytes()),
        Err(NoteError::Form)
    );
}

#[test]
fn sixteen_signatures_of_the_largest_kind_are_read() {
    // ML-DSA-44 (C2SP tlog-cosignature): 4 + 8 + 2420 bytes; nearly 5 kB are to be expected.
    let line = format!(
        "\u{2014} witness.example/w {}\n",
        STANDARD.encode([1; 4700])
    );
    let note = format!("{}\n{}{LINE}", TEXT, line.repeat(15));
    let read = SignedNote::parse(note.as_bytes()).unwrap();
    assert_eq!(read.verify(&VerifierKey::parse(VKEY).unwrap()), Ok(None));
    assert_eq!(read.encode(), note);
}

#[test]
fn a_text_may_have_empty_lines() {
    let key = key("a");
    for text in ["\n", "a\n\nb\n", "a\n\n", "\n\na\n\n\n"] {
        let note = SignedNote::sign(text, &key).unwrap();
        let read = SignedNote::parse(note.encode().as_bytes()).unwrap();
        assert_eq!(read.text(), text);
        assert_eq!(read.verify(&key.verifier()), Ok(None));
    }
}

#[test]
fn refuses_to_sign_what_is_no_text_of_a_note() {
    let key = key("a");
    let long = "a".repeat(MAX_NOTE) + "\n";
    for text in [
        "",
        "a",
        "a\tb\n",
        "cosignature/v1\ntime 1\na\n",
        "subtree/v1\n",
        &long,
    ] {
        assert_eq!(SignedNote::sign(text, &key), Err(NoteError::Form));
    }
}

#[test]
fn signatures_by_other_keys_are_passed_over_and_wrong_ones_by_this_key_are_not() {
    let vkey = VerifierKey::parse(VKEY).unwrap();
    let zeros = |id: u32| STANDARD.encode([&id.to_be_bytes()[..], &[0; 64]].concat());
    let other_name = format!("\u{2014} Peter {}\n", zeros(0xc74f_20a3));
    let other_id = format!("\u{2014} PeterNeumann {}\n", zeros(0xc74f_20a4));
    let wrong = format!("\u{2014} PeterNeumann {}\n", zeros(0xc74f_20a3));
    let verify = |lines: &[&str]| {
        let note = format!("{TEXT}\n{}", lines.concat());
        SignedNote::parse(note.as_bytes()).unwrap().verify(&vkey)
    };
    assert_eq!(verify(&[&other_name, LINE, &other_id]), Ok(None));
    assert_eq!(verify(&[&other_name, &other_id]), Err(NoteError::Unsigned));
    assert_eq!(verify(&[LINE, &wrong]), Err(NoteError::Signature));
    assert_eq!(verify(&[&wrong, LINE]), Err(NoteError::Signature));
    assert_eq!(verify(&[&wrong]), Err(NoteError::Signature));
}

#[test]
fn refuses_a_signature_of_another_length() {
    let key = key("shop.example/audit");
    let text = checkpoint().text();
    let signature = key.sign(text.as_bytes());
    assert!(key.verifier().verifies(text.as_bytes(), &signature));
    for length in 0..64 {
        assert!(
            !key.verifier()
                .verifies(text.as_bytes(), &signature[..length])
        );
    }
    let longer = [&signature[..], &[0]].concat();
    assert!(!key.verifier().verifies(text.as_bytes(), &longer));
    let cosigner = key.verifier().cosigner().unwrap();
    let cosignature = key.cosign(&text, 7);
    assert!(cosigner.verifies(text.as_bytes(), &cosignature));
    for length in 0..72 {
        assert!(!cosigner.verifies(text.as_bytes(), &cosignature[..length]));
    }
    // A plain signature is no timestamped one, and the other way round.
    assert!(!cosigner.verifies(text.as_bytes(), &signature));
    assert!(!key.verifier().verifies(text.as_bytes(), &cosignature[8..]));
}

#[test]
fn refuses_a_time_that_nobody_can_name() {
    let key = key("shop.example/audit");
    let text = checkpoint().text();
    let cosigner = key.verifier().cosigner().unwrap();
    let last = i64::MAX as u64;
    assert_eq!(
        cosigner.cosigned(&text, &key.cosign(&text, last)),
        Some(last)
    );
    assert_eq!(cosigner.cosigned(&text, &key.cosign(&text, last + 1)), None);
}

#[test]
fn refuses_another_logs_checkpoint_and_another_key() {
    let (signed, _) = signed();
    let other = key("shop.example/other").verifier();
    assert_eq!(signed.verify(&other), Err(NoteError::Origin));
    let same_name = SigningKey::generate("shop.example/audit", &SeededEntropy::new(2)).unwrap();
    assert_eq!(
        signed.verify(&same_name.verifier()),
        Err(NoteError::Unsigned)
    );
    assert_eq!(
        signed.verify_as_written(&same_name.verifier()),
        Err(NoteError::Unsigned)
    );
}

#[test]
fn a_key_signs_for_its_own_log_only() {
    let key = key("shop.example/other");
    let signed = SignedCheckpoint::sign(checkpoint(), &key, AT);
    assert_eq!(signed.checkpoint().origin, "shop.example/other");
    assert_eq!(signed.verify(&key.verifier()), Ok(Some(AT)));
}

#[test]
fn a_checkpoint_with_more_on_it_is_not_as_it_was_written() {
    let (signed, key) = signed();
    let vkey = key.verifier();
    let text = signed.encode();
    let witnessed = format!(
        "{text}\u{2014} witness.example {}\n",
        STANDARD.encode([7; 76])
    );
    let read = SignedCheckpoint::parse(witnessed.as_bytes()).unwrap();
    assert_eq!(read.verify(&vkey), Ok(Some(AT)));
    assert_eq!(read.verify_as_written(&vkey), Err(NoteError::Form));

    let plain: String = text.split_inclusive('\n').take(5).collect();
    let read = SignedCheckpoint::parse(plain.as_bytes()).unwrap();
    assert_eq!(read.verify(&vkey), Ok(None));
    assert_eq!(read.verify_as_written(&vkey), Err(NoteError::Unsigned));

    let timestamped = text.lines().last().unwrap();
    let timestamped = format!("{}\n{timestamped}\n", checkpoint().text());
    let read = SignedCheckpoint::parse(timestamped.as_bytes()).unwrap();
    assert_eq!(read.verify(&vkey), Err(NoteError::Unsigned));
    assert_eq!(read.verify(&vkey.cosigner().unwrap()), Ok(Some(AT)));

    let extended = SignedNote::sign(&format!("{}extension\n", checkpoint().text()), &key).unwrap();
    let read = SignedCheckpoint::parse(extended.encode().as_bytes()).unwrap();
    assert_eq!(read.checkpoint(), &checkpoint());
    assert_eq!(read.verify(&vkey), Ok(None));
    assert!(read.verify_as_written(&vkey).is_err());
}

#[test]
fn refuses_what_is_no_checkpoint() {
    let root = STANDARD.encode(checkpoint().root.as_bytes());
    let short = STANDARD.encode([7; 31]);
    let long = STANDARD.encode([7; 33]);
    for text in [
        String::new(),
        "\n".to_owned(),
        "a\n".to_owned(),
        "a\n1\n".to_owned(),
        format!("a\n1\n{root}"),
        format!("\n1\n{root}\n"),
        format!("a\n\n1\n{root}\n"),
        format!("a b\n1\n{root}\n"),
        format!("a+b\n1\n{root}\n"),
        format!("cosignature/v1\n1\n{root}\n"),
        format!("a\n01\n{root}\n"),
        format!("a\n00\n{root}\n"),
        format!("a\n+1\n{root}\n"),
        format!("a\n-1\n{root}\n"),
        format!("a\n 1\n{root}\n"),
        format!("a\n\n{root}\n"),
        format!("a\n0x1\n{root}\n"),
        format!("a\n18446744073709551616\n{root}\n"),
        format!("a\n\u{661}\n{root}\n"),
        "a\n1\n\n".to_owned(),
        format!("a\n1\n{short}\n"),
        format!("a\n1\n{long}\n"),
        format!("a\n1\n{root}=\n"),
        format!("a\n1\n {root}\n"),
        format!("a\n1\n{}\n", root.trim_end_matches('=')),
        format!("a\n1\n{root}\n\n"),
        format!("a\n1\n{root}\n\nmore\n"),
    ] {
        assert_eq!(
            Checkpoint::parse(&text),
            Err(NoteError::Checkpoint),
            "{text:?}"
        );
    }
    let largest = format!("a\n{}\n{root}\nmore\n", u64::MAX);
    assert_eq!(Checkpoint::parse(&largest).unwrap().size, u64::MAX);
}

#[test]
fn refuses_names_that_no_key_may_have() {
    let long = "a".repeat(256);
    for name in [
        "",
        " ",
        "a b",
        "a\u{a0}b",
        "a\u{2003}",
        "a\u{85}",
        "a\nb",
        "a\tb",
        "a\0",
        "a\u{7f}",
        "a+b",
        "+",
        "cosignature/v1",
        "cosignature/v2",
        "subtree/v1",
        &long,
    ] {
        assert!(!is_name(name), "{name:?}");
        let refused = SigningKey::generate(name, &SeededEntropy::new(1));
        assert_eq!(refused.unwrap_err(), KeyError::Form("key name"), "{name:?}");
    }
    for name in [
        "a",
        "shop.example/audit",
        "zt-audit/00ff",
        "caf\u{e9}",
        &long[..255],
    ] {
        assert!(is_name(name), "{name:?}");
        let key = key(name);
        assert_eq!(
            VerifierKey::parse(&key.verifier().to_string()),
            Ok(key.verifier())
        );
        assert_eq!(
            SigningKey::parse(&key.encode()).unwrap().verifier(),
            key.verifier()
        );
    }
}

#[test]
fn refuses_keys_that_were_mangled() {
    // No part of a key is a key, and no byte of it can be another.
    for text in [VKEY, SKEY] {
        let refused =
            |text: &str| VerifierKey::parse(text).is_err() && SigningKey::parse(text).is_err();
        for begin in 0..text.len() {
            for end in begin..=text.len() {
                assert!((begin, end) == (0, text.len()) || refused(&text[begin..end]));
            }
        }
        for place in 0..text.len() {
            for change in 1..128 {
                let mut bytes = text.as_bytes().to_vec();
                bytes[place] ^= change;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(refused(&changed), "{changed}");
            }
        }
        assert!(refused(&format!("{text}\n")));
        assert!(refused(&text.to_uppercase()));
    }
}

#[test]
fn refuses_keys_of_other_kinds_with_a_right_id() {
    use sha2::{Digest as _, Sha256};
    let vkey = |key: &[u8]| {
        let hash = Sha256::digest([b"PeterNeumann\n", key].concat());
        let id = u32::from_be_bytes(hash[..4].try_into().unwrap());
        format!("PeterNeumann+{id:08x}+{}", STANDARD.encode(key))
    };
    let key = STANDARD.decode(VKEY.rsplit_once('+').unwrap().1).unwrap();
    assert_eq!(vkey(&key), VKEY);
    let with = |byte: u8| vkey(&[&[byte], &key[1..]].concat());
    assert!(VerifierKey::parse(&with(0x04)).is_ok());
    for byte in [0x00, 0x02, 0x05, 0x06, 0xff] {
        assert_eq!(
            VerifierKey::parse(&with(byte)),
            Err(KeyError::Algorithm(byte))
        );
    }
    for key in [&key[..32], &[&key[..], b"BADKEY"].concat()] {
        assert_eq!(
            VerifierKey::parse(&vkey(key)),
            Err(KeyError::Form("verifier key"))
        );
    }
    let secret = SKEY.replace("+AYEK", "+BIEK");
    assert_eq!(
        SigningKey::parse(&secret).unwrap_err(),
        KeyError::Algorithm(0x04)
    );
    let other = SKEY.replace("c74f20a3", "c74f20a4");
    assert_eq!(SigningKey::parse(&other).unwrap_err(), KeyError::Id);
}

#[test]
fn a_key_is_not_made_without_randomness() {
    #[derive(Debug)]
    struct None;
    impl Entropy for None {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }
    let refused = SigningKey::generate("a", &None).unwrap_err();
    assert_eq!(refused, KeyError::Entropy(EntropyError));
}

#[test]
fn a_key_does_not_show_itself() {
    let key = SigningKey::parse(SKEY).unwrap();
    let shown = format!("{key:?}");
    assert_eq!(
        shown,
        "SigningKey { name: \"PeterNeumann\", id: c74f20a3, .. }"
    );
    assert_eq!(
        format!("{:?}", key.verifier()),
        format!("VerifierKey({VKEY})")
    );
}

#[test]
fn another_implementation_reads_what_is_written_and_writes_the_same() {
    use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
    let (signed, key) = signed();
    let vkey = key.verifier();
    assert_eq!(
        signed_note::key_id(
            vkey.name(),
            &STANDARD
                .decode(vkey.to_string().splitn(3, '+').nth(2).unwrap())
                .unwrap()
        ),
        vkey.id()
    );
    let verifier = StandardVerifier::new(&vkey.to_string()).unwrap();
    let read = Note::from_bytes(signed.encode().as_bytes()).unwrap();
    assert_eq!(read.text(), checkpoint().text().as_bytes());
    let (verified, others) = read
        .verify(&VerifierList::new(vec![Box::new(verifier)]))
        .unwrap();
    // It does not know timestamped signatures, and passes over that one.
    assert_eq!((verified.len(), others.len()), (1, 1));

    let signer = StandardSigner::new(&key.encode()).unwrap();
    let mut note = Note::new(checkpoint().text().as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    let ours = SignedNote::sign(&checkpoint().text(), &key).unwrap();
    assert_eq!(note.to_bytes(), ours.encode().as_bytes());

    let read = tlog_tiles::Checkpoint::from_bytes(checkpoint().text().as_bytes()).unwrap();
    assert_eq!((read.origin(), read.size()), ("shop.example/audit", 4711));
    assert_eq!(read.hash().0, *checkpoint().root.as_bytes());
}

proptest! {
    #[test]
    fn what_is_read_as_a_note_is_written_so(
        text in "([a\u{2014} =+/\n]{0,20}\n)?",
        lines in prop::collection::vec("\u{2014} [a-c]{0,2} [A-D/+=]{0,12}\n", 0..4),
    ) {
        let note = format!("{text}\n{}", lines.concat());
        if let Ok(read) = SignedNote::parse(note.as_bytes()) {
            prop_assert_eq!(read.encode(), note);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        if let Ok(read) = SignedNote::parse(&bytes) {
            prop_assert_eq!(read.encode().into_bytes(), bytes);
        }
    }

    #[test]
    fn what_is_read_as_a_checkpoint_is_written_so(origin in "[^+\\s\\p{Cc}]{1,20}", size: u64, root: [u8; 32]) {
        let checkpoint = Checkpoint { origin, size, root: Hash::from_bytes(root) };
        prop_assert_eq!(Checkpoint::parse(&checkpoint.text()), Ok(checkpoint));
    }
}
