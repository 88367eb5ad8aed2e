//! The guide's three variables on each of the guide's profiles.

use crate::support::{Folder, setting};

const PROFILES: [&str; 4] = ["development", "production_sqlite", "production_hybrid", "cloud_ready"];

/// The key that a variable sets on each profile; nothing where it is an error.
fn keys(variables: &[(&'static str, &'static str)], named: &str) -> [Option<String>; 4] {
    PROFILES.map(|profile| {
        let config = Folder::empty().config(variables).profile(profile);
        let settings = config.origins().ok()?;
        let origin = format!("variable `{named}`");
        let set: Vec<_> = settings.into_iter().filter(|setting| setting.origin.to_string() == origin).collect();
        assert_eq!(set.len(), 1, "{profile}: {set:?}");
        assert_eq!(set[0].value, "\"here\"");
        set.into_iter().next().map(|setting| setting.key)
    })
}

fn said(profile: &str, variables: &[(&str, &str)]) -> String {
    let error = Folder::empty().config(variables).profile(profile).check().unwrap_err();
    error.to_string()
}

#[test]
fn db_path_is_the_path_of_the_sqlite_store() {
    let found = keys(&[("CRAFTX_DB_PATH", "here")], "CRAFTX_DB_PATH");
    let expected = [None, Some("sqlite.path"), Some("hybrid.primary.sqlite.path"), None];
    assert_eq!(found.each_ref().map(Option::as_deref), expected);
    assert_eq!(
        said("development", &[("CRAFTX_DB_PATH", "here")]),
        "configure: this means the path of a `sqlite` store, and the stack has none, source: variable \
         `CRAFTX_DB_PATH`, chosen_by: built-in profile `development`"
    );
}

#[test]
fn storage_path_is_the_path_of_the_json_store() {
    let found = keys(&[("CRAFTX_STORAGE_PATH", "here")], "CRAFTX_STORAGE_PATH");
    let expected =
        [Some("json.path"), None, Some("hybrid.secondary.0.json.path"), Some("hybrid.secondary.0.json.path")];
    assert_eq!(found.each_ref().map(Option::as_deref), expected);
}

#[test]
fn a_type_changes_a_profile_with_one_store() {
    let chosen = |profile: &str, variables: &[(&str, &str)]| {
        let config = Folder::empty().config(variables).profile(profile);
        config.check().unwrap();
        let backend = setting(&config, "backend").unwrap().0;
        let path = ["json.path", "sqlite.path"].iter().find_map(|key| setting(&config, key)).map(|(path, _)| path);
        (backend, path.unwrap_or_default())
    };
    let both = |backend: &str, path: &str| (format!("\"{backend}\""), format!("\"{path}\""));
    let sqlite = ("CRAFTX_STORAGE_TYPE", "sqlite");
    assert_eq!(chosen("development", &[sqlite]), both("sqlite", "craftx.db"), "the guide's default");
    assert_eq!(chosen("development", &[sqlite, ("CRAFTX_DB_PATH", "mine.db")]), both("sqlite", "mine.db"));
    assert_eq!(chosen("production_sqlite", &[sqlite]), both("sqlite", "craftx_production.db"));
    assert_eq!(chosen("production_sqlite", &[("CRAFTX_STORAGE_TYPE", "JSON")]), both("json", "chat_logs"));
    assert_eq!(chosen("production_sqlite", &[("CRAFTX_STORAGE_TYPE", "memory")]).0, "\"memory\"");
}

#[test]
fn a_type_never_drops_redundancy() {
    assert_eq!(
        said("cloud_ready", &[]),
        "configure: the scheme `s3` needs the package `craftx-object`, which comes with a later release, \
         key: `hybrid.primary.backend`, source: built-in profile `cloud_ready`"
    );
}
