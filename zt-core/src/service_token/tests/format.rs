use proptest::prelude::*;

use super::*;
use crate::{
    random::{Entropy, EntropyError},
    service_token::format::{ID, SECRET, TokenId, compose, random},
};

fn token(seed: u64, environment: &str) -> Vec<u8> {
    let entropy = SeededEntropy::new(seed);
    let id = TokenId::random(&entropy).unwrap();
    compose(environment, id, &random::<SECRET>(&entropy).unwrap())
}

/// The form by the book, slowly.
fn naive(text: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(text).ok()?;
    let parts: Vec<&str> = text.split('_').collect();
    let [prefix, environment, id, secret] = parts[..] else {
        return None;
    };
    let base62 = |part: &str| part.chars().all(|it| it.is_ascii_alphanumeric());
    let lower = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit();
    if prefix != "ztk"
        || !(1..=16).contains(&environment.len())
        || !environment.chars().all(lower)
        || id.len() != ID
        || secret.len() != SECRET + 6
        || !base62(id)
        || !base62(secret)
    {
        return None;
    }
    let (body, checksum) = text.split_at(text.len() - 6);
    let mut crc = u64::from(crc32fast::hash(body.as_bytes()));
    let alphabet: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let mut expected = String::new();
    for _ in 0..6 {
        expected.insert(0, alphabet[(crc % 62) as usize]);
        crc /= 62;
    }
    (expected == checksum).then(|| (environment.to_owned(), id.to_owned()))
}

fn agree(text: &[u8]) {
    let parsed = parse(text).ok();
    let parsed = parsed.map(|it| (it.environment().to_owned(), it.id().to_owned()));
    assert_eq!(parsed, naive(text), "{}", text.escape_ascii());
}

proptest! {
    #[test]
    fn any_text_is_read_as_the_form_says(text in prop::collection::vec(any::<u8>(), 0..100)) {
        agree(&text);
    }

    #[test]
    fn text_that_nearly_is_a_token_is_read_as_the_form_says(
        text in "ztk_[a-z0-9A-Z_]{0,18}_[a-zA-Z0-9]{11,13}_[a-zA-Z0-9_-]{48,50}",
    ) {
        agree(text.as_bytes());
    }

    #[test]
    fn a_token_is_read_back(seed: u64, environment in "[a-z0-9]{1,16}") {
        let text = token(seed, &environment);
        let parsed = parse(&text).unwrap();
        prop_assert_eq!(parsed.environment(), environment);
        prop_assert!(text.len() <= 83);
        agree(&text);
    }

    #[test]
    fn a_token_with_one_character_changed_is_no_token(
        seed: u64, place: prop::sample::Index, to: u8,
    ) {
        let mut text = token(seed, "test");
        let place = place.index(text.len());
        prop_assume!(text[place] != to);
        text[place] = to;
        prop_assert!(parse(&text).is_err());
        agree(&text);
    }

    #[test]
    fn a_token_with_two_neighbours_exchanged_is_no_token(seed: u64, place: prop::sample::Index) {
        let mut text = token(seed, "test");
        let place = place.index(text.len() - 1);
        prop_assume!(text[place] != text[place + 1]);
        text.swap(place, place + 1);
        prop_assert!(parse(&text).is_err());
    }
}

#[test]
fn says_what_is_wrong() {
    let good = token(1, "test");
    let changed = |place: usize, to: u8| {
        let mut text = good.clone();
        text[place] = to;
        text
    };
    for (text, expected) in [
        (b"".to_vec(), ParseError::Length),
        (vec![b'a'; 10_000_000], ParseError::Length),
        (good[1..].to_vec(), ParseError::Form),
        (token(1, "abcdefghijklmnopq"), ParseError::Length),
        (changed(30, b'-'), ParseError::Alphabet),
        (changed(30, 0), ParseError::Alphabet),
        (changed(0, b'Z'), ParseError::Form),
        (changed(8, b'x'), ParseError::Form),
        (changed(5, b'E'), ParseError::Form),
        (changed(9, b'_'), ParseError::Form),
    ] {
        assert_eq!(parse(&text), Err(expected), "{}", text.escape_ascii());
    }
    let last = good.len() - 1;
    let other = if good[last] == b'0' { b'1' } else { b'0' };
    assert_eq!(parse(&changed(last, other)), Err(ParseError::Checksum));
}

#[test]
fn a_known_token_stays_what_it_is() {
    // The form is a promise: tokens outlive releases.
    let id = TokenId::from_text("0123456789AB").unwrap();
    let text = compose("production", id, &[b'z'; SECRET]);
    assert_eq!(
        std::str::from_utf8(&text).unwrap(),
        format!("ztk_production_0123456789AB_{}0ekous", "z".repeat(43)),
    );
}

#[test]
fn ids_and_secrets_use_every_character_alike() {
    let entropy = SeededEntropy::new(3);
    let mut counts = std::collections::BTreeMap::<u8, u32>::new();
    for _ in 0..2000 {
        for byte in random::<SECRET>(&entropy).unwrap() {
            *counts.entry(byte).or_default() += 1;
        }
    }
    assert_eq!(counts.len(), 62);
    // 86,000 characters, 1,387 of each expected; seven standard deviations.
    assert!(
        counts.values().all(|count| count.abs_diff(1387) < 260),
        "{counts:?}"
    );
}

#[test]
fn a_source_of_randomness_that_is_stuck_is_an_error() {
    #[derive(Debug)]
    struct Stuck;
    impl Entropy for Stuck {
        fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
            out.fill(0xff);
            Ok(())
        }
    }
    assert_eq!(random::<SECRET>(&Stuck), Err(EntropyError));
}
