//! What encrypting a message costs.

use std::hint::black_box;
use std::sync::Arc;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use craftx::encrypt_layer::{Encrypt, EncryptConfig, Keyring};
use craftx::{Context, Memory, Message, Record, Role, Tenant};
use futures_executor::block_on;

use crate::rounds::{Pairs, timed};
use crate::row::{Goal, Row, Value, time};
use crate::settings::Settings;
use crate::{Outcome, messages};

/// A message of `bytes`, all of it: payload, digest, key, ciphertext, base64. Beside it, the cipher alone.
fn measure(settings: &Settings, bytes: usize, each: usize) -> Outcome<Pairs> {
    let keyring = Arc::new(Keyring::generate("a")?);
    let layer = Encrypt::new(keyring, Arc::new(Memory::new()), EncryptConfig::default())?;
    let store = layer.over(Arc::new(Memory::new()))?;
    let (cx, session) = (Context::system(Tenant::default()), messages::session(0));
    let text: String = messages::text(1).chars().cycle().filter(char::is_ascii).take(bytes).collect();
    let record = [Record::Message(Message::new(messages::stamp(0), Role::User, text.as_str()))];
    let sealed = |_| {
        timed(|| {
            block_on(async {
                for _ in 0..each {
                    black_box(store.seal(&cx, &session, &record).await?);
                }
                Ok(())
            })
        })
    };
    let (key, nonce) = ([7; 32], [0; 12]);
    let mut buffer = text.into_bytes();
    let bare = |_| {
        timed(|| {
            for _ in 0..each {
                let cipher = Aes256Gcm::new((&key).into());
                let tag = cipher.encrypt_inout_detached((&nonce).into(), b"", buffer.as_mut_slice().into());
                black_box(tag.map_err(|_| "the text is too long")?);
            }
            Ok(())
        })
    };
    Pairs::measure(settings.rounds(41), sealed, bare)
}

fn row(what: &str, pairs: &Pairs, each: usize, value: Value, goal: Value) -> Row {
    Row::Measured {
        what: format!("encrypting a message of {what}, all of it"),
        craftx: format!("{} a message", time(pairs.a(each))),
        baseline: format!("`aes-gcm` alone: {}", time(pairs.b(each))),
        value,
        goal: Goal::AtMost(goal),
    }
}

pub(crate) fn small_ratio(settings: &Settings) -> Outcome<Row> {
    let each = settings.scaled(2_000);
    let pairs = measure(settings, 2 << 10, each)?;
    Ok(row("2 KiB", &pairs, each, Value::Times(pairs.a_over_b()), Value::Times(2.5)))
}

pub(crate) fn small_time(settings: &Settings) -> Outcome<Row> {
    let each = settings.scaled(2_000);
    let pairs = measure(settings, 2 << 10, each)?;
    let micros = pairs.a(each).as_secs_f64() * 1e6;
    Ok(row("2 KiB", &pairs, each, Value::Micros(micros), Value::Micros(10.0)))
}

/// 0.8 GB/s.
const LARGE_MICROS: f64 = (1_u64 << 20) as f64 / 800.0;

pub(crate) fn large(settings: &Settings) -> Outcome<Row> {
    let each = settings.scaled(20);
    let pairs = measure(settings, 1 << 20, each)?;
    let micros = pairs.a(each).as_secs_f64() * 1e6;
    Ok(row("1 MiB", &pairs, each, Value::Micros(micros), Value::Micros(LARGE_MICROS)))
}
