//! The union law and its kin, as properties of random records.

use std::sync::Arc;

use craftx_core::{Record, Session};

use crate::bench::{Bench, Place, fold, lines};
use crate::check::{Verdict, checks, ensure, ensure_eq};
use crate::generate;
use crate::property::Property;
use crate::random::Random;

checks! { "laws":
    union_law [] => "any split, permutation and repetition of the same writes over several stores, merged in any order, gives the same";
    order_law [] => "the same records one by one in another order, and all in one batch, give the same session";
    conflict_law [] => "variants of one id are the same set in whatever order they are replayed";
}

/// One write: which of the stores get it, and what.
#[derive(Clone, Debug)]
struct Step {
    stores: Vec<usize>,
    batch: Vec<Record>,
}

/// Sessions that nobody has used: each stands for a store.
fn places(bench: &Bench, case: u64, count: usize) -> Verdict<Vec<Place>> {
    (0..count).map(|store| bench.place_of("laws", &format!("{case} {store}"))).collect()
}

/// The places hold the same records and show the same as the union of all records that were written.
async fn equal(places: &[Place], written: &[Record]) -> Verdict {
    let model = fold(written);
    let wanted = lines(&model);
    for place in places {
        ensure_eq!(place.lines().await?, wanted, "the records");
        let found = place.session().await?;
        ensure_eq!(found.is_some(), model.is_live(), "whether the session exists");
        let Some(found) = found else { continue };
        let Some(mut session) = model.session(&found.id, found.updated) else { continue };
        session.messages = found.messages.and(session.messages);
        ensure!(same(&found, &session), "the session is {found:?}, wanted {session:?}");
    }
    Ok(())
}

fn same(one: &Session, other: &Session) -> bool {
    // `==` of maps of serde_json ignores the order of keys; their text does not.
    one == other && format!("{:?}", one.metadata) == format!("{:?}", other.metadata)
}

const STORES: usize = 3;

async fn union_law(bench: Bench) -> Verdict {
    let cases = bench.cases;
    let property = Property {
        make: split_writes,
        holds: |bench, case, steps, random| Box::pin(merged(bench, case, steps, random)),
    };
    property.check(bench, cases).await
}

/// Writes of a few records, split, permuted and repeated over several stores.
fn split_writes(bench: &Bench, random: &mut Random) -> Vec<Step> {
    let records: Vec<_> = (0..1 + random.below(9)).map(|_| generate::record(&bench.capabilities, random, 0)).collect();
    let mut steps = Vec::new();
    for _ in 0..1 + random.below(5) {
        let batch = (0..1 + random.below(3)).filter_map(|_| random.pick(&records).cloned()).collect();
        let stores = (0..STORES).filter(|_| random.percent(50)).collect();
        steps.push(Step { stores, batch });
    }
    // Every record is written somewhere.
    for record in records {
        steps.push(Step { stores: vec![random.below(STORES as u64) as usize], batch: vec![record] });
    }
    random.shuffle(&mut steps);
    steps
}

async fn merged(bench: Arc<Bench>, case: u64, steps: Vec<Step>, mut random: Random) -> Verdict {
    let places = places(&bench, case, STORES)?;
    let mut written = Vec::new();
    for step in &steps {
        for place in step.stores.iter().filter_map(|store| places.get(*store)) {
            place.replay(&step.batch).await?;
            written.extend(step.batch.iter().cloned());
        }
    }
    // Gossip in any order, then twice round a random ring, after which everybody has heard everybody.
    let mut ring: Vec<_> = (0..STORES).collect();
    random.shuffle(&mut ring);
    let mut pairs: Vec<_> =
        (0..random.below(3)).map(|_| (random.below(3) as usize, random.below(3) as usize)).collect();
    let round = ring.iter().copied().zip(ring.iter().copied().cycle().skip(1));
    pairs.extend(round.clone().chain(round));
    for (from, to) in pairs {
        let (Some(from), Some(to)) = (places.get(from), places.get(to)) else { continue };
        let (mut records, _) = from.changes(None, random.percent(30).then_some(2)).await?;
        if random.percent(50) {
            random.shuffle(&mut records);
        }
        to.replay(&records).await?;
    }
    equal(&places, &written).await
}

async fn order_law(bench: Bench) -> Verdict {
    let cases = bench.cases / 4;
    let property = Property {
        make: |bench: &Bench, random| {
            (0..1 + random.below(12)).map(|_| generate::record(&bench.capabilities, random, 0)).collect()
        },
        holds: |bench, case, records, random| Box::pin(in_any_order(bench, case, records, random)),
    };
    property.check(bench, cases).await
}

async fn in_any_order(bench: Arc<Bench>, case: u64, records: Vec<Record>, mut random: Random) -> Verdict {
    let places = places(&bench, case, 3)?;
    let [one_by_one, shuffled, at_once] = places.as_slice() else { return Ok(()) };
    for record in &records {
        one_by_one.replay(std::slice::from_ref(record)).await?;
    }
    let mut other = records.clone();
    random.shuffle(&mut other);
    for batch in other.chunks(1 + random.below(4) as usize) {
        shuffled.replay(batch).await?;
    }
    random.shuffle(&mut other);
    at_once.replay(&other).await?;
    equal(&places, &records).await
}

async fn conflict_law(bench: Bench) -> Verdict {
    let cases = bench.cases / 4;
    let property = Property {
        make: |bench: &Bench, random| {
            let variants: Vec<_> = (0..1 + random.below(10)).map(|_| random.below(3)).collect();
            variants.into_iter().map(|variant| generate::record(&bench.capabilities, random, variant)).collect()
        },
        holds: |bench, case, records, random| Box::pin(in_conflict(bench, case, records, random)),
    };
    property.check(bench, cases).await
}

async fn in_conflict(bench: Arc<Bench>, case: u64, records: Vec<Record>, mut random: Random) -> Verdict {
    let places = places(&bench, case, 2)?;
    for place in &places {
        let mut order = records.clone();
        random.shuffle(&mut order);
        for record in &order {
            place.replay(std::slice::from_ref(record)).await?;
        }
    }
    equal(&places, &records).await
}
