//! The kit tests itself: a store without a bug passes, and each planted bug is caught by the check that is there
//! for it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod faulty;

use std::time::Duration;

use craftx_conformance::{Finding, Kit};
use faulty::{Bug, subject};

fn kit(bug: Bug) -> Kit {
    Kit::new(format!("{bug:?}"), move || async move { subject(bug) }).cases(200).sequences(400)
}

/// Every bug and the check that catches it.
const CAUGHT: &[(Bug, &str)] = &[
    (Bug::DropsTheLastOfABatch, "a_large_batch_is_kept_whole"),
    (Bug::LeavesHalfOfARefusedBatch, "a_refused_batch_leaves_nothing"),
    (Bug::WritesBatchesInParts, "readers_see_whole_batches"),
    (Bug::WritesBatchesInParts, "a_dropped_write_is_there_once_or_not_at_all"),
    (Bug::AcknowledgesBeforeWriting, "everything_survives_being_dropped"),
    (Bug::LeaksALockWhenDropped, "a_dropped_write_is_there_once_or_not_at_all"),
    (Bug::ReversesMessages, "order_follows_stamps_not_arrival"),
    (Bug::DuplicatesAMessage, "pages_have_no_gaps_or_repetitions"),
    (Bug::LosesNul, "hostile_texts_come_back"),
    (Bug::TrimsText, "hostile_texts_come_back"),
    (Bug::ComposesAccents, "hostile_texts_come_back"),
    (Bug::TakesARenewedCiphertextForAnotherContent, "a_renewed_ciphertext_takes_the_place_of_the_older_one"),
    (Bug::KeepsTheOlderCiphertext, "sealed_messages_come_back"),
    (Bug::SortsKeys, "keys_keep_their_order"),
    (Bug::RoundsFloats, "floats_are_exact"),
    (Bug::RoundsFloats, "random_floats_are_exact"),
    (Bug::TurnsNullIntoAbsent, "null_and_empty_values_differ"),
    (Bug::FirstNForLastN, "the_last_n_are_the_last_n"),
    (Bug::IncludesTheBound, "after_and_before_are_exclusive"),
    (Bug::NeverSaysMore, "the_first_n_are_the_first_n"),
    (Bug::FoldsSessionIds, "hostile_session_ids_stay_apart"),
    (Bug::MatchesPrefixesWithoutCase, "prefixes_are_plain_text"),
    (Bug::AcceptsForeignCursors, "a_cursor_of_another_query_is_refused"),
    (Bug::AcceptsForeignCursors, "cursors_stay_within_the_tenant"),
    (Bug::HidesClearedSessions, "dead_sessions_are_listed_only_on_request"),
    (Bug::FindsMissingSessionsEmpty, "a_missing_session_is_not_found"),
    (Bug::IgnoresTheTenantInLists, "another_tenant_lists_nothing"),
    (Bug::IgnoresTheTenantInLoads, "another_tenant_reads_nothing"),
    (Bug::IgnoresTheTenantInWrites, "the_same_session_id_is_independent"),
    (Bug::CountsOtherTenants, "another_tenant_counts_nothing"),
    (Bug::ListsTenantsToAnybody, "only_the_system_lists_tenants"),
    (Bug::VerifiesForAnybody, "only_the_system_verifies"),
    (Bug::FindsProblemsThatAreNone, "a_healthy_store_verifies_clean"),
    (Bug::HidesConflicts, "two_contents_are_listed"),
    (Bug::ResurrectsDeletedMessages, "deletion_is_for_ever"),
    (Bug::ForgetsClearedForLateMessages, "a_late_message_below_a_clear_is_dead"),
    (Bug::LastArrivalWinsKeys, "the_latest_stamp_wins_per_key"),
    (Bug::PicksAWinner, "no_conflict_picks_a_winner"),
    (Bug::PicksAWinner, "a_fresh_conflict_is_refused"),
    (Bug::MiscountsWhatIsKnown, "a_second_write_is_known"),
    (Bug::LowersTheVersion, "the_version_is_the_greatest_stamp_of_any_record"),
    (Bug::PurgesTooMuch, "a_purge_forgets_old_deletions_only"),
    (Bug::OmitsTombstonesFromRecords, "a_copy_is_equal"),
    (Bug::OmitsTombstonesFromRecords, "union_law"),
    (Bug::GivesDeadRecords, "records_give_nothing_dead"),
    (Bug::FollowsStampsInRecords, "late_records_are_not_missed"),
    (Bug::FollowsStampsInRecords, "a_reader_that_follows_misses_nothing"),
    (Bug::IgnoresExpectations, "the_expected_version_must_be_the_version"),
    (Bug::ChecksExpectationsOfKnownBatches, "a_known_batch_is_fine_whatever_was_expected"),
    (Bug::ChecksExpectationsTooEarly, "exactly_one_compare_and_append_wins"),
    (Bug::ChecksExpectationsTooEarly, "compare_and_append_is_linearizable"),
    (Bug::AnswersUnclaimedSearchWithNothing, "search_is_unsupported"),
    (Bug::SearchesInOneTenantOnly, "search_stays_within_tenant_and_scope"),
    (Bug::IgnoresFiltersOfSearches, "search_filters"),
    (Bug::FindsOnePageOnly, "search_has_pages"),
    (Bug::MarksBesideTheWords, "search_marks_what_it_found"),
    (Bug::SplitsNoScripts, "search_finds_scripts_without_spaces"),
    (Bug::FindsExactWordsOnly, "search_finds_other_forms"),
    (Bug::IgnoresUnclaimedFilters, "a_metadata_filter_is_unsupported"),
    (Bug::IgnoresUnclaimedFilters, "recent_first_is_unsupported"),
    (Bug::IgnoresUnclaimedFilters, "a_scope_is_unsupported"),
    (Bug::IgnoresClose, "a_closed_store_answers_closed"),
    (Bug::IgnoresDeadlines, "an_expired_write_applies_nothing"),
    (Bug::IgnoresDeadlines, "an_expired_read_times_out"),
    (Bug::IgnoresTheInjectedClock, "deadlines_follow_the_clock_of_the_context"),
    (Bug::ChangesItsIdentity, "the_identity_survives_reopening"),
    (Bug::ShowsContent, "the_store_shows_no_content"),
    (Bug::Panics, "hostile_texts_come_back"),
];

/// Bugs that nothing but chance finds: the sequences that are compared with the model.
const CAUGHT_BY_THE_MODEL: &[Bug] = &[
    Bug::DropsTheLastOfABatch,
    Bug::LeavesHalfOfARefusedBatch,
    Bug::ReversesMessages,
    Bug::DuplicatesAMessage,
    Bug::LosesNul,
    Bug::FirstNForLastN,
    Bug::NeverSaysMore,
    Bug::FoldsSessionIds,
    Bug::HidesClearedSessions,
    Bug::ResurrectsDeletedMessages,
    Bug::ForgetsClearedForLateMessages,
    Bug::LastArrivalWinsKeys,
    Bug::PicksAWinner,
    Bug::MiscountsWhatIsKnown,
    Bug::LowersTheVersion,
    Bug::PurgesTooMuch,
    Bug::OmitsTombstonesFromRecords,
    Bug::IgnoresExpectations,
];

#[track_caller]
fn caught(bug: Bug, check: &str) -> String {
    let report = kit(bug).only(check).run();
    match report.entry(check).map(|entry| &entry.finding) {
        Some(Finding::Failed(why)) => why.clone(),
        other => panic!("{check} does not catch {bug:?}: {other:?}\n{report}"),
    }
}

#[test]
fn a_store_without_a_bug_passes_every_check_that_needs_reopening() {
    let report = kit(Bug::None).run();
    report.assert_passed();
    let skipped: Vec<_> =
        report.entries.iter().filter(|e| matches!(e.finding, Finding::Skipped(_))).map(|e| e.name).collect();
    let reopening = ["everything_survives_being_dropped", "two_handles_lose_nothing", "a_cursor_survives_reopening"];
    assert!(!skipped.iter().any(|name| reopening.contains(name)), "{skipped:?}");
}

#[test]
fn a_store_that_searches_passes_the_checks_of_search() {
    let report = kit(Bug::None).only("search").run();
    report.assert_passed();
    assert_eq!(report.counts(), (13, 0, 1));
}

#[test]
fn every_planted_bug_is_caught_by_its_check() {
    for (bug, check) in CAUGHT {
        caught(*bug, check);
    }
}

#[test]
fn the_model_catches_what_it_can_see_and_shows_a_small_case() {
    for bug in CAUGHT_BY_THE_MODEL {
        let why = caught(*bug, "random_operations_agree_with_the_model");
        let steps = why.matches("Write {").count() + why.matches("Load {").count();
        assert!(why.contains("the smallest case found") && steps <= 6, "{bug:?} is shown with {steps} steps: {why}");
    }
}

#[test]
fn a_hanging_store_is_a_failure_and_the_other_checks_go_on() {
    let report = kit(Bug::Hangs).timeout(Duration::from_millis(500)).only("compaction").run();
    let why = report.entry("compaction_keeps_the_view").map(|entry| entry.finding.clone());
    assert_eq!(why, Some(Finding::Failed("the check did not end within 500ms".to_owned())));
    let other = kit(Bug::Hangs).timeout(Duration::from_secs(60)).only("the_last_n").run();
    assert!(other.passed());
}

#[test]
fn a_panic_of_the_store_is_a_failure_that_shows_it() {
    assert!(caught(Bug::Panics, "hostile_texts_come_back").contains("nobody says nothing"));
}

#[test]
fn a_factory_that_fails_is_a_failed_report() {
    let report = Kit::new("nothing", || async { Err("no store today".into()) }).run();
    assert!(!report.passed() && report.to_string().contains("no store today"));
}

#[test]
fn a_seed_repeats_the_failure() {
    let run = || kit(Bug::PurgesTooMuch).seed(7).only("random_operations").run().to_string();
    let first = run();
    assert_eq!(first, run());
    assert!(first.contains("FAILED") && first.contains("CRAFTX_CONFORMANCE_SEED=7"), "{first}");
}

#[test]
fn the_report_names_claims_promises_and_reasons() {
    let text = kit(Bug::LosesNul).only("hostile_texts_come").run().to_string();
    for part in [
        "conformance of LosesNul",
        "claimed: atomic_batch, compare_and_append",
        "not claimed: nothing",
        "\ntext\n  FAILED   hostile_texts_come_back\n           promise: white space, NUL",
        "0 passed, 1 failed, 0 skipped",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    let less = kit(Bug::AnswersUnclaimedSearchWithNothing).only("search").run().to_string();
    assert!(less.contains("not claimed: search"), "{less}");
    let skipped = kit(Bug::None).only("is_unsupported").run().to_string();
    assert!(skipped.contains("skipped  a_scope_is_unsupported: the store claims `scope`"), "{skipped}");
}

#[test]
fn names_are_unique_and_there_are_many() {
    let mut names: Vec<_> = Kit::promises().map(|(name, _)| name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count >= 150, "{count}");
}
