//! What a directory tree is, as far as two trees can be compared.

use super::{digest, kind};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Every path below a directory, itself included, and what is there.
pub(crate) type Tree = BTreeMap<PathBuf, String>;

/// Reads a tree: names, types, modes, owners, sizes, contents, link structure, extended attributes.
pub(crate) fn list(root: &Path) -> io::Result<Tree> {
    let (mut tree, mut links) = (Tree::new(), BTreeMap::new());
    let mut todo = vec![PathBuf::new()];
    while let Some(relative) = todo.pop() {
        let path = root.join(&relative);
        let meta = fs::symlink_metadata(&path)?;
        let mut line = format!(
            "{} {:04o} {}:{} rdev {:#x}",
            kind(&meta.file_type()),
            meta.mode() & 0o7777,
            meta.uid(),
            meta.gid(),
            meta.rdev()
        );
        if meta.is_dir() {
            let mut names =
                fs::read_dir(&path)?.map(|e| e.map(|e| e.file_name())).collect::<io::Result<Vec<_>>>()?;
            // Popped from the end: in order.
            names.sort_by(|a, b| b.cmp(a));
            todo.extend(names.into_iter().map(|name| relative.join(name)));
        } else {
            let first = links.entry(meta.ino()).or_insert_with(|| relative.clone());
            line += &format!(" nlink {} size {}", meta.nlink(), meta.size());
            if *first != relative {
                line += &format!(" link to {}", first.as_os_str().as_bytes().escape_ascii());
            }
        }
        if meta.is_symlink() {
            line += &format!(" -> {}", fs::read_link(&path)?.as_os_str().as_bytes().escape_ascii());
        }
        // The few sparse giants are compared by what the case noted.
        if meta.is_file() && meta.size() <= 64 << 20 {
            line += &format!(" {}", fs::read(&path).map_or_else(|e| e.to_string(), |bytes| digest(&bytes)));
        }
        for (name, value) in xattrs(&path)? {
            line += &format!(" [{name}={}]", digest(&value));
        }
        tree.insert(relative, line);
    }
    Ok(tree)
}

fn xattrs(path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut names = vec![0u8; 65536];
    let len = match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(len) => len,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut all = BTreeMap::new();
    for name in names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0u8; 65536];
        let len = rustix::fs::lgetxattr(path, name, &mut value[..])?;
        value.truncate(len);
        all.insert(name.escape_ascii().to_string(), value);
    }
    Ok(all)
}

/// The differences, one line each.
pub(crate) fn diff(plain: &Tree, lower: &Tree) -> Vec<String> {
    let mut paths: Vec<_> = plain.keys().chain(lower.keys()).collect();
    paths.sort();
    paths.dedup();
    let line = |tree: &Tree, path: &Path| tree.get(path).cloned().unwrap_or_else(|| "(absent)".into());
    paths
        .into_iter()
        .filter(|path| plain.get(*path) != lower.get(*path))
        .map(|path| {
            let name = path.as_os_str().as_bytes().escape_ascii();
            format!("tree: \"{name}\"\n    plain | {}\n    lower | {}", line(plain, path), line(lower, path))
        })
        .collect()
}
