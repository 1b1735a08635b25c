//! One call through a program set without a mount: what would a filter say?

use std::ffi::CString;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use bumpalo::Bump;
use zerocopy::IntoBytes;

use crate::abi::{FieldDesc, StructDesc, fuse_in_header};
use crate::backing::{Backing, BackingError, Config};
use crate::call::{Call, Inspection, Step};
use crate::errno::Errno;
use crate::filter::machines::{Lease, Slots};
use crate::filter::trace::Trace;
use crate::filter::{Chain, FilterError, FilterSet};
use crate::ops::{self, Op};
use crate::request::Decoded;

/// Room for the variable part of an imaginary reply.
const DATA: usize = 1 << 17;

/// An imaginary call.
#[derive(Debug, Clone)]
pub struct DryRun {
    op: &'static Op,
    input: Vec<u8>,
    strings: Vec<CString>,
    payload: Vec<u8>,
    header: fuse_in_header,
    outs: Vec<(usize, &'static FieldDesc, u64)>,
    data: Vec<u8>,
    error: Option<Errno>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// The programs that ran, in order.
    pub steps: Vec<Step>,
    /// The arguments before the first program.
    pub before: Inspection,
    /// The arguments after the last.
    pub after: Inspection,
    /// What the operation ended with.
    pub result: Result<(), Errno>,
    /// What the programs printed.
    pub printed: Vec<String>,
}

/// Why a dry run makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DryRunError {
    /// There is no such operation.
    #[error("no operation `{0}`; `fuse-bpf ops` lists them")]
    Operation(String),
    /// Filters never see this operation.
    #[error("{0} has no members in struct fuse_ops")]
    Unfiltered(&'static str),
    /// The operation takes fewer names.
    #[error("{op} takes {} name(s)", strings.len())]
    Names {
        /// The operation.
        op: &'static str,
        /// The names it takes.
        strings: &'static [&'static str],
    },
    /// A name has a NUL byte.
    #[error("name {0:?} has a NUL byte")]
    Nul(String),
    /// There is no such field.
    #[error("{op} has no field `{field}`; it has: {}", known.join(", "))]
    Field {
        /// The operation.
        op: &'static str,
        /// What was asked for.
        field: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The operation has no payload.
    #[error("{0} has no payload")]
    Payload(&'static str),
    /// The root directory cannot be opened.
    #[error(transparent)]
    Backing(#[from] BackingError),
    /// The filter cannot be chained.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The call cannot be prepared.
    #[error("the call cannot be prepared")]
    Call(#[from] Errno),
}

impl DryRun {
    /// An imaginary call of this operation, by its name or that of its member pair.
    ///
    /// # Errors
    ///
    /// When there is no such operation, or filters never see it.
    pub fn new(operation: &str) -> Result<DryRun, DryRunError> {
        let op = ops::by_name(operation).ok_or_else(|| DryRunError::Operation(operation.to_owned()))?;
        let filter = op.filter.ok_or(DryRunError::Unfiltered(op.name))?;
        Ok(DryRun {
            op,
            input: vec![0; filter.input.map_or(0, |desc| desc.size)],
            strings: op.strings.iter().map(|_| CString::default()).collect(),
            payload: Vec::new(),
            header: fuse_in_header { opcode: op.opcode, nodeid: 1, ..Default::default() },
            outs: Vec::new(),
            data: Vec::new(),
            error: None,
        })
    }

    /// Sets name number `index`.
    ///
    /// # Errors
    ///
    /// When the operation takes fewer names.
    pub fn name(mut self, index: usize, name: &str) -> Result<DryRun, DryRunError> {
        let op = self.op;
        let slot =
            self.strings.get_mut(index).ok_or(DryRunError::Names { op: op.name, strings: op.strings })?;
        *slot = CString::new(name).map_err(|_| DryRunError::Nul(name.to_owned()))?;
        Ok(self)
    }

    /// Sets a field of the in-struct (`in.flags`) or of a result as the operation would have left it
    /// (`out.fh`, `entry_out.attr.mode`).
    ///
    /// # Errors
    ///
    /// When there is no such field.
    pub fn field(mut self, path: &str, value: u64) -> Result<DryRun, DryRunError> {
        let unknown =
            || DryRunError::Field { op: self.op.name, field: path.to_owned(), known: self.fields() };
        let (base, rest) = path.split_once('.').ok_or_else(unknown)?;
        let filter = self.op.filter.ok_or_else(unknown)?;
        if base == "in" {
            let (offset, field) = filter.input.and_then(|desc| find(desc, rest)).ok_or_else(unknown)?;
            put(&mut self.input, offset, field, value);
            return Ok(self);
        }
        let structs = filter.outs.iter().filter_map(|out| match out {
            ops::OutArg::Struct { name, desc } => Some((*name, *desc)),
            ops::OutArg::Buffer { .. } => None,
        });
        let found = structs.enumerate().find(|(_, (name, _))| *name == base);
        let (index, (_, desc)) = found.ok_or_else(unknown)?;
        let (offset, field) = find(desc, rest).ok_or_else(unknown)?;
        self.outs.push((index << 16 | offset, field, value));
        Ok(self)
    }

    /// The fields [`DryRun::field`] knows.
    pub fn fields(&self) -> Vec<String> {
        let mut all = Vec::new();
        let Some(filter) = self.op.filter else { return all };
        if let Some(desc) = filter.input {
            list(desc, "in", &mut all);
        }
        for out in filter.outs {
            if let ops::OutArg::Struct { name, desc } = out {
                list(desc, name, &mut all);
            }
        }
        all
    }

    /// Sets the bytes that follow the names (setxattr's value).
    ///
    /// # Errors
    ///
    /// When the operation has none.
    pub fn payload(mut self, payload: Vec<u8>) -> Result<DryRun, DryRunError> {
        if self.op.payload.is_none() {
            return Err(DryRunError::Payload(self.op.name));
        }
        self.payload = payload;
        Ok(self)
    }

    /// Sets what the operation leaves in its out buffer (an attribute's value, a page of records).
    pub fn data(mut self, data: Vec<u8>) -> DryRun {
        self.data = data;
        self
    }

    /// Sets who calls.
    pub fn caller(mut self, uid: u32, gid: u32, pid: u32) -> DryRun {
        (self.header.uid, self.header.gid, self.header.pid) = (uid, gid, pid);
        self
    }

    /// Sets the nodeid filters see.
    pub fn nodeid(mut self, nodeid: u64) -> DryRun {
        self.header.nodeid = nodeid;
        self
    }

    /// Lets the operation itself fail.
    pub fn error(mut self, error: Errno) -> DryRun {
        self.error = Some(error);
        self
    }

    /// Runs the call.
    ///
    /// # Errors
    ///
    /// When it cannot be prepared; a filter that refuses or faults is a [`Report`].
    pub fn run(&self, set: &FilterSet) -> Result<Report, DryRunError> {
        self.repeat(set, NonZeroU32::MIN, &mut |_| ())
    }

    /// Runs the call so many times, each on its own copy of the arguments, and gives the last report; maps keep
    /// what the runs before did. `each` gets the steps of every run.
    ///
    /// # Errors
    ///
    /// As [`DryRun::run`].
    pub fn repeat(
        &self,
        set: &FilterSet,
        times: NonZeroU32,
        each: &mut dyn FnMut(&[Step]),
    ) -> Result<Report, DryRunError> {
        let backing = Backing::open(Path::new("/"), Config::default())?;
        let chain = Arc::new(Chain::new(vec![set.clone()])?);
        let mut machine = Lease::new(Arc::new(Slots::new(1)));
        let mut data = vec![0; DATA];
        for _ in 1..times.get() {
            each(&self.once(&backing, &chain, &mut machine, &mut data)?.steps);
        }
        let report = self.once(&backing, &chain, &mut machine, &mut data)?;
        each(&report.steps);
        Ok(report)
    }

    fn once(
        &self,
        backing: &Backing,
        chain: &Arc<Chain>,
        machine: &mut Lease,
        data: &mut [u8],
    ) -> Result<Report, DryRunError> {
        let arena = Bump::new();
        let mut input = self.input.clone();
        if let Some(at) = self.op.filter.and_then(asked_size)
            && input.get(at..at + 4) == Some(&[0; 4])
        {
            // As much is asked for as there is.
            let len = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
            input[at..at + 4].copy_from_slice(&len.to_ne_bytes());
        }
        let mut strings = [c""; 2];
        for (to, from) in strings.iter_mut().zip(&self.strings) {
            *to = from.as_c_str();
        }
        let request = Decoded { op: self.op, input: &input, strings, payload: &self.payload, group: None };
        let mut call = Call::imagine(self.header, request, backing.root(), Arc::clone(chain), data, &arena);
        let before = call.inspect();
        let trace = Trace::default();
        let mut from = trace.end();
        let result = call.run(machine, &trace, &mut |call: &mut Call<'_>| {
            for (at, field, value) in &self.outs {
                let mut bytes = [0; 8];
                put(&mut bytes, 0, field, *value);
                call.set_out_bytes(at >> 16, at & 0xffff, bytes.get(..field.size.min(8)).unwrap_or_default());
            }
            if !self.data.is_empty() {
                call.out_buffer()?.fill(&self.data);
            }
            self.error.map_or(Ok(()), Err)
        });
        let (_, printed) = trace.read(&mut from, std::time::Duration::ZERO);
        Ok(Report { steps: call.take_steps(), before, after: call.inspect(), result, printed })
    }
}

/// Where in the struct of a request the length of its result is, if it must be asked for.
fn asked_size(filter: &ops::Filter) -> Option<usize> {
    filter.outs.iter().find_map(|out| match out {
        ops::OutArg::Buffer { max: ops::Limit::Asked(at), extension: true, .. } => Some(*at),
        _ => None,
    })
}

/// A field by its path, with its offset in the outermost struct.
fn find(desc: &'static StructDesc, path: &str) -> Option<(usize, &'static FieldDesc)> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let field = desc.fields.iter().find(|f| f.name.trim_start_matches("r#") == name)?;
    match (rest, field.nested) {
        (Some(rest), Some(nested)) => find(nested, rest).map(|(offset, f)| (field.offset + offset, f)),
        (None, None) if field.array.is_none() => Some((field.offset, field)),
        _ => None,
    }
}

fn list(desc: &StructDesc, prefix: &str, all: &mut Vec<String>) {
    for field in desc.fields {
        let path = format!("{prefix}.{}", field.name.trim_start_matches("r#"));
        match field.nested {
            Some(nested) => list(nested, &path, all),
            None if field.array.is_none() => all.push(path),
            None => {}
        }
    }
}

/// Stores the low bytes of a value.
fn put(bytes: &mut [u8], offset: usize, field: &FieldDesc, value: u64) {
    let value = value.to_le();
    let value = value.as_bytes();
    for (to, from) in bytes.iter_mut().skip(offset).take(field.size).zip(value) {
        *to = *from;
    }
}
