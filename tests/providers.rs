//! The crypto providers against each other and against the strict check of the library below: one verdict, one set of bytes.

use ed25519_dalek::{Signature, VerifyingKey};
use interbot::crypto::{Crypto, Pure, Suite};
use interbot::{BotId, Identity};
use proptest::prelude::*;

fn providers() -> Vec<Box<dyn Crypto>> {
    vec![
        Box::new(Pure),
        #[cfg(feature = "aws-lc")]
        Box::new(interbot::crypto::AwsLc),
    ]
}

/// The reference: canonical key, then the strict check of ed25519-dalek.
fn strict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let canonical = !(key[31] & 0x7f == 0x7f && key[1..31].iter().all(|b| *b == 0xff) && key[0] >= 0xed);
    canonical
        && VerifyingKey::from_bytes(key)
            .is_ok_and(|k| !k.is_weak() && k.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// Encodings of the points of small order, canonical and not.
fn odd_points() -> Vec<[u8; 32]> {
    let order_8 = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ];
    let other_8 = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ];
    let near_p = |low: u8| {
        let mut y = [0xff; 32];
        (y[0], y[31]) = (low, 0x7f);
        y
    };
    let small = |low: u8| {
        let mut y = [0; 32];
        y[0] = low;
        y
    };
    let mut all = vec![order_8, other_8, small(0), small(1), near_p(0xec), near_p(0xed), near_p(0xee), near_p(0xff)];
    for at in 0..all.len() {
        let mut signed = all[at];
        signed[31] |= 0x80;
        all.push(signed);
    }
    all
}

#[test]
fn weak_keys_and_weak_commitments_are_refused_by_all() {
    let identity = Identity::from_seed([1; 32]);
    let good = *identity.id().as_bytes();
    let signature = Pure.signer(&[1; 32]).sign(b"message");
    for provider in providers() {
        assert!(provider.verify(&good, b"message", &signature), "{provider:?}");
        for point in odd_points() {
            for s in [[0; 32], *signature.last_chunk().expect("s")] {
                let mut forged = [0; 64];
                forged[..32].copy_from_slice(&point);
                forged[32..].copy_from_slice(&s);
                for key in odd_points().into_iter().chain([good]) {
                    assert!(!provider.verify(&key, b"message", &forged), "{provider:?} {key:x?} {point:x?}");
                    assert!(!strict(&key, b"message", &forged));
                }
            }
            assert!(!provider.verify(&point, b"message", &signature));
            assert!(BotId::from_bytes(point).is_err());
        }
    }
}

#[test]
fn a_scalar_above_the_order_is_refused_by_all() {
    let good = *Identity::from_seed([1; 32]).id().as_bytes();
    let signature = Pure.signer(&[1; 32]).sign(b"message");
    // s + ℓ is the same number modulo the order, and a second encoding.
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (mut again, mut carry) = (signature, 0u16);
    for at in 0..32 {
        let sum = u16::from(signature[32 + at]) + order[at] + carry;
        again[32 + at] = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    for provider in providers() {
        assert!(!provider.verify(&good, b"message", &again), "{provider:?}");
    }
}

#[test]
fn low_order_points_agree_with_nobody() {
    let mut points = odd_points();
    points.retain(|point| x25519_dalek::x25519([9; 32], *point) == [0; 32]);
    assert!(points.len() >= 4, "{}", points.len());
    for provider in providers() {
        for point in &points {
            let pair = provider.ephemeral([9; 32].into());
            assert!(pair.agree(point).is_none(), "{provider:?} {point:x?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn signatures_have_one_verdict(seed: [u8; 32], message in proptest::collection::vec(any::<u8>(), 0..200), bit in 0usize..1024) {
        let key = *Identity::from_seed(seed).id().as_bytes();
        let signature = Pure.signer(&seed).sign(&message);
        for provider in providers() {
            prop_assert_eq!(provider.signer(&seed).sign(&message), signature);
            let (mut key, mut changed) = (key, signature);
            prop_assert!(provider.verify(&key, &message, &changed));
            if bit < 512 { changed[bit / 8] ^= 1 << (bit % 8) } else { key[bit / 8 % 32] ^= 1 << (bit % 8) }
            prop_assert_eq!(provider.verify(&key, &message, &changed), strict(&key, &message, &changed));
        }
    }

    #[test]
    fn exchanges_give_one_secret(a: [u8; 32], b: [u8; 32]) {
        let expected = x25519_dalek::x25519(a, Pure.ephemeral(b.into()).public());
        for provider in providers() {
            let (ours, theirs) = (provider.ephemeral(a.into()), provider.ephemeral(b.into()));
            prop_assert_eq!(ours.public(), Pure.ephemeral(a.into()).public());
            let (pa, pb) = (ours.public(), theirs.public());
            prop_assert_eq!(ours.agree(&pb).map(|s| *s), Some(expected));
            prop_assert_eq!(theirs.agree(&pa).map(|s| *s), Some(expected));
        }
    }

    #[test]
    fn what_one_seals_the_others_open(key: [u8; 32], counter: u64, ad: [u8; 5], text in proptest::collection::vec(any::<u8>(), 0..300)) {
        for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
            let mut reference = None;
            for provider in providers() {
                let mut sealed = text.clone();
                let tag = provider.aead(suite, &key).seal(counter, &ad, &mut sealed);
                sealed.extend_from_slice(&tag);
                prop_assert_eq!(reference.get_or_insert_with(|| sealed.clone()), &sealed);
                for opener in providers() {
                    let mut again = sealed.clone();
                    let opened = opener.aead(suite, &key).open(counter, &ad, &mut again).map(|t| t.to_vec());
                    prop_assert_eq!(opened.as_ref(), Some(&text));
                    let mut again = sealed.clone();
                    prop_assert!(opener.aead(suite, &key).open(counter ^ 1, &ad, &mut again).is_none());
                }
                prop_assert!(provider.aead(suite, &key).open(counter, &ad, &mut [0; 15]).is_none());
            }
        }
    }
}
