//! A tree in memory, and what operations on it end with.

use std::collections::{BTreeMap, HashMap};

/// A number of an inode of the model.
pub(crate) type Id = u64;

pub(crate) const ROOT: Id = 1;

/// Names below a directory that are the daemon's or other names are no names here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File { data: Vec<u8> },
    Link { target: String },
    Dir { names: BTreeMap<String, Id>, parent: Id },
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) nlink: u32,
    pub(crate) values: BTreeMap<String, Vec<u8>>,
    /// Open files of it.
    pub(crate) open: u32,
}

/// How an operation ends: with an errno, or well.
pub(crate) type Done<T = ()> = Result<T, i32>;

#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) nodes: HashMap<Id, Node>,
    next: Id,
}

impl Tree {
    pub(crate) fn new() -> Tree {
        let root = Node::new(Kind::Dir { names: BTreeMap::new(), parent: ROOT }, 0o755);
        Tree { nodes: HashMap::from([(ROOT, root)]), next: ROOT + 1 }
    }

    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[&id]
    }

    pub(crate) fn node_mut(&mut self, id: Id) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    pub(crate) fn names(&self, dir: Id) -> &BTreeMap<String, Id> {
        match &self.node(dir).kind {
            Kind::Dir { names, .. } => names,
            _ => panic!("not a directory"),
        }
    }

    fn names_mut(&mut self, dir: Id) -> &mut BTreeMap<String, Id> {
        match &mut self.node_mut(dir).kind {
            Kind::Dir { names, .. } => names,
            _ => panic!("not a directory"),
        }
    }

    pub(crate) fn find(&self, dir: Id, name: &str) -> Option<Id> {
        self.names(dir).get(name).copied()
    }

    pub(crate) fn parent(&self, dir: Id) -> Id {
        match &self.node(dir).kind {
            Kind::Dir { parent, .. } => *parent,
            _ => panic!("not a directory"),
        }
    }

    /// Whether a directory is, or is above, another.
    pub(crate) fn is_above(&self, above: Id, mut dir: Id) -> bool {
        loop {
            if dir == above {
                return true;
            }
            if dir == ROOT {
                return false;
            }
            dir = self.parent(dir);
        }
    }

    /// Directories, with their paths.
    pub(crate) fn dirs(&self) -> Vec<(Id, String)> {
        let mut all = vec![(ROOT, String::new())];
        let mut at = 0;
        while let Some((dir, path)) = all.get(at).cloned() {
            for (name, id) in self.names(dir) {
                if self.is_dir(*id) {
                    all.push((*id, format!("{path}/{name}")));
                }
            }
            at += 1;
        }
        all
    }

    pub(crate) fn is_dir(&self, id: Id) -> bool {
        matches!(self.node(id).kind, Kind::Dir { .. })
    }

    /// Puts something new into a directory.
    pub(crate) fn add(&mut self, dir: Id, name: &str, kind: Kind, mode: u32) -> Id {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, Node::new(kind, mode));
        if self.is_dir(id) {
            self.node_mut(dir).nlink += 1;
        }
        self.names_mut(dir).insert(name.to_owned(), id);
        id
    }

    pub(crate) fn add_dir(&mut self, dir: Id, name: &str, mode: u32) {
        self.add(dir, name, Kind::Dir { names: BTreeMap::new(), parent: dir }, mode);
    }

    pub(crate) fn link(&mut self, id: Id, dir: Id, name: &str) -> Done {
        if self.find(dir, name).is_some() {
            return Err(libc::EEXIST);
        }
        self.node_mut(id).nlink += 1;
        self.names_mut(dir).insert(name.to_owned(), id);
        Ok(())
    }

    pub(crate) fn remove(&mut self, dir: Id, name: &str) -> Done {
        let id = self.find(dir, name).ok_or(libc::ENOENT)?;
        if self.is_dir(id) {
            if !self.names(id).is_empty() {
                return Err(libc::ENOTEMPTY);
            }
            self.node_mut(dir).nlink -= 1;
            self.nodes.remove(&id);
        } else {
            self.node_mut(id).nlink -= 1;
            self.forget(id);
        }
        self.names_mut(dir).remove(name);
        Ok(())
    }

    /// Drops what has no name and is not open.
    pub(crate) fn forget(&mut self, id: Id) {
        if self.nodes.get(&id).is_some_and(|node| node.nlink == 0 && node.open == 0) {
            self.nodes.remove(&id);
        }
    }

    pub(crate) fn rename(&mut self, from: (Id, &str), to: (Id, &str)) -> Done {
        let id = self.find(from.0, from.1).ok_or(libc::ENOENT)?;
        if self.find(to.0, to.1).is_some() {
            self.remove(to.0, to.1)?;
        }
        self.names_mut(from.0).remove(from.1);
        self.names_mut(to.0).insert(to.1.to_owned(), id);
        if let Kind::Dir { parent, .. } = &mut self.node_mut(id).kind {
            *parent = to.0;
            self.node_mut(from.0).nlink -= 1;
            self.node_mut(to.0).nlink += 1;
        }
        Ok(())
    }

    fn data(&mut self, id: Id) -> &mut Vec<u8> {
        match &mut self.node_mut(id).kind {
            Kind::File { data } => data,
            _ => panic!("not a file"),
        }
    }

    pub(crate) fn size(&self, id: Id) -> usize {
        match &self.node(id).kind {
            Kind::File { data } => data.len(),
            Kind::Link { target } => target.len(),
            Kind::Dir { .. } => 0,
        }
    }

    pub(crate) fn read(&self, id: Id, offset: usize, len: usize) -> Vec<u8> {
        match &self.node(id).kind {
            Kind::File { data } => data.iter().skip(offset).take(len).copied().collect(),
            _ => panic!("not a file"),
        }
    }

    pub(crate) fn write(&mut self, id: Id, offset: usize, bytes: &[u8]) {
        let data = self.data(id);
        if bytes.is_empty() {
            return;
        }
        data.resize(data.len().max(offset + bytes.len()), 0);
        data[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn resize(&mut self, id: Id, size: usize) {
        self.data(id).resize(size, 0);
    }

    /// Reserves a range, or with `punch` makes a hole of it.
    pub(crate) fn allocate(&mut self, id: Id, offset: usize, len: usize, punch: bool) {
        let data = self.data(id);
        if punch {
            data.iter_mut().skip(offset).take(len).for_each(|byte| *byte = 0);
        } else if offset + len > data.len() {
            data.resize(offset + len, 0);
        }
    }
}

impl Node {
    fn new(kind: Kind, mode: u32) -> Node {
        let nlink = if matches!(kind, Kind::Dir { .. }) { 2 } else { 1 };
        Node { kind, mode, nlink, values: BTreeMap::new(), open: 0 }
    }
}
