//! Built-in profiles < file < environment < code, key by key.

use craftx::Config;

use crate::support::{Folder, setting};

/// Where the path of the store came from, when these sources say something of it.
fn path(sources: &[&str]) -> (String, String) {
    let has = |source: &str| sources.contains(&source);
    let mut toml = String::new();
    if has("top") {
        toml.push_str("[sqlite]\npath = 'top'\n");
    }
    toml.push_str("[profiles.mine]\nextends = 'production_sqlite'\n");
    if has("profile") {
        toml.push_str("[profiles.mine.sqlite]\npath = 'profile'\n");
    }
    let folder = Folder::with(&toml);
    let variables = [("CRAFTX_PROFILE", "mine"), ("CRAFTX_SQLITE__PATH", "variable")];
    let config = folder.config(if has("variable") { &variables } else { &variables[..1] });
    let config = if has("code") { config.set("sqlite.path", "code") } else { config };
    setting(&config, "sqlite.path").unwrap()
}

#[test]
fn of_each_two_sources_the_later_one_wins() {
    let sources = ["profile", "top", "variable", "code"];
    let line = |number: u32| format!("`craftx.toml:{number}`");
    assert_eq!(path(&[]), ("\"craftx_production.db\"".to_owned(), "built-in profile `production_sqlite`".to_owned()));
    for (index, higher) in sources.iter().enumerate() {
        assert_eq!(path(&[higher]).0, format!("\"{higher}\""), "over the built-in profile");
        for lower in &sources[..index] {
            let (value, origin) = path(&[lower, higher]);
            assert_eq!(value, format!("\"{higher}\""), "{lower} and {higher}");
            let expected = match *higher {
                "top" => line(2),
                "variable" => "variable `CRAFTX_SQLITE__PATH`".to_owned(),
                _ => "code".to_owned(),
            };
            assert_eq!(origin, expected, "{lower} and {higher}");
        }
    }
    assert_eq!(path(&["profile"]).1, line(4));
}

#[test]
fn the_profile_is_named_by_code_or_a_variable_or_the_file_or_nobody() {
    let named = |config: &Config| setting(config, "profile").unwrap();
    let folder = Folder::with("profile = 'production_sqlite'\n");
    let variable = [("CRAFTX_PROFILE", "production_hybrid")];
    let both = |value: &str, origin: &str| (format!("\"{value}\""), origin.to_owned());
    assert_eq!(named(&Folder::empty().config(&[])), both("development", "default"));
    assert_eq!(named(&folder.config(&[])), both("production_sqlite", "`craftx.toml:1`"));
    assert_eq!(named(&folder.config(&variable)), both("production_hybrid", "variable `CRAFTX_PROFILE`"));
    assert_eq!(named(&folder.config(&variable).profile("development")), both("development", "code"));
}

#[test]
fn the_file_is_named_by_code_or_a_variable_or_lies_in_the_folder() {
    let folder = Folder::with("profile = 'development'\n[json]\npath = 'found'\n");
    for name in ["variable", "code"] {
        std::fs::write(folder.path(name), format!("[json]\npath = '{name}'\n")).unwrap();
    }
    let by_variable = folder.path("variable").display().to_string();
    let variables = [("CRAFTX_CONFIG", by_variable.as_str())];
    let path = |config: &Config| setting(config, "json.path").unwrap();
    assert_eq!(path(&folder.config(&[])), ("\"found\"".to_owned(), "`craftx.toml:3`".to_owned()));
    assert_eq!(path(&folder.config(&variables)), ("\"variable\"".to_owned(), "`variable:2`".to_owned()));
    let code = folder.config(&variables).file(folder.path("code"));
    assert_eq!(path(&code), ("\"code\"".to_owned(), "`code:2`".to_owned()));
    assert_eq!(code.path().unwrap(), Some(folder.path("code")));
    assert_eq!(Folder::empty().config(&[]).path().unwrap(), None);
}

#[test]
fn keys_that_a_higher_source_does_not_say_are_kept() {
    let folder = Folder::with(
        "profile = 'production_sqlite'\n[sqlite]\nreaders = 2\n[profiles.production_sqlite.sqlite]\nsearch = false\n",
    );
    let config = folder.config(&[("CRAFTX_SQLITE__DURABILITY", "process-crash")]).set("validate.max_batch", 10);
    let of = |key: &str| setting(&config, key).unwrap();
    let both = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(of("sqlite.path"), both("\"craftx_production.db\"", "built-in profile `production_sqlite`"));
    assert_eq!(of("sqlite.search"), both("false", "`craftx.toml:5`"));
    assert_eq!(of("sqlite.readers"), both("2", "`craftx.toml:3`"));
    assert_eq!(of("sqlite.durability"), both("\"process-crash\"", "variable `CRAFTX_SQLITE__DURABILITY`"));
    assert_eq!(of("validate.max_batch"), both("10", "code"));
    assert_eq!(config.stack().unwrap().capabilities().max_batch, Some(10));
}

#[test]
fn options_of_a_backend_do_not_leak_into_another() {
    let folder = Folder::with(
        "profile = 'mine'\n[profiles.mine]\nextends = 'production_sqlite'\nbackend = 'json'\n[profiles.mine.json]\npath = 'logs'\n",
    );
    let config = folder.config(&[]);
    assert_eq!(setting(&config, "sqlite.path"), None);
    assert_eq!(setting(&config, "json.path").unwrap().0, "\"logs\"");
    config.check().unwrap();
    // A variable that chooses another backend leaves the options of the profile behind, deep inside of stacks too.
    let inner = [("CRAFTX_HYBRID__PRIMARY__BACKEND", "json"), ("CRAFTX_HYBRID__PRIMARY__JSON__PATH", "first")];
    let config = Folder::empty().config(&inner).profile("production_hybrid");
    assert_eq!(setting(&config, "hybrid.primary.sqlite.path"), None);
    config.check().unwrap();
}

#[test]
fn a_profile_can_change_a_built_in_one_and_extend_another() {
    let toml = "[profiles.production_sqlite]\ndescription = 'ours'\n[profiles.production_sqlite.sqlite]\nreaders = 9\n\
                [profiles.small]\nextends = 'production_sqlite'\n[profiles.small.sqlite]\nreaders = 1\n";
    let folder = Folder::with(toml);
    let of = |profile: &str, key: &str| setting(&folder.config(&[]).profile(profile), key).unwrap().0;
    assert_eq!(of("production_sqlite", "sqlite.readers"), "9");
    assert_eq!(
        (of("small", "sqlite.readers"), of("small", "sqlite.path")),
        ("1".to_owned(), "\"craftx_production.db\"".to_owned())
    );
    let profiles = folder.config(&[]).profiles().unwrap();
    let names: Vec<_> = profiles.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(names, ["development", "production_sqlite", "production_hybrid", "cloud_ready", "small"]);
    assert_eq!(profiles[1].description, "ours");
    assert!(profiles.iter().take(4).all(|profile| !profile.description.is_empty()));
}

#[test]
fn lists_are_replaced_as_a_whole_and_their_items_are_named_by_number() {
    let toml = "profile = 'production_hybrid'\n[[hybrid.secondary]]\nbackend = 'memory'\n[[hybrid.secondary]]\n\
                backend = 'json'\n[hybrid.secondary.json]\npath = 'second'\n";
    let folder = Folder::with(toml);
    let config = folder.config(&[]);
    assert_eq!(
        setting(&config, "hybrid.secondary.0.backend").unwrap(),
        ("\"memory\"".to_owned(), "`craftx.toml:3`".to_owned())
    );
    assert_eq!(setting(&config, "hybrid.secondary.0.json.path"), None, "nothing of the profile's list is left");
    let variables = [("CRAFTX_HYBRID__SECONDARY__1__JSON__PATH", "other"), ("CRAFTX_LAYERS", " validate ,")];
    let config = folder.config(&variables);
    assert_eq!(
        setting(&config, "hybrid.secondary.1.json.path").unwrap(),
        ("\"other\"".to_owned(), "variable `CRAFTX_HYBRID__SECONDARY__1__JSON__PATH`".to_owned())
    );
    assert_eq!(
        setting(&config, "hybrid.secondary.1.backend").unwrap().1,
        "`craftx.toml:5`",
        "the rest is where it was"
    );
    assert_eq!(
        setting(&config, "layers").unwrap(),
        ("[\"validate\"]".to_owned(), "variable `CRAFTX_LAYERS`".to_owned())
    );
}

#[test]
fn a_variable_can_add_an_item_to_a_list() {
    let variables = [
        ("CRAFTX_PROFILE", "production_hybrid"),
        ("CRAFTX_HYBRID__SECONDARY__1__BACKEND", "sqlite"),
        ("CRAFTX_HYBRID__SECONDARY__1__SQLITE__PATH", "third.db"),
    ];
    let config = Folder::empty().config(&variables);
    config.check().unwrap();
    assert_eq!(setting(&config, "hybrid.secondary.0.json.path").unwrap().0, "\"chat_logs_backup\"");
    assert_eq!(setting(&config, "hybrid.secondary.1.sqlite.path").unwrap().0, "\"third.db\"");
}

#[test]
fn numbers_of_every_size_arrive_as_they_were_given() {
    let config = Config::new()
        .set("validate.max_record_bytes", u64::MAX)
        .set("validate.max_batch_bytes", i64::MAX)
        .set("validate.max_keys", 0);
    config.check().unwrap();
    assert_eq!(setting(&config, "validate.max_record_bytes").unwrap().0, u64::MAX.to_string());
    assert_eq!(setting(&config, "validate.max_batch_bytes").unwrap().0, i64::MAX.to_string());
    assert_eq!(setting(&config, "validate.max_keys").unwrap().0, "0");
    let error = Config::new().set("validate.max_keys", 1.5).check().unwrap_err();
    assert_eq!(error.get("key"), Some("`validate.max_keys`"));
}

#[test]
fn numbers_in_variables_can_be_text() {
    let config = Folder::empty().config(&[("CRAFTX_JSON__PATH", "2024"), ("CRAFTX_JSON__CACHE_ENTRIES", "2024")]);
    config.check().unwrap();
    let zeros = Folder::empty().config(&[("CRAFTX_JSON__PATH", "007")]);
    assert_eq!(setting(&zeros, "json.path").unwrap().0, "\"007\"", "no digit is lost");
}

#[test]
fn variables_of_tests_and_benches_are_left_alone() {
    for name in ["CRAFTX_TEST_POSTGRES_URL", "CRAFTX_FAULTS", "CRAFTX_FAULTS_SEED", "CRAFTX_UPDATE", "CRAFTX_BENCH_DIR"]
    {
        Folder::empty().config(&[(name, "1")]).check().unwrap();
    }
}
