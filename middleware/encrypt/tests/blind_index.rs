//! Searching by tokens of words.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::task::Waker;

use craftx_core::{
    Backend, Capabilities, Context, DynBackend, ErrorKind, Grant, Hit, Layer, Message, Record, Role, Scope,
    SearchQuery, SecretString, Slot, Stack, Stamp, Support, Tenant, WriteOptions,
};
use craftx_encrypt::{Encrypt, EncryptConfig, Keyring};
use futures_executor::block_on;
use serde_json::{Value, json};

use common::*;

fn blind() -> EncryptConfig {
    EncryptConfig::default().blind_index(true)
}

fn house() -> House {
    House::new(keyring("a"), blind())
}

fn search(store: &dyn Backend, cx: &Context, query: &SearchQuery) -> Result<Vec<Hit>, craftx_core::Error> {
    let mut query = query.clone();
    let mut hits = Vec::new();
    loop {
        let page = block_on(store.search(cx, &query))?;
        hits.extend(page.items);
        match page.next {
            None => return Ok(hits),
            next => query = query.cursor(next),
        }
    }
}

type Found = BTreeSet<(String, Stamp)>;

fn found(store: &dyn Backend, query: &str) -> Found {
    let hits = search(store, &cx(), &SearchQuery::new(query).limit(7)).unwrap();
    let all: Found = hits.iter().map(|hit| (hit.session.to_string(), hit.message.id)).collect();
    assert_eq!(all.len(), hits.len(), "a message is found twice");
    all
}

fn texts_of(store: &dyn Backend, query: &str) -> Vec<String> {
    let hits = search(store, &cx(), &SearchQuery::new(query)).unwrap();
    let mut texts: Vec<_> = hits.iter().map(|hit| hit.message.text().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

fn words(record: &Record) -> BTreeSet<String> {
    message(record).sealed.as_ref().unwrap().words.iter().cloned().collect()
}

/// Where the key store has the keys of tenants.
fn of_tenants() -> Context {
    cx().with_tenant(Tenant::new("craftx.encrypt").unwrap())
}

const TEXTS: [&str; 24] = [
    "HERONS were Running along the river",
    "un CAFE\u{301} à l'île, s'il vous plaît",
    "Straße, Œuvre, Łódź, İstanbul",
    "Ёлка и Москва. Привет, Мир!",
    "ΟΔΌΣ και οδός",
    "שלום עולם",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "我想找一家北京的餐馆，谢谢",
    "北、京と東京タワー",
    "東京は日本の首都です。",
    "本日は休みです",
    "京都 北海道",
    "한국어로 말해 주세요",
    "สวัสดีชาวโลก",
    "English with 東京 inside",
    "😀👍🏽 emoji 😀",
    "to be or not to be",
    "2nd_try (v1.0) x-y",
    "ＡＢＣ１２３ wide",
    "the heron, the heron, the heron",
    "\0 zero \u{200d}",
    "?!",
    "a river in Istanbul",
];

/// Messages of all kinds, in several sessions; the n-th call gives other orders and neighbours.
fn corpus(random: &mut Random) -> Vec<(String, Record)> {
    let mut all = Vec::new();
    for ms in 1..=60 {
        let text = TEXTS[random.below(TEXTS.len() as u64) as usize];
        let content = match random.below(4) {
            0 => json!([{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": "heron"}}]),
            _ => json!(text),
        };
        let role = if random.below(2) == 0 { Role::User } else { Role::Assistant };
        let mut message = Message::new(at(ms), role, content);
        if random.below(5) == 0 {
            message = message.with_metadata("name", "Ann 東");
        }
        all.push((format!("s{}", random.below(3)), Record::Message(message)));
    }
    all
}

#[test]
fn a_query_finds_the_messages_that_it_finds_in_plaintext() {
    let mut random = Random(11);
    let (mut queries, mut hits) = (0, 0);
    for _ in 0..from_env("CRAFTX_BLIND_ROUNDS", 3) {
        let (plain, house) = (memory(), house());
        for (session, record) in corpus(&mut random) {
            for store in [&*plain, &house.store as &dyn Backend] {
                write(store, &session, std::slice::from_ref(&record)).unwrap();
            }
        }
        let mut asked: BTreeSet<String> = TEXTS.iter().flat_map(|text| text.split(' ')).map(str::to_owned).collect();
        asked.extend(TEXTS.map(str::to_owned));
        asked.extend(
            ["heron", "cafe", "ILE", "strasse", "istanbul", "елка", "ann", "pelican", "", "the"].map(String::from),
        );
        for _ in 0..150 {
            // Runs of characters from anywhere in a text, and words of several texts.
            let chars: Vec<char> = TEXTS[random.below(TEXTS.len() as u64) as usize].chars().collect();
            let start = random.below(chars.len() as u64) as usize;
            let end = chars.len().min(start + 1 + random.below(6) as usize);
            let run: String = chars[start..end].iter().collect();
            let other = TEXTS[random.below(TEXTS.len() as u64) as usize].split(' ').next().unwrap();
            asked.insert(format!("{run} {other}"));
            asked.insert(run);
        }
        for query in asked {
            let (wanted, found) = (found(&*plain, &query), found(&house.store, &query));
            assert_eq!(found, wanted, "`{query}`");
            queries += 1;
            hits += found.len();
        }
    }
    assert!(queries > 1_000 && hits > 3_000, "{queries} queries found {hits}");
}

#[test]
fn a_hit_is_shown_as_in_plaintext() {
    let (plain, house) = (memory(), house());
    for store in [&*plain, &house.store as &dyn Backend] {
        write(store, "s", &[said(1, "Ünïcode HERONS, heron's"), said(2, "東京タワーへ")]).unwrap();
    }
    for query in ["heron", "unicode", "東京"] {
        let shown = |store: &dyn Backend| {
            let hits = search(store, &cx(), &SearchQuery::new(query)).unwrap();
            hits.into_iter().map(|hit| (hit.message, hit.snippet, hit.marks)).collect::<Vec<_>>()
        };
        assert_eq!(shown(&house.store), shown(&*plain), "`{query}`");
        assert!(!shown(&*plain)[0].2.is_empty());
    }
}

#[test]
fn tokens_of_a_word_are_the_same_in_all_sessions_of_a_tenant_and_others_in_another() {
    let house = house();
    let abroad = cx().with_tenant(Tenant::new("other").unwrap());
    for (cx, session) in [(cx(), "s"), (cx(), "t"), (abroad.clone(), "s")] {
        block_on(house.store.write(&cx, &id(session), &[said(1, "a heron")], &WriteOptions::fresh())).unwrap();
    }
    let of =
        |cx: &Context, session| words(&block_on(house.data.records(cx, &id(session), None, None)).unwrap().items[0]);
    assert_eq!(of(&cx(), "s").len(), 2);
    assert_eq!(of(&cx(), "s"), of(&cx(), "t"));
    assert!(of(&cx(), "s").is_disjoint(&of(&abroad, "s")));
    assert_eq!(search(&house.store, &abroad, &SearchQuery::new("heron")).unwrap().len(), 1);
    let nobody = cx().with_tenant(Tenant::new("nobody").unwrap());
    assert!(search(&house.store, &nobody, &SearchQuery::new("heron")).unwrap().is_empty());
    assert!(!bytes(&*house.data, "s").contains("heron"));
}

#[test]
fn without_a_blind_index_searching_is_unsupported_and_no_word_is_shown() {
    let house = House::new(keyring("a"), EncryptConfig::default());
    write(&house.store, "s", &[said(1, "heron")]).unwrap();
    assert_eq!(house.store.capabilities().search, Support::No);
    let error = search(&house.store, &cx(), &SearchQuery::new("heron")).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unsupported, "search"));
    assert!(words(&records(&*house.data, "s")[0]).is_empty());
}

/// A layer that cannot do without searching.
#[derive(Debug)]
struct Finder;

impl Layer for Finder {
    fn name(&self) -> &'static str {
        "finder"
    }
    fn slot(&self) -> Slot {
        Slot::Access
    }
    fn capabilities(&self, inner: Capabilities) -> craftx_core::Result<Capabilities> {
        match inner.search {
            Support::No => Err(craftx_core::Error::unsupported("search", "the stack below")),
            _ => Ok(inner),
        }
    }
    fn apply(&self, inner: DynBackend) -> craftx_core::Result<DynBackend> {
        Ok(inner)
    }
}

#[test]
fn a_layer_that_needs_search_is_refused_when_the_stack_is_built_unless_there_is_a_blind_index() {
    let build = |config| {
        let layer = Encrypt::new(keyring("a"), memory(), config).unwrap();
        Stack::builder("memory", memory()).layer(Finder).layer(layer).build()
    };
    assert_eq!(build(EncryptConfig::default()).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(build(blind()).unwrap().capabilities().search, Support::Yes);
}

#[test]
fn what_could_not_work_is_refused_when_it_is_built() {
    let can = memory().capabilities();
    let capable = |can| -> DynBackend { Arc::new(Capable { inner: memory(), can }) };
    let ring: Arc<Keyring> = keyring("a");
    let error = Encrypt::new(ring.clone(), memory(), blind().seal_roles(true)).unwrap_err();
    assert_eq!((error.kind(), error.get("key")), (ErrorKind::ConfigInvalid, Some("`blind_index`")));
    let error = Encrypt::new(ring.clone(), capable(can.compare_and_append(Support::No)), blind()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "writers would not agree on a key");
    let layer = Encrypt::new(ring, memory(), blind()).unwrap();
    assert_eq!(layer.over(capable(can.search(Support::No))).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(layer.capabilities(can.search(Support::No)).unwrap_err().kind(), ErrorKind::Unsupported);
    for search in [Support::Yes, Support::Probe] {
        assert_eq!(layer.capabilities(can.search(search)).unwrap().search, search);
        assert_eq!(layer.over(capable(can.search(search))).unwrap().capabilities().search, search);
    }
}

#[test]
fn two_who_make_the_key_at_once_end_with_one_that_both_use() {
    let ring = keyring("a");
    for calls in 0..8 {
        let (data, keys) = (memory(), memory());
        let gate = Arc::new(Gate::closing_after(calls));
        let first = House::over(gate.around(data.clone()), gate.around(keys.clone()), ring.clone(), blind());
        let second = House::over(data.clone(), keys.clone(), ring.clone(), blind());
        let (context, mine, session) = (cx(), [said(1, "heron one")], id("first"));
        let fresh = WriteOptions::fresh();
        let mut writing = first.store.write(&context, &session, &mine, &fresh);
        let stopped = writing.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())).is_pending();
        write(&second.store, "second", &[said(2, "heron two")]).unwrap();
        gate.open();
        if stopped {
            block_on(writing).unwrap();
        }
        for store in [&first.store, &second.store] {
            assert_eq!(texts_of(store, "heron"), ["heron one", "heron two"], "{calls}");
        }
        let shared = &words(&records(&*data, "first")[0]) & &words(&records(&*data, "second")[0]);
        assert_eq!(shared.len(), 1, "{calls}");
    }
}

#[test]
fn a_key_that_another_process_makes_is_seen_at_once() {
    let ring = keyring("a");
    let (data, keys) = (memory(), memory());
    let slow = blind().cache_ms(60_000);
    let reader = House::over(data.clone(), keys.clone(), ring.clone(), slow.clone());
    assert!(texts_of(&reader.store, "heron").is_empty());
    write(&House::over(data, keys, ring, slow).store, "s", &[said(1, "a heron")]).unwrap();
    assert_eq!(texts_of(&reader.store, "heron"), ["a heron"]);
}

/// As after two key stores were merged, each of which had a key of the tenant.
#[test]
fn where_a_tenant_has_two_keys_what_was_written_under_both_is_found() {
    let (ring, data) = (keyring("a"), memory());
    let (one, two) = (memory(), memory());
    write(
        &House::over(data.clone(), one.clone(), ring.clone(), uncached().blind_index(true)).store,
        "s",
        &[said(1, "heron one")],
    )
    .unwrap();
    write(
        &House::over(data.clone(), two.clone(), ring.clone(), uncached().blind_index(true)).store,
        "t",
        &[said(2, "heron two")],
    )
    .unwrap();
    for (cx, session) in [(cx(), "t"), (of_tenants(), cx().tenant.as_str())] {
        let wraps = block_on(two.records(&cx, &id(session), None, None)).unwrap().items;
        block_on(one.write(&cx, &id(session), &wraps, &WriteOptions::replay())).unwrap();
    }
    let both = House::over(data, one, ring, uncached().blind_index(true));
    assert_eq!(texts_of(&both.store, "heron"), ["heron one", "heron two"]);
}

#[test]
fn a_retry_is_known_also_after_the_index_was_switched_on() {
    let house = house();
    let mine = [said(1, "a heron"), said(2, "another")];
    write(&house.store, "s", &mine).unwrap();
    let before = bytes(&*house.data, "s");
    assert_eq!(write(&house.store, "s", &mine).unwrap().known, Some(2));
    assert_eq!(bytes(&*house.data, "s"), before);
    let ring = keyring("b");
    let off = House::new(ring.clone(), uncached());
    write(&off.store, "s", &mine).unwrap();
    let on = House::over(off.data.clone(), off.keys.clone(), ring, uncached().blind_index(true));
    for _ in 0..3 {
        write(&on.store, "s", &mine).unwrap();
        write(&off.store, "s", &mine).unwrap();
        assert_eq!(texts(&on.store, "s"), ["a heron", "another"]);
        assert_eq!(texts(&off.store, "s"), ["a heron", "another"]);
    }
}

#[test]
fn reencrypting_gives_older_messages_their_tokens_and_takes_them_away() {
    let ring = keyring("a");
    let off = House::new(ring.clone(), uncached());
    let on = House::over(off.data.clone(), off.keys.clone(), ring, uncached().blind_index(true));
    write(&off.store, "s", &[said(1, "an old heron")]).unwrap();
    write(&on.store, "s", &[said(2, "a new heron")]).unwrap();
    assert_eq!(texts_of(&on.store, "heron"), ["a new heron"]);
    assert_eq!(block_on(on.store.reencrypt(&cx(), &id("s"))).unwrap().records, 2);
    assert_eq!(texts_of(&on.store, "heron"), ["a new heron", "an old heron"]);
    assert_eq!(texts(&off.store, "s"), ["an old heron", "a new heron"]);
    // What another key wrote before is renewed too, once nobody can have the old one in memory any more.
    block_on(on.store.reencrypt(&cx(), &id("s"))).unwrap();
    block_on(off.store.reencrypt(&cx(), &id("s"))).unwrap();
    assert!(texts_of(&on.store, "heron").is_empty());
    assert_eq!(texts(&on.store, "s"), ["an old heron", "a new heron"]);
}

#[test]
fn tokens_that_were_changed_are_an_error() {
    let ring = keyring("a");
    let house = House::new(ring.clone(), blind());
    write(&house.store, "s", &[said(1, "a red heron"), said(2, "a blue crane")]).unwrap();
    let stored = records(&*house.data, "s");
    let other: Vec<_> = words(&stored[1]).into_iter().collect();
    let mine: Vec<_> = words(&stored[0]).into_iter().collect();
    let swapped = |words: Vec<String>| {
        let mut message = message(&stored[0]).clone();
        message.sealed.as_mut().unwrap().words = words;
        Record::Message(message)
    };
    let all = [mine.clone(), other.clone()].concat().into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let joined = vec![mine.join(" ")];
    for words in [Vec::new(), other.clone(), mine[1..].to_vec(), all, joined] {
        let data = replaced(&[swapped(words.clone()), stored[1].clone()], "s");
        let forged = House::over(data, house.keys.clone(), ring.clone(), blind());
        let error = load(&forged.store, "s").unwrap_err();
        assert_eq!((error.kind(), error.get("id")), (ErrorKind::Tampered, Some(at(1).to_string().as_str())));
        // By a word that it has, or as the neighbour of the other message.
        let error = search(&forged.store, &cx(), &SearchQuery::new("blue crane")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tampered);
        assert_eq!(block_on(forged.store.verify(&cx())).unwrap().problems.len(), 1);
    }
}

#[test]
fn the_key_of_the_index_is_rotated_and_counted_and_outlives_shredding() {
    let mut ring = Keyring::generate("a").unwrap();
    let copy = |ring: &Keyring| Arc::new(Keyring::parse(&ring.to_text().unwrap()).unwrap());
    let config = uncached().blind_index(true);
    let house = House::new(copy(&ring), config.clone());
    for session in ["s", "t"] {
        write(&house.store, session, &[said(1, "a heron")]).unwrap();
    }
    let status = block_on(house.store.rotation_status(&cx())).unwrap();
    assert_eq!((status.sessions, status.keys[0].data_keys), (3, 3));
    ring.add("b").unwrap();
    let both = House::over(house.data.clone(), house.keys.clone(), copy(&ring), config.clone());
    assert_eq!(block_on(both.store.rotate(&cx())).unwrap().rewrapped, 3);
    ring.retire("a").unwrap();
    ring.destroy("a").unwrap();
    let new = House::over(house.data.clone(), house.keys.clone(), copy(&ring), config);
    assert!(block_on(new.store.rotation_status(&cx())).unwrap().is_complete());
    assert_eq!(found(&new.store, "heron").len(), 2);
    let receipt = block_on(new.store.shred(&cx(), &id("s"))).unwrap();
    assert!(receipt.remains.iter().any(|line| line.contains("tokens")), "{receipt:?}");
    assert_eq!(found(&new.store, "heron"), Found::from([("t".to_owned(), at(1))]));
    write(&new.store, "s", &[said(9, "another heron")]).unwrap();
    assert_eq!(found(&new.store, "heron").len(), 2);
    let error = block_on(new.store.shred(&of_tenants(), &id(cx().tenant.as_str()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_cursor_goes_on_and_belongs_to_its_query_alone() {
    let house = house();
    let all: Vec<_> = (1..=20).map(|ms| said(ms, format!("heron {ms}"))).collect();
    write(&house.store, "s", &all).unwrap();
    assert_eq!(found(&house.store, "heron").len(), 20);
    let next = block_on(house.store.search(&cx(), &SearchQuery::new("heron").limit(5))).unwrap().next;
    let other = SearchQuery::new("herons").cursor(next.clone());
    assert_eq!(block_on(house.store.search(&cx(), &other)).unwrap_err().kind(), ErrorKind::InvalidInput);
    // What is written and found meanwhile does not make it another query.
    write(&house.store, "t", &[said(30, "no bird")]).unwrap();
    let page = block_on(house.store.search(&cx(), &SearchQuery::new("heron").limit(5).cursor(next))).unwrap();
    assert_eq!(page.items.len(), 5);
}

#[test]
fn who_is_made_to_see_a_session_in_the_store_alone_finds_nothing_in_it() {
    let house = house();
    let acl = |ms, to: &str| {
        let grants = vec![Grant { to: to.to_owned(), actions: vec!["read".to_owned()] }];
        Record::Acl { stamp: at(ms), owner: Some("ann".to_owned()), grants }
    };
    write(&house.store, "s", &[acl(1, "bob"), said(2, "a heron")]).unwrap();
    let seen_by = |principal: &str| {
        let scope = Scope::Visible { principals: vec![principal.to_owned()], roles: Vec::new() };
        search(&house.store, &cx(), &SearchQuery::new("heron").scope(scope))
    };
    assert_eq!([seen_by("ann"), seen_by("bob"), seen_by("eve")].map(|hits| hits.unwrap().len()), [1, 1, 0]);
    block_on(house.data.write(&cx(), &id("s"), &[acl(9, "eve")], &WriteOptions::replay())).unwrap();
    let error = seen_by("eve").unwrap_err();
    assert_eq!((error.kind(), error.get("session")), (ErrorKind::Tampered, Some("`s`")));
}

fn lines(store: &dyn Backend, cx: &Context, session: &str) -> Value {
    let records = block_on(store.records(cx, &id(session), None, None)).unwrap().items;
    records.iter().map(|record| record.encode().into_string()).collect()
}

fn restored(store: &dyn Backend, cx: &Context, session: &str, lines: &Value) {
    let records = lines.as_array().unwrap().iter().map(|line| Record::parse(line.as_str().unwrap()).unwrap());
    block_on(store.write(cx, &id(session), &records.collect::<Vec<_>>(), &WriteOptions::replay())).unwrap();
}

/// What earlier releases have written is found for ever, and written in the same way.
#[test]
fn what_version_1_wrote_is_found_and_is_written_again_in_the_same_way() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1-words.json");
    let plain = [said(1, TEXTS[0]), said(2, TEXTS[9]), said(3, "?!")];
    let tenant = cx().tenant.to_string();
    if !path.exists() && std::env::var_os("CRAFTX_UPDATE").is_some() {
        let ring = Keyring::generate("a").unwrap();
        let house = House::new(Arc::new(Keyring::parse(&ring.to_text().unwrap()).unwrap()), blind());
        write(&house.store, "s", &plain).unwrap();
        let golden = json!({
            "keyring": serde_json::from_str::<Value>(ring.to_text().unwrap().expose()).unwrap(),
            "key_of_tenant": lines(&*house.keys, &of_tenants(), &tenant),
            "key_of_session": lines(&*house.keys, &cx(), "s"),
            "sealed": lines(&*house.data, &cx(), "s"),
        });
        std::fs::write(&path, serde_json::to_string_pretty(&golden).unwrap() + "\n").unwrap();
    }
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let ring = Arc::new(Keyring::parse(&SecretString::new(golden["keyring"].to_string())).unwrap());
    let house = House::new(ring.clone(), blind());
    restored(&*house.keys, &of_tenants(), &tenant, &golden["key_of_tenant"]);
    restored(&*house.keys, &cx(), "s", &golden["key_of_session"]);
    let again = House::over(memory(), house.keys.clone(), ring, blind());
    restored(&*house.data, &cx(), "s", &golden["sealed"]);
    assert_eq!(records(&house.store, "s"), plain);
    for query in ["heron", "東京", "タワー"] {
        assert_eq!(found(&house.store, query).len(), 1, "`{query}`");
    }
    write(&again.store, "s", &plain).unwrap();
    assert_eq!(lines(&*again.data, &cx(), "s"), golden["sealed"]);
}
