//! The daemon as a filter: the wire form of the series (spec section 8), with its faults mended.
//!
//! A prefilter gets the arguments in order and answers with them, those that cannot change left out, or with nothing when
//! it changed none; `error` of the reply is a negative errno or, beyond the series, one of `BPF_FUSE_*`. A postfilter
//! gets the arguments, the results and a record with the error so far, and answers with the results.

use zerocopy::IntoBytes;

use crate::abi::{self, fuse_ext_header, fuse_getxattr_in, fuse_in_header, verdict};
use crate::call::Call;
use crate::errno::Errno;
use crate::filter::Stage;
use crate::filter::buffer::FuseBuffer;
use crate::filter::entry::{self, Author};
use crate::ops::{Filter, OutArg, Source};

use super::{Answer, Link};

/// `FUSE_ERROR_IN`: the type of the record that says how the operation ended.
const ERROR_IN: u32 = 33;
/// Length of that record.
const RECORD: usize = 16;

impl Link {
    /// Asks the daemon as a filter of a call.
    ///
    /// # Errors
    ///
    /// What the daemon says, `EIO` for an answer that does not fit.
    pub(crate) fn filter(&self, call: &mut Call<'_>, stage: Stage) -> Result<u32, Errno> {
        let filter = call.op.filter.ok_or(Errno::EIO)?;
        let mut body: Vec<u8> = call.input_bytes().collect();
        let outs = results(filter, call);
        for (buffer, argument) in call.buffers().iter().zip(filter.buffers) {
            // The wire form is the series'.
            if !argument.extension {
                body.extend(buffer.bytes());
            }
        }
        let (mut bit, mut records) = (verdict::PREFILTER, 0);
        if stage == Stage::Post {
            for out in &outs {
                match *out {
                    Part::Struct { index, .. } => body.extend(call.out_bytes(index)),
                    Part::Buffer { index } => body.extend(call.buffers()[index].bytes()),
                }
            }
            let record = fuse_ext_header { size: RECORD as u32, r#type: ERROR_IN };
            body.extend(record.as_bytes());
            body.extend(call.meta().error_in.to_ne_bytes());
            body.extend([0; 4]);
            (bit, records) = (verdict::POSTFILTER_BIT, (RECORD / 8) as u16);
        }
        let header = fuse_in_header {
            opcode: filter.opcode | bit,
            nodeid: call.meta().nodeid,
            total_extlen: records,
            ..call.header
        };
        let answer = self.serve(header, &body)?;
        match stage {
            Stage::Pre => take_arguments(filter, call, &answer.body)?,
            Stage::Post => self.take_results(&outs, call, &answer)?,
        }
        Ok(answer.verdict)
    }

    /// Takes what a postfilter made of the results.
    fn take_results(&self, outs: &[Part], call: &mut Call<'_>, answer: &Answer) -> Result<(), Errno> {
        let mut rest = &answer.body[..];
        if rest.is_empty() {
            return Ok(());
        }
        for out in outs {
            match *out {
                Part::Struct { index, size } => {
                    let (bytes, after) = rest.split_at_checked(size).ok_or(Errno::EIO)?;
                    call.set_out_bytes(index, 0, bytes);
                    rest = after;
                }
                Part::Buffer { index } => {
                    let buffer = call.buffers().get_mut(index).ok_or(Errno::EIO)?;
                    if buffer.max() < rest.len() {
                        return Err(Errno::EIO);
                    }
                    buffer.fill(rest);
                    rest = &[];
                }
            }
        }
        if !rest.is_empty() {
            return Err(Errno::EIO);
        }
        if call.op.name == "LOOKUP" {
            self.take_entry(call, answer)?;
        }
        Ok(())
    }

    /// Takes the number and the backing object a lookup postfilter gave to what was found. Program sets are applied with those
    /// filters gave ([`Call::run`]).
    fn take_entry(&self, call: &mut Call<'_>, answer: &Answer) -> Result<(), Errno> {
        let blocks = call.out_buffer()?.bytes();
        let actions = entry::parse(blocks, Author::Daemon)?;
        if actions.backing == entry::Action::Set(()) {
            let fd = answer.fds.first().ok_or(Errno::EBADF)?;
            let name = call.string(0)?;
            call.entry = Some(self.backing.adopt(&call.node, name, fd)?);
            call.entry_given = true;
            // What is left is for the program sets.
            let sets: Vec<u8> = blocks
                .chunks_exact(abi::entry::BLOCK)
                .filter(|block| !block.starts_with(&abi::entry::BACKING.to_ne_bytes()))
                .flatten()
                .copied()
                .collect();
            call.out_buffer()?.fill(&sets);
        }
        let nodeid = call.out::<abi::fuse_entry_out>(0).nodeid;
        if nodeid != 0
            && let Some(entry) = &call.entry
        {
            self.lend(&entry.node, nodeid);
        }
        Ok(())
    }
}

/// A result of a call as it goes over the wire.
#[derive(Debug, Clone, Copy)]
enum Part {
    Struct { index: usize, size: usize },
    Buffer { index: usize },
}

/// The results of a call that mean something, in the order of the wire. Of an attribute that is its value, or its length when
/// only that was asked for.
fn results(filter: &Filter, call: &Call<'_>) -> Vec<Part> {
    let value = matches!(filter.member, "getxattr" | "listxattr");
    let sized = value && call.sent::<fuse_getxattr_in>().size > 0;
    let mut structs = 0;
    let mut results = Vec::new();
    for out in filter.outs {
        match out {
            OutArg::Struct { desc, .. } => {
                if !sized {
                    results.push(Part::Struct { index: structs, size: desc.size });
                }
                structs += 1;
            }
            OutArg::Buffer { .. } if value && !sized => {}
            OutArg::Buffer { extension: true, .. } => {}
            OutArg::Buffer { .. } => results.push(Part::Buffer { index: filter.buffers.len() }),
        }
    }
    results
}

/// Takes what a prefilter made of the arguments: the struct, then the buffers that can change, strings up to their NUL.
fn take_arguments(filter: &Filter, call: &mut Call<'_>, body: &[u8]) -> Result<(), Errno> {
    if body.is_empty() {
        return Ok(());
    }
    let size = filter.input.map_or(0, |desc| desc.size);
    let (input, mut rest) = body.split_at_checked(size).ok_or(Errno::EIO)?;
    call.set_input_bytes(input);
    for (index, buffer) in
        filter.buffers.iter().enumerate().filter(|(_, buffer)| !buffer.flags.immutable && !buffer.extension)
    {
        let len = match buffer.from {
            Source::Payload => rest.len(),
            Source::String(_) | Source::NodeName => {
                rest.iter().position(|byte| *byte == 0).ok_or(Errno::EIO)? + 1
            }
        };
        let (bytes, after) = rest.split_at(len);
        replace(call.buffers().get_mut(index).ok_or(Errno::EIO)?, bytes)?;
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(Errno::EIO) }
}

/// Replaces the bytes of an argument, unless they are the same.
fn replace(buffer: &mut FuseBuffer<'_>, bytes: &[u8]) -> Result<(), Errno> {
    use fuse_bpf_vm::host::Buffer as _;
    if buffer.bytes() == bytes {
        return Ok(());
    }
    buffer.write(bytes.len(), false).ok_or(Errno::EIO)?;
    buffer.fill(bytes);
    Ok(())
}
