//! What must be true of the paths before anything is mounted; each error names the thing and the remedy.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The canonical paths of source and mount point. A mount point that cannot be used is the library's to explain.
pub(crate) fn paths(source: &Path, mountpoint: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let remedy = || format!("{}: SRC must be an existing directory", source.display());
    let real = source.canonicalize().with_context(remedy)?;
    if !real.is_dir() {
        bail!("{}: not a directory; SRC is the directory to mount", source.display());
    }
    let Ok(target) = mountpoint.canonicalize() else { return Ok((real, mountpoint.to_owned())) };
    // The source itself is fine: it is opened before it is covered.
    if target != real && target.starts_with(&real) {
        let (source, mountpoint) = (source.display(), mountpoint.display());
        bail!(
            "{mountpoint}: lies inside {source}, so the mount would contain itself; choose a mount point outside, or {source} itself"
        );
    }
    Ok((real, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_must_not_contain_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (source, inside) = (dir.path().join("src"), dir.path().join("src/mnt"));
        let beside = dir.path().join("src2");
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::create_dir(&beside).unwrap();
        let error = paths(&source, &inside).unwrap_err().to_string();
        assert!(error.contains("would contain itself"), "{error}");
        paths(&source, &source).unwrap();
        paths(&source, &beside).unwrap();
        paths(&inside, &source).unwrap();
    }

    #[test]
    fn a_source_that_is_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for bad in [file, dir.path().join("none")] {
            let error = paths(&bad, dir.path()).unwrap_err().to_string();
            assert!(error.contains(&bad.display().to_string()) && error.contains("directory"), "{error}");
        }
    }
}
