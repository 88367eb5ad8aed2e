//! Stacks with access control and encryption, by configuration alone.

use craftx::access::Guard;
use craftx::encrypt_layer::{Encrypted, Keyring};
use craftx::{Caller, Config, ErrorKind, NewMessage};

use crate::support::{Folder, setting};

/// A profile with everything, on top of the guide's hybrid.
const SEALED: &str = r#"
profile = "sealed"

[profiles.sealed]
extends = "production_hybrid"
layers = ["access", "encrypt"]
[[profiles.sealed.access.allow]]
create = true
[profiles.sealed.access.audit]
path = "FOLDER/audit.jsonl"
[profiles.sealed.encrypt]
keyring = "file:FOLDER/keyring.json"
pad = true
[profiles.sealed.encrypt.keys]
backend = "sqlite"
sqlite = { path = "FOLDER/keys.db" }
[profiles.sealed.hybrid.primary]
layers = ["retry"]
sqlite = { path = "FOLDER/primary.db" }
[[profiles.sealed.hybrid.secondary]]
backend = "json"
layers = ["retry"]
json = { path = "FOLDER/copy" }
"#;

fn sealed() -> Folder {
    let folder = Folder::empty();
    let toml = SEALED.replace("FOLDER", &folder.path("").display().to_string());
    std::fs::write(folder.path("craftx.toml"), toml).unwrap();
    folder
}

fn config(folder: &Folder) -> Config {
    Config::new().folder(folder.path(""))
}

fn names(described: &str) -> Vec<&str> {
    described.lines().map(|line| line.split(' ').next().unwrap()).collect()
}

#[tokio::test]
async fn a_profile_names_both_layers_and_each_stands_in_its_place() {
    let folder = sealed();
    let config = config(&folder);
    assert_eq!(names(&config.stack().unwrap().describe()), ["access", "validate", "encrypt", "hybrid"]);
    assert_eq!(setting(&config, "encrypt.pad").unwrap().0, "true");
    assert_eq!(config.open().await.unwrap_err().kind(), ErrorKind::ConfigInvalid, "there is no keyring");
    Keyring::generate("2026-11").unwrap().create(&folder.path("keyring.json")).unwrap();
    let storage = config.open().await.unwrap();
    assert!(storage.stack().find::<Guard>().is_some() && storage.stack().find::<Encrypted>().is_some());
    let of = |who: &str| storage.for_caller(Caller::principal(who, [""; 0]));
    of("ann").append("s", NewMessage::user("the canary sings")).await.unwrap();
    assert_eq!(of("ann").last("s", 1).await.unwrap()[0].text(), Some("the canary sings"));
    assert_eq!(of("bob").last("s", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(storage.list_sessions().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    storage.close().await.unwrap();
    for file in ["primary.db", "copy/s.jsonl", "keys.db", "audit.jsonl"] {
        let bytes = std::fs::read(folder.path(file)).unwrap();
        assert!(!bytes.is_empty() && !bytes.windows(6).any(|window| window == b"canary"), "{file}");
    }
}

#[test]
fn the_order_of_the_layers_is_checked() {
    let folder = sealed();
    let error = config(&folder).variables([("CRAFTX_LAYERS", "encrypt,access")]).check().unwrap_err();
    assert_eq!((error.get("outer"), error.get("inner")), (Some("`encrypt` (encrypt)"), Some("`access` (access)")));
    let error = config(&folder).variables([("CRAFTX_LAYERS", "access,encrypt,validate")]).check().unwrap_err();
    assert_eq!(error.get("inner"), Some("`validate` (validate)"));
    config(&folder).variables([("CRAFTX_LAYERS", "access,validate,encrypt")]).check().unwrap();
}

#[test]
fn what_is_wrong_with_either_layer_is_named_with_its_place() {
    let folder = sealed();
    for (variable, key, nearest) in [
        ("CRAFTX_ENCRYPT__PADD", "`encrypt.padd`", Some("`pad`")),
        ("CRAFTX_ENCRYPT__KEYS__SQLITE__PAHT", "`encrypt.keys.sqlite.paht`", Some("`path`")),
        ("CRAFTX_ACCESS__OWNER", "`access.owner`", Some("`owners`")),
        ("CRAFTX_ACCESS__TTL_MS", "`access.ttl_ms`", None),
    ] {
        let error = config(&folder).variables([(variable, "9000")]).check().unwrap_err();
        assert_eq!((error.get("key"), error.get("nearest")), (Some(key), nearest), "{error}");
        assert_eq!(error.get("source"), Some(format!("variable `{variable}`").as_str()), "{error}");
    }
    let error = config(&folder).variables([("CRAFTX_ENCRYPT__KEYRING", "hunter2")]).check().unwrap_err();
    assert!(error.get("key") == Some("`encrypt.keyring`") && !error.to_string().contains("hunter2"), "{error}");
    let error = config(&folder).set("encrypt.keys.backend", "production_hybrid").check().unwrap_err();
    assert_eq!(error.get("key"), Some("`encrypt.keys.backend`"));
}

#[test]
fn options_of_a_layer_that_is_not_there_are_an_error() {
    let folder = sealed();
    let error = config(&folder).variables([("CRAFTX_LAYERS", "access"), ("CRAFTX_ENCRYPT__PAD", "true")]).check();
    assert_eq!(error.unwrap_err().kind(), ErrorKind::ConfigInvalid);
}
