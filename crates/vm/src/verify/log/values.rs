//! What is known, as text: registers, slots of the stack and what else a state has, in the kernel's names where it has
//! some. `docs/verifier.md` has the table.

use std::fmt;

use super::super::facts::Fact;
use super::super::marks::Marks;
use super::super::memory::offset_of;
use super::super::scalar::Logged;
use super::super::state::{
    DynptrState, Entered, Entry, Frame, Half, Id, Kind, MapRef, Pointer, Scalar, Slot, State, Value,
};
use crate::contract::{ArgType, DynptrKind};
use crate::maps::MapSpec;
use crate::mem::Access;
use crate::program::Program;

/// A state to be shown, with what its values are named by.
#[derive(Clone, Copy)]
pub(super) struct View<'v> {
    pub(super) program: &'v Program,
    /// What the program is given.
    pub(super) args: &'v [ArgType],
    pub(super) marks: &'v Marks,
    pub(super) state: &'v State,
}

/// Something of the frame at a depth.
struct Shown<'v, T> {
    view: View<'v>,
    depth: usize,
    of: T,
}

/// `name(one,another)`.
struct List<'f, 'g> {
    f: &'f mut fmt::Formatter<'g>,
    before: &'static str,
}

impl<'f, 'g> List<'f, 'g> {
    fn new(f: &'f mut fmt::Formatter<'g>, name: fmt::Arguments<'_>) -> Result<Self, fmt::Error> {
        f.write_fmt(name)?;
        Ok(List { f, before: "(" })
    }

    fn item(&mut self, item: fmt::Arguments<'_>) -> fmt::Result {
        self.f.write_str(std::mem::replace(&mut self.before, ","))?;
        self.f.write_fmt(item)
    }

    fn item_if(&mut self, wanted: bool, item: fmt::Arguments<'_>) -> fmt::Result {
        if wanted { self.item(item) } else { Ok(()) }
    }

    fn end(self) -> fmt::Result {
        self.f.write_str(if self.before == "(" { "()" } else { ")" })
    }
}

/// A name, and how far away from it.
struct Link(Id, i64);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Link(id, 0) => write!(f, "{id}"),
            Link(id, delta) => write!(f, "{id}{delta:+}"),
        }
    }
}

impl fmt::Display for Shown<'_, &Value> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Shown { view, depth, of } = self;
        match of {
            Value::None => f.write_str("?"),
            Value::Scalar(of) => Shown { view, depth, of }.fmt(f),
            Value::Pointer(of) => Shown { view, depth, of }.fmt(f),
        }
    }
}

impl fmt::Display for Shown<'_, &Scalar> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown { view, of: scalar, .. } = self;
        // Values without a node always count, which says nothing.
        let precise = if scalar.node != 0 && view.marks.is_marked(scalar.node) { "P" } else { "" };
        if let Some(value) = scalar.value() {
            return write!(f, "{precise}{}", Logged::Signed(value as i64));
        }
        let mut list = List::new(f, format_args!("{precise}scalar"))?;
        list.item_if(scalar.id != 0, format_args!("id={}", Link(scalar.id, scalar.delta as i64)))?;
        let half = Link(scalar.half, i64::from(scalar.half_delta.cast_signed()));
        list.item_if(scalar.half != 0, format_args!("id32={half}"))?;
        let known = scalar.num.to_string();
        list.item_if(!known.is_empty(), format_args!("{known}"))?;
        list.end()
    }
}

impl fmt::Display for Shown<'_, &Pointer> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown { view, depth, of: pointer } = self;
        let null = if pointer.null == 0 { "" } else { "_or_null" };
        let off = &pointer.off;
        let mut list = match (pointer.kind, off.value()) {
            (Kind::Stack(at), at_constant) => {
                let other = if usize::from(at) == *depth { String::new() } else { format!("[{at}]") };
                if let Some(off) = at_constant {
                    return write!(f, "fp{other}{}", off as i64);
                }
                List::new(f, format_args!("fp{other}"))?
            }
            (kind @ (Kind::Argument(index) | Kind::Buffer(index)), _) => {
                let (name, access) = view.argument(index);
                List::new(f, format_args!("{}{}{name}{null}", flags(access), kind.c_name()))?
            }
            (kind @ Kind::Memory { access, .. }, _) => {
                List::new(f, format_args!("{}{}{null}", flags(access), kind.c_name()))?
            }
            (kind, _) => List::new(f, format_args!("{}{null}", kind.c_name()))?,
        };
        let object = if pointer.null == 0 { pointer.object } else { pointer.null };
        let mut size = None;
        match pointer.kind {
            // Lent to a callback, which is no name.
            Kind::Key(_) => {}
            _ => list.item_if(object != 0, format_args!("id={object}"))?,
        }
        match pointer.kind {
            Kind::Record { size: bytes, reference } => {
                list.item(format_args!("ref_obj_id={reference}"))?;
                size = Some(bytes);
            }
            Kind::Memory { size: bytes, dynptr, .. } => {
                let held = view.state.references.contains(&dynptr);
                let name = if held { "ref_obj_id" } else { "dynptr_id" };
                list.item_if(dynptr != 0, format_args!("{name}={dynptr}"))?;
                size = Some(bytes);
            }
            Kind::Map(map) | Kind::Value(map) | Kind::Key(map) => {
                if let Some((name, spec)) = view.map(map) {
                    let (key, value) = (spec.key_size, spec.value_size);
                    list.item(format_args!("map={name},ks={key},vs={value}"))?;
                }
            }
            Kind::Function(slot) => {
                let name = view.program.function(slot as usize).map_or("", |function| &function.name);
                list.item_if(!name.is_empty(), format_args!("{name}"))?;
            }
            Kind::Stack(_) | Kind::Context | Kind::Argument(_) | Kind::Buffer(_) => {}
        }
        let constant = off.value().map_or(0, |off| off as i64);
        list.item_if(constant != 0, format_args!("off={constant}"))?;
        if let Some(size) = size {
            list.item(format_args!("sz={size}"))?;
        }
        if off.value().is_none() {
            list.item_if(off.id != 0, format_args!("off_id={}", Link(off.id, off.delta as i64)))?;
            let known = off.num.to_string();
            list.item_if(!known.is_empty(), format_args!("{known}"))?;
        }
        list.end()
    }
}

/// What the kernel has in front of the kind of memory that may only be read.
fn flags(access: Access) -> &'static str {
    match access {
        Access::Read => "rdonly_",
        Access::ReadWrite => "",
    }
}

impl<'v> View<'v> {
    /// C name of a struct among the arguments, and what may be done with it.
    fn argument(&self, index: u8) -> (&'static str, Access) {
        match self.args.get(usize::from(index)) {
            Some(
                &(ArgType::Struct { name, access, .. }
                | ArgType::Part { name, access, .. }
                | ArgType::Buffer { name, access }),
            ) => (name, access),
            Some(ArgType::Scalar { .. }) | None => ("?", Access::Read),
        }
    }

    /// Declaration of a map and its name; those in a map are called after it unless they have their own.
    fn map(&self, map: MapRef) -> Option<(&'v str, &'v MapSpec)> {
        let (MapRef::Own(index) | MapRef::Inner(index)) = map;
        let outer = self.program.maps.get(index as usize)?.spec();
        let spec = match map {
            MapRef::Own(_) => outer,
            MapRef::Inner(_) => outer.inner.as_deref()?,
        };
        let name = if spec.name.is_empty() { &outer.name } else { &spec.name };
        Some((name, spec))
    }

    /// The function in progress, and what goes for all.
    pub(super) fn all(&self) -> String {
        let depth = self.state.frames.len().saturating_sub(1);
        format!("{}{}", self.frame(depth), self.others(None))
    }

    /// One frame.
    pub(super) fn frame(&self, depth: usize) -> String {
        self.of_frame(depth, |_| true, |_, entry| entry.slot != Entry::ZERO.slot)
    }

    /// What differs from the state before, and the registers in `used`.
    pub(super) fn changes(&self, before: &State, used: u16) -> String {
        let current = self.state.frames.len().saturating_sub(1);
        let mut text = String::new();
        // The function in progress comes first, then those that wait for it.
        for depth in (0..=current).rev() {
            let (Some(new), Some(old)) = (self.state.frames.get(depth), before.frames.get(depth)) else {
                continue;
            };
            if std::rc::Rc::ptr_eq(new, old) && (depth != current || used == 0) {
                continue;
            }
            let used = if depth == current { used } else { 0 };
            let register =
                |index: usize| used >> index & 1 == 1 || !alike(&old.regs[index], &new.regs[index]);
            let slot =
                |index: usize, entry: Entry<'_>| old.entry(index).unwrap_or(Entry::ZERO).slot != entry.slot;
            text += &self.of_frame(depth, register, slot);
        }
        text + &self.others(Some(before))
    }

    fn of_frame(
        &self,
        depth: usize,
        register: impl Fn(usize) -> bool,
        slot: impl Fn(usize, Entry<'_>) -> bool,
    ) -> String {
        let Some(frame) = self.state.frames.get(depth) else { return String::new() };
        let mut text = String::new();
        for (index, value) in frame.regs.iter().enumerate() {
            if *value != Value::None && register(index) {
                text += &format!(" R{index}={}", Shown { view: *self, depth, of: value });
            }
        }
        for (index, entry) in frame.entries().enumerate().filter(|(index, entry)| slot(*index, *entry)) {
            text += &Shown { view: *self, depth, of: (index, entry) }.to_string();
        }
        if depth > 0 && !text.is_empty() { format!(" frame{depth}:{text}") } else { text }
    }

    /// What no frame has: what is held, the lock, facts, and that a callback is in progress. Or what of this is new.
    fn others(&self, before: Option<&State>) -> String {
        let State { references, lock, facts, frames, .. } = self.state;
        let mut text = String::new();
        if !references.is_empty() && before.is_none_or(|before| before.references != *references) {
            let held: Vec<String> = references.iter().map(Id::to_string).collect();
            text += &format!(" refs={}", held.join(","));
        }
        if let Some((map, _)) = lock
            && before.is_none_or(|before| before.lock != *lock)
        {
            text += &format!(" lock={}", self.map(*map).map_or("?", |(name, _)| name));
        }
        let told = |state: &State, fact: &Fact| {
            state.facts.iter().any(|old| old.relation == fact.relation && old.names() == fact.names())
        };
        if facts.iter().any(|fact| before.is_none_or(|before| !told(before, fact))) {
            let facts: Vec<String> = facts.iter().map(ToString::to_string).collect();
            text += &format!(" facts({})", facts.join(","));
        }
        let called_back = |frame: &Frame| matches!(frame.entered, Entered::Callback(_));
        if before.is_none() && frames.last().is_some_and(|frame| called_back(frame)) {
            text += " cb";
        }
        text
    }
}

/// Whether values are the same, whatever they were made of.
fn alike(a: &Value, b: &Value) -> bool {
    let plain = |scalar: &Scalar| Scalar { node: 0, ..*scalar };
    match (a, b) {
        (Value::Scalar(a), Value::Scalar(b)) => plain(a) == plain(b),
        (Value::Pointer(a), Value::Pointer(b)) => {
            Pointer { off: plain(&a.off), ..*a } == Pointer { off: plain(&b.off), ..*b }
        }
        (a, b) => a == b,
    }
}

/// Bytes from the highest down: 0, or something.
fn bytes(zero: u8, count: u32) -> String {
    (0..count).rev().map(|byte| if zero >> byte & 1 == 1 { '0' } else { 'm' }).collect()
}

/// A slot by its index, with a space before each part.
impl fmt::Display for Shown<'_, (usize, Entry<'_>)> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Shown { view, depth, of: (index, entry) } = self;
        let off = offset_of(index);
        if let Some(value) = entry.value() {
            return write!(f, " fp{off}={}", Shown { view, depth, of: &value });
        }
        match entry.slot {
            // Shown above.
            Slot::Full(_) => Ok(()),
            Slot::Bytes(zero) => write!(f, " fp{off}={}", bytes(*zero, 8)),
            Slot::Halves(_) => {
                let [low, high] = entry.halves().unwrap_or(Half::both(0));
                for (off, half) in [(off + 4, &high), (off, &low)] {
                    match &half.number {
                        None if half.zero == 0x0f => {}
                        None => write!(f, " fp{off}={}", bytes(half.zero, 4))?,
                        Some((of, _)) if half.whole().is_some() => {
                            write!(f, " fp{off}={}", Shown { view, depth, of })?;
                        }
                        Some((of, len)) => {
                            let rest = bytes(half.zero >> len, 4 - u32::from(*len));
                            write!(f, " fp{off}={rest}:{}", Shown { view, depth, of })?;
                        }
                    }
                }
                Ok(())
            }
            // Nothing is known, and nobody asks.
            Slot::Dead => Ok(()),
            // Said with the lower half.
            Slot::Dynptr { upper: true, .. } => Ok(()),
            Slot::Dynptr { state: DynptrState { kind, id, reference }, .. } => {
                let kind = match kind {
                    DynptrKind::Local => "local",
                    DynptrKind::Buffer => "buffer",
                    DynptrKind::Record => "ringbuf",
                    DynptrKind::Clone => "clone",
                };
                let mut list = List::new(f, format_args!(" fp{off}=dynptr_{kind}"))?;
                list.item(format_args!("id={id}"))?;
                list.item_if(*reference != 0, format_args!("ref_id={reference}"))?;
                list.end()
            }
            Slot::Iter { reference, active } => {
                let state = if *active { "active" } else { "drained" };
                write!(f, " fp{off}=iter_num(ref_id={reference},state={state})")
            }
        }
    }
}
