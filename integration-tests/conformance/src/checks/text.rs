//! The text law: what went in comes out, byte for byte.

use craftx_core::{Content, Message, MessageQuery, Metadata, Record, Role};
use serde_json::{Map, Number, Value, json};

use crate::bench::{Bench, Place};
use crate::check::{Verdict, checks, ensure, ensure_eq};
use crate::corpus;
use crate::records::{acl, at, content, key, keys, text};

checks! { "text":
    hostile_texts_come_back [] => "white space, NUL, escapes, injections, unnormalised and reversed text are kept byte for byte";
    every_plane_of_unicode_comes_back [] => "every code point of every plane is kept, noncharacters included";
    random_texts_come_back [] => "texts of random code points are kept byte for byte";
    null_and_empty_values_differ [] => "absent, null, \"\", [], {}, 0 and false are kept apart";
    keys_keep_their_order [] => "the keys of objects keep their order, at every depth";
    hostile_keys_come_back [] => "empty, equal but for case or normal form, and NUL: every key is kept";
    integers_are_exact [] => "every i64 and u64 is kept exactly";
    floats_are_exact [] => "every finite f64 is kept bit for bit: zeros, subnormals, extremes";
    random_floats_are_exact [] => "random bit patterns of f64 are kept bit for bit";
    tool_arguments_stay_a_string [] => "the arguments of a tool call stay the string that they were, spacing and order included";
    every_field_of_a_message_comes_back [] => "role, parent, time in its original spelling, content and metadata are kept";
    roles_keep_their_spelling [] => "a role is kept as it was spelled, other roles too";
    a_message_of_a_mebibyte_comes_back [] => "a message of 1 MiB is kept whole";
    deep_values_come_back [] => "deeply nested and very wide values are kept";
    session_metadata_keeps_text [] => "the text law holds for the metadata of sessions";
    owners_and_grants_keep_text [] => "the text law holds for owners and grants";
}

/// Writes the records and compares what comes back, through `load` and through `records`, encoding by encoding.
async fn round_trip(bench: &Bench, place: &Place, records: &[Record]) -> Verdict {
    for batch in records.chunks(bench.batch(100)) {
        place.write(batch).await?;
    }
    let mut loaded = place.messages_by(Some(100)).await?.into_iter();
    for record in records {
        let Some(message) = loaded.next() else {
            return Err(crate::check::Stop::Fail(format!("the message {:?} is missing", record.stamp())));
        };
        same(record, &Record::Message(message), "loaded")?;
    }
    let set = place.set().await?;
    for (record, (_, message)) in records.iter().zip(set.bodies()) {
        same(record, &Record::Message(message.clone()), "replicated")?;
    }
    ensure_eq!(set.bodies().count(), records.len(), "the number of messages that `records` gives");
    Ok(())
}

fn same(wanted: &Record, found: &Record, how: &str) -> Verdict {
    let (wanted, found) = (wanted.encode().into_string(), found.encode().into_string());
    if wanted == found {
        return Ok(());
    }
    let differs = wanted.chars().zip(found.chars()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| text.chars().skip(differs.saturating_sub(20)).take(60).collect::<String>();
    ensure!(
        false,
        "a message changed when {how}, at character {differs} of its encoding: found {:?}, wanted {:?}",
        around(&found),
        around(&wanted)
    );
    Ok(())
}

fn messages(contents: impl IntoIterator<Item = Content>) -> Vec<Record> {
    (1..).zip(contents).map(|(n, value)| content(n, value)).collect()
}

async fn hostile_texts_come_back(bench: Bench) -> Verdict {
    let texts = corpus::hostile_texts();
    let as_content = messages(texts.iter().map(|text| Content::from(text.as_str())));
    round_trip(&bench, &bench.place("content")?, &as_content).await?;
    let in_metadata: Vec<_> = (1..)
        .zip(&texts)
        .map(|(n, text)| Record::Message(Message::new(at(n), Role::User, "").with_metadata("text", text.as_str())))
        .collect();
    round_trip(&bench, &bench.place("metadata")?, &in_metadata).await?;
    let parts = messages([Content::Parts(texts.iter().map(|text| json!({"type": "text", "text": text})).collect())]);
    round_trip(&bench, &bench.place("parts")?, &parts).await
}

async fn every_plane_of_unicode_comes_back(bench: Bench) -> Verdict {
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    let texts = all.chunks(16_384).map(|part| Content::Text(part.iter().collect()));
    round_trip(&bench, &bench.place("s")?, &messages(texts)).await
}

async fn random_texts_come_back(bench: Bench) -> Verdict {
    let mut random = bench.random();
    let texts: Vec<_> = (0..bench.cases.min(2_000)).map(|_| Content::Text(random.text(40))).collect();
    round_trip(&bench, &bench.place("s")?, &messages(texts)).await
}

async fn null_and_empty_values_differ(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let values = [json!(null), json!(""), json!([]), json!({}), json!(0), json!(false), json!([null]), json!("null")];
    let mut records = messages(values.iter().map(|value| Content::from(value.clone())));
    records.push(content(50, Content::Absent));
    round_trip(&bench, &place, &records).await?;
    let loaded = place.messages().await?;
    let mut contents: Vec<_> = loaded.into_iter().map(|message| message.content.into_value()).collect();
    ensure_eq!(contents.pop(), Some(None), "the content of the message that has none");
    ensure_eq!(contents, values.clone().map(Some), "the contents");
    let inside: Vec<_> = (1..)
        .zip(values)
        .map(|(n, value)| Record::Message(Message::new(at(n), Role::User, "").with_metadata("v", value)))
        .collect();
    round_trip(&bench, &bench.place("metadata")?, &inside).await
}

async fn keys_keep_their_order(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let inner: Map<String, Value> =
        ["z", "a", "M", "10", "9", "1"].iter().map(|k| ((*k).to_owned(), json!(k))).collect();
    let outer: Map<String, Value> =
        ["y", "b", "x", "a"].iter().map(|k| ((*k).to_owned(), Value::Object(inner.clone()))).collect();
    let mut message = Message::new(at(1), Role::Tool, Content::Object(outer.clone()));
    message.metadata = outer.clone();
    let mut backwards = message.clone();
    backwards.id = at(2);
    backwards.metadata = outer.into_iter().rev().collect();
    round_trip(&bench, &place, &[Record::Message(message), Record::Message(backwards)]).await
}

fn hostile_object() -> Metadata {
    corpus::hostile_texts()
        .into_iter()
        .filter(|text| text.len() < 200)
        .map(|text| (text.clone(), json!(text)))
        .collect()
}

async fn hostile_keys_come_back(bench: Bench) -> Verdict {
    let mut message = Message::new(at(1), Role::User, Content::Object(hostile_object()));
    message.metadata = hostile_object();
    round_trip(&bench, &bench.place("s")?, &[Record::Message(message)]).await
}

async fn integers_are_exact(bench: Bench) -> Verdict {
    let powers = (0..64).flat_map(|bit| [1u64 << bit, (1u64 << bit).wrapping_sub(1), (1u64 << bit) + 1]);
    let mut numbers: Vec<Value> = powers.map(Value::from).collect();
    numbers.extend((0..63).flat_map(|bit| [-(1i64 << bit), -(1i64 << bit) - 1]).map(Value::from));
    numbers.extend([json!(i64::MIN), json!(i64::MAX), json!(u64::MAX), json!(0), json!(9_007_199_254_740_993u64)]);
    let mut records = messages(numbers.iter().map(|number| Content::from(number.clone())));
    records.push(content(900, Content::Parts(numbers.clone())));
    records.push(Record::Message(Message::new(at(901), Role::User, "").with_metadata("numbers", numbers)));
    round_trip(&bench, &bench.place("s")?, &records).await
}

fn floats(bits: impl IntoIterator<Item = f64>) -> Vec<Value> {
    bits.into_iter().filter_map(Number::from_f64).map(Value::Number).collect()
}

/// Compares bits, because an encoding that shows two floats alike would hide the difference.
async fn floats_round_trip(bench: &Bench, name: &str, numbers: Vec<Value>) -> Verdict {
    let place = bench.place(name)?;
    let records = messages(numbers.chunks(500).map(|part| Content::Parts(part.to_vec())));
    round_trip(bench, &place, &records).await?;
    let mut wanted = numbers.iter().filter_map(Value::as_f64);
    for message in place.messages().await? {
        let Content::Parts(found) = message.content else { continue };
        for found in found {
            let (found, wanted) = (found.as_f64().map(f64::to_bits), wanted.next().map(f64::to_bits));
            ensure_eq!(found, wanted, "the bits of a float");
        }
    }
    ensure!(wanted.next().is_none(), "floats are missing");
    Ok(())
}

async fn floats_are_exact(bench: Bench) -> Verdict {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        0.2,
        0.3,
        1.0 / 3.0,
        1e22,
        1e23,
        5e-324,
        -5e-324,
        1e-7,
        1e16,
        1e17,
        123_456_789.123_456_79,
        f64::MIN,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::EPSILON,
        2.225_073_858_507_201e-308,
        9_007_199_254_740_993.0,
        1.5e300,
        4.35,
        2.675,
        1.005,
        100.0,
        1e2,
        8.41e21,
        9.5e-5,
    ];
    floats_round_trip(&bench, "s", floats(special)).await
}

async fn random_floats_are_exact(bench: Bench) -> Verdict {
    let mut random = bench.random();
    let random = (0..bench.cases.max(2_000)).map(|_| f64::from_bits(random.bits())).collect::<Vec<_>>();
    floats_round_trip(&bench, "s", floats(random)).await
}

async fn tool_arguments_stay_a_string(bench: Bench) -> Verdict {
    let arguments = "{\"b\": 1,  \"a\":2.50,\n\t\"b\":1e2, \"text\":\"\\u0041\\/\" }";
    let call = json!([{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}]);
    let message = Message::new(at(1), Role::Assistant, Content::Null).with_metadata("tool_calls", call.clone());
    let place = bench.place("s")?;
    round_trip(&bench, &place, &[Record::Message(message)]).await?;
    let found = place.messages().await?.pop().and_then(|message| message.metadata.get("tool_calls").cloned());
    ensure_eq!(found, Some(call), "the tool call");
    Ok(())
}

async fn every_field_of_a_message_comes_back(bench: Bench) -> Verdict {
    let times = [
        "2026-11-22T21:04:16.757579Z",
        "2026-11-22T21:04:16.750000Z",
        "2026-11-22T23:04:16+02:00",
        "2026-11-22T21:04:16",
        "2026-11-22 21:04:16",
        "1969-12-31T23:59:59Z",
        "2025-06-28T00:33:47.214584",
        "2026-11-22T21:04:16.123456789Z",
    ];
    let mut records = vec![text(1, "first")];
    for (n, time) in (2..).zip(times) {
        let message = Message::new(at(n), Role::Tool, "said")
            .with_parent(at(1))
            .with_created_at(time.parse()?)
            .with_metadata("name", "ann")
            .with_metadata("nested", json!({"list": [1, {"a": null}]}));
        records.push(Record::Message(message));
    }
    let place = bench.place("s")?;
    round_trip(&bench, &place, &records).await?;
    let spelled: Vec<_> =
        place.messages().await?.iter().filter_map(|m| m.created_at.as_ref().map(ToString::to_string)).collect();
    ensure_eq!(spelled, times, "the spellings of the times");
    Ok(())
}

async fn roles_keep_their_spelling(bench: Bench) -> Verdict {
    let names =
        ["system", "user", "assistant", "tool", "developer", "User", "SYSTEM", " user", "Ünïcode", "a/b", "function"];
    let mut records = Vec::new();
    for (n, name) in (1..).zip(names) {
        records.push(Record::Message(Message::new(at(n), Role::new(name)?, "")));
    }
    let place = bench.place("s")?;
    round_trip(&bench, &place, &records).await?;
    let found: Vec<_> = place.messages().await?.iter().map(|message| message.role.as_str().to_owned()).collect();
    ensure_eq!(found, names, "the roles");
    Ok(())
}

async fn a_message_of_a_mebibyte_comes_back(bench: Bench) -> Verdict {
    let most =
        bench.capabilities.max_record_bytes.map_or(1 << 20, |most| (most as usize).saturating_sub(500).min(1 << 20));
    let large: String = "0123456789abcde\n".chars().cycle().take(most * 15 / 17).collect();
    let place = bench.place("s")?;
    round_trip(&bench, &place, &[text(1, "before"), text(2, large), text(3, "after")]).await?;
    let last = place.load(&MessageQuery::newest_first().limit(2)).await?;
    ensure_eq!(last.items.len(), 2, "the last two messages");
    Ok(())
}

async fn deep_values_come_back(bench: Bench) -> Verdict {
    let deep =
        (0..60).fold(json!("core"), |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({"in": inner}) });
    let wide: Map<String, Value> = (0..900).map(|n| (format!("key {n}"), json!(n))).collect();
    let mut message = Message::new(at(1), Role::User, Content::from(deep.clone()));
    message.metadata = wide;
    let many = content(2, Content::Parts((0..5_000).map(Value::from).collect()));
    let nested = Record::Message(Message::new(at(3), Role::User, "").with_metadata("deep", deep));
    round_trip(&bench, &bench.place("s")?, &[Record::Message(message), many, nested]).await
}

async fn session_metadata_keeps_text(bench: Bench) -> Verdict {
    let place = bench.place("s")?;
    let mut wanted = Metadata::new();
    for (n, value) in (1..).zip(corpus::hostile_texts().into_iter().filter(|text| text.len() < 200)) {
        let name = format!("{n:03} {}", value.replace("craftx.", ""));
        place.write(&[key(n, &name, json!(value))]).await?;
        wanted.insert(name, json!(value));
    }
    let odd = keys(
        900,
        [
            ("~null", Some(json!(null))),
            ("~order", Some(json!({"z": 1, "a": {"y": -0.0, "b": u64::MAX}}))),
            ("~empty", Some(json!(""))),
            ("~list", Some(json!([]))),
        ],
    );
    place.write(std::slice::from_ref(&odd)).await?;
    let found = place.existing().await?.metadata;
    for (name, value) in &wanted {
        ensure_eq!(found.get(name), Some(value), "the value of the key {name:?}");
    }
    ensure_eq!(
        found.get("~order").map(Value::to_string),
        Some(r#"{"z":1,"a":{"y":-0.0,"b":18446744073709551615}}"#.to_owned()),
        "a nested value"
    );
    ensure_eq!(found.get("~null"), Some(&Value::Null), "a key whose value is null");
    ensure_eq!(found.len(), wanted.len() + 4, "the number of keys");
    let set = place.set().await?;
    ensure!(set.facts().iter().any(|fact| fact.encode() == odd.encode()), "`records` gives another patch");
    Ok(())
}

async fn owners_and_grants_keep_text(bench: Bench) -> Verdict {
    let names = corpus::hostile_names();
    let readers: Vec<&str> = names.iter().map(String::as_str).collect();
    for (n, owner) in (0..).zip(["Ann", "ann ", "ａnn", "a\u{301}nn", "'; --"]) {
        let place = bench.place(&format!("owner {n}"))?;
        let record = acl(1, owner, &readers);
        place.write(std::slice::from_ref(&record)).await?;
        let session = place.existing().await?;
        ensure_eq!(session.owner.as_deref(), Some(owner), "the owner");
        let found: Vec<_> = session.grants.iter().map(|grant| grant.to.as_str()).collect();
        ensure_eq!(found, readers, "to whom is granted");
        ensure_eq!(place.lines().await?, [record.encode().into_string()], "the record");
    }
    Ok(())
}
