//! Any message from the kernel is taken apart or refused, and every byte of it is accounted for.
#![no_main]

use fuse_bpf::request::decode;
use fuse_bpf::transport::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    let Some(request) = Request::parse(message) else { return };
    let Ok(decoded) = decode(&request.header, request.body) else { return };
    let op = decoded.op;
    assert_eq!(op.opcode, request.header.opcode);
    assert_eq!(decoded.input.len(), op.input.map_or(0, |desc| desc.size));
    assert!(op.payload.is_some() || decoded.payload.is_empty());
    let strings: usize = decoded.strings.iter().take(op.strings.len()).map(|s| s.count_bytes() + 1).sum();
    let extensions = usize::from(request.header.total_extlen) * 8;
    assert_eq!(decoded.input.len() + strings + decoded.payload.len() + extensions, request.body.len());
});
