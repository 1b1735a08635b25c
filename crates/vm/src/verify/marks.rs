//! Which values matter: a graph from each value to those it was made of.
//!
//! A number matters when it decided a branch, became part of an address, a length or a constant argument; a slot of
//! the stack matters when it was read. Checkpoints own a node for each number and slot, so when a value that came
//! through a checkpoint matters, the checkpoint knows.
//!
//! The graph is bounded: nodes that lead from no value still held to a checkpoint still remembered are used again
//! ([`Marks::collect`]), and if that is not enough, everything counts as if it mattered, which is always sound.

use super::state::Id;

/// Nodes from which on unused ones are looked for.
const COLLECT_AT: usize = 1 << 19;
/// Nodes in use from which on everything matters.
const MOST_NODES: usize = 1 << 20;
/// The end of a list.
const END: u32 = u32::MAX;
/// In the first of [`Node::from`]: that the value matters.
const FLAG: Id = 1 << 31;

/// The node of a value that matters, and of values without one.
const MARKED: Node = Node { from: [FLAG, 0], more: END };

/// Which values matter.
#[derive(Debug)]
pub(super) struct Marks {
    nodes: Vec<Node>,
    /// Nodes that are not used, linked by the first of what they come from.
    free: Id,
    used: usize,
    /// Lists of [`Node::more`]: a value, and the next.
    links: Vec<(Id, u32)>,
    collect_at: usize,
    /// For [`Marks::mark`].
    todo: Vec<Id>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    from: [Id; 2],
    /// Further values that matter when this one, a checkpoint's, does: those of paths that ended there.
    more: u32,
}

impl Node {
    fn is_marked(self) -> bool {
        self.from[0] & FLAG != 0
    }

    fn from(self) -> [Id; 2] {
        [self.from[0] & !FLAG, self.from[1]]
    }
}

impl Default for Marks {
    fn default() -> Self {
        Marks {
            nodes: vec![MARKED],
            free: 0,
            used: 1,
            links: Vec::new(),
            collect_at: COLLECT_AT,
            todo: Vec::new(),
        }
    }
}

impl Marks {
    /// A node for a value made of two others.
    pub(super) fn join(&mut self, a: Id, b: Id) -> Id {
        // What matters already need not be told.
        let [a, b] = [a, b].map(|id| if self.is_marked(id) { 0 } else { id });
        match (a, b) {
            (0, other) | (other, 0) => other,
            (a, b) if a == b => a,
            (a, b) => self.push([a, b]),
        }
    }

    /// A node for a checkpoint.
    pub(super) fn boundary(&mut self, from: Id) -> Id {
        self.push([from, 0])
    }

    fn push(&mut self, from: [Id; 2]) -> Id {
        self.used += 1;
        if self.free != 0 {
            let id = self.free;
            let node = &mut self.nodes[id as usize];
            self.free = node.from[0];
            *node = Node { from, more: END };
            return id;
        }
        self.nodes.push(Node { from, more: END });
        (self.nodes.len() - 1) as Id
    }

    /// The value matters, and what it was made of.
    pub(super) fn mark(&mut self, node: Id) {
        if self.is_marked(node) {
            return;
        }
        let mut todo = std::mem::take(&mut self.todo);
        todo.push(node);
        while let Some(id) = todo.pop() {
            let Some(node) = self.nodes.get_mut(id as usize).filter(|node| !node.is_marked()) else {
                continue;
            };
            node.from[0] |= FLAG;
            todo.extend(node.from().into_iter().filter(|&from| from != 0));
            let mut at = node.more;
            while let Some(&(other, next)) = self.links.get(at as usize) {
                todo.push(other);
                at = next;
            }
        }
        self.todo = todo;
    }

    pub(super) fn is_marked(&self, node: Id) -> bool {
        self.nodes.get(node as usize).is_none_or(|node| node.is_marked())
    }

    /// When `node` matters, now or later, so does `other`.
    pub(super) fn follow(&mut self, node: Id, other: Id) {
        if node == 0 || other == 0 || node == other || self.is_marked(other) {
            return;
        }
        if self.is_marked(node) {
            self.mark(other);
            return;
        }
        let node = &mut self.nodes[node as usize];
        if self.links.get(node.more as usize).is_none_or(|(last, _)| *last != other) {
            self.links.push((other, node.more));
            node.more = (self.links.len() - 1) as u32;
        }
    }

    /// Whether it is time to look for nodes that are not used any more.
    pub(super) fn is_full(&self) -> bool {
        self.used + self.links.len() >= self.collect_at
    }

    /// Takes back the nodes that lead from no value held to a checkpoint remembered. `each` calls what it is given with
    /// the node of every value held or remembered.
    pub(super) fn collect(&mut self, each: impl FnOnce(&mut dyn FnMut(Id))) {
        let mut held = vec![false; self.nodes.len()];
        let mut todo = Vec::new();
        each(&mut |id| {
            if id != 0 && !std::mem::replace(&mut held[id as usize], true) {
                todo.push(id);
            }
        });
        let mut reached = held.clone();
        reached[0] = true;
        let mut links = Vec::new();
        while let Some(id) = todo.pop() {
            let node = self.nodes[id as usize];
            if node.is_marked() {
                // What follows from that was done.
                self.nodes[id as usize] = MARKED;
                continue;
            }
            let [a, b] = node.from().map(|from| self.resolve(from, &held));
            let from = match (a, b) {
                (0, other) | (other, 0) => [other, 0],
                (a, b) if a == b => [a, 0],
                (a, b) => [a, b],
            };
            let mut reach = |id: Id| {
                if id != 0 && !std::mem::replace(&mut reached[id as usize], true) {
                    todo.push(id);
                }
            };
            from.into_iter().for_each(&mut reach);
            let (mut at, mut more) = (node.more, END);
            while let Some(&(other, next)) = self.links.get(at as usize) {
                at = next;
                let other = self.resolve(other, &held);
                if other != 0 && other != id {
                    links.push((other, more));
                    more = (links.len() - 1) as u32;
                    reach(other);
                }
            }
            self.nodes[id as usize] = Node { from, more };
        }
        self.links = links;
        (self.free, self.used) = (0, 0);
        for (id, reached) in reached.iter().enumerate().rev() {
            if *reached {
                self.used += 1;
            } else {
                self.nodes[id] = Node { from: [self.free, 0], more: END };
                self.free = id as Id;
            }
        }
        if self.used + self.links.len() >= MOST_NODES {
            for (id, _) in reached.iter().enumerate().filter(|(_, reached)| **reached) {
                self.nodes[id] = MARKED;
            }
            self.links = Vec::new();
        }
        self.collect_at = COLLECT_AT.max((self.used + self.links.len()) / 2 * 3);
    }

    /// The nearest node that must be kept: one that is held, that others follow, or that was made of two. 0 if nothing
    /// follows from marking it.
    fn resolve(&mut self, from: Id, held: &[bool]) -> Id {
        let mut at = from;
        let found = loop {
            let node = self.nodes[at as usize];
            if at == 0 || node.is_marked() {
                break 0;
            }
            match node.from() {
                _ if held[at as usize] || node.more != END => break at,
                [next, 0] | [0, next] => at = next,
                _ => break at,
            }
        };
        // The way is short the next time.
        let mut at = from;
        while at != found && at != 0 {
            let node = &mut self.nodes[at as usize];
            let [a, b] = node.from();
            if node.is_marked() {
                break;
            }
            node.from = [found, 0];
            at = if a == 0 { b } else { a };
        }
        found
    }
}
