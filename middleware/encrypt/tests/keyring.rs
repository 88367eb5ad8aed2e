//! Keyrings: their states, their files, and what they refuse.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use craftx_core::{Context, ErrorKind, SecretString, SessionId, Stamp, Tenant};
use craftx_encrypt::{KeyContext, KeyMaterial, KeyProvider, KeyState, Keyring, KeyringSource, Wrapped};
use futures_executor::block_on;

fn parse(text: &str) -> craftx_core::Result<Keyring> {
    Keyring::parse(&SecretString::new(text.to_owned()))
}

/// 32 bytes in base64url.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn one(state: &str) -> String {
    format!(r#"{{"version":1,"keys":[{{"id":"a","state":"{state}","key":"{KEY}"}}]}}"#)
}

#[test]
fn a_keyring_comes_back_from_its_text() {
    let mut keyring = Keyring::generate("a").unwrap();
    keyring.add("b").unwrap();
    keyring.add("c").unwrap();
    keyring.retire("a").unwrap();
    keyring.destroy("a").unwrap();
    let again = Keyring::parse(&keyring.to_text().unwrap()).unwrap();
    assert_eq!(again.to_text().unwrap().expose(), keyring.to_text().unwrap().expose());
    let states: Vec<_> = again.keys().map(|key| key.state).collect();
    assert_eq!(states, [KeyState::Destroyed, KeyState::Enabled, KeyState::Primary]);
}

#[test]
fn states_change_only_as_they_may() {
    let mut keyring = Keyring::generate("a").unwrap();
    for wrong in [keyring.retire("a"), keyring.destroy("a"), keyring.add("a"), keyring.add("a b"), keyring.promote("x")]
    {
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::ConfigInvalid);
    }
    keyring.add("b").unwrap();
    assert!(keyring.destroy("a").is_err(), "only what is retired");
    keyring.promote("a").unwrap();
    keyring.retire("b").unwrap();
    assert!(keyring.promote("b").is_err());
    keyring.destroy("b").unwrap();
    assert!(keyring.retire("b").is_err());
    keyring.destroy("b").unwrap();
}

#[test]
fn what_is_wrong_with_a_keyring_is_said_and_no_key_is_quoted() {
    assert!(parse(&one("primary")).is_ok());
    let two = format!(
        r#"{{"version":1,"keys":[{{"id":"a","state":"primary","key":"{KEY}"}},{{"id":"a","state":"enabled","key":"{KEY}"}}]}}"#
    );
    for (text, said) in [
        (one("enabled"), "the keyring has no primary key"),
        (one("destroyed"), "a destroyed key is still there, key: `a`"),
        (one("prima"), "this is no keyring"),
        (one("primary").replace(KEY, "canary"), "a key must be 32 bytes in base64url, key: `a`"),
        (one("primary").replace(&format!(",\"key\":\"{KEY}\""), ""), "the key itself is missing, key: `a`"),
        (one("primary").replace("\"a\"", &format!("\"{KEY}=\"")), "the id of a key has 1 to 64"),
        (one("primary").replace("version\":1", "version\":2"), "the keyring has a version that this release"),
        (one("primary").replace("state", "stat"), "this is no keyring"),
        (two, "there are two keys with this id, key: `a`"),
        (format!("{KEY}canary"), "this is no keyring"),
    ] {
        let error = parse(&text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(said), "{shown}");
        assert!(!shown.contains("canary") && !shown.contains(KEY), "{shown}");
    }
}

#[test]
fn debug_shows_no_key() {
    let keyring = parse(&one("primary")).unwrap();
    assert_eq!(format!("{keyring:?}"), r#"{"a": Primary}"#);
}

struct Names {
    tenant: Tenant,
    session: SessionId,
}

fn context(names: &Names, key: Stamp, generation: u32) -> KeyContext<'_> {
    KeyContext::new(&names.tenant, &names.session, key, generation)
}

fn names(tenant: &str, session: &str) -> Names {
    Names { tenant: Tenant::new(tenant).unwrap(), session: SessionId::new(session).unwrap() }
}

#[test]
fn a_wrapped_key_opens_in_its_context_alone_and_with_its_key_alone() {
    let cx = Context::system(Tenant::default());
    let mut keyring = Keyring::generate("a").unwrap();
    let home = names("t", "s");
    let of = context(&home, Stamp::MIN, 1);
    let wrapped = block_on(keyring.wrap(&cx, &of, &KeyMaterial::new(vec![7; 64]))).unwrap();
    assert_eq!(wrapped.key, "a");
    let unwrap = |keyring: &Keyring, of: &KeyContext<'_>, wrapped: &Wrapped| {
        block_on(keyring.unwrap(&cx, of, wrapped)).map(|material| material.expose().to_vec())
    };
    assert_eq!(unwrap(&keyring, &of, &wrapped).unwrap(), vec![7; 64]);
    let (tenant, session, moved) = (names("u", "s"), names("t", "r"), names("ts", "s"));
    for elsewhere in [
        context(&tenant, Stamp::MIN, 1),
        context(&session, Stamp::MIN, 1),
        context(&moved, Stamp::MIN, 1),
        context(&home, Stamp::MAX, 1),
        context(&home, Stamp::MIN, 2),
    ] {
        assert_eq!(unwrap(&keyring, &elsewhere, &wrapped).unwrap_err().kind(), ErrorKind::KeyUnavailable);
    }
    for at in 0..wrapped.bytes.len() {
        let mut changed = wrapped.clone();
        changed.bytes[at] ^= 1;
        assert_eq!(unwrap(&keyring, &of, &changed).unwrap_err().get("key"), Some("`a`"), "byte {at}");
        changed.bytes.truncate(at);
        assert!(unwrap(&keyring, &of, &changed).is_err(), "cut at {at}");
    }
    let other = Keyring::generate("a").unwrap();
    assert_eq!(unwrap(&other, &of, &wrapped).unwrap_err().kind(), ErrorKind::KeyUnavailable, "another key of that id");
    let missing = Keyring::generate("b").unwrap();
    assert!(unwrap(&missing, &of, &wrapped).unwrap_err().message().contains("lacks"));
    keyring.add("b").unwrap();
    let mut renamed = wrapped.clone();
    renamed.key = "b".to_owned();
    assert!(unwrap(&keyring, &of, &renamed).is_err());
    keyring.retire("a").unwrap();
    assert!(unwrap(&keyring, &of, &wrapped).is_ok(), "a retired key still unwraps");
    assert_eq!(block_on(keyring.wrap(&cx, &of, &KeyMaterial::new(vec![7; 64]))).unwrap().key, "b");
    keyring.destroy("a").unwrap();
    assert!(unwrap(&keyring, &of, &wrapped).unwrap_err().message().contains("destroyed"));
}

#[cfg(unix)]
#[test]
fn a_keyring_file_is_for_its_owner_alone_and_changes_are_seen() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    assert_eq!(KeyringSource::file(&path).unwrap().read().unwrap_err().kind(), ErrorKind::ConfigInvalid);
    let mut keyring = Keyring::generate("a").unwrap();
    keyring.save(&path).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    let provider = KeyringSource::file(&path).unwrap();
    keyring.add("b").unwrap();
    keyring.save(&path).unwrap();
    let cx = Context::system(Tenant::default());
    assert_eq!(block_on(KeyProvider::keys(&provider, &cx)).unwrap().len(), 2);
    let home = names("t", "s");
    let of = context(&home, Stamp::MIN, 1);
    let wrapped = block_on(provider.wrap(&cx, &of, &KeyMaterial::new(vec![7; 64]))).unwrap();
    let away = folder.path().join("away");
    std::fs::rename(&path, &away).unwrap();
    let error = block_on(provider.unwrap(&cx, &of, &wrapped)).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    std::fs::rename(&away, &path).unwrap();
    assert!(block_on(provider.unwrap(&cx, &of, &wrapped)).is_ok());
    for open in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(open)).unwrap();
        let error = KeyringSource::file(&path).unwrap().read().unwrap_err();
        assert!(error.to_string().contains("0600"), "{error}");
        assert_eq!(error.get("mode"), Some(format!("{open:04o}").as_str()));
    }
}

#[test]
fn a_keyring_is_created_once_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    Keyring::generate("a").unwrap().create(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Keyring::generate("b").unwrap().create(&path).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Conflict, "create the keyring"));
    let error = Keyring::change(&path, |keyring| keyring.add("a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn keys_that_are_added_at_once_are_all_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    Keyring::generate("0").unwrap().create(&path).unwrap();
    std::thread::scope(|scope| {
        for writer in 1..=8 {
            let path = &path;
            scope.spawn(move || {
                while let Err(error) = Keyring::change(path, |keyring| keyring.add(writer.to_string())) {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                    std::thread::yield_now();
                }
            });
        }
    });
    let mut ids: Vec<_> = Keyring::read(&path).unwrap().keys().map(|key| key.id).collect();
    ids.sort();
    assert_eq!(ids, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[cfg(unix)]
#[test]
fn a_keyring_that_cannot_be_saved_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let keyring = Keyring::generate("a").unwrap();
    keyring.save(&path).unwrap();
    std::fs::write(folder.path().join("keyring.json.new"), "half").unwrap();
    let other = Keyring::generate("b").unwrap();
    assert_eq!(other.save(&path).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(Keyring::read(&path).unwrap().keys().next().unwrap().id, "a");
}
