//! What has to be known of all functions before one is compiled: what each needs from its caller, what
//! it costs, and which calls are made how.

use std::collections::HashMap;
use std::ops::Range;

use bitflags::bitflags;

use super::CompileError;
use super::frame::Zeroed;
use crate::contract::Callable;
use crate::helpers;
use crate::insn::{ARGUMENTS, Insn, op, pseudo};
use crate::interp::MAX_FRAMES;
use crate::interp::compiled::Reason;
use crate::maps::MapKind;
use crate::program::Program;
use crate::validate;
use crate::verify::Facts;

/// Most instructions of a function, with those of the functions it calls but without its loops, that are
/// not charged to the budget.
const FREE_COST: u64 = 1 << 16;

bitflags! {
    /// What a function gets from its caller beside its arguments.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct Needs: u8 {
        /// The end of its frame.
        const FRAME = 1;
        /// The run.
        const RUN = 2;
        /// What is left of the budget, which it also returns.
        const FUEL = 4;
    }
}

/// How a call is made.
#[derive(Debug, Clone, Copy)]
pub(super) enum Site {
    /// Of another function, by its index.
    Local(usize),
    /// Of a helper or kfunc, as the interpreter makes it.
    Out(&'static Callable),
    /// `bpf_map_lookup_elem` in an array, without a call; the map by its index.
    Array(u32),
    /// The same in a map that finds values by what is in their keys, by a function made for it.
    Hash(u32),
    /// `bpf_get_smp_processor_id`, without a call.
    Slot,
}

/// What is known of a function.
#[derive(Debug)]
pub(super) struct Shape {
    /// Its instructions.
    pub(super) slots: Range<usize>,
    /// How many of R1 to R5 it reads, up to the last.
    pub(super) args: usize,
    pub(super) needs: Needs,
    /// Whether other functions call it.
    pub(super) called: bool,
    /// Whether Rust calls it: it is the first one, or its address is taken.
    pub(super) entered: bool,
    /// Instructions of it and the functions it calls that are run once at most, but for loops.
    pub(super) cost: u64,
    /// Frames that are live at once when it runs, its own included.
    pub(super) height: usize,
    /// By instruction, from the function's first: the cost of it and all before it.
    sums: Vec<u64>,
    /// By instruction: whether control can come to it.
    pub(super) reached: Vec<bool>,
    /// By instruction: whether a block begins with it.
    pub(super) leaders: Vec<bool>,
    /// What of its frame is zeroed when it starts.
    pub(super) zeroed: Zeroed,
}

impl Shape {
    /// Whether its callers pay for it.
    pub(super) fn is_charged(&self) -> bool {
        self.cost > FREE_COST
    }

    /// What a jump back from `from` to `to` costs: what lies between.
    pub(super) fn loop_cost(&self, to: usize, from: usize) -> u64 {
        let start = self.slots.start;
        let before = to.checked_sub(start + 1).map_or(0, |i| self.sums[i]);
        self.sums[from - start] - before
    }
}

/// What is known of a program.
#[derive(Debug)]
pub(super) struct Shapes {
    pub(super) functions: Vec<Shape>,
    pub(super) sites: HashMap<usize, Site>,
    /// Whether a call may find no frame left.
    pub(super) deep: bool,
}

/// Looks at a program.
pub(super) fn of(program: &Program, facts: &Facts) -> Result<Shapes, CompileError> {
    let sites = sites(program, facts)?;
    let ends = program.functions.iter().skip(1).map(|next| next.start).chain([program.insns.len()]);
    let mut functions: Vec<Shape> = program
        .functions
        .iter()
        .zip(ends)
        .map(|(function, end)| blocks(program, facts, function.start..end))
        .collect();
    if let Some(first) = functions.first_mut() {
        first.entered = true;
    }
    let mut calls: Vec<Vec<usize>> = Vec::new();
    for index in 0..functions.len() {
        let mut called = Vec::new();
        for slot in functions[index].slots.clone() {
            if !functions[index].reached[slot - functions[index].slots.start] {
                continue;
            }
            if let Some(Site::Local(callee)) = sites.get(&slot) {
                called.push(*callee);
                functions[*callee].called = true;
            }
            let insn = program.insns[slot];
            if insn.is_wide() && insn.src == pseudo::FUNC {
                let taken = validate::target(slot, insn).and_then(|slot| function_at(program, slot));
                if let Some(taken) = taken {
                    functions[taken].entered = true;
                    // What is called with its address calls it.
                    called.push(taken);
                }
            }
        }
        calls.push(called);
    }
    let (order, cyclic) = callees_first(&calls);
    for &index in &order {
        complete(index, program, facts, &sites, &calls[index], &mut functions, cyclic);
    }
    let deep = cyclic || functions.iter().any(|shape| shape.height > MAX_FRAMES);
    if deep {
        for shape in &mut functions {
            shape.needs = Needs::all();
        }
    }
    Ok(Shapes { functions, sites, deep })
}

/// The function that starts at a slot.
fn function_at(program: &Program, slot: i64) -> Option<usize> {
    let slot = usize::try_from(slot).ok()?;
    program.functions.binary_search_by_key(&slot, |function| function.start).ok()
}

/// How each call is made.
fn sites(program: &Program, facts: &Facts) -> Result<HashMap<usize, Site>, CompileError> {
    let mut sites = HashMap::new();
    for (slot, insn) in program.insns.iter().enumerate() {
        if insn.code != op::CALL_IMM {
            continue;
        }
        let index = usize::try_from(insn.imm).ok();
        let site = match insn.src {
            pseudo::CALL_LOCAL => {
                validate::target(slot, *insn).and_then(|target| function_at(program, target)).map(Site::Local)
            }
            pseudo::CALL_KFUNC => {
                index.and_then(|index| program.kfuncs.get(index)).map(|kfunc| Site::Out(kfunc))
            }
            _ => helpers::by_id(insn.imm).map(|helper| helper_site(program, facts, slot, helper)),
        };
        let reached = facts.reached.get(slot).copied().unwrap_or(true);
        match site {
            Some(site) => _ = sites.insert(slot, site),
            // Linking leaves calls of missing functions where they cannot be reached.
            None if !reached || program.poison(slot).is_some() => {}
            None => return Err(CompileError::UnknownCall { slot }),
        }
    }
    Ok(sites)
}

/// `bpf_map_lookup_elem` and `bpf_get_smp_processor_id` of `enum bpf_func_id`.
const LOOKUP: u32 = 1;
const PROCESSOR: u32 = 8;

fn helper_site(program: &Program, facts: &Facts, slot: usize, helper: &'static Callable) -> Site {
    match helper.id {
        LOOKUP => {
            let known = facts.maps.get(&slot);
            let map = known.and_then(|&index| Some((index, program.maps.get(index as usize)?)));
            match map.map(|(index, map)| (index, map.spec().kind)) {
                Some((index, MapKind::Array | MapKind::PerCpuArray)) => Site::Array(index),
                Some((
                    index,
                    MapKind::Hash
                    | MapKind::PerCpuHash
                    | MapKind::LruHash
                    | MapKind::LruPerCpuHash
                    | MapKind::LpmTrie,
                )) => Site::Hash(index),
                _ => Site::Out(helper),
            }
        }
        PROCESSOR => Site::Slot,
        _ => Site::Out(helper),
    }
}

/// What can be reached in a function, and where its blocks begin.
fn blocks(program: &Program, facts: &Facts, slots: Range<usize>) -> Shape {
    let start = slots.start;
    let mut reached = vec![false; slots.len()];
    let mut leaders = vec![false; slots.len()];
    let mut open = vec![start];
    if let Some(first) = leaders.first_mut() {
        *first = true;
    }
    while let Some(mut slot) = open.pop() {
        // Along the block to its end, or to where another path went on.
        while slots.contains(&slot) && !reached[slot - start] {
            reached[slot - start] = true;
            if end_of(program, facts, slot).is_some() {
                break;
            }
            let insn = program.insns[slot];
            let next = slot + 1 + usize::from(insn.is_wide());
            if insn.is_jump() {
                for target in program.targets(slot).filter(|target| slots.contains(target)) {
                    leaders[target - start] = true;
                    open.push(target);
                }
                if !insn.is_goto()
                    && let Some(leader) = leaders.get_mut(next - start)
                {
                    *leader = true;
                }
            }
            if insn.is_goto() || insn.code == op::EXIT_INSN {
                break;
            }
            slot = next;
        }
    }
    Shape {
        slots,
        args: 0,
        needs: Needs::empty(),
        called: false,
        entered: false,
        cost: 0,
        height: 1,
        sums: Vec::new(),
        reached,
        leaders,
        zeroed: Zeroed::default(),
    }
}

/// How the run ends at an instruction, if it does whatever happened before.
pub(super) fn end_of(program: &Program, facts: &Facts, slot: usize) -> Option<Reason> {
    if !facts.reached.get(slot).copied().unwrap_or(true) {
        return Some(Reason::Unreachable);
    }
    program.poison(slot).map(|_| Reason::Missing)
}

/// Whether a jump back takes from the budget each time.
pub(super) fn charges(program: &Program, facts: &Facts, to: usize, from: usize) -> bool {
    // `may_goto` ends its loop by the budget.
    let may_goto = || program.insns[to..=from].iter().any(|insn| insn.code == op::MAY_GOTO);
    to <= from && (facts.reached.is_empty() || facts.fuel.contains(&from) || may_goto())
}

/// Functions in an order in which each comes after those it calls, and whether some call themselves: then
/// there is no such order.
fn callees_first(calls: &[Vec<usize>]) -> (Vec<usize>, bool) {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut state = vec![State::New; calls.len()];
    let (mut order, mut cyclic) = (Vec::new(), false);
    for root in 0..calls.len() {
        let mut path = vec![(root, 0)];
        while let Some((index, next)) = path.pop() {
            if next == 0 && state[index] != State::New {
                continue;
            }
            state[index] = State::Open;
            match calls[index].get(next) {
                Some(&callee) => {
                    path.push((index, next + 1));
                    cyclic |= state[callee] == State::Open;
                    path.push((callee, 0));
                }
                None => {
                    state[index] = State::Done;
                    order.push(index);
                }
            }
        }
    }
    (order, cyclic)
}

/// Fills in what depends on the functions that are called.
fn complete(
    index: usize,
    program: &Program,
    facts: &Facts,
    sites: &HashMap<usize, Site>,
    calls: &[usize],
    functions: &mut [Shape],
    cyclic: bool,
) {
    let shape = &functions[index];
    let start = shape.slots.start;
    let mut needs = Needs::empty();
    let mut cost = 0u64;
    let mut sums = Vec::with_capacity(shape.slots.len());
    for slot in shape.slots.clone() {
        if !shape.reached[slot - start] {
            sums.push(cost);
            continue;
        }
        let insn = program.insns[slot];
        cost = cost.saturating_add(1);
        if uses_frame(insn) {
            needs |= Needs::FRAME;
        }
        if end_of(program, facts, slot).is_some() {
            needs |= Needs::RUN | Needs::FUEL;
        }
        if insn.is_jump() {
            let charged = program.targets(slot).any(|target| charges(program, facts, target, slot));
            if charged || matches!(insn.code, op::MAY_GOTO | op::GOTOX) {
                needs |= Needs::RUN | Needs::FUEL;
            }
        }
        match sites.get(&slot) {
            Some(Site::Local(callee)) => {
                let callee = &functions[*callee];
                needs |= callee.needs;
                if callee.is_charged() || cyclic {
                    needs |= Needs::RUN | Needs::FUEL;
                } else {
                    cost = cost.saturating_add(callee.cost);
                }
            }
            Some(Site::Out(_)) => needs |= Needs::all(),
            Some(Site::Array(map) | Site::Hash(map))
                if program.maps.get(*map as usize).is_some_and(|map| map.spec().kind.is_per_cpu()) =>
            {
                needs |= Needs::RUN;
            }
            Some(Site::Slot) => needs |= Needs::RUN,
            Some(Site::Array(_) | Site::Hash(_)) | None => {}
        }
        sums.push(cost);
    }
    let args =
        if cyclic { ARGUMENTS.count_ones() as usize } else { arguments(program, sites, functions, index) };
    let height = 1 + calls.iter().map(|&callee| functions[callee].height).max().unwrap_or(0);
    let zeroed = super::frame::zeroed(program, sites, functions, shape);
    let shape = &mut functions[index];
    // What calls itself is always charged.
    shape.cost = if cyclic { cost.max(FREE_COST + 1) } else { cost };
    shape.args = args;
    shape.needs = needs;
    shape.height = height;
    shape.sums = sums;
    if zeroed.any() {
        shape.needs |= Needs::FRAME;
    }
    shape.zeroed = zeroed;
}

/// Whether an instruction reads R10.
fn uses_frame(insn: Insn) -> bool {
    let by_source = match insn.class() {
        op::LDX | op::STX => true,
        op::ALU | op::ALU64 => insn.code & op::X != 0 && insn.code & 0xf0 != op::END,
        op::JMP | op::JMP32 => insn.code & op::X != 0,
        _ => false,
    };
    let by_destination = !matches!(insn.class(), op::LD | op::LDX);
    (by_source && insn.src == 10) || (by_destination && insn.dst == 10)
}

/// How many of R1 to R5 a function reads before it sets them, up to the last of these.
fn arguments(program: &Program, sites: &HashMap<usize, Site>, functions: &[Shape], index: usize) -> usize {
    let shape = &functions[index];
    let start = shape.slots.start;
    let mut live = vec![0u16; shape.slots.len() + 2];
    loop {
        let mut changed = false;
        for slot in shape.slots.clone().rev() {
            if !shape.reached[slot - start] {
                continue;
            }
            let insn = program.insns[slot];
            let mut after = 0;
            if insn.code != op::EXIT_INSN && !insn.is_goto() {
                after |= live[slot - start + 1 + usize::from(insn.is_wide())];
            }
            if insn.is_jump() {
                for target in program.targets(slot) {
                    after |= target.checked_sub(start).and_then(|at| live.get(at)).copied().unwrap_or(0);
                }
            }
            let reads = sites.get(&slot).map_or(insn.reads(), |site| passed(*site, functions));
            let before = reads | (after & !insn.sets());
            changed |= before != live[slot - start];
            live[slot - start] = before;
        }
        if !changed {
            break;
        }
    }
    // The number of the highest of the registers is how many there are up to it.
    (live[0] & ARGUMENTS).checked_ilog2().unwrap_or(0) as usize
}

/// The registers a call passes on.
fn passed(site: Site, functions: &[Shape]) -> u16 {
    let count = match site {
        Site::Local(callee) => functions[callee].args,
        Site::Out(callable) => callable.args.len().min(5),
        Site::Array(_) | Site::Hash(_) => 2,
        Site::Slot => 0,
    };
    ((1 << count) - 1) << 1
}
