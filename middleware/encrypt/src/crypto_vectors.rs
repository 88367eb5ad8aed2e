//! Vectors of the standards, through the functions that everything here goes through.

use data_encoding::HEXLOWER;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    match text {
        "-" => Vec::new(),
        text => HEXLOWER.decode(text.as_bytes()).unwrap(),
    }
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

#[test]
fn aes_256_gcm_is_that_of_the_standard() {
    let mut tried = 0;
    for line in include_str!("../tests/vectors/aes-256-gcm.txt").lines().filter(|line| !line.starts_with('#')) {
        let [key, nonce, plaintext, aad, ciphertext, tag] =
            line.split(' ').collect::<Vec<_>>().try_into().expect("six columns");
        let (key, nonce, tag) = (array(key), array(nonce), array(tag));
        let mut text = hex(plaintext);
        assert_eq!(encrypt(&key, &nonce, &hex(aad), &mut text), Some(tag), "{line}");
        assert_eq!(text, hex(ciphertext), "{line}");
        for byte in 0..TAG {
            let mut wrong = tag;
            wrong[byte] ^= 0x80;
            assert_eq!(decrypt(&key, &nonce, &hex(aad), &mut text, &wrong), None, "{line}");
            assert_eq!(text, hex(ciphertext), "nothing is decrypted before the tag is known to be right");
        }
        assert_eq!(decrypt(&key, &nonce, &hex(aad), &mut text, &tag), Some(()), "{line}");
        assert_eq!(text, hex(plaintext), "{line}");
        tried += 1;
    }
    assert!(tried > 75, "{tried}");
}

/// RFC 5869, appendix A, the cases of SHA-256.
#[test]
fn hkdf_sha256_is_that_of_the_standard() {
    let cases = [
        (
            "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            concat!(
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f",
                "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f"
            ),
            concat!(
                "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f",
                "909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
            ),
            concat!(
                "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
                "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
            ),
            concat!(
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09",
                "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
            ),
        ),
        (
            "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            "-",
            "-",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (key, salt, info, expected) in cases {
        let info = hex(info);
        let (first, second) = info.split_at(info.len() / 2);
        let mut out = vec![0; hex(expected).len()];
        hkdf(&hex(key), &hex(salt), &[first, second], &mut out);
        assert_eq!(HEXLOWER.encode(&out), expected);
    }
}

/// RFC 4231, test cases 2 and 4: short keys, which HMAC fills up with zeros as ours are.
#[test]
fn hmac_sha256_is_that_of_the_standard() {
    for (key, data, expected) in [
        (
            "4a65666500000000000000000000000000000000000000000000000000000000",
            "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            "0102030405060708090a0b0c0d0e0f1011121314151617181900000000000000",
            concat!(
                "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
                "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
            ),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
    ] {
        let (key, data) = (SecretKey::from_slice(&hex(key)).unwrap(), hex(data));
        let (first, second) = data.split_at(7);
        assert_eq!(HEXLOWER.encode(&hmac(&key, &[first, second])), expected);
    }
}

/// RFC 8452, appendix A: the sum over two blocks, the second of which would be our block of the length.
#[test]
fn polyval_is_that_of_the_standard() {
    let key = array("25629347589242761d31f826ba4b757b");
    let blocks = hex("4f4f95668c83dfb6401762bb2d01a262d1a24ddd2721d006bbe45f20d3c9f362");
    let mut hash = Polyval::new((&key).into());
    hash.update_padded(&blocks);
    let sum: [u8; 16] = hash.finalize().into();
    assert_eq!(HEXLOWER.encode(&sum), "f7a3b47b846119fae5b7866cf5e5b77e");
    let mut with_length = Polyval::new((&key).into());
    with_length.update_padded(&[&blocks[..], &array::<16>("20000000000000000000000000000000")].concat());
    let with_length: [u8; 16] = with_length.finalize().into();
    assert_eq!(polyval(&key, &blocks), with_length);
}

#[test]
fn texts_that_differ_only_in_zeros_at_the_end_have_other_digests() {
    let digester = Digester::new(&SecretKey::filled(|out| out.fill(7)));
    let mut seen = std::collections::BTreeSet::new();
    for length in 0..100 {
        assert!(seen.insert(digester.digest(b"here", &vec![0; length])));
        assert!(seen.insert(digester.digest(b"there", &vec![0; length])));
    }
    let digest = digester.digest(b"here", b"text");
    assert_ne!(digester.salt(&digest, 4, b""), digester.salt(&digest, 16, b""), "padding is part of what is encrypted");
    assert_ne!(digester.salt(&digest, 4, b""), digester.salt(&digest, 4, b"0a"), "and so are words beside it");
}
