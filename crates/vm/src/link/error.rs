//! Why an object cannot be loaded.

use crate::btf::BtfError;
use crate::maps::MapError;
use crate::validate::InsnProblem;

/// Why an object cannot be loaded. `section` and `offset` (in bytes from its start) name the place
/// in the object file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No ELF file at all.
    #[error("not an ELF object; build with clang -target bpf -c")]
    NotElf,
    /// A big-endian object.
    #[error("big-endian object; build with clang -target bpfel")]
    BigEndian,
    /// An object for another processor.
    #[error("object is for machine {machine}, not BPF (247); build with clang -target bpf")]
    WrongMachine {
        /// `e_machine` of the ELF header.
        machine: u16,
    },
    /// The file breaks its format.
    #[error("section `{section}`, offset {offset:#x}: {reason}")]
    Malformed {
        /// Section, or the part of the file.
        section: String,
        /// Offset in it, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// More of something than is accepted.
    #[error("{what}: more than {limit}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A section whose meaning is not known here.
    #[error(
        "section `{section}` has no meaning here; programs belong to `struct_ops/NAME`, functions to `.text`"
    )]
    UnknownSection {
        /// The section.
        section: String,
        /// Offset of its first byte in itself, always 0.
        offset: u64,
    },
    /// A `maps` section with `struct bpf_map_def`.
    #[error("section `maps` holds legacy map definitions; define maps with BTF in section `.maps`")]
    LegacyMaps,
    /// Two sections of one name.
    #[error("section `{section}` appears twice; link objects with bpftool gen object")]
    DuplicateSection {
        /// The section.
        section: String,
    },
    /// A section that cannot be understood without type information.
    #[error("section `{section}` needs type information and there is no `.BTF`; build with clang -g")]
    MissingBtf {
        /// The section.
        section: String,
    },
    /// The type information cannot be read.
    #[error("section `{section}`: {source}")]
    Btf {
        /// `.BTF`, `.BTF.ext`, or the section whose types are wrong.
        section: String,
        /// What is wrong.
        source: BtfError,
    },
    /// A variable that type information and symbols disagree about.
    #[error("section `{section}`, variable `{variable}`: {reason}")]
    Variable {
        /// Its section.
        section: String,
        /// The variable.
        variable: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A map definition that cannot be understood.
    #[error("map `{map}` (section `.maps`, offset {offset:#x}): {reason}")]
    MapDefinition {
        /// The map.
        map: String,
        /// Offset of the variable.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A kind of map that does not exist here.
    #[error(
        "map `{map}` (section `.maps`, offset {offset:#x}): kind {number} ({kind}) is not supported; \
         there are array, hash, LRU hash, their percpu forms, prefix trie, queue, stack, Bloom filter, \
         ring buffer, inode storage, and arrays and hashes of maps and of programs"
    )]
    UnsupportedMapKind {
        /// The map.
        map: String,
        /// Offset of the variable.
        offset: u64,
        /// Number in `enum bpf_map_type`.
        number: u32,
        /// Its name there, or `unknown`.
        kind: &'static str,
    },
    /// A map that cannot be made.
    #[error("section `{section}`, offset {offset:#x}: {source}")]
    Map {
        /// `.maps` or the data section.
        section: String,
        /// Offset of the variable.
        offset: u64,
        /// Why not.
        source: MapError,
    },
    /// A call of, or reference to, a function nobody provides.
    #[error(
        "section `{section}`, offset {offset:#x}: there is no kfunc `{name}`; declare it __weak to test for it"
    )]
    UnknownKfunc {
        /// Section of the instruction.
        section: String,
        /// Its offset.
        offset: u64,
        /// The function.
        name: String,
    },
    /// A call of a C library function the compiler made up.
    #[error(
        "section `{section}`, offset {offset:#x}: the compiler left a call of `{name}`, and there is no C library; \
         use __builtin_{name} with a small constant size or a bounded loop, and build with -O2"
    )]
    LibraryCall {
        /// Section of the instruction.
        section: String,
        /// Its offset.
        offset: u64,
        /// The function.
        name: String,
    },
    /// A call of a function of Rust's library that was not compiled in.
    #[error(
        "section `{section}`, offset {offset:#x}: the compiler left a call of `{name}`, and Rust's library is not \
         linked in; avoid what can panic (indexing, unwrap, checked arithmetic), and build with -O and one codegen unit"
    )]
    RustCall {
        /// Section of the instruction.
        section: String,
        /// Its offset.
        offset: u64,
        /// The function, mangled.
        name: String,
    },
    /// A helper number nobody provides.
    #[error("section `{section}`, offset {offset:#x}: helper {id} is not supported")]
    UnknownHelper {
        /// Section of the instruction.
        section: String,
        /// Its offset.
        offset: u64,
        /// Number in `enum bpf_func_id`.
        id: i32,
    },
    /// A `__kconfig` variable without a value.
    #[error("section `{section}`, offset {offset:#x}: kconfig variable `{name}`: {reason}")]
    Kconfig {
        /// Section of the instruction.
        section: String,
        /// Its offset.
        offset: u64,
        /// The variable.
        name: String,
        /// Why it has none.
        reason: &'static str,
    },
    /// A kfunc the object declares with another number of parameters than it has.
    #[error(
        "section `{section}`, offset {offset:#x}: the object declares kfunc `{name}` with {found} parameters, \
         and it is `{expected}`; include fuse_bpf.h, or correct the declaration"
    )]
    KfuncPrototype {
        /// Section of the instruction.
        section: String,
        /// Its offset.
        offset: u64,
        /// The function.
        name: String,
        /// Parameters declared.
        found: usize,
        /// Its prototype.
        expected: String,
    },
    /// A `__ksym` variable: an address inside a kernel.
    #[error(
        "section `{section}`, offset {offset:#x}: there are no kernel variables here (`{name}`); declare it __weak to test for it"
    )]
    KernelVariable {
        /// Section of the instruction.
        section: String,
        /// Its offset.
        offset: u64,
        /// The variable.
        name: String,
    },
    /// A relocation that makes no sense where it is.
    #[error(
        "section `{section}`, offset {offset:#x}: relocation of type {kind} against `{symbol}`: {reason}"
    )]
    Relocation {
        /// Section of the place.
        section: String,
        /// Its offset.
        offset: u64,
        /// `R_BPF_*` number.
        kind: u32,
        /// The symbol, or the section a section symbol stands for.
        symbol: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A pointer in a variable's initial value.
    #[error(
        "section `{section}`, offset {offset:#x}: variable is initialised with the address of `{symbol}`; \
         store addresses at run time"
    )]
    DataRelocation {
        /// Section of the variable.
        section: String,
        /// Offset of the pointer.
        offset: u64,
        /// What it points to.
        symbol: String,
    },
    /// An instruction that is not valid, or not in its place.
    #[error("section `{section}`, offset {offset:#x}: {problem}")]
    Instruction {
        /// Section of the instruction.
        section: String,
        /// Its offset.
        offset: u64,
        /// What is wrong.
        problem: InsnProblem,
    },
    /// A reference to a map, kfunc or function that no relocation explains.
    #[error(
        "section `{section}`, offset {offset:#x}: pseudo source {src} without a relocation; load the output of clang -c"
    )]
    Unlinked {
        /// Section of the instruction.
        section: String,
        /// Its offset.
        offset: u64,
        /// The source field.
        src: u8,
    },
    /// A CO-RE relocation that is wrong, or that has several answers. One that has none is no error: the
    /// instruction is poisoned.
    #[error("section `{section}`, offset {offset:#x}: CO-RE relocation {relocation}: {reason}")]
    Core {
        /// Section of the instruction.
        section: String,
        /// Its offset.
        offset: u64,
        /// What it asks for, e.g. ``byte_off of `struct task::pid` ``.
        relocation: String,
        /// What is wrong.
        reason: String,
    },
    /// A set whose struct is not offered.
    #[error("section `{section}`, set `{variable}`: there is no struct_ops type `{type_name}`")]
    UnknownOpsType {
        /// Section of the set.
        section: String,
        /// C variable.
        variable: String,
        /// Name of its struct, flavour stripped.
        type_name: String,
    },
    /// A program in a member that is not offered.
    #[error(
        "section `{section}`, offset {offset:#x}: set `{variable}`: `{type_name}` has no program `{member}`"
    )]
    UnknownOpsMember {
        /// Section of the set.
        section: String,
        /// Offset of the member.
        offset: u64,
        /// C variable.
        variable: String,
        /// Name of its struct, flavour stripped.
        type_name: String,
        /// The member.
        member: String,
    },
    /// A member whose value is not understood.
    #[error("section `{section}`, offset {offset:#x}: set `{variable}`, member `{member}`: {reason}")]
    OpsMember {
        /// Section of the set.
        section: String,
        /// Offset of the member.
        offset: u64,
        /// C variable.
        variable: String,
        /// The member.
        member: String,
        /// What is wrong.
        reason: &'static str,
    },
}
