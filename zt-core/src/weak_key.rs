//! Public keys that can be broken, or for which anybody can sign, whatever they are used for.

/// Why a public key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeakKey {
    /// The number of this name is zero, or has a zero octet in front (RFC 7518 section 2).
    #[error("`{0}` is zero, or has a zero in front")]
    Number(&'static str),
    /// The point is not written as a point of the curve is.
    #[error("the point is not on the curve")]
    NotOnCurve,
    /// It can be broken; how.
    #[error("{0}")]
    Weak(&'static str),
}

/// Checks an RSA key: `n` and `e` in big-endian bytes.
///
/// # Errors
///
/// Where it has fewer than 2048 bits or more than 8192 (RFC 7518 section 3.3; more cost whoever
/// checks too much), an exponent that is not odd or not between 3 and 2^33, a small factor, or the
/// fingerprint of CVE-2017-15361.
pub fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), WeakKey> {
    let (Some(first @ 1..), Some(1..)) = (n.first(), e.first()) else {
        let zero = |bytes: &[u8]| bytes.first().is_none_or(|first| *first == 0);
        return Err(WeakKey::Number(if zero(n) { "n" } else { "e" }));
    };
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    if bits < 2048 {
        return Err(WeakKey::Weak("the modulus has fewer than 2048 bits"));
    }
    if bits > 8192 {
        return Err(WeakKey::Weak("the modulus has more than 8192 bits"));
    }
    if n.last().is_none_or(|last| last % 2 == 0) {
        return Err(WeakKey::Weak("the modulus is even"));
    }
    // One gives every message as its own signature; beyond 33 bits there is no use but to burden
    // whoever checks.
    let exponent = e
        .iter()
        .try_fold(0_u64, |value, byte| {
            Some(value.checked_mul(256)? + u64::from(*byte))
        })
        .filter(|exponent| exponent % 2 == 1 && (3..1 << 33).contains(exponent));
    if exponent.is_none() {
        return Err(WeakKey::Weak(
            "the exponent is not an odd number from 3 to 2^33",
        ));
    }
    let mut roca = true;
    for prime in PRIMES {
        let rest = remainder(n, *prime);
        if rest == 0 {
            return Err(WeakKey::Weak("the modulus has a small factor"));
        }
        roca = roca && is_power_of_65537(rest, *prime);
    }
    if roca {
        return Err(WeakKey::Weak("the modulus has the ROCA fingerprint"));
    }
    Ok(())
}

/// The odd primes below 168: CVE-2017-15361 makes primes that are powers of 65537 modulo each of
/// them, and so is their product.
const PRIMES: &[u32] = &[
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

fn remainder(number: &[u8], prime: u32) -> u32 {
    number
        .iter()
        .fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime)
}

fn is_power_of_65537(rest: u32, prime: u32) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == rest {
            return true;
        }
        power = power * (65537 % prime) % prime;
    }
    false
}

/// Checks an Ed25519 key: under a point of small order one signature holds for many messages, and
/// a number that is not less than 2^255 - 19 is another writing of a smaller one (RFC 8032 section
/// 5.1.3).
///
/// # Errors
///
/// Where it is one of these.
pub fn check_ed25519(key: &[u8; 32]) -> Result<(), WeakKey> {
    let mut y = *key;
    if let Some(top) = y.last_mut() {
        *top &= 0x7f; // The sign of the other coordinate.
    }
    if y.iter().rev().ge(PRIME_25519.iter().rev()) {
        return Err(WeakKey::NotOnCurve);
    }
    if SMALL_ORDER.contains(&y) {
        return Err(WeakKey::Weak("the point has a small order"));
    }
    Ok(())
}

/// 2^255 - 19, little-endian.
const PRIME_25519: [u8; 32] = little_endian(0xed, 0xff, 0x7f);

/// The y coordinates of the eight points whose order is 1, 2, 4 or 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    little_endian(0, 0, 0),
    little_endian(1, 0, 0),
    little_endian(0xec, 0xff, 0x7f), // -1
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

const fn little_endian(low: u8, middle: u8, high: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    let [first, .., last] = &mut bytes;
    *first = low;
    *last = high;
    bytes
}
