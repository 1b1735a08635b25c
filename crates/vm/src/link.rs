//! From the bytes of an object to programs, maps and sets ready to run.
//!
//! [`Module::load`] accepts untrusted bytes: it never panics, its work and memory are bounded by
//! the size of the object and the limits below, and whatever it does not understand is a
//! [`LoadError`] naming section and offset. It applies all relocations clang emits for BPF, and
//! guarantees of every [`Program`] what [`crate::validate::check_insns`] checks, that indices into
//! its maps and kfuncs are in range, and that the helpers it calls exist.
//!
//! It does not check types, memory accesses or termination.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use crate::btf::Btf;
use crate::btf::BtfExt;
use crate::contract::Contract;
use crate::maps::Map;
use crate::maps::MapKind;
use crate::maps::MapSpec;
use crate::object::Object;
use crate::object::Place;
use crate::object::Section;
use crate::object::SectionKind;
use crate::object::Symbol;
use crate::object::SymbolKind;
use crate::program::Program;

mod code;
mod core;
mod error;
mod external;
mod info;
mod jumps;
mod kconfig;
mod maps;
mod ops;
mod values;

pub use error::LoadError;
pub use kconfig::ConfigValue;
pub use kconfig::Kconfig;

/// Most slots of one linked program, as in Linux.
pub const MAX_PROGRAM_SLOTS: usize = 1 << 20;
/// Most slots of all linked programs of an object together.
pub const MAX_MODULE_SLOTS: usize = 1 << 22;
/// Most programs, most maps, and most sets of an object.
pub const MAX_ITEMS: usize = 4096;
/// Most bytes of variables of an object.
pub const MAX_DATA: u64 = 64 << 20;

/// Most bytes of all maps of an object together, data sections aside.
pub const MAX_MAP_BYTES: u64 = 4 << 30;

/// A loaded object.
#[derive(Debug)]
pub struct Module {
    /// Programs in the order of their sections.
    pub programs: Vec<Arc<Program>>,
    /// Maps in the order of their definition, then data sections as maps of one entry. Names are
    /// in their [`Map::spec`].
    pub maps: Vec<Arc<Map>>,
    /// Sets of programs: the variables of `.struct_ops` and `.struct_ops.link`.
    pub sets: Vec<OpsSet>,
    /// The license the object declares. Nothing depends on it.
    pub license: Option<String>,
    /// The types of the object; without any when it has no `.BTF`.
    pub btf: Arc<Btf>,
    /// What was accepted and has no effect, for the author to know.
    pub notes: Vec<String>,
    /// When the module goes, its program arrays are emptied, as Linux does it when nobody has them open.
    _tails: Tails,
}

/// A struct_ops variable.
#[derive(Debug, Clone)]
pub struct OpsSet {
    /// Name of the C variable.
    pub variable: String,
    /// Name of its struct without flavour: `fuse_ops` for `struct fuse_ops___v4`.
    pub type_name: String,
    /// The name it asks to be known by: what its char array `name` holds, else the variable's.
    pub name: String,
    /// Whether it lies in `.struct_ops.link`.
    pub link: bool,
    /// Its programs by member; members that are null are missing.
    pub members: BTreeMap<String, Arc<Program>>,
}

/// How to load an object.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Threads that may run programs at once; see [`Map::new`].
    pub slots: usize,
    /// What `.kconfig` variables hold.
    pub kconfig: Kconfig,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions { slots: 1, kconfig: Kconfig::new() }
    }
}

impl LoadOptions {
    /// Sets the number of threads that may run programs at once.
    pub fn with_slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    /// Sets what `.kconfig` variables hold.
    pub fn with_kconfig(mut self, kconfig: Kconfig) -> Self {
        self.kconfig = kconfig;
        self
    }
}

/// Variables by section and name: offset and size in bytes.
type Places<'d> = HashMap<(usize, &'d str), (u64, u64)>;

/// What a reference into a section means to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Nothing,
    Code,
    /// The section is this map's value.
    Data(usize),
    /// Map definitions.
    Maps,
    /// Tables of jumps.
    Jumps,
}

/// What one load works on.
struct Context<'d> {
    object: Object<'d>,
    btf: Btf,
    ext: BtfExt,
    places: Places<'d>,
    /// By section.
    meanings: Vec<Meaning>,
    maps: Vec<Arc<Map>>,
    /// Index in `maps` by offset in `.maps`.
    map_at: HashMap<u64, usize>,
    /// Offsets of `.kconfig` variables in their map, or why they have none.
    kconfig: HashMap<String, Result<u32, &'static str>>,
    /// The map.
    kconfig_map: Option<usize>,
    notes: Vec<String>,
}

impl Module {
    /// Loads an object: see the module's documentation.
    ///
    /// # Errors
    ///
    /// The first thing that is not understood, offered or valid.
    pub fn load(bytes: &[u8], contract: &Contract, options: &LoadOptions) -> Result<Module, LoadError> {
        let object = Object::parse(bytes)?;
        check_duplicates(&object)?;
        let mut context = Context::new(object)?;
        let definitions = context.make_maps(options)?;
        context.make_kconfig(options)?;
        let mut linker = code::Linker::new(&context, contract)?;
        linker.link_all()?;
        context.check_data()?;
        let sets = ops::sets(&context, &mut linker, contract)?;
        // Programs and the maps they are in refer to each other until the module is dropped, or here.
        let tails = Tails(context.maps.clone());
        values::fill(&context, &definitions, &mut linker)?;
        let (programs, more) = linker.finish();
        let license = context.object.section_of(SectionKind::License).map(|s| text(s.data));
        let Context { btf, maps, mut notes, .. } = context;
        notes.extend(more);
        Ok(Module { programs, maps, sets, license, btf: Arc::new(btf), notes, _tails: tails })
    }
}

/// Maps whose programs are taken out when this is dropped.
#[derive(Debug)]
struct Tails(Vec<Arc<Map>>);

impl Drop for Tails {
    fn drop(&mut self) {
        self.0.iter().for_each(|map| map.clear_programs());
    }
}

/// The bytes up to the first NUL as text.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn check_duplicates(object: &Object<'_>) -> Result<(), LoadError> {
    let mut seen = std::collections::HashSet::new();
    for section in object.sections.iter().filter(|s| s.kind != SectionKind::Ignored) {
        if !seen.insert(section.name) {
            return Err(LoadError::DuplicateSection { section: section.name.to_owned() });
        }
    }
    Ok(())
}

impl<'d> Context<'d> {
    /// Reads the type information and completes it from the symbols.
    fn new(object: Object<'d>) -> Result<Self, LoadError> {
        let wrong = |section: &str| {
            let section = section.to_owned();
            move |source| LoadError::Btf { section, source }
        };
        let mut btf = match object.section_of(SectionKind::Btf) {
            Some(section) => Btf::parse(section.data).map_err(wrong(section.name))?,
            None => Btf::default(),
        };
        let ext = match object.section_of(SectionKind::BtfExt) {
            Some(section) => BtfExt::parse(section.data).map_err(wrong(section.name))?,
            None => BtfExt::default(),
        };
        if btf.is_empty() {
            let needs = |s: &&Section<'_>| {
                s.size != 0 && matches!(s.kind, SectionKind::StructOps { .. } | SectionKind::Maps)
            };
            if let Some(section) = object.sections.iter().find(needs) {
                return Err(LoadError::MissingBtf { section: section.name.to_owned() });
            }
        }
        let mut places = Places::new();
        for symbol in &object.symbols {
            if let (Place::Section(index), false) = (symbol.place, symbol.name.is_empty()) {
                places.entry((index, symbol.name)).or_insert((symbol.value, symbol.size));
            }
        }
        place_variables(&mut btf, &object, &places);
        let mut meanings = Vec::with_capacity(object.sections.len());
        for section in &object.sections {
            meanings.push(match section.kind {
                kind if kind.is_code() => Meaning::Code,
                SectionKind::Maps => Meaning::Maps,
                SectionKind::JumpTables => Meaning::Jumps,
                _ => Meaning::Nothing,
            });
        }
        let (maps, map_at, kconfig, kconfig_map, notes) = Default::default();
        Ok(Context { object, btf, ext, places, meanings, maps, map_at, kconfig, kconfig_map, notes })
    }

    fn section(&self, index: usize) -> Option<&Section<'d>> {
        self.object.sections.get(index)
    }

    /// What to call a symbol in an error.
    fn symbol_name(&self, symbol: &Symbol<'d>) -> &'d str {
        match symbol.place {
            Place::Section(index) if symbol.kind == SymbolKind::Section || symbol.name.is_empty() => {
                self.section(index).map_or("", |s| s.name)
            }
            _ => symbol.name,
        }
    }

    /// Makes the maps of `.maps` and one for every data section. Returns what `.maps` says.
    fn make_maps(&mut self, options: &LoadOptions) -> Result<Vec<maps::Definition>, LoadError> {
        let found = maps::definitions(&self.btf, &self.object, &self.places)?;
        let mut room = MAX_MAP_BYTES;
        for definition in &found.definitions {
            room = room
                .checked_sub(maps::footprint(&definition.spec, options.slots))
                .ok_or(LoadError::TooLarge { what: "maps in bytes", limit: MAX_MAP_BYTES })?;
            self.map_at.insert(definition.offset, self.maps.len());
            let map = Map::new(definition.spec.clone(), options.slots).map_err(|source| LoadError::Map {
                section: ".maps".to_owned(),
                offset: definition.offset,
                source,
            })?;
            self.maps.push(map);
        }
        self.notes = found.notes;
        let types: HashMap<&str, u32> = self.btf.sections().map(|(id, name, _)| (name, id)).collect();
        let mut room = MAX_DATA;
        for (section, meaning) in self.object.sections.iter().zip(&mut self.meanings) {
            if !section.kind.is_data() || section.size == 0 {
                continue;
            }
            let too_large = LoadError::TooLarge { what: "variables in bytes", limit: MAX_DATA };
            let (Ok(value_size), Some(left)) = (u32::try_from(section.size), room.checked_sub(section.size))
            else {
                return Err(too_large);
            };
            room = left;
            if self.maps.len() >= MAX_ITEMS {
                return Err(LoadError::TooLarge { what: "maps", limit: MAX_ITEMS as u64 });
            }
            let spec = MapSpec {
                value_type: types.get(section.name).copied().unwrap_or(0),
                read_only: section.kind == SectionKind::RoData,
                ..MapSpec::new(section.name, MapKind::Array, 4, value_size, 1)
            };
            let map = Map::with_data(spec, options.slots, section.data).map_err(|source| LoadError::Map {
                section: section.name.to_owned(),
                offset: 0,
                source,
            })?;
            *meaning = Meaning::Data(self.maps.len());
            self.maps.push(map);
        }
        Ok(found.definitions)
    }

    /// Makes the map of the `.kconfig` variables.
    fn make_kconfig(&mut self, options: &LoadOptions) -> Result<(), LoadError> {
        let weak = |name: &str| self.object.symbols.iter().any(|s| s.weak && s.name == name);
        let found = kconfig::variables(&self.btf, &options.kconfig, weak);
        self.kconfig = found.places;
        let (Ok(value_size), false) = (u32::try_from(found.data.len()), found.data.is_empty()) else {
            return Ok(());
        };
        self.btf.place(found.section, value_size, |name| {
            self.kconfig.get(name).and_then(|place| place.ok()).map(|offset| (offset, 0))
        });
        let spec = MapSpec {
            value_type: found.section,
            read_only: true,
            ..MapSpec::new(kconfig::NAME, MapKind::Array, 4, value_size, 1)
        };
        let map = Map::with_data(spec, options.slots, &found.data).map_err(|source| LoadError::Map {
            section: kconfig::NAME.to_owned(),
            offset: 0,
            source,
        })?;
        self.kconfig_map = Some(self.maps.len());
        self.maps.push(map);
        Ok(())
    }

    /// Variables may not be initialised with addresses, but in sets and in the `values` of maps.
    fn check_data(&self) -> Result<(), LoadError> {
        for section in &self.object.sections {
            let addresses = matches!(section.kind, SectionKind::StructOps { .. } | SectionKind::Maps);
            if section.kind.is_code() || addresses {
                continue;
            }
            if let Some(relocation) = section.relocations.first() {
                let symbol = self.object.symbols.get(relocation.symbol);
                return Err(LoadError::DataRelocation {
                    section: section.name.to_owned(),
                    offset: relocation.offset,
                    symbol: symbol.map_or("", |s| self.symbol_name(s)).to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Gives the sections of variables in the type information the sizes and offsets clang leaves
/// out.
fn place_variables(btf: &mut Btf, object: &Object<'_>, places: &Places<'_>) {
    let by_name: HashMap<&str, usize> = object
        .sections
        .iter()
        .enumerate()
        .filter(|(_, s)| s.kind != SectionKind::Ignored)
        .map(|(index, s)| (s.name, index))
        .collect();
    let found: Vec<(u32, usize)> =
        btf.sections().filter_map(|(id, name, _)| Some((id, *by_name.get(name)?))).collect();
    for (id, index) in found {
        let size = object.sections.get(index).and_then(|s| u32::try_from(s.size).ok()).unwrap_or(u32::MAX);
        btf.place(id, size, |name| {
            let (offset, size) = places.get(&(index, name))?;
            Some((u32::try_from(*offset).ok()?, u32::try_from(*size).ok()?))
        });
    }
}
