//! ELF objects as clang writes them for BPF: sections by purpose, symbols, relocations.
//!
//! [`Object::parse`] guarantees: 64-bit little-endian relocatable ELF for BPF; every section has
//! a known purpose; every symbol's section and every relocation's symbol exists; a relocation lies
//! inside its section. What the relocations mean is the business of [`crate::link`].

use object::LittleEndian as Le;
use object::elf;
use object::read::elf::FileHeader as _;
use object::read::elf::Rel as _;
use object::read::elf::SectionHeader as _;
use object::read::elf::SectionTable;
use object::read::elf::Sym as _;

use crate::link::LoadError;

/// Largest object read, in bytes.
pub const MAX_OBJECT: usize = 64 << 20;
/// Longest section or symbol name, in bytes.
pub const MAX_NAME: usize = 1024;

type Header = elf::FileHeader64<Le>;
type SectionHeader = elf::SectionHeader64<Le>;

/// What a section is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    /// `struct_ops/NAME` or just `struct_ops`: programs.
    Program {
        /// `struct_ops.s/`: it may sleep.
        sleepable: bool,
        /// A leading `?`: it may fail to link when no set uses it.
        optional: bool,
    },
    /// `.text` and `.text.*`: functions programs call.
    Text,
    /// `.struct_ops` and `.struct_ops.link`: sets of programs.
    StructOps {
        /// `.struct_ops.link`: registered through a link.
        link: bool,
    },
    /// `.maps`: map definitions.
    Maps,
    /// `.data`, `.data.*`: initialised variables.
    Data,
    /// `.rodata`, `.rodata.*`: constants.
    RoData,
    /// `.bss`, `.bss.*`: zeroed variables.
    Bss,
    /// `.jumptables`: where indirect jumps go.
    JumpTables,
    /// `license`.
    License,
    /// `version`, which nothing reads any more.
    Version,
    /// `.BTF`.
    Btf,
    /// `.BTF.ext`.
    BtfExt,
    /// Debug information, notes, tables of the file format itself.
    Ignored,
}

impl SectionKind {
    /// Whether the section holds instructions.
    pub fn is_code(self) -> bool {
        matches!(self, SectionKind::Program { .. } | SectionKind::Text)
    }

    /// Whether the section holds variables that become a map.
    pub fn is_data(self) -> bool {
        matches!(self, SectionKind::Data | SectionKind::RoData | SectionKind::Bss)
    }
}

/// A section.
#[derive(Debug, Clone)]
pub struct Section<'d> {
    /// Name.
    pub name: &'d str,
    /// Purpose.
    pub kind: SectionKind,
    /// Contents; empty for `.bss`.
    pub data: &'d [u8],
    /// Size in bytes, also of `.bss`.
    pub size: u64,
    /// Relocations in ascending order of offset; none for ignored sections and `.BTF*`.
    pub relocations: Vec<Relocation>,
}

/// A relocation: the value of a symbol goes to an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// Offset in the section in bytes.
    pub offset: u64,
    /// `R_BPF_*` number, see [`reloc`].
    pub kind: u32,
    /// Index into [`Object::symbols`].
    pub symbol: usize,
}

/// Relocation types of BPF, under the names of LLVM.
pub mod reloc {
    /// 64-bit immediate load.
    pub const R_BPF_64_64: u32 = 1;
    /// 64-bit address in data.
    pub const R_BPF_64_ABS64: u32 = 2;
    /// 32-bit address in data.
    pub const R_BPF_64_ABS32: u32 = 3;
    /// 32-bit address in `.BTF` and `.BTF.ext`, not meant for loaders.
    pub const R_BPF_64_NODYLD32: u32 = 4;
    /// Call.
    pub const R_BPF_64_32: u32 = 10;
}

/// What a symbol names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymbolKind {
    /// A label or an external.
    None,
    /// A variable.
    Object,
    /// A function.
    Func,
    /// A section.
    Section,
    /// Anything else.
    Other,
}

/// Where a symbol is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Elsewhere.
    Undefined,
    /// In a section: an index into [`Object::sections`].
    Section(usize),
    /// Nowhere: a constant, or a common block.
    Absolute,
}

/// A symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'d> {
    /// Name; empty for section symbols.
    pub name: &'d str,
    /// What it names.
    pub kind: SymbolKind,
    /// Where it is defined.
    pub place: Place,
    /// Offset in its section in bytes.
    pub value: u64,
    /// Size in bytes.
    pub size: u64,
    /// Whether the object does without it when nobody defines it.
    pub weak: bool,
    /// Whether other objects can see it.
    pub global: bool,
    /// Whether only those it is linked with can (`STV_HIDDEN`, `STV_INTERNAL`).
    pub hidden: bool,
}

/// A parsed object, borrowing from its bytes.
#[derive(Debug, Clone)]
pub struct Object<'d> {
    /// Sections by ELF index; the first is the empty one every ELF file has.
    pub sections: Vec<Section<'d>>,
    /// Symbols by ELF index.
    pub symbols: Vec<Symbol<'d>>,
}

/// Purposes of sections with fixed names.
const NAMED: [(&str, SectionKind); 8] = [
    (".struct_ops", SectionKind::StructOps { link: false }),
    (".struct_ops.link", SectionKind::StructOps { link: true }),
    (".maps", SectionKind::Maps),
    (".jumptables", SectionKind::JumpTables),
    ("license", SectionKind::License),
    ("version", SectionKind::Version),
    (".BTF", SectionKind::Btf),
    (".BTF.ext", SectionKind::BtfExt),
];

/// Purposes of sections whose name is this, or starts with this and a dot.
const FAMILIES: [(&str, SectionKind); 4] = [
    (".text", SectionKind::Text),
    (".data", SectionKind::Data),
    (".rodata", SectionKind::RoData),
    (".bss", SectionKind::Bss),
];

/// The purpose of a section with content, by name.
fn kind_of(name: &str) -> Option<SectionKind> {
    let (optional, program) = name.strip_prefix('?').map_or((false, name), |rest| (true, rest));
    for (prefix, sleepable) in [("struct_ops", false), ("struct_ops.s", true)] {
        let rest = program.strip_prefix(prefix);
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Some(SectionKind::Program { sleepable, optional });
        }
    }
    if let Some((_, kind)) = NAMED.into_iter().find(|(fixed, _)| *fixed == name) {
        return Some(kind);
    }
    let in_family =
        |family: &str| name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    FAMILIES.into_iter().find(|(family, _)| in_family(family)).map(|(_, kind)| kind)
}

/// The NUL-terminated name at `offset` of a string table, if it ends soon enough and is text.
fn name_at(table: &[u8], offset: u32) -> Option<&str> {
    let rest = table.get(offset as usize..)?;
    let end = rest.iter().take(MAX_NAME + 1).position(|b| *b == 0)?;
    str::from_utf8(rest.get(..end)?).ok()
}

fn malformed(section: &str, offset: u64, reason: &'static str) -> LoadError {
    LoadError::Malformed { section: section.to_owned(), offset, reason }
}

/// Checks what the identification and the header say about the machine.
fn check_header(bytes: &[u8]) -> Result<&Header, LoadError> {
    let bad = |offset, reason| malformed("ELF header", offset, reason);
    if bytes.len() > MAX_OBJECT {
        return Err(LoadError::TooLarge { what: "object in bytes", limit: MAX_OBJECT as u64 });
    }
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(LoadError::NotElf);
    }
    if bytes.get(4) != Some(&elf::ELFCLASS64.0) {
        return Err(bad(4, "not a 64-bit object; build with clang -target bpf"));
    }
    if bytes.get(5) == Some(&elf::ELFDATA2MSB.0) {
        return Err(LoadError::BigEndian);
    }
    let header = Header::parse(bytes).map_err(|_| bad(0, "header is cut short or damaged"))?;
    let machine = header.e_machine(Le);
    if machine != elf::EM_BPF {
        return Err(LoadError::WrongMachine { machine: machine.0 });
    }
    if header.e_type(Le) != elf::ET_REL {
        return Err(bad(16, "not a relocatable object; load the output of clang -c"));
    }
    Ok(header)
}

impl<'d> Object<'d> {
    /// Reads an object.
    ///
    /// # Errors
    ///
    /// Anything but a little-endian relocatable ELF64 file for BPF, of at most [`MAX_OBJECT`]
    /// bytes, whose sections with content are all known.
    pub fn parse(bytes: &'d [u8]) -> Result<Object<'d>, LoadError> {
        let header = check_header(bytes)?;
        let table = header
            .sections(Le, bytes)
            .map_err(|_| malformed("ELF header", 40, "section headers lie outside the file"))?;
        let names = table
            .enumerate()
            .nth(header.shstrndx(Le, bytes).unwrap_or(0) as usize)
            .and_then(|(_, names)| names.data(Le, bytes).ok())
            .unwrap_or_default();
        let mut sections = Vec::with_capacity(table.len());
        for section in table.iter() {
            sections.push(read_section(section, names, bytes)?);
        }
        let symbols = read_symbols(&table, bytes, &sections)?;
        read_relocations(&table, bytes, &mut sections, symbols.len())?;
        Ok(Object { sections, symbols })
    }

    /// The only section of a kind, if there is one.
    pub fn section_of(&self, kind: SectionKind) -> Option<&Section<'d>> {
        self.sections.iter().find(|s| s.kind == kind)
    }
}

fn read_section<'d>(
    header: &SectionHeader,
    names: &'d [u8],
    bytes: &'d [u8],
) -> Result<Section<'d>, LoadError> {
    let name = name_at(names, header.sh_name(Le));
    let (ty, flags, size) = (header.sh_type(Le), header.sh_flags(Le), header.sh_size(Le));
    let content = matches!(ty, elf::SHT_PROGBITS | elf::SHT_NOBITS);
    let loaded = flags.0 & (elf::SHF_ALLOC.0 | elf::SHF_EXECINSTR.0) != 0;
    let ignored = Section { name: "", kind: SectionKind::Ignored, data: &[], size, relocations: Vec::new() };
    let Some(name) = name else {
        let reason = "section name is missing, too long or not text";
        return if content { Err(malformed("section headers", 0, reason)) } else { Ok(ignored) };
    };
    let ignored = Section { name, ..ignored };
    if !content {
        // Arrays of constructors and the like would have to be run: nothing of BPF has them.
        let harmless = !loaded || matches!(ty, elf::SHT_NULL | elf::SHT_NOTE) || size == 0;
        return if harmless { Ok(ignored) } else { Err(unknown(name)) };
    }
    let Some(kind) = kind_of(name) else {
        let debug =
            [".debug_", ".eh_frame", ".note", ".comment", ".llvm"].iter().any(|p| name.starts_with(p));
        return match name {
            "maps" if size != 0 => Err(LoadError::LegacyMaps),
            _ if debug || !loaded || size == 0 => Ok(ignored),
            _ => Err(unknown(name)),
        };
    };
    if flags.0 & elf::SHF_COMPRESSED.0 != 0 {
        return Err(malformed(name, 0, "section is compressed; build without -gz"));
    }
    let data = header.data(Le, bytes).map_err(|_| malformed(name, 0, "contents lie outside the file"))?;
    if ty == elf::SHT_NOBITS && !kind.is_data() && size != 0 {
        return Err(malformed(name, 0, "section has no contents in the file"));
    }
    Ok(Section { name, kind, data, ..ignored })
}

fn unknown(name: &str) -> LoadError {
    LoadError::UnknownSection { section: name.to_owned(), offset: 0 }
}

fn read_symbols<'d>(
    table: &SectionTable<'d, Header>,
    bytes: &'d [u8],
    sections: &[Section<'_>],
) -> Result<Vec<Symbol<'d>>, LoadError> {
    let bad = |index: usize, reason| malformed(".symtab", index as u64 * 24, reason);
    let Some((index, header)) = table.enumerate().find(|(_, s)| s.sh_type(Le) == elf::SHT_SYMTAB) else {
        return Ok(Vec::new());
    };
    let entries: &[elf::Sym64<Le>] =
        header.data_as_array(Le, bytes).map_err(|_| bad(0, "symbols lie outside the file"))?;
    let strings = table
        .section(object::SectionIndex(header.sh_link(Le) as usize))
        .and_then(|strings| strings.data(Le, bytes))
        .map_err(|_| bad(0, "names of symbols lie outside the file"))?;
    // Objects with more than 65 279 sections keep the section numbers in a table beside.
    let extended = table
        .enumerate()
        .find(|(_, s)| s.sh_type(Le) == elf::SHT_SYMTAB_SHNDX && s.sh_link(Le) as usize == index.0)
        .and_then(|(_, s)| s.data_as_array::<object::U32<Le>, _>(Le, bytes).ok())
        .unwrap_or_default();
    let mut symbols = Vec::with_capacity(entries.len());
    for (i, entry) in entries.iter().enumerate() {
        let name = name_at(strings, entry.st_name(Le))
            .ok_or_else(|| bad(i, "symbol name is missing, too long or not text"))?;
        let index = match entry.st_shndx(Le) {
            elf::SHN_XINDEX => extended.get(i).map_or(usize::MAX, |index| index.get(Le) as usize),
            index => usize::from(index.0),
        };
        let place = match index {
            0 => Place::Undefined,
            _ if index < sections.len() => Place::Section(index),
            0xfff1 | 0xfff2 => Place::Absolute,
            _ => return Err(bad(i, "symbol lies in a section that does not exist")),
        };
        let kind = match entry.st_type() {
            elf::STT_NOTYPE => SymbolKind::None,
            elf::STT_OBJECT => SymbolKind::Object,
            elf::STT_FUNC => SymbolKind::Func,
            elf::STT_SECTION => SymbolKind::Section,
            _ => SymbolKind::Other,
        };
        symbols.push(Symbol {
            name,
            kind,
            place,
            value: entry.st_value(Le),
            size: entry.st_size(Le),
            weak: entry.st_bind() == elf::STB_WEAK,
            global: matches!(entry.st_bind(), elf::STB_WEAK | elf::STB_GLOBAL),
            hidden: matches!(entry.st_visibility(), elf::STV_HIDDEN | elf::STV_INTERNAL),
        });
    }
    Ok(symbols)
}

/// Attaches relocations to the sections that matter.
fn read_relocations<'d>(
    table: &SectionTable<'d, Header>,
    bytes: &'d [u8],
    sections: &mut [Section<'d>],
    symbols: usize,
) -> Result<(), LoadError> {
    // Tables do not overlap in an honest file, so there cannot be more entries than this. The
    // bound keeps the work linear in the file when thousands of sections point to one table.
    let mut room = bytes.len() / size_of::<elf::Rel64<Le>>();
    for header in table.iter() {
        let rela = header.sh_type(Le) == elf::SHT_RELA;
        if header.sh_type(Le) != elf::SHT_REL && !rela {
            continue;
        }
        let Some(section) = sections.get_mut(header.sh_info(Le) as usize) else {
            return Err(malformed("section headers", 0, "relocations for a section that does not exist"));
        };
        if matches!(section.kind, SectionKind::Ignored | SectionKind::Btf | SectionKind::BtfExt) {
            continue;
        }
        let bad = |offset, reason| Err(malformed(section.name, offset, reason));
        if rela {
            return bad(0, "relocations with addends (RELA) are not used by BPF");
        }
        let Ok(entries) = header.data_as_array::<elf::Rel64<Le>, _>(Le, bytes) else {
            return bad(0, "relocations lie outside the file");
        };
        let Some(left) = room.checked_sub(entries.len()) else {
            return bad(0, "relocation tables overlap");
        };
        room = left;
        let mut relocations = std::mem::take(&mut section.relocations);
        for entry in entries {
            let (offset, symbol) = (entry.r_offset(Le), entry.r_sym(Le) as usize);
            if offset >= section.size {
                return bad(offset, "relocation lies outside its section");
            }
            if symbol >= symbols {
                return bad(offset, "relocation refers to a symbol that does not exist");
            }
            relocations.push(Relocation { offset, kind: entry.r_type(Le).0, symbol });
        }
        relocations.sort_by_key(|r| r.offset);
        section.relocations = relocations;
    }
    Ok(())
}
