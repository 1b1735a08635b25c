//! `struct fuse_filter`: one program for a family of operations, told by `op` and `stage` which one it is asked about.
//!
//! The table here says what the families are; what their programs are given follows from the rows of
//! [`FILTERS`], so contract, header, types, manual and calls cannot differ. Every callback of a family has the same
//! parameters. What an operation has not, or not yet, is there with a size of 0 and read-only.
//!
//! A program is proved for each operation of its family before and after it, with `op` and `stage` as known numbers
//! and everything else of the size and with the permissions it has there and then. So what is allowed is known
//! before anything runs, and where it shows that nothing is to be done, nothing is run.

use std::fmt::Write as _;
use std::sync::LazyLock;

use fuse_bpf_vm::contract::ArgType;
use fuse_bpf_vm::mem::Access;

use super::Stage;
use super::contract::DEFAULT_FILTER;
use crate::abi::{StructDesc, Wire, bpf_fuse_meta_info};
use crate::ops::{self, FILTERS, Filter, OPS, Op, OutArg, Serve};

/// Name of the struct_ops type.
pub const FUSE_FILTER: &str = "fuse_filter";

/// C type of `op`.
const OP: &str = "enum fuse_opcode";
/// C type of `stage`.
const STAGE: &str = "enum fuse_stage";

/// One member of `struct fuse_filter`, and the operations it is asked about.
#[derive(Debug)]
pub struct Family {
    /// The member.
    pub member: &'static str,
    /// What its operations have in common.
    pub about: &'static str,
    /// Its operations.
    pub filters: &'static [&'static Filter],
    /// The struct of their in-structs, where these differ.
    input: &'static str,
    /// The struct of their results, where these differ.
    output: &'static str,
}

macro_rules! families {
    ($($member:literal, $about:literal, [$($filter:ident),*];)*) => {
        /// The members of `struct fuse_filter` but for `default_filter`, in its order.
        pub static FAMILIES: &[Family] = &[$(Family {
            member: $member,
            about: $about,
            filters: &[$(&ops::$filter),*],
            input: concat!("fuse_", $member, "_in"),
            output: concat!("fuse_", $member, "_out"),
        }),*];
    };
}

families! {
    "names", "names in one directory", [LOOKUP, CREATE_OPEN, MKNOD, MKDIR, SYMLINK, LINK, UNLINK, RMDIR];
    "renames", "a name becomes another one", [RENAME, RENAME2];
    "files", "opening and closing", [OPEN, OPENDIR, FLUSH, FSYNC, DIR_FSYNC, RELEASE, RELEASEDIR];
    "data", "offsets and lengths in a file", [READ_ITER, WRITE_ITER, LSEEK, FILE_FALLOCATE, COPY_FILE_RANGE];
    "attributes", "what an inode and its file system are", [GETATTR, SETATTR, STATFS, ACCESS];
    "xattrs", "extended attributes", [GETXATTR, SETXATTR, LISTXATTR, REMOVEXATTR];
    "records", "directory records, a page at a time", [READDIR];
    "links", "targets of symbolic links", [GET_LINK];
}

/// One parameter of a family's callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// `meta`.
    Meta,
    /// `op`.
    Op,
    /// `stage`.
    Stage,
    /// `in`.
    In,
    /// `out`.
    Out,
    /// A buffer of this name.
    Buffer(&'static str),
}

impl Parameter {
    /// Its name in the C prototype.
    pub fn name(self) -> &'static str {
        match self {
            Parameter::Meta => "meta",
            Parameter::Op => "op",
            Parameter::Stage => "stage",
            Parameter::In => "in",
            Parameter::Out => "out",
            Parameter::Buffer(name) => name,
        }
    }
}

/// The structs among results, in order.
fn structs(outs: &'static [OutArg]) -> impl Iterator<Item = &'static StructDesc> {
    outs.iter().filter_map(|out| match out {
        OutArg::Struct { desc, .. } => Some(*desc),
        OutArg::Buffer { .. } => None,
    })
}

/// What `in` or `out` of a family points to.
#[derive(Debug, Clone)]
pub enum Pointee {
    /// The same struct, whatever the operation.
    One(&'static StructDesc),
    /// A struct with a member for each that some operation has. Only what the operation in progress has is there.
    Each(Each),
}

/// A struct of structs.
#[derive(Debug, Clone)]
pub struct Each {
    /// Its name.
    pub name: &'static str,
    /// What is in it: name, struct, and offset.
    pub members: Vec<(&'static str, &'static StructDesc, usize)>,
}

/// `open` for `fuse_open_in`.
fn short(desc: &StructDesc) -> &'static str {
    let name = desc.name.trim_start_matches("fuse_");
    name.trim_end_matches("_in").trim_end_matches("_out")
}

impl Each {
    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.members.last().map_or(0, |(_, desc, offset)| offset + desc.size)
    }
}

impl Pointee {
    fn of(name: &'static str, structs: impl Iterator<Item = &'static StructDesc>) -> Option<Pointee> {
        let mut each = Each { name, members: Vec::new() };
        for desc in structs {
            if !each.members.iter().any(|(_, known, _)| known.name == desc.name) {
                let offset = each.size();
                each.members.push((short(desc), desc, offset));
            }
        }
        match each.members.as_slice() {
            [] => None,
            [(_, desc, _)] => Some(Pointee::One(desc)),
            _ => Some(Pointee::Each(each)),
        }
    }

    /// Its name in C.
    pub fn name(&self) -> &'static str {
        match self {
            Pointee::One(desc) => desc.name,
            Pointee::Each(each) => each.name,
        }
    }

    /// The names of the members some structs are, which are next to each other, as C has them behind `what`.
    fn shown(&self, what: &str, structs: &[&'static StructDesc]) -> Vec<String> {
        match self {
            Pointee::One(_) if structs.is_empty() => Vec::new(),
            Pointee::One(_) => vec![what.to_owned()],
            Pointee::Each(_) => structs.iter().map(|desc| format!("{what}->{}", short(desc))).collect(),
        }
    }

    /// Where some structs, which are next to each other, lie in it, and how long they are.
    fn place(&self, structs: &[&'static StructDesc]) -> (usize, usize) {
        let size = structs.iter().map(|desc| desc.size).sum();
        let at = match (self, structs.first()) {
            (Pointee::Each(each), Some(first)) => {
                let member = each.members.iter().find(|(_, desc, _)| desc.name == first.name);
                member.map_or(0, |(.., offset)| *offset)
            }
            _ => 0,
        };
        (at, size)
    }
}

/// What programs may do with a parameter where they are asked about one operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Before the operation, and const.
    pub read: Vec<String>,
    /// Before the operation, and writable.
    pub before: Vec<String>,
    /// After the operation, and writable. What there was before it is const then.
    pub after: Vec<String>,
}

impl Family {
    /// The family of an operation.
    pub fn of(filter: &Filter) -> Option<&'static Family> {
        FAMILIES.iter().find(|family| family.filters.iter().any(|one| std::ptr::eq(*one, filter)))
    }

    /// What `in` points to, if the family has it.
    pub fn input(&self) -> Option<Pointee> {
        Pointee::of(self.input, self.filters.iter().filter_map(|filter| filter.input))
    }

    /// What `out` points to, if the family has it.
    pub fn output(&self) -> Option<Pointee> {
        Pointee::of(self.output, self.filters.iter().flat_map(|filter| structs(filter.outs)))
    }

    /// The parameters of its callback, in order: what the operations are given, then what they result in.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut all = vec![Parameter::Meta, Parameter::Op, Parameter::Stage];
        let mut add = |parameter| {
            if !all.contains(&parameter) {
                all.push(parameter);
            }
        };
        if self.input().is_some() {
            add(Parameter::In);
        }
        for buffer in self.filters.iter().flat_map(|filter| filter.buffers) {
            add(Parameter::Buffer(buffer.name));
        }
        if self.output().is_some() {
            add(Parameter::Out);
        }
        for out in self.filters.iter().flat_map(|filter| filter.outs) {
            if let OutArg::Buffer { name, .. } = out {
                add(Parameter::Buffer(name));
            }
        }
        all
    }

    /// The parameters of its callback as C has them: type and name.
    pub fn prototype(&self) -> Vec<(String, &'static str)> {
        let pointee =
            |pointee: Option<Pointee>| pointee.map_or(String::new(), |to| format!("struct {} *", to.name()));
        let c_type = |parameter| match parameter {
            Parameter::Meta => format!("const struct {} *", bpf_fuse_meta_info::DESC.name),
            Parameter::Op => format!("{OP} "),
            Parameter::Stage => format!("{STAGE} "),
            Parameter::In => pointee(self.input()),
            Parameter::Out => pointee(self.output()),
            Parameter::Buffer(_) => "struct fuse_buffer *".to_owned(),
        };
        self.parameters().into_iter().map(|parameter| (c_type(parameter), parameter.name())).collect()
    }

    /// What its callback is given for one operation in one stage, as (type, name in the C prototype).
    pub fn arguments(&self, filter: &Filter, stage: Stage) -> Vec<(ArgType, &'static str)> {
        let access = match stage {
            Stage::Pre => Access::ReadWrite,
            Stage::Post => Access::Read,
        };
        let part = |pointee: Option<Pointee>, structs: &[&'static StructDesc], access| {
            let (at, size) = pointee.as_ref().map_or((0, 0), |pointee| pointee.place(structs));
            let access = if size == 0 { Access::Read } else { access };
            ArgType::Part { name: pointee.map_or("", |pointee| pointee.name()), at, size, access }
        };
        let argument = |parameter| match parameter {
            Parameter::Meta => meta(),
            Parameter::Op => number(OP, filter.opcode.into()),
            Parameter::Stage => number(STAGE, stage as u64),
            Parameter::In => part(self.input(), filter.input.as_slice(), access),
            Parameter::Out => {
                let outs: Vec<_> = structs(filter.outs).filter(|_| stage == Stage::Post).collect();
                part(self.output(), &outs, Access::ReadWrite)
            }
            Parameter::Buffer(name) => {
                let given = filter.buffers.iter().find(|buffer| buffer.name == name);
                let writable = match stage {
                    Stage::Pre => given.is_some_and(|buffer| !buffer.flags.immutable),
                    Stage::Post => given.is_none() && out_buffer(filter) == Some(name),
                };
                let access = if writable { Access::ReadWrite } else { Access::Read };
                ArgType::Buffer { name: "fuse_buffer", access }
            }
        };
        self.parameters().into_iter().map(|parameter| (argument(parameter), parameter.name())).collect()
    }

    /// What its program may do with its parameters for one operation, as C names them.
    pub fn allowed(&self, filter: &Filter) -> Allowed {
        let shown = |pointee: Option<Pointee>, what: &str, structs: &[&'static StructDesc]| {
            pointee.map_or_else(Vec::new, |pointee| pointee.shown(what, structs))
        };
        let mut allowed = Allowed {
            before: shown(self.input(), "in", filter.input.as_slice()),
            after: shown(self.output(), "out", &structs(filter.outs).collect::<Vec<_>>()),
            ..Allowed::default()
        };
        for buffer in filter.buffers {
            let list = if buffer.flags.immutable { &mut allowed.read } else { &mut allowed.before };
            list.push(buffer.name.to_owned());
        }
        allowed.after.extend(out_buffer(filter).map(str::to_owned));
        allowed
    }
}

/// Where in the structs of its family those of an operation lie: of the request, and of the results.
pub(crate) fn offsets(filter: &Filter) -> (usize, usize) {
    static ALL: LazyLock<Vec<(usize, usize)>> = LazyLock::new(|| {
        let mut all = vec![(0, 0); usize::from(u8::MAX)];
        for (family, filter) in
            FAMILIES.iter().flat_map(|family| family.filters.iter().map(move |one| (family, one)))
        {
            let at = |pointee: Option<Pointee>, structs: &[&'static StructDesc]| {
                pointee.map_or(0, |pointee| pointee.place(structs).0)
            };
            let outs: Vec<_> = structs(filter.outs).collect();
            if let Some(offsets) = all.get_mut(filter.opcode as usize) {
                *offsets = (at(family.input(), filter.input.as_slice()), at(family.output(), &outs));
            }
        }
        all
    });
    ALL.get(filter.opcode as usize).copied().unwrap_or_default()
}

/// The name of the buffer an operation fills.
fn out_buffer(filter: &Filter) -> Option<&'static str> {
    filter.outs.iter().find_map(|out| match out {
        OutArg::Buffer { name, .. } => Some(*name),
        OutArg::Struct { .. } => None,
    })
}

fn meta() -> ArgType {
    let desc = bpf_fuse_meta_info::DESC;
    ArgType::Struct { name: desc.name, size: desc.size, access: Access::Read }
}

fn number(name: &'static str, value: u64) -> ArgType {
    ArgType::Scalar { name, value: Some(value) }
}

/// The parameters of `default_filter` as C has them.
pub fn default_prototype() -> Vec<(String, &'static str)> {
    vec![
        (format!("const struct {} *", bpf_fuse_meta_info::DESC.name), "meta"),
        (format!("{OP} "), "op"),
        (format!("{STAGE} "), "stage"),
    ]
}

/// What `default_filter` is given for one operation in one stage.
pub fn default_arguments(op: &Op, stage: Stage) -> Vec<(ArgType, &'static str)> {
    vec![(meta(), "meta"), (number(OP, opcode(op).into()), "op"), (number(STAGE, stage as u64), "stage")]
}

/// The number programs are told of an operation: that of its row of [`FILTERS`], if it has one.
pub fn opcode(op: &Op) -> u32 {
    op.filter.map_or(op.opcode, |filter| filter.opcode)
}

/// The operations programs may be asked about, each number once.
pub fn operations() -> impl Iterator<Item = &'static Op> {
    OPS.iter().filter(|op| matches!(op.serve, Serve::Backed { .. }) && opcode(op) == op.opcode)
}

/// The name of a place: `names/unlink_prefilter`.
pub fn place(member: &str, op: &Op, stage: Stage) -> String {
    let operation = op.filter.map_or_else(|| op.name.to_lowercase(), |filter| filter.member.to_owned());
    format!("{member}/{operation}{}", stage.suffix())
}

/// A place of a program of one member, and what it is given there, as (type, name in the C prototype).
pub type Place = (String, Vec<(ArgType, &'static str)>);

/// The places of the program of one member.
pub fn places(member: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for op in operations() {
        for stage in [Stage::Pre, Stage::Post] {
            let family = op.filter.and_then(|filter| Some((filter, Family::of(filter)?)));
            let arguments = match family {
                _ if member == DEFAULT_FILTER => default_arguments(op, stage),
                Some((filter, family)) if family.member == member => family.arguments(filter, stage),
                _ => continue,
            };
            places.push((place(member, op, stage), arguments));
        }
    }
    places
}

/// What one parameter gets in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    Meta,
    Number(u64),
    /// The request's struct.
    In(Access),
    /// The results, one behind the other.
    Out,
    /// A buffer of the call, by its index there.
    Buffer(u32),
    /// A struct of size 0.
    NoStruct,
    /// A buffer of size 0.
    NoBuffer,
}

/// What the callback of an operation's family gets in a call.
pub(crate) fn given(filter: &Filter, stage: Stage) -> &'static [Given] {
    static ALL: LazyLock<Vec<[Vec<Given>; 2]>> = LazyLock::new(|| {
        let mut all = vec![[Vec::new(), Vec::new()]; usize::from(u8::MAX)];
        for filter in FILTERS {
            if let Some(plans) = all.get_mut(filter.opcode as usize) {
                *plans = [plan(filter, Stage::Pre), plan(filter, Stage::Post)];
            }
        }
        all
    });
    ALL.get(filter.opcode as usize).map_or(&[], |stages| &stages[stage as usize])
}

fn plan(filter: &Filter, stage: Stage) -> Vec<Given> {
    let Some(family) = Family::of(filter) else { return Vec::new() };
    let arguments = family.arguments(filter, stage);
    let slot = |parameter, argument: &ArgType| match (parameter, argument) {
        (Parameter::Meta, _) => Given::Meta,
        (_, &ArgType::Scalar { value, .. }) => Given::Number(value.unwrap_or_default()),
        (_, ArgType::Part { size: 0, .. }) => Given::NoStruct,
        (Parameter::In, &ArgType::Part { access, .. }) => Given::In(access),
        (Parameter::Buffer(name), _) => {
            let input = filter.buffers.iter().position(|buffer| buffer.name == name);
            let out =
                || filter.out_buffer().filter(|_| stage == Stage::Post && out_buffer(filter) == Some(name));
            input.or_else(out).map_or(Given::NoBuffer, |index| Given::Buffer(index as u32))
        }
        _ => Given::Out,
    };
    family.parameters().into_iter().zip(&arguments).map(|(parameter, (ty, _))| slot(parameter, ty)).collect()
}

/// The C of it all: the structs, `struct fuse_filter` and the macro that writes the head of a callback.
pub(super) fn header() -> String {
    let mut h = STAGES.to_owned();
    for pointee in FAMILIES.iter().flat_map(|family| [family.input(), family.output()]).flatten() {
        if let Pointee::Each(each) = pointee {
            let _ = writeln!(h, "\nstruct {} {{", each.name);
            for (member, desc, _) in each.members {
                let _ = writeln!(h, "\tstruct {} {member};", desc.name);
            }
            h.push_str("};\n");
        }
    }
    let declared = |prototype: Vec<(String, &str)>, between: &str| {
        prototype.into_iter().map(|(ty, name)| ty + name).collect::<Vec<_>>().join(between)
    };
    h.push_str("\nstruct fuse_filter {\n");
    let _ = writeln!(h, "\tuint32_t (*default_filter)({});", declared(default_prototype(), ",\n\t\t\t"));
    for family in FAMILIES {
        let _ = writeln!(h, "\n\t/* {}: {} */", family.about, operations_of(family));
        let prototype = declared(family.prototype(), ",\n\t\t\t");
        let _ = writeln!(h, "\tuint32_t (*{})({prototype});", family.member);
    }
    h.push_str("\tchar name[BPF_FUSE_NAME_MAX];\n};\n");
    h.push_str(MACRO);
    let all = FAMILIES.iter().map(|family| (family.member, family.prototype()));
    for (member, prototype) in std::iter::once(("default_filter", default_prototype())).chain(all) {
        let _ = writeln!(h, "#define FUSE_FILTER_{member} \\\n\t{}", declared(prototype, ", "));
    }
    h
}

/// `FUSE_LOOKUP, FUSE_CREATE`.
fn operations_of(family: &Family) -> String {
    let name = |filter: &&Filter| ops::by_opcode(filter.opcode).map_or("", |op| op.name);
    family.filters.iter().map(|filter| format!("FUSE_{}", name(filter))).collect::<Vec<_>>().join(", ")
}

const STAGES: &str = r"/* Before and after the operation. */
enum fuse_stage {
	FUSE_PRE = 0,
	FUSE_POST = 1,
};

/*
 * What operations take and result in, with one member for each struct. Only what the operation in progress has is
 * there: everything else is refused, so ask which one it is first.
 */
";

const MACRO: &str = r"
/*
 * FUSE_FILTER(member, function): the head of a program for a member of struct fuse_filter, with the
 * parameters that member has.
 */
#define ___fuse_filter(name, args...) BPF_STRUCT_OPS(name, args)
#define FUSE_FILTER(member, function) ___fuse_filter(function, FUSE_FILTER_##member)
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_family() {
        for filter in FILTERS {
            let families = FAMILIES.iter().flat_map(|family| family.filters);
            assert_eq!(families.filter(|one| std::ptr::eq(**one, *filter)).count(), 1, "{}", filter.member);
        }
        assert_eq!(FAMILIES.iter().map(|family| family.filters.len()).sum::<usize>(), FILTERS.len());
    }

    #[test]
    fn a_macro_has_room_for_the_parameters() {
        for family in FAMILIES {
            assert!(family.parameters().len() <= 8, "{}", family.member);
        }
    }

    /// The members of `struct fuse_ops` say the same: what an operation has is there with the same permissions, but
    /// that buffers nobody may change are const here.
    #[test]
    fn what_an_operation_has_is_given() {
        for (family, filter) in FAMILIES.iter().flat_map(|f| f.filters.iter().map(move |filter| (f, *filter)))
        {
            for stage in [Stage::Pre, Stage::Post] {
                let ours = family.arguments(filter, stage);
                let has = |wanted: &ArgType| {
                    ours.iter().any(|(ty, _)| match (ty, wanted) {
                        (
                            ArgType::Part { size: whole, access: a, .. },
                            ArgType::Struct { size, access: b, .. },
                        ) => {
                            // Two results lie next to each other.
                            a == b && (whole == size || filter.member == "create_open" && whole > size)
                        }
                        (ty, wanted) => ty == wanted,
                    })
                };
                let mut missing = Vec::new();
                for (theirs, name) in super::super::contract::arguments(filter, stage) {
                    let fixed = filter.buffers.iter().any(|b| b.name == name && b.flags.immutable);
                    let theirs = match theirs {
                        ArgType::Buffer { name, .. } if fixed => {
                            ArgType::Buffer { name, access: Access::Read }
                        }
                        theirs => theirs,
                    };
                    if !has(&theirs) {
                        missing.push(name);
                    }
                }
                assert!(missing.is_empty(), "{}: {missing:?}", filter.member);
            }
        }
    }

    #[test]
    fn what_an_operation_has_not_is_of_size_0() {
        let arguments = |filter, stage| Family::of(filter).unwrap().arguments(filter, stage);
        let unlink = arguments(&ops::UNLINK, Stage::Post);
        let names: Vec<_> = unlink.iter().map(|(_, name)| *name).collect();
        assert_eq!(names, ["meta", "op", "stage", "in", "name", "path", "out", "entries"]);
        assert_eq!(unlink[1].0, number(OP, 10));
        assert_eq!(unlink[2].0, number(STAGE, 1));
        let nothing = |name| ArgType::Part { name, at: 0, size: 0, access: Access::Read };
        assert_eq!(unlink[3].0, nothing("fuse_names_in"));
        assert_eq!(unlink[6].0, nothing("fuse_names_out"));
        assert_eq!(arguments(&ops::LOOKUP, Stage::Pre)[6].0, nothing("fuse_names_out"));
        let buffers = [4, 5, 7].map(|at| unlink[at].0.clone());
        let constant = ArgType::Buffer { name: "fuse_buffer", access: Access::Read };
        assert_eq!(buffers, [constant.clone(), constant.clone(), constant]);
        let plans = plan(&ops::CREATE_OPEN, Stage::Post);
        let (op, stage) = (Given::Number(35), Given::Number(1));
        let (input, name) = (Given::In(Access::Read), Given::Buffer(0));
        assert_eq!(
            plans,
            [Given::Meta, op, stage, input, name, Given::NoBuffer, Given::Out, Given::NoBuffer]
        );
    }

    #[test]
    fn what_an_operation_has_lies_together() {
        for family in FAMILIES {
            for filter in family.filters {
                let Some(Pointee::Each(each)) = family.output() else { continue };
                let mut outs = structs(filter.outs).peekable();
                let first = outs.peek().map(|desc| desc.name);
                let from =
                    each.members.iter().position(|(_, desc, _)| Some(desc.name) == first).unwrap_or_default();
                let members = each.members[from..].iter().map(|(_, desc, _)| desc.name);
                assert!(outs.zip(members).all(|(desc, name)| desc.name == name), "{}", filter.member);
            }
        }
        assert_eq!(offsets(&ops::CREATE_OPEN), (0, 0));
        assert_eq!(offsets(&ops::MKNOD), (16, 0));
        assert_eq!(offsets(&ops::SETATTR), (16, 0));
        assert_eq!(offsets(&ops::STATFS), (0, 104));
    }

    /// One value for the value of an attribute, wherever it comes from.
    #[test]
    fn values_of_attributes_are_one_parameter() {
        let family = Family::of(&ops::SETXATTR).unwrap();
        let names: Vec<_> = family.parameters().into_iter().map(Parameter::name).collect();
        assert_eq!(names, ["meta", "op", "stage", "in", "name", "value", "out"]);
        let value = |filter, stage| plan(filter, stage)[5];
        assert_eq!(value(&ops::SETXATTR, Stage::Pre), Given::Buffer(1));
        assert_eq!(value(&ops::SETXATTR, Stage::Post), Given::Buffer(1));
        assert_eq!(value(&ops::GETXATTR, Stage::Pre), Given::NoBuffer);
        assert_eq!(value(&ops::GETXATTR, Stage::Post), Given::Buffer(1));
        assert_eq!(value(&ops::LISTXATTR, Stage::Post), Given::Buffer(0));
    }

    #[test]
    fn operations_are_asked_about_by_one_number_each() {
        let numbers: Vec<_> = operations().map(opcode).collect();
        for op in OPS.iter().filter(|op| matches!(op.serve, Serve::Backed { .. })) {
            assert_eq!(numbers.iter().filter(|number| **number == opcode(op)).count(), 1, "{}", op.name);
        }
    }
}
