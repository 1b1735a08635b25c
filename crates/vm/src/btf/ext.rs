//! `.BTF.ext`: which function, source line and relocation belongs to which instruction.

use super::BtfError;
use super::reader::Header;
use super::reader::Reader;

/// Records of one ELF section, in ascending order of offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionInfo<T> {
    /// Name of the section: an offset into the strings of the object's BTF.
    pub section: u32,
    /// The records.
    pub records: Vec<T>,
}

/// The type of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FuncInfo {
    /// Offset of its first instruction in the section, in bytes.
    pub offset: u32,
    /// Its [`super::Kind::Func`].
    pub ty: u32,
}

/// The source of an instruction. Strings are offsets into the strings of the object's BTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineInfo {
    /// Offset of the instruction in the section, in bytes.
    pub offset: u32,
    /// File name.
    pub file: u32,
    /// Text of the line.
    pub text: u32,
    /// 1-based line.
    pub line: u32,
    /// 1-based column.
    pub column: u32,
}

/// A CO-RE relocation ("compile once, run everywhere").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreRelocation {
    /// Offset of the instruction in the section, in bytes.
    pub offset: u32,
    /// The type it is about.
    pub ty: u32,
    /// The path to the member, e.g. `0:1:2`; an offset into the strings of the object's BTF.
    pub access: u32,
    /// `enum bpf_core_relo_kind`, 0 to 12.
    pub kind: u32,
}

/// The contents of `.BTF.ext`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BtfExt {
    /// Types of functions.
    pub funcs: Vec<SectionInfo<FuncInfo>>,
    /// Source lines.
    pub lines: Vec<SectionInfo<LineInfo>>,
    /// CO-RE relocations.
    pub core: Vec<SectionInfo<CoreRelocation>>,
}

impl BtfExt {
    /// Reads a `.BTF.ext` section. String offsets and type ids are not checked: [`super::Btf`]
    /// answers those out of range with the empty string and with nothing.
    ///
    /// # Errors
    ///
    /// [`BtfError::Malformed`] with the offset in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<BtfExt, BtfError> {
        let header = Header::read(bytes, 24)?;
        let mut head = Reader::new(bytes, 8, header.len);
        let funcs = header.range(bytes, head.u32()?, head.u32()?, 8)?;
        let lines = header.range(bytes, head.u32()?, head.u32()?, 16)?;
        // Old headers end here.
        let core = if header.len >= 32 { header.range(bytes, head.u32()?, head.u32()?, 24)? } else { (0, 0) };
        Ok(BtfExt {
            funcs: table(bytes, funcs, 8, |r| Ok(FuncInfo { offset: r.u32()?, ty: r.u32()? }), |f| f.offset)?,
            lines: table(
                bytes,
                lines,
                16,
                |r| {
                    let (offset, file, text, position) = (r.u32()?, r.u32()?, r.u32()?, r.u32()?);
                    Ok(LineInfo { offset, file, text, line: position >> 10, column: position & 0x3ff })
                },
                |l| l.offset,
            )?,
            core: table(
                bytes,
                core,
                16,
                |r| Ok(CoreRelocation { offset: r.u32()?, ty: r.u32()?, access: r.u32()?, kind: r.u32()? }),
                |c| c.offset,
            )?,
        })
    }
}

/// Reads one table: the size of a record (which may grow in later versions), then per ELF section
/// its name, the number of records and the records.
fn table<T>(
    bytes: &[u8],
    (start, end): (usize, usize),
    size: usize,
    record: impl Fn(&mut Reader<'_>) -> Result<T, BtfError>,
    offset: impl Fn(&T) -> u32,
) -> Result<Vec<SectionInfo<T>>, BtfError> {
    let mut sections = Vec::new();
    let mut r = Reader::new(bytes, start, end);
    if r.at_end() {
        return Ok(sections);
    }
    let step = r.u32()? as usize;
    if step < size || !step.is_multiple_of(4) {
        return Err(BtfError::Malformed { offset: start, reason: "impossible record size" });
    }
    while !r.at_end() {
        let section = r.u32()?;
        let len = r.u32()?;
        let mut records = r.list(len, step)?;
        for _ in 0..len {
            let next = r.offset().saturating_add(step);
            records.push(record(&mut r)?);
            r.skip_to(next)?;
        }
        records.sort_by_key(&offset);
        sections.push(SectionInfo { section, records });
    }
    Ok(sections)
}
