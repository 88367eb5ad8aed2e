//! What is said of wrong configurations, word for word: each names the key, where it came from, and the nearest known name.

use std::sync::Arc;

use craftx::{Config, ErrorKind, Memory, Registry};

use crate::support::Folder;

/// One wrong configuration and what is said of it.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    toml: &'static str,
    variables: &'static [(&'static str, &'static str)],
    code: fn(Config) -> Config,
    said: &'static str,
}

const NOTHING: Case = Case { what: "", toml: "", variables: &[], code: |config| config, said: "" };

impl Case {
    /// Whether this text is anywhere in it.
    pub(crate) fn holds(&self, text: &str) -> bool {
        self.toml.contains(text) || self.variables.iter().any(|(_, value)| value.contains(text))
    }

    /// A folder with the file, and the configuration.
    pub(crate) fn set_up(&self) -> (Folder, Config) {
        let folder = if self.toml.is_empty() { Folder::empty() } else { Folder::with(self.toml) };
        let config = (self.code)(folder.config(self.variables));
        (folder, config)
    }
}

/// Wherever a value may be secret, it is `canary`.
pub(crate) const CASES: &[Case] = &[
    Case {
        what: "a key with a typo",
        toml: "backend = 'sqlite'\n[sqlite]\npath = 'a.db'\nreders = 2\n",
        said: "configure: there is no such key, key: `sqlite.reders`, nearest: `readers`, source: `craftx.toml:4`",
        ..NOTHING
    },
    Case {
        what: "a secret under a key that does not exist",
        toml: "backend = 'bucket'\n[bucket]\nbucket = 'b'\nscret_key = 'canary'\n",
        said: "configure: there is no such key, key: `bucket.scret_key`, nearest: `secret_key`, source: `craftx.toml:4`",
        ..NOTHING
    },
    Case {
        what: "a number that is text",
        toml: "backend = 'sqlite'\n[sqlite]\npath = 'a.db'\nreaders = 'canary'\n",
        said: "configure: this must be a whole number, not text, key: `sqlite.readers`, source: `craftx.toml:4`",
        ..NOTHING
    },
    Case {
        what: "a number out of range",
        toml: "profile = 'production_sqlite'\n[sqlite]\nreaders = 4000\n",
        said: "configure: there can be 1 to 64 readers, key: `sqlite.readers`, source: `craftx.toml:3`",
        ..NOTHING
    },
    Case {
        what: "a number below zero",
        toml: "profile = 'production_sqlite'\n[sqlite]\nreaders = -4\n",
        said: "configure: this number is out of range, key: `sqlite.readers`, source: `craftx.toml:3`",
        ..NOTHING
    },
    Case {
        what: "a word that is not one of the choices",
        toml: "profile = 'production_sqlite'\n\n[sqlite]\ndurability = 'powerloss'\n",
        said: "configure: this must be `power-loss` or `process-crash`, key: `sqlite.durability`, nearest: `power-loss`, source: `craftx.toml:4`",
        ..NOTHING
    },
    Case {
        what: "a table that is text",
        toml: "profile = 'production_sqlite'\nsqlite = 'canary'\n",
        said: "configure: this must be a table, not text, key: `sqlite`, source: `craftx.toml:2`",
        ..NOTHING
    },
    Case {
        what: "a key of the top level with a typo",
        toml: "bakend = 'sqlite'\n",
        said: "configure: there is no such key, key: `bakend`, source: `craftx.toml:1`, nearest: `backend`",
        ..NOTHING
    },
    Case {
        what: "a table with a typo",
        toml: "profile = 'production_sqlite'\n[sqltie]\npath = 'a.db'\n",
        said: "configure: there is no such key, key: `sqltie`, source: `craftx.toml:2`, nearest: `sqlite`",
        ..NOTHING
    },
    Case {
        what: "an unknown scheme",
        toml: "backend = 'sqlight'\n[sqlight]\npath = 'a.db'\n",
        said: "configure: there is no scheme `sqlight`, key: `backend`, nearest: `sqlite`, source: `craftx.toml:1`",
        ..NOTHING
    },
    Case {
        what: "a URL in place of a name",
        toml: "# where it is\nbackend = 'postgres://user:canary@host/db'\n",
        said: "configure: this is not the name of a scheme, key: `backend`, known: `bucket`, `hybrid`, `json`, `memory`, `postgres`, `postgresql`, `sqlite`, source: `craftx.toml:2`",
        ..NOTHING
    },
    Case {
        what: "a backend that this release does not have",
        toml: "backend = 'redis'\n[redis]\npassword = 'canary'\n",
        said: "configure: the scheme `redis` needs the package `craftx-redis`, which comes with a later release, key: `backend`, source: `craftx.toml:1`",
        ..NOTHING
    },
    Case {
        what: "a password in a file that is not about passwords",
        toml: "backend = 'postgres'\n[postgres]\nprimary = 'db1:5432'\npassword = 'canary'\n",
        said: "configure: this must be where the secret is, `env:NAME` or `file:PATH`, and not the secret itself, key: `postgres.password`, source: `craftx.toml:4`",
        ..NOTHING
    },
    Case {
        what: "a connection to another machine without encryption",
        toml: "backend = 'postgres'\n[postgres]\nprimary = 'db1:5432'\nreplicas = ['db2:5432']\nsslmode = 'disable'\n",
        said: "configure: another machine is reached with encryption, unless `allow_plaintext` says otherwise, key: `postgres.sslmode`, source: `craftx.toml:5`",
        ..NOTHING
    },
    Case {
        what: "encryption that somebody between could switch off",
        toml: "backend = 'postgres'\n[postgres]\nprimary = 'postgres://u:canary@127.0.0.1'\nsslmode = 'prefer'\n",
        said: "configure: this would go on without encryption where there is none; write `verify-full` or `disable`, key: `postgres.sslmode`, source: `craftx.toml:4`",
        ..NOTHING
    },
    Case {
        what: "a cluster without a server",
        toml: "backend = 'postgres'\n[postgres]\nuser = 'canary'\n",
        said: "configure: a PostgreSQL store needs a host, such as `postgres://craftx@localhost/craftx`, key: `postgres.path`, source: `craftx.toml:1`, variable: `CRAFTX_POSTGRES__PATH`",
        ..NOTHING
    },
    Case {
        what: "a backend whose cargo feature is off",
        code: |config| {
            let mut registry = Registry::new();
            registry.mention_missing("json", "the cargo feature `json`");
            config.registry(registry)
        },
        said: "configure: the scheme `json` needs the cargo feature `json`, key: `backend`, source: built-in profile `development`",
        ..NOTHING
    },
    Case {
        what: "a layer that this release does not have",
        toml: "profile = 'production_sqlite'\nlayers = ['observe']\n[observe]\nkey = 'canary'\n",
        said: "configure: the layer `observe` needs the package `craftx-observe`, which comes with a later release, key: `layers`, source: `craftx.toml:2`",
        ..NOTHING
    },
    Case {
        what: "a layer whose cargo feature is off",
        toml: "backend = 'memory'\nlayers = ['encrypt']\n[encrypt]\nkeyring = 'canary'\n",
        code: |config| {
            let mut registry = Registry::new();
            registry.register("memory", |_| Ok(Arc::new(Memory::new())));
            registry.mention_missing("encrypt", "the cargo feature `encrypt`");
            config.registry(registry)
        },
        said: "configure: the layer `encrypt` needs the cargo feature `encrypt`, key: `layers`, source: `craftx.toml:2`",
        ..NOTHING
    },
    Case {
        what: "a layer with a typo",
        toml: "profile = 'production_sqlite'\nlayers = ['valdate']\n",
        said: "configure: there is no layer `valdate`, key: `layers`, nearest: `validate`, source: `craftx.toml:2`",
        ..NOTHING
    },
    Case {
        what: "layers that are no list",
        toml: "profile = 'production_sqlite'\nlayers = 'validate'\n",
        said: "configure: this must be a list, not text, key: `layers`, source: `craftx.toml:2`",
        ..NOTHING
    },
    Case {
        what: "a secret in place of its place",
        toml: "backend = 'bucket'\n[bucket]\nbucket = 'b'\nsecret_key = 'canary'\n",
        said: "configure: this must be where the secret is, `env:NAME` or `file:PATH`, and not the secret itself, key: `bucket.secret_key`, source: `craftx.toml:4`",
        ..NOTHING
    },
    Case {
        what: "a secret that is a number",
        toml: "backend = 'bucket'\n[bucket]\nbucket = 'b'\nsecret_key = 20231123\n",
        said: "configure: this must be where the secret is, `env:NAME` or `file:PATH`, and not the secret itself, key: `bucket.secret_key`, source: `craftx.toml:4`",
        ..NOTHING
    },
    Case {
        what: "a secret in a list",
        variables: &[("CRAFTX_BUCKET__BUCKET", "b")],
        toml: "backend = 'bucket'\n[bucket]\nsecret_key = ['canary']\n",
        said: "configure: this must be where the secret is, `env:NAME` or `file:PATH`, and not the secret itself, key: `bucket.secret_key`, source: `craftx.toml:3`",
        ..NOTHING
    },
    Case {
        what: "a required key that is missing",
        toml: "\nbackend = 'bucket'\n",
        said: "configure: a key is missing, key: `bucket.bucket`, source: `craftx.toml:2`, variable: `CRAFTX_BUCKET__BUCKET`",
        ..NOTHING
    },
    Case {
        what: "a path that is missing",
        variables: &[("CRAFTX_BACKEND", "sqlite")],
        said: "configure: a SQLite store needs the path of its file, such as `sqlite:craftx.db`, key: `sqlite.path`, source: variable `CRAFTX_BACKEND`, variable: `CRAFTX_SQLITE__PATH`",
        ..NOTHING
    },
    Case {
        what: "options of what is no part of the stack",
        toml: "profile = 'development'\n[sqlite]\npath = 'a.db'\n",
        said: "configure: this belongs to no part of the stack, key: `sqlite.path`, source: `craftx.toml:3`, parts: `json`, `validate`",
        ..NOTHING
    },
    Case {
        what: "options of what is no part of the stack, by a variable",
        variables: &[("CRAFTX_SQLITE__PATH", "a.db")],
        said: "configure: this belongs to no part of the stack, key: `sqlite.path`, source: variable `CRAFTX_SQLITE__PATH`, parts: `json`, `validate`",
        ..NOTHING
    },
    Case {
        what: "options of what is no part of the stack, by code",
        code: |config| config.set("sqlite.path", "a.db"),
        said: "configure: this belongs to no part of the stack, key: `sqlite.path`, source: code, parts: `json`, `validate`",
        ..NOTHING
    },
    Case {
        what: "a profile with options of what is no part of it",
        toml: "profile = 'mine'\n[profiles.mine]\nextends = 'development'\n[profiles.mine.sqlite]\npath = 'a.db'\n",
        said: "configure: this belongs to no part of the stack, key: `sqlite.path`, source: `craftx.toml:5`, parts: `json`, `validate`",
        ..NOTHING
    },
    Case {
        what: "an unknown profile in the file",
        toml: "profile = 'prodution_sqlite'\n",
        said: "configure: there is no profile `prodution_sqlite`, key: `profile`, source: `craftx.toml:1`, nearest: `production_sqlite`",
        ..NOTHING
    },
    Case {
        what: "an unknown profile in a variable",
        variables: &[("CRAFTX_PROFILE", "dev")],
        said: "configure: there is no profile `dev`, key: `profile`, source: variable `CRAFTX_PROFILE`, nearest: `development`",
        ..NOTHING
    },
    Case {
        what: "an unknown profile in code",
        toml: "[profiles.staging]\nextends = 'production_sqlite'\n",
        code: |config| config.profile("stagin"),
        said: "configure: there is no profile `stagin`, key: `profile`, source: code, nearest: `staging`",
        ..NOTHING
    },
    Case {
        what: "a profile that extends an unknown one",
        toml: "profile = 'mine'\n[profiles.mine]\nextends = 'developement'\n",
        said: "configure: there is no profile `developement`, key: `profiles.mine.extends`, source: `craftx.toml:3`, nearest: `development`",
        ..NOTHING
    },
    Case {
        what: "profiles that extend each other",
        toml: "profile = 'a'\n[profiles.a]\nextends = 'b'\n[profiles.b]\nextends = 'a'\n",
        said: "configure: these profiles extend each other, key: `profiles.b.extends`, source: `craftx.toml:5`",
        ..NOTHING
    },
    Case {
        what: "a profile without a backend",
        toml: "profile = 'mine'\n[profiles.mine]\ndescription = 'empty'\n",
        said: "configure: a key is missing, key: `backend`, source: `craftx.toml:2`, variable: `CRAFTX_BACKEND`",
        ..NOTHING
    },
    Case {
        what: "a profile that names a profile",
        toml: "[profiles.mine]\nprofile = 'development'\n",
        said: "configure: there is no such key in a profile, key: `profiles.mine.profile`, source: `craftx.toml:2`, known: `extends`, `description`, `backend`, `layers`",
        ..NOTHING
    },
    Case {
        what: "a profile over a stack of its own",
        toml: "backend = 'sqlite'\n[sqlite]\npath = 'a.db'\n",
        variables: &[("CRAFTX_PROFILE", "development")],
        said: "configure: a profile is named, and the file describes a stack of its own, which stands on none, key: `profile`, source: variable `CRAFTX_PROFILE`, other: `craftx.toml:1`",
        ..NOTHING
    },
    Case {
        what: "an unknown variable",
        variables: &[("CRAFTX_PROFIL", "canary")],
        said: "configure: there is no such variable, source: variable `CRAFTX_PROFIL`, nearest: `CRAFTX_PROFILE`",
        ..NOTHING
    },
    Case {
        what: "a variable with one underscore",
        variables: &[("CRAFTX_SQLITE_PATH", "a.db")],
        said: "configure: there is no such variable, source: variable `CRAFTX_SQLITE_PATH`, nearest: `CRAFTX_SQLITE__PATH`",
        ..NOTHING
    },
    Case {
        what: "a variable of an unknown part",
        variables: &[("CRAFTX_SQLTIE__PATH", "canary")],
        said: "configure: there is no such variable, source: variable `CRAFTX_SQLTIE__PATH`, nearest: `CRAFTX_SQLITE__PATH`",
        ..NOTHING
    },
    Case {
        what: "a variable of a part without a key",
        variables: &[("CRAFTX_JSON", "canary")],
        said: "configure: this names a part and no key of it, source: variable `CRAFTX_JSON`, nearest: `CRAFTX_JSON__KEY`",
        ..NOTHING
    },
    Case {
        what: "an unknown key in a variable",
        variables: &[("CRAFTX_JSON__PAHT", "canary")],
        said: "configure: there is no such key, key: `json.paht`, nearest: `path`, source: variable `CRAFTX_JSON__PAHT`",
        ..NOTHING
    },
    Case {
        what: "an empty variable",
        variables: &[("CRAFTX_PROFILE", "")],
        said: "configure: the value is empty; a variable that is not meant has to be unset, source: variable `CRAFTX_PROFILE`",
        ..NOTHING
    },
    Case {
        what: "a wrong type in a variable",
        variables: &[("CRAFTX_PROFILE", "production_sqlite"), ("CRAFTX_SQLITE__READERS", "canary")],
        said: "configure: this must be a whole number, not text, key: `sqlite.readers`, source: variable `CRAFTX_SQLITE__READERS`",
        ..NOTHING
    },
    Case {
        what: "an unknown type of storage",
        variables: &[("CRAFTX_STORAGE_TYPE", "canary")],
        said: "configure: there is no such type of storage, source: variable `CRAFTX_STORAGE_TYPE`, known: `bucket`, `hybrid`, `json`, `memory`, `postgres`, `postgresql`, `sqlite`",
        ..NOTHING
    },
    Case {
        what: "a name of a profile that is none",
        variables: &[("CRAFTX_PROFILE", "sqlite://user:canary@host/a.db")],
        said: "configure: this is not the name of a profile, key: `profile`, source: variable `CRAFTX_PROFILE`, known: `development`, `production_sqlite`, `production_hybrid`, `cloud_ready`",
        ..NOTHING
    },
    Case {
        what: "a URL in place of a key",
        toml: "'s3://user:canary@host' = true\n",
        said: "configure: a name consists of up to 40 letters, digits, `_`, `-` and `+`, key: `…`, source: `craftx.toml:1`",
        ..NOTHING
    },
    Case {
        what: "a URL in place of a key of a part",
        toml: "[json]\n's3://user:canary@host' = true\n",
        said: "configure: a name consists of up to 40 letters, digits, `_`, `-` and `+`, key: `json.…`, source: `craftx.toml:2`",
        ..NOTHING
    },
    Case {
        what: "a layer that is named twice",
        toml: "profile = 'development'\nlayers = ['validate', 'validate']\n",
        said: "configure: a layer is named twice, key: `layers`, layer: `validate`, source: `craftx.toml:2`",
        ..NOTHING
    },
    Case {
        what: "a backend in place of a layer",
        toml: "profile = 'development'\nlayers = ['sqlite']\n",
        said: "configure: `sqlite` is a backend and no layer, key: `layers`, source: `craftx.toml:2`",
        ..NOTHING
    },
    Case {
        what: "a variable that sets a table and one that sets a key of it",
        variables: &[("CRAFTX_HYBRID__PRIMARY", "canary"), ("CRAFTX_HYBRID__PRIMARY__BACKEND", "json")],
        said: "configure: these variables contradict each other, source: variable `CRAFTX_HYBRID__PRIMARY`, other: variable `CRAFTX_HYBRID__PRIMARY__BACKEND`, key: `hybrid.primary`",
        ..NOTHING
    },
    Case {
        what: "two variables that choose the backend",
        variables: &[("CRAFTX_BACKEND", "json"), ("CRAFTX_STORAGE_TYPE", "sqlite")],
        said: "configure: two variables choose the backend, source: variable `CRAFTX_STORAGE_TYPE`, other: variable `CRAFTX_BACKEND`",
        ..NOTHING
    },
    Case {
        what: "two variables that set one path",
        variables: &[("CRAFTX_JSON__PATH", "canary"), ("CRAFTX_STORAGE_PATH", "canary")],
        said: "configure: two variables say the same, source: variable `CRAFTX_STORAGE_PATH`, other: variable `CRAFTX_JSON__PATH`, key: `json.path`",
        ..NOTHING
    },
    Case {
        what: "no TOML",
        toml: "profile = 'development'\n[json]\npath = canary\n",
        said: "configure: this is not TOML: string values must be quoted, expected literal string, source: `craftx.toml:3`",
        ..NOTHING
    },
    Case {
        what: "a key that is there twice",
        toml: "[json]\npath = 'canary'\npath = 'canary'\n",
        said: "configure: this is not TOML: duplicate key, source: `craftx.toml:3`",
        ..NOTHING
    },
    Case {
        what: "a file that is not there",
        variables: &[("CRAFTX_CONFIG", "/nonexistent/craftx.toml")],
        said: "configure: there is no such file, file: `/nonexistent/craftx.toml`, source: variable `CRAFTX_CONFIG`",
        ..NOTHING
    },
    Case {
        what: "a wrong option deep inside of a composite",
        toml: "backend = 'hybrid'\n[hybrid.primary]\nbackend = 'json'\n[hybrid.primary.json]\npath = 'a'\n[[hybrid.secondary]]\n\
               backend = 'sqlite'\n[hybrid.secondary.sqlite]\npath = 'b'\nread = 2\n",
        said: "configure: there is no such key, key: `hybrid.secondary.0.sqlite.read`, nearest: `readers`, source: `craftx.toml:10`",
        ..NOTHING
    },
    Case {
        what: "a store of a composite without a backend",
        toml: "backend = 'hybrid'\n[hybrid.primary]\nbakend = 'json'\n",
        said: "configure: there is no such key, key: `hybrid.primary.bakend`, nearest: `backend`, source: `craftx.toml:3`",
        ..NOTHING
    },
    Case {
        what: "an item that a list does not have",
        variables: &[("CRAFTX_PROFILE", "production_hybrid"), ("CRAFTX_HYBRID__SECONDARY__3__JSON__PATH", "canary")],
        said: "configure: the list has no such item, key: `hybrid.secondary.3.json.path`, source: variable `CRAFTX_HYBRID__SECONDARY__3__JSON__PATH`",
        ..NOTHING
    },
    Case {
        what: "a limit of the layer that every stack has",
        toml: "[validate]\nmax_depth = 1000\n",
        said: "configure: this must not be greater than 96, key: `validate.max_depth`, source: `craftx.toml:2`",
        ..NOTHING
    },
];

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let mut other = Vec::new();
    for case in CASES {
        let (folder, config) = case.set_up();
        let error = config.check().expect_err(case.what);
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{}", case.what);
        let said = folder.text(&error);
        if said != case.said {
            other.push(format!("{}:\n  {said}\n  {}", case.what, case.said));
        }
    }
    assert!(other.is_empty(), "{} cases:\n{}", other.len(), other.join("\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = Folder::empty();
    std::fs::create_dir(folder.path("craftx.toml")).unwrap();
    let error = folder.config(&[]).check().unwrap_err();
    assert_eq!(folder.text(&error), "configure: the file cannot be read, file: `craftx.toml`, reason: is a directory");
    let folder = Folder::empty();
    std::fs::write(folder.path("craftx.toml"), b"backend = '\xff'").unwrap();
    let error = folder.config(&[]).check().unwrap_err();
    assert_eq!(folder.text(&error), "configure: the file is no UTF-8, file: `craftx.toml`");
    let error = Config::new().file(folder.path("other.toml")).check().unwrap_err();
    assert_eq!(folder.text(&error), "configure: there is no such file, file: `other.toml`");
}

#[cfg(unix)]
#[test]
fn variables_that_are_no_utf8_are_named() {
    use std::os::unix::ffi::OsStringExt as _;
    let bad = |text: &[u8]| std::ffi::OsString::from_vec(text.to_vec());
    for (name, value, said) in [
        (bad(b"CRAFTX_JSON__PATH"), bad(b"\xff"), "the value is no UTF-8, source: variable `CRAFTX_JSON__PATH`"),
        (bad(b"CRAFTX_\xff"), bad(b"a"), "the name is no UTF-8, source: variable `CRAFTX_\u{fffd}`"),
    ] {
        let error = Config::new().variables([(name, value)]).check().unwrap_err();
        assert_eq!(error.to_string(), format!("configure: {said}"));
    }
    Config::new().variables([(bad(b"OTHER_\xff"), bad(b"\xff"))]).check().unwrap();
}

#[test]
fn a_file_may_begin_with_a_mark_and_have_the_line_ends_of_windows() {
    let folder = Folder::with("\u{feff}profile = 'development'\r\n[json]\r\npaht = 'a'\r\n");
    let error = folder.config(&[]).check().unwrap_err();
    assert_eq!(error.get("key"), Some("`json.paht`"));
    assert!(error.get("source").unwrap().ends_with("craftx.toml:3`"));
}
