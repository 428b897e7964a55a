#![no_main]
use libfuzzer_sys::fuzz_target;
fuzz_target!(|data: &[u8]| {
    if data.len() > 3 && data[0] == b'p' && data[1] == b'i' && data[2] == b'l' { panic!("found"); }
});
