//! Several writers who open a new session at the same time, over key stores that can compare and that cannot.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::sync::Arc;
use std::task::Waker;

use craftx_core::{Backend, DynBackend, Support, WriteOptions};
use craftx_encrypt::Encrypted;
use futures_executor::block_on;

use common::*;

/// One writer is stopped at each of its calls, another one opens the session meanwhile; then the first goes on.
fn race(compares: bool, options: &WriteOptions) -> usize {
    let ring = keyring("a");
    let mut keys_made = 0;
    for calls in 0..5 {
        let (data, keys) = (memory(), memory());
        let can = keys.capabilities();
        let can = if compares { can } else { can.compare_and_append(Support::No) };
        let weak = |keys: DynBackend| -> DynBackend { Arc::new(Capable { inner: keys, can }) };
        let gate = Arc::new(Gate::closing_after(calls));
        let first = House::over(gate.around(data.clone()), weak(gate.around(keys.clone())), ring.clone(), uncached());
        let second = House::over(data.clone(), weak(keys.clone()), ring.clone(), uncached());
        let both = said(1, "both");
        let (mine, theirs) = ([both.clone(), said(2, "first")], [both, said(3, "second")]);
        let (context, session) = (cx(), id("s"));
        let mut writing = first.store.write(&context, &session, &mine, options);
        let stopped = writing.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())).is_pending();
        block_on(second.store.write(&context, &session, &theirs, options)).unwrap();
        gate.open();
        if stopped {
            block_on(writing).unwrap();
        }
        let reader = House::over(data, keys, ring.clone(), uncached());
        assert_eq!(texts(&reader.store, "s"), ["both", "first", "second"], "{calls}");
        let made = block_on(reader.store.data_keys(&context, &session)).unwrap();
        assert!(!compares || made.len() == 1);
        keys_made = keys_made.max(made.len());
        // Everybody goes on with one key, and a retry of anything is known.
        let retry = |store: &Encrypted, records| block_on(store.write(&cx(), &id("s"), records, options)).unwrap();
        for store in [&first.store, &second.store, &reader.store] {
            assert_eq!(retry(store, &mine).applied, Some(0), "{calls}");
            assert_eq!(retry(store, &theirs).applied, Some(0), "{calls}");
        }
        // Renewing leaves both lineages with what is theirs, and the messages as they were.
        block_on(reader.store.reencrypt(&context, &session)).unwrap();
        assert_eq!(texts(&second.store, "s"), ["both", "first", "second"], "{calls}");
        assert_eq!(retry(&first.store, &mine).known, Some(2), "{calls}");
    }
    keys_made
}

#[test]
fn whichever_key_they_took_nothing_is_lost_and_nothing_is_there_twice() {
    for options in [WriteOptions::fresh(), WriteOptions::replay()] {
        assert_eq!(race(true, &options), 1);
        assert_eq!(race(false, &options), 2, "the race was not met");
    }
}
