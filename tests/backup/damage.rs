//! Archives that are not what was written.

use super::*;

/// A small archive with content that no error may quote.
async fn small(folder: &TempDir) -> Vec<u8> {
    let storage = empty().await;
    storage.append("s", NewMessage::user("canary")).await.unwrap();
    storage.append("t", NewMessage::user("canary")).await.unwrap();
    Backup::of(&storage).write_to(&archive(folder, "whole")).await.unwrap();
    std::fs::read(folder.path().join("whole")).unwrap()
}

async fn refused(folder: &TempDir, bytes: &[u8], what: &str) {
    std::fs::write(folder.path().join("damaged"), bytes).unwrap();
    let damaged = archive(folder, "damaged");
    let Err(error) = verify(&damaged).await else { panic!("not found: {what}") };
    let typed = [ErrorKind::Corrupted, ErrorKind::InvalidInput, ErrorKind::SchemaTooNew];
    assert!(typed.contains(&error.kind()), "{what}: {error}");
    assert!(error.get("archive").is_some() && !error.to_string().contains("canary"), "{what}: {error}");
}

#[tokio::test]
async fn every_truncation_is_found() {
    let folder = TempDir::new().unwrap();
    let whole = small(&folder).await;
    for length in 0..whole.len() {
        refused(&folder, &whole[..length], &format!("cut at {length}")).await;
    }
    refused(&folder, &[whole.as_slice(), b"x"].concat(), "one byte more").await;
    refused(&folder, &[whole.as_slice(), whole.as_slice()].concat(), "twice").await;
}

#[tokio::test]
async fn a_flipped_bit_of_any_byte_is_found() {
    let folder = TempDir::new().unwrap();
    let whole = small(&folder).await;
    // Of the first bytes, which say how the others are to be read, every bit.
    let all = (0..16).flat_map(|at| (0..8).map(move |bit| (at, bit)));
    for (at, bit) in all.chain((16..whole.len()).map(|at| (at, at * 5 % 8))) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << bit;
        refused(&folder, &bytes, &format!("bit {bit} of byte {at} flipped")).await;
    }
}

#[tokio::test]
async fn nothing_is_written_of_an_archive_that_is_damaged_at_its_end() {
    let folder = TempDir::new().unwrap();
    let mut whole = small(&folder).await;
    *whole.last_mut().unwrap() ^= 1;
    std::fs::write(folder.path().join("damaged"), &whole).unwrap();
    for store in stores().await {
        let storage = system(&store);
        let error = Restore::of(&archive(&folder, "damaged")).into_storage(&storage).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted);
        assert_eq!(records(&storage).await.len(), 0, "{}", store.name);
    }
}

/// An archive of these lines, sealed as a real one.
fn sealed(text: &str) -> Vec<u8> {
    let mut bytes = zstd::encode_all(text.as_bytes(), 3).unwrap();
    let digest = blake3::hash(&bytes);
    bytes.extend([0x50, 0x2a, 0x4d, 0x18, 32, 0, 0, 0]);
    bytes.extend(digest.as_bytes());
    bytes
}

async fn kind_of(folder: &TempDir, text: &str) -> ErrorKind {
    std::fs::write(folder.path().join("made"), sealed(text)).unwrap();
    verify(&archive(folder, "made")).await.unwrap_err().kind()
}

#[tokio::test]
async fn lines_that_were_changed_and_sealed_again_are_found() {
    let folder = TempDir::new().unwrap();
    let whole = small(&folder).await;
    let text = String::from_utf8(zstd::decode_all(&whole[..whole.len() - 40]).unwrap()).unwrap();
    std::fs::write(folder.path().join("made"), sealed(&text)).unwrap();
    verify(&archive(&folder, "made")).await.unwrap();
    assert_eq!(kind_of(&folder, &text.replacen("canary", "coward", 1)).await, ErrorKind::Corrupted);
    assert_eq!(kind_of(&folder, &text.replacen("\"v\":1", "\"v\":2", 1)).await, ErrorKind::SchemaTooNew);
    assert_eq!(kind_of(&folder, "{\"v\":1}\n").await, ErrorKind::InvalidInput);
    let lines: Vec<&str> = text.lines().collect();
    for left_out in 0..lines.len() {
        let mut rest = lines.clone();
        rest.remove(left_out);
        let kind = kind_of(&folder, &format!("{}\n", rest.join("\n"))).await;
        let wanted = if left_out == 0 { ErrorKind::InvalidInput } else { ErrorKind::Corrupted };
        assert_eq!(kind, wanted, "line {left_out}");
    }
    for swapped in 1..lines.len() {
        let mut rest = lines.clone();
        rest.swap(swapped - 1, swapped);
        kind_of(&folder, &format!("{}\n", rest.join("\n"))).await;
    }
}

#[tokio::test]
async fn the_damaged_session_is_named() {
    let folder = TempDir::new().unwrap();
    let whole = small(&folder).await;
    let text = String::from_utf8(zstd::decode_all(&whole[..whole.len() - 40]).unwrap()).unwrap();
    let (first, second) = text.split_once("\"session\":\"t\"").unwrap();
    let text = format!("{first}\"session\":\"t\"{}", second.replacen("canary", "coward", 1));
    std::fs::write(folder.path().join("made"), sealed(&text)).unwrap();
    let error = verify(&archive(&folder, "made")).await.unwrap_err();
    assert_eq!((error.get("session"), error.get("line")), (Some("`t`"), Some("7")), "{error}");
}

#[tokio::test]
async fn what_is_no_archive_is_wrong_input_and_what_is_not_there_is_not_found() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("text"), "{\"v\":1}").unwrap();
    assert_eq!(verify(&archive(&folder, "text")).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(verify(&archive(&folder, "none")).await.unwrap_err().kind(), ErrorKind::NotFound);
}
