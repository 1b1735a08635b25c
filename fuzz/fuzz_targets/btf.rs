//! Parsing and walking arbitrary type information never panics and ends.
#![no_main]

use fuse_bpf_vm::btf::{Btf, BtfExt};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = BtfExt::parse(bytes);
    let Ok(btf) = Btf::parse(bytes) else { return };
    for id in (0..btf.len().min(256)).filter_map(|id| u32::try_from(id).ok()) {
        btf.name(id);
        btf.members(id);
        let _ = btf.size_of(id);
        let text = btf.render(id, bytes.get(..256).unwrap_or(bytes));
        assert!(text.len() < 1 << 20);
    }
});
