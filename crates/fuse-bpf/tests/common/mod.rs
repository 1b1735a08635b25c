//! What the tests on real mounts share.

/// Whether this user can mount; says why not.
pub(crate) fn can_mount() -> bool {
    if let Err(error) = std::fs::File::options().read(true).write(true).open("/dev/fuse") {
        println!("skipped: /dev/fuse: {error}");
        return false;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root may mount in a test of the library");
        return false;
    }
    true
}
