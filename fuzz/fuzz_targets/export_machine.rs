#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| abyssale_fuzz_bodies::export_machine(data));
