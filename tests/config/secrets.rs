//! A secret that was written into a configuration, wherever it was, is never shown.

use std::error::Error as _;

use craftx::Config;

use crate::support::Folder;
use crate::wrong::CASES;

/// Everything that a program could show of a configuration.
fn everything_shown(config: &Config) -> String {
    let mut shown = vec![format!("{config:?}")];
    let mut tell = |error: craftx::Error| {
        shown.extend([error.to_string(), format!("{error:?}"), format!("{error:#?}")]);
        shown.extend(error.context().map(|(key, value)| format!("{key} {value}")));
        let mut source = error.source();
        while let Some(inner) = source {
            shown.extend([inner.to_string(), format!("{inner:?}")]);
            source = inner.source();
        }
    };
    let origins = config.origins().map_err(&mut tell);
    let stack = config.stack().map_err(&mut tell);
    let described = config.stack_config().map_err(&mut tell);
    let profiles = config.profiles().map_err(&mut tell);
    let path = config.path().map_err(&mut tell);
    if let Ok(origins) = origins {
        shown.extend(origins.iter().map(|setting| format!("{} {} {}", setting.key, setting.value, setting.origin)));
        shown.push(format!("{origins:?}"));
    }
    if let Ok(stack) = stack {
        shown.extend([stack.describe(), format!("{stack:?}")]);
    }
    shown.push(format!("{:?} {:?} {path:?}", described.ok(), profiles.ok()));
    shown.join("\n")
}

#[test]
fn no_secret_is_shown_of_any_wrong_configuration() {
    let mut with_secret = 0;
    for case in CASES {
        let (_folder, config) = case.set_up();
        with_secret += u32::from(case.holds("canary"));
        let shown = everything_shown(&config);
        assert!(!shown.contains("canary"), "{}", case.what);
    }
    assert!(with_secret >= 20, "{with_secret} cases hold a secret");
}

#[test]
fn no_secret_is_shown_however_a_file_is_broken() {
    let toml = "backend = 'bucket'\n[bucket]\nbucket = 'b'\nsecret_key = \"canary\"\n\
                endpoint = 'https://user:canary@host/?token=canary'\n[validate]\nmax_batch = 1\n";
    let folder = Folder::empty();
    for at in 0..toml.len() {
        let (before, after) = (&toml[..at], &toml[at + 1..]);
        for broken in [before.to_owned(), format!("{before}{after}"), format!("{before}'{after}")] {
            std::fs::write(folder.path("craftx.toml"), &broken).unwrap();
            let shown = everything_shown(&folder.config(&[]));
            assert!(!shown.contains("canary"), "{broken}");
        }
    }
}

#[test]
fn no_secret_is_shown_of_a_valid_configuration() {
    let toml = "backend = 'bucket'\n[bucket]\nbucket = 'b'\nsecret_key = 'env:CRAFTX_TEST_SECRET'\n\
                endpoint = 'https://user:canary@host:1/path?token=canary'\n";
    let folder = Folder::with(toml);
    let config = folder.config(&[]);
    config.check().unwrap();
    let shown = everything_shown(&config);
    assert!(!shown.contains("canary") && !shown.contains("user"));
    assert!(shown.contains("bucket.secret_key \"env:CRAFTX_TEST_SECRET\""), "where a secret is may be shown");
    assert!(shown.contains("bucket.endpoint \"https://…@host:1/path?…\""));
    assert!(shown.contains("bucket.bucket \"b\""));
}

#[test]
fn a_secret_of_digits_is_none_the_less() {
    let folder = Folder::with("backend = 'bucket'\n[bucket]\nbucket = 'b'\n[validate]\nmax_keys = 7\n");
    for password in ["271828", "2.5", "true"] {
        let config = folder.config(&[("CRAFTX_BUCKET__PASSWORD", password)]);
        config.check().unwrap();
        let settings = config.origins().unwrap();
        let shown = |key: &str| settings.iter().find(|setting| setting.key == key).unwrap().value.clone();
        assert_eq!((shown("bucket.password").as_str(), shown("validate.max_keys").as_str()), ("\"…\"", "7"));
    }
}

#[test]
fn text_is_masked_until_all_parts_have_accepted_their_options() {
    let folder =
        Folder::with("backend = 'bucket'\n[bucket]\nbucket = 'canary'\nscret = 'canary'\npath = 'shown'\nsize = 5\n");
    let config = folder.config(&[]);
    assert!(config.check().is_err());
    let shown: Vec<_> = config.origins().unwrap().iter().map(|s| format!("{}={}", s.key, s.value)).collect();
    let expected =
        ["backend=\"bucket\"", "bucket.bucket=\"…\"", "bucket.path=\"shown\"", "bucket.scret=\"…\"", "bucket.size=5"];
    assert_eq!(shown, expected);
}

#[test]
fn code_and_variables_are_not_shown_by_debug() {
    let config = Config::new().set("bucket.anything", "canary").variables([("CRAFTX_BUCKET__KEY", "canary")]);
    assert!(!format!("{config:?}").contains("canary"));
}
