//! That the lock file holds only what `deny.toml` allows: the same as `cargo deny check bans licenses sources`, without
//! the tool, which takes minutes to build.

use crate::assert_none;
use crate::workspace::{Package, WORKSPACE, package, root};

/// What `deny.toml` says.
#[derive(Debug, PartialEq, Eq)]
struct Rules {
    licenses: Vec<String>,
    /// Names of crates, each with the reason.
    banned: Vec<(String, String)>,
    registries: Vec<String>,
}

impl Rules {
    fn read(text: &str) -> Self {
        let quoted = |line: &str| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let list = |key: &str| text.lines().find(|line| line.starts_with(key)).map(quoted).unwrap();
        let banned = text.lines().filter(|line| line.starts_with("    { crate = ")).map(quoted);
        Self {
            licenses: list("allow = "),
            banned: banned.map(|names| (names[0].clone(), names[1].clone())).collect(),
            registries: list("allow-registry = "),
        }
    }

    /// Whether an SPDX expression can be met: one side of an `OR`, both sides of an `AND`. An old spelling of `OR` is `/`.
    fn allow(&self, expression: &str) -> bool {
        let expression = expression.replace('/', " OR ");
        let mut words = expression.replace('(', " ( ").replace(')', " ) ");
        words.push_str(" )");
        self.either(&mut words.split_whitespace())
    }

    /// Alternatives up to a closing parenthesis. `AND` binds more tightly than `OR`.
    fn either(&self, words: &mut dyn Iterator<Item = &str>) -> bool {
        let (mut any, mut all) = (false, true);
        while let Some(word) = words.next() {
            match word {
                "(" => all &= self.either(words),
                ")" => break,
                "AND" => {}
                "OR" => (any, all) = (any | all, true),
                // An exception only adds permissions.
                "WITH" => drop(words.next()),
                license => all &= self.licenses.iter().any(|allowed| allowed == license),
            }
        }
        any | all
    }

    /// Banned crates in a lock file, which may hold more than is ever built.
    fn banned(&self, lock: &str) -> Vec<String> {
        let locked = |name: &str| lock.lines().any(|line| line == format!("name = \"{name}\""));
        let found = self.banned.iter().filter(|(name, _)| locked(name));
        found.map(|(name, why)| format!("`{name}` is locked: {why}")).collect()
    }

    fn violations(&self, package: &Package) -> Vec<String> {
        let name = &package.name;
        let mut violations = Vec::new();
        match &package.license {
            Some(license) if self.allow(license) => {}
            license => violations.push(format!("`{name}`: its licence {license:?} is not allowed")),
        }
        let known = |source: &str| self.registries.iter().any(|registry| source == format!("registry+{registry}"));
        if let Some(source) = package.source.as_deref().filter(|source| !known(source)) {
            violations.push(format!("`{name}` comes from `{source}`"));
        }
        violations
    }
}

fn rules() -> Rules {
    Rules::read(&std::fs::read_to_string(root().join("deny.toml")).unwrap())
}

#[test]
fn only_what_is_allowed_is_locked() {
    let rules = rules();
    assert!(rules.banned.len() > 10 && !rules.licenses.is_empty() && rules.registries.len() == 1, "{rules:?}");
    assert_none(&rules.banned(&std::fs::read_to_string(root().join("Cargo.lock")).unwrap()));
    assert_none(&WORKSPACE.packages.iter().flat_map(|package| rules.violations(package)).collect::<Vec<_>>());
}

#[test]
fn what_is_not_allowed_is_found() {
    let rules = rules();
    let lock = "[[package]]\nname = \"paste-next\"\n\n[[package]]\nname = \"paste\"\n";
    assert_eq!(rules.banned(lock), ["`paste` is locked: RUSTSEC-2024-0436"]);
    let fine = || Package { license: Some("MIT".to_owned()), ..package("a") };
    assert_none(&rules.violations(&fine()));
    let bad = [
        Package { license: Some("GPL-3.0-only".to_owned()), ..fine() },
        Package { license: None, ..fine() },
        Package { source: Some("git+https://example.org/a".to_owned()), ..fine() },
    ];
    for package in bad {
        assert_eq!(rules.violations(&package).len(), 1);
    }
}

#[test]
fn licence_expressions_are_understood() {
    let rules =
        Rules { licenses: vec!["MIT".to_owned(), "Zlib".to_owned()], banned: Vec::new(), registries: Vec::new() };
    for met in
        ["MIT", "MIT OR GPL-2.0", "GPL-2.0/MIT", "MIT AND Zlib", "(MIT OR A) AND Zlib", "A AND B OR MIT", "MIT WITH X"]
    {
        assert!(rules.allow(met), "{met}");
    }
    for not in ["A", "MIT AND A", "(MIT OR A) AND B", "A OR MIT AND B", "(A OR B) AND MIT"] {
        assert!(!rules.allow(not), "{not}");
    }
}
