#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| craftx_integration_tests::fuzz::search(bytes));
