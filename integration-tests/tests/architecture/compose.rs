//! What `docker-compose.yml` must not do: change under us, listen to the world, or depend on what is not there.

use yaml_rust2::{Yaml, YamlLoader};

use crate::assert_none;
use crate::workspace::root;

fn parse(text: &str) -> Yaml {
    YamlLoader::load_from_str(text).unwrap().remove(0)
}

/// The keys and values of a mapping; nothing if it is none.
fn entries(yaml: &Yaml) -> impl Iterator<Item = (&str, &Yaml)> {
    let entries = yaml.as_hash().into_iter().flatten();
    entries.map(|(key, value)| (key.as_str().unwrap(), value))
}

/// The texts of a list, or the keys of a mapping.
fn names(yaml: &Yaml) -> Vec<&str> {
    let listed = yaml.as_vec().into_iter().flatten().map(|name| name.as_str().unwrap());
    listed.chain(entries(yaml).map(|(name, _)| name)).collect()
}

/// A tag that names a version is the same image next year.
fn is_pinned(image: &str) -> bool {
    let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
    tag.is_some_and(|tag| tag != "latest" && tag.contains(|c: char| c.is_ascii_digit()))
}

/// A volume by name, not a folder of the machine or one without a name.
fn named_volume(volume: &str) -> Option<&str> {
    volume.split_once(':').map(|(name, _)| name).filter(|name| !name.starts_with(['.', '/', '~']))
}

fn violations(compose: &Yaml) -> Vec<String> {
    let services = &compose["services"];
    let mut violations = Vec::new();
    for (name, service) in entries(services) {
        let mut wrong = |what: String| violations.push(format!("`{name}`: {what}"));
        let image = service["image"].as_str().unwrap_or_default();
        if !is_pinned(image) {
            wrong(format!("its image `{image}` has no version"));
        }
        if service["healthcheck"]["test"].is_badvalue() {
            wrong("nobody asks whether it is healthy".to_owned());
        }
        for port in names(&service["ports"]).into_iter().filter(|port| !port.starts_with("127.0.0.1:")) {
            wrong(format!("others reach its port `{port}`"));
        }
        let volumes = names(&service["volumes"]);
        let declared = names(&compose["volumes"]);
        for volume in volumes.into_iter().filter_map(named_volume).filter(|volume| !declared.contains(volume)) {
            wrong(format!("its volume `{volume}` is not declared"));
        }
        for other in names(&service["depends_on"]) {
            if services[other].is_badvalue() {
                wrong(format!("it depends on `{other}`, which is not there"));
            }
        }
    }
    violations
}

#[test]
fn the_servers_are_pinned_private_and_watched() {
    let compose = parse(&std::fs::read_to_string(root().join("docker-compose.yml")).unwrap());
    assert!(entries(&compose["services"]).count() >= 3);
    assert_none(&violations(&compose));
}

/// The comment at its top says where the servers listen.
#[test]
fn the_url_in_the_comment_has_every_port() {
    let text = std::fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    let compose = parse(&text);
    let line = text.lines().find(|line| line.contains("export CRAFTX_TEST_POSTGRES_URL=")).unwrap();
    for port in entries(&compose["services"]).flat_map(|(_, service)| names(&service["ports"])) {
        let address = port.rsplit_once(':').unwrap().0;
        assert!(line.contains(address), "{address} is not in: {line}");
    }
}

#[test]
fn what_is_wrong_with_servers_is_found() {
    let bad = parse(
        "
services:
  fine:
    image: registry.example:5000/a:1.2
    healthcheck: { test: [CMD, 'true'] }
    ports: ['127.0.0.1:1:1']
    volumes: ['known:/a', './folder:/b']
    depends_on: [bad]
  bad:
    image: registry.example:5000/a
    ports: ['1:1', '0.0.0.0:2:2']
    volumes: ['unknown:/a']
    depends_on: { gone: { condition: service_healthy } }
volumes:
  known:
",
    );
    let found = violations(&bad);
    assert!(found.iter().all(|line| line.starts_with("`bad`: ")), "{found:?}");
    for part in ["`registry.example:5000/a`", "healthy", "`1:1`", "`0.0.0.0:2:2`", "`unknown`", "`gone`"] {
        assert_eq!(found.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {found:?}");
    }
    assert!(!is_pinned("postgres") && !is_pinned("postgres:latest") && !is_pinned("postgres:alpine"));
}
