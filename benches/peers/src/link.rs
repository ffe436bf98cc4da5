//! Handshakes and records.

use aes_gcm::Aes256Gcm;
use chacha20poly1305::ChaCha20Poly1305;
use interbot::crypto::{AwsLc, Pure};
use rustls::crypto::{aws_lc_rs, ring};
use std::sync::Arc;

use crate::noise::Noise;
use crate::pair::Pair;
use crate::public_key::PublicKeyOperations;
use crate::record::{BareAead, Wire};
use crate::report::Report;
use crate::timing::{Case, take_turns};
use crate::tls::Tls;

pub(crate) fn compare() -> Report {
    let mut report = Report::default();
    handshakes(&mut report);
    records(&mut report);
    report
}

fn handshakes(report: &mut Report) {
    let mut operations = PublicKeyOperations::new();
    let (mut pure, mut chacha) = (Pair::new(Arc::new(Pure), true), Pair::new(Arc::new(Pure), false));
    let mut aws_lc = Pair::new(Arc::new(AwsLc), true);
    let snow = Noise::new();
    let rustls = Tls::with_certificates(ring::default_provider(), ring::kx_group::X25519);
    let rustls_raw = Tls::with_raw_keys(ring::default_provider(), ring::kx_group::X25519);
    let rustls_aws = Tls::with_certificates(aws_lc_rs::default_provider(), aws_lc_rs::kx_group::X25519);
    let rustls_aws_raw = Tls::with_raw_keys(aws_lc_rs::default_provider(), aws_lc_rs::kx_group::X25519);
    let rounds = take_turns(vec![
        Case::new("primitives", || operations.both_sides()),
        Case::new("pure", || drop(pure.handshake())),
        Case::new("chacha", || drop(chacha.handshake())),
        Case::new("awslc", || drop(aws_lc.handshake())),
        Case::new("snow", || drop(snow.handshake())),
        Case::new("rustls", || drop(rustls.handshake())),
        Case::new("rustls_raw_keys", || drop(rustls_raw.handshake())),
        Case::new("rustls_awslc", || drop(rustls_aws.handshake())),
        Case::new("rustls_awslc_raw_keys", || drop(rustls_aws_raw.handshake())),
    ]);
    let mut ratio = |name: &str, ours, theirs, bar| report.ratio(name, rounds.ratio(ours, theirs), bar);
    ratio("handshake_vs_primitives", "pure", "primitives", Some(1.10));
    ratio("handshake_chacha_vs_primitives", "chacha", "primitives", Some(1.10));
    ratio("handshake_vs_snow", "pure", "snow", Some(0.75));
    ratio("handshake_chacha_vs_snow", "chacha", "snow", Some(0.75));
    ratio("handshake_vs_rustls", "pure", "rustls", Some(0.70));
    ratio("handshake_awslc_vs_rustls", "awslc", "rustls_awslc", Some(0.60));
    ratio("handshake_awslc_vs_pure", "awslc", "pure", None);
    ratio("handshake_vs_rustls_raw_keys", "pure", "rustls_raw_keys", None);
    ratio("handshake_awslc_vs_rustls_raw_keys", "awslc", "rustls_awslc_raw_keys", None);
    for (name, case) in [
        ("primitives", "primitives"),
        ("handshake", "pure"),
        ("handshake_chacha", "chacha"),
        ("handshake_awslc", "awslc"),
        ("snow", "snow"),
        ("rustls", "rustls"),
        ("rustls_raw_keys", "rustls_raw_keys"),
        ("rustls_awslc", "rustls_awslc"),
        ("rustls_awslc_raw_keys", "rustls_awslc_raw_keys"),
    ] {
        report.figure(format!("{name}_us"), rounds.micros(case));
    }
}

fn records(report: &mut Report) {
    const LEN: usize = 1024;
    let pure = || Arc::new(Pure);
    // A record's plaintext is its message and the byte that says what it is.
    let (mut aes, mut chacha) = (Wire::new(pure(), true, LEN - 1), Wire::new(pure(), false, LEN - 1));
    let mut aws_lc = Wire::new(Arc::new(AwsLc), true, LEN - 1);
    let (mut bare_aes, mut bare_chacha) = (BareAead::<Aes256Gcm>::new(LEN), BareAead::<ChaCha20Poly1305>::new(LEN));
    // A message of 1 KiB makes a plaintext of one byte more, and so one more cipher block.
    let (mut longer_aes, mut longer_chacha) = (Wire::new(pure(), true, LEN), Wire::new(pure(), false, LEN));
    let rounds = take_turns(vec![
        Case::new("aead", || bare_aes.seal_and_open()),
        Case::new("record", || aes.seal_and_open()),
        Case::new("aead_chacha", || bare_chacha.seal_and_open()),
        Case::new("record_chacha", || chacha.seal_and_open()),
        Case::new("message", || longer_aes.seal_and_open()),
        Case::new("message_chacha", || longer_chacha.seal_and_open()),
        Case::new("record_awslc", || aws_lc.seal_and_open()),
    ]);
    report.ratio("record_vs_aead", rounds.ratio("record", "aead"), Some(1.15));
    report.ratio("record_vs_aead_chacha", rounds.ratio("record_chacha", "aead_chacha"), Some(1.15));
    report.ratio("message_vs_aead", rounds.ratio("message", "aead"), None);
    report.ratio("message_vs_aead_chacha", rounds.ratio("message_chacha", "aead_chacha"), None);
    report.ratio("record_awslc_vs_pure", rounds.ratio("record_awslc", "record"), None);
    for name in ["aead", "record", "aead_chacha", "record_chacha", "record_awslc"] {
        report.figure(format!("{name}_us"), rounds.micros(name));
    }
}
