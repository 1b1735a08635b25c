//! Which control group a process is in: what `bpf_get_current_cgroup_id` tells.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where the version-2 hierarchy is: alone, or beside those of version 1.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// The id of the group a process is in, or of that ancestor of it which has so many above it; 0 if there is none. It
/// is the inode number of its directory.
pub(crate) fn id(pid: u32, level: Option<u32>) -> u64 {
    let group = || {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let root = ROOTS.iter().find(|root| Path::new(root).join("cgroup.procs").exists())?;
        let path = ancestor(Path::new(root), of_version_2(&groups)?, level)?;
        Some(std::fs::metadata(path).ok()?.ino())
    };
    group().unwrap_or(0)
}

/// The path of the only hierarchy without controllers of its own: `0::/user.slice`.
fn of_version_2(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::"))
}

/// The directory of a group, or of its ancestor at a level. A group outside of what can be seen from here has none.
fn ancestor(root: &Path, group: &str, level: Option<u32>) -> Option<PathBuf> {
    let parts: Vec<&str> = group.split('/').filter(|part| !part.is_empty()).collect();
    if parts.contains(&"..") {
        return None;
    }
    let count = level.map_or(parts.len(), |level| level as usize);
    let mut path = root.to_owned();
    path.extend(parts.get(..count)?);
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_one_ancestor_at_each_level_above_it() {
        let path =
            |group, level| ancestor(Path::new("/r"), group, level).map(|path| path.display().to_string());
        let group = of_version_2("4:memory:/x\n0::/a/b.slice\n").unwrap();
        assert_eq!(path(group, None).unwrap(), "/r/a/b.slice");
        assert_eq!(path(group, Some(0)).unwrap(), "/r");
        assert_eq!(path(group, Some(1)).unwrap(), "/r/a");
        assert_eq!(path(group, Some(2)).unwrap(), "/r/a/b.slice");
        assert_eq!(path(group, Some(3)), None);
        assert_eq!(path("/", None).unwrap(), "/r");
        assert_eq!(path("/../elsewhere", None), None);
        assert_eq!(of_version_2("1:name=systemd:/\n"), None);
    }

    #[test]
    fn who_does_not_exist_is_in_no_group() {
        assert_eq!(id(u32::MAX, None), 0);
    }
}
